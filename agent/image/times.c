/* Times that directories get in the end. SPDX-License-Identifier: Apache-2.0 */
#include "times.h"

#include <stdlib.h>

void times_init(struct times *t) {
    map_init(&t->by_path);
}

void times_free(struct times *t) {
    MAP_FOREACH (e, &t->by_path) {
        free(e->value);
    }
    map_free(&t->by_path);
}

int times_add(struct times *t, const char *path, struct timespec mtime, struct err *err) {
    struct timespec *at = map_get(&t->by_path, path);
    if (!at) {
        at = malloc(sizeof *at);
        if (!at || map_set(&t->by_path, path, at) < 0) {
            free(at);
            return err_no_memory(err);
        }
    }
    *at = mtime;
    return 0;
}

bool times_have(const struct times *t, const char *path) {
    return map_get(&t->by_path, path) != NULL;
}

int times_set(const struct times *t, struct tree *tree, struct err *err) {
    MAP_FOREACH (e, &t->by_path) {
        const struct timespec *at = e->value;
        if (tree_touch(tree, e->key, *at, err) < 0) {
            return -1;
        }
    }
    return 0;
}
