/* Which layers may go. SPDX-License-Identifier: Apache-2.0 */
#include "gc.h"

#include <string.h>

/* True when `a` should stay rather than `b`. */
static bool stays_before(const struct gc_layer *a, const struct gc_layer *b) {
    return a->used != b->used ? a->used > b->used : strcmp(a->name, b->name) < 0;
}

/* The unwanted layer, not yet spared, that should stay first; NULL when none is left. */
static struct gc_layer *next_to_spare(struct gc_layer *layers, size_t count) {
    struct gc_layer *best = NULL;
    for (size_t i = 0; i < count; i++) {
        if (layers[i].gone && (!best || stays_before(&layers[i], best))) {
            best = &layers[i];
        }
    }
    return best;
}

void gc_choose(struct gc_layer *layers, size_t count, size_t spare) {
    for (size_t i = 0; i < count; i++) {
        layers[i].gone = !layers[i].wanted;
    }
    for (; spare > 0; spare--) {
        struct gc_layer *stays = next_to_spare(layers, count);
        if (!stays) {
            return;
        }
        stays->gone = false;
    }
}
