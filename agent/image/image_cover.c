/* Covers of images whose layers do not describe all directories. SPDX-License-Identifier:
 * Apache-2.0
 *
 * A pull whose layers are all here looks whether the image has a cover and waits for it. One cover
 * is made for all who wait; a few are made at once.
 */
#include "image_parts.h"

#include <string.h>

#include <paas/str.h>

/* Starts to make the cover that `p` waits for. */
static int start_cover(struct image_pull *p, struct err *err) {
    struct image_store *s = p->store;
    char names[IMAGE_NAMES_MAX][DIGEST_HEX_LENGTH], cover[DIGEST_HEX_SIZE];
    size_t count;
    if (image_list(s, &p->layers, IMAGE_NAMES_MAX, names, &count, cover, err) < 0) {
        return -1;
    }
    if (map_set(&s->covering, p->cover, s) < 0) {
        return err_no_memory(err);
    }
    int result = s->options.cover(
        s->options.ctx, p->cover, (const char(*)[DIGEST_HEX_LENGTH])names, count, err);
    if (result < 0) {
        map_remove(&s->covering, p->cover);
    }
    return result;
}

static void cover_next(struct image_store *s) {
    LIST_FOREACH_SAFE (item, after, &s->pulls) {
        struct image_pull *p = LIST_ITEM(item, struct image_pull, link);
        struct err err;
        if (s->covering.count >= IMAGE_COVERS) {
            return;
        }
        if (p->cover[0] && !map_get(&s->covering, p->cover) && start_cover(p, &err) < 0) {
            image_pull_ends(p, &err);
        }
    }
}

void image_pull_whole(struct image_pull *p) {
    struct image_store *s = p->store;
    char names[IMAGE_NAMES_MAX][DIGEST_HEX_LENGTH];
    size_t count;
    struct err err = { .code = ERR_OK };
    if (image_list(s, &p->layers, IMAGE_NAMES_MAX, names, &count, p->cover, &err) < 0 ||
        !p->cover[0] || image_is_here(s, p->cover)) {
        image_pull_ends(p, &err);
    } else {
        cover_next(s);
    }
}

void image_covered(struct image_store *s, const char *hex, const struct err *err) {
    if (!s || s->closing) {
        return;
    }
    map_remove(&s->covering, hex);
    if (err->code == ERR_OK) {
        image_came(s, hex);
    }
    LIST_FOREACH_SAFE (item, after, &s->pulls) {
        struct image_pull *p = LIST_ITEM(item, struct image_pull, link);
        if (strcmp(p->cover, hex) == 0) {
            image_pull_ends(p, err);
        }
    }
    cover_next(s);
}
