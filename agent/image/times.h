/* Times that directories get in the end: files made in them would change them.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef IMAGE_TIMES_H
#define IMAGE_TIMES_H

#include <stdbool.h>
#include <time.h>

#include <paas/err.h>
#include <paas/map.h>

#include "tree.h"

struct times {
    struct map by_path; /* struct timespec */
};

void times_init(struct times *t);
void times_free(struct times *t);
/* The last time of a path counts. */
int times_add(struct times *t, const char *path, struct timespec mtime, struct err *err);
bool times_have(const struct times *t, const char *path);
/* Gives them to the directories of `tree`. */
int times_set(const struct times *t, struct tree *tree, struct err *err);

#endif
