/* Which layers may go. Pure. SPDX-License-Identifier: Apache-2.0 */
#ifndef IMAGE_GC_H
#define IMAGE_GC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gc_layer {
    const char *name;
    uint64_t used; /* greater is later; 0: not known to have been */
    bool wanted;
    bool gone; /* the answer */
};

/* Marks what may go: all that nobody wants but for the `spare` ones that were used last. Ties are
 * decided by name, so that the answer depends on the set alone. */
void gc_choose(struct gc_layer *layers, size_t count, size_t spare);

#endif
