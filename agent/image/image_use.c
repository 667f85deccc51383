/* Which layers are there, which to mount, which nobody uses. SPDX-License-Identifier: Apache-2.0 */
#include "image_parts.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <paas/log.h>
#include <paas/str.h>
#include <paas/unpack.h>

#include "collect.h"

/* Values of `leaving`. */
static char is_leaving, came_again;

/* A mark of unpack.c: the layer hides all that lies below it. */
#define HIDES_ALL ".wh..wh..opq"

bool image_is_here(const struct image_store *s, const char *hex) {
    struct stat st;
    return map_get(&s->leaving, hex) != &is_leaving &&
           fstatat(s->layers_fd, hex, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

void image_came(struct image_store *s, const char *hex) {
    if (map_get(&s->leaving, hex)) {
        map_set(&s->leaving, hex, &came_again); /* a key that is there: no memory is needed */
    }
}

int image_check_config(const struct release_config *config, struct err *err) {
    if (config->layers.count != config->blobs.count || config->layers.count > LAYERS_PER_IMAGE) {
        return err_set(err, ERR_BAD_IMAGE, "a release with %zu layers and %zu blobs",
            config->layers.count, config->blobs.count);
    }
    for (size_t i = 0; i < config->layers.count; i++) {
        if (!str_is_digest(config->layers.items[i]) || !str_is_digest(config->blobs.items[i])) {
            return err_set(err, ERR_BAD_IMAGE, "layer %zu has no valid digest", i);
        }
    }
    return str_is_name(config->app) ? 0 : err_set(err, ERR_BAD_IMAGE, "an app without a name");
}

/* ---- what to mount ---- */

static bool stands_later(const struct strings *layers, size_t i) {
    for (size_t j = i + 1; j < layers->count; j++) {
        if (strcmp(layers->items[i], layers->items[j]) == 0) {
            return true;
        }
    }
    return false;
}

static int add_name(
    const char *hex, size_t max, char (*names)[DIGEST_HEX_LENGTH], size_t *count, struct err *err) {
    if (*count == max) {
        return err_set(err, ERR_TOO_LARGE, "the image needs more than %zu directories", max);
    }
    memcpy(names[(*count)++], hex, DIGEST_HEX_LENGTH);
    return 0;
}

/* The unpacker left a mark in the root of what a layer hides. */
static bool is_marked(const struct image_store *s, const char *hidden, const char *mark) {
    char path[DIGEST_HEX_SIZE + 32];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", hidden, mark);
    return fstatat(s->layers_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

int image_list(struct image_store *s, const struct strings *layers, size_t max,
    char (*names)[DIGEST_HEX_LENGTH], size_t *count, char cover[DIGEST_HEX_SIZE], struct err *err) {
    bool covers = false;
    *count = 0;
    cover[0] = '\0';
    for (size_t i = 0; i < layers->count; i++) {
        const char *hex = digest_hex(layers->items[i]);
        char hidden[DIGEST_HEX_SIZE];
        if (!image_is_here(s, hex)) {
            return err_set(err, ERR_NOT_FOUND, "layer %.12s is not here", hex);
        }
        /* Without memory it only counts as older than it is. */
        map_set(&s->used, hex, (void *)++s->questions);
        /* The upper one of two equal layers says all that the lower one would; an overlay takes a
         * directory only once. */
        if (stands_later(layers, i)) {
            continue;
        }
        unpack_hidden_name(hex, hidden);
        if (image_is_here(s, hidden)) {
            *count = is_marked(s, hidden, HIDES_ALL) ? 0 : *count;
            covers = (covers && *count > 0) || is_marked(s, hidden, UNPACK_COVER_MARKER);
            if (add_name(hidden, max, names, count, err) < 0) {
                return -1;
            }
        }
        if (add_name(hex, max, names, count, err) < 0) {
            return -1;
        }
    }
    if (covers) {
        unpack_cover_name((const char(*)[DIGEST_HEX_LENGTH])names, *count, cover);
    }
    return 0;
}

int image_layer_names(struct image_store *s, const struct release_config *config, size_t max,
    char (*names)[DIGEST_HEX_LENGTH], size_t *count, struct err *err) {
    char cover[DIGEST_HEX_SIZE];
    if (image_check_config(config, err) < 0 ||
        image_list(s, &config->layers, max, names, count, cover, err) < 0) {
        return -1;
    }
    if (!cover[0]) {
        return 0;
    }
    if (!image_is_here(s, cover)) {
        return err_set(err, ERR_NOT_FOUND, "cover %.12s is not here", cover);
    }
    map_set(&s->used, cover, (void *)++s->questions);
    return add_name(cover, max, names, count, err);
}

/* ---- collecting ---- */

void image_removed(struct image_store *s, const char *hex, const struct err *err) {
    if (!s) {
        return;
    }
    map_remove(&s->leaving, hex);
    if (err->code != ERR_OK) {
        log_warn("removing layer %.12s: %s", hex, err->text);
    }
}

static int want(struct map *wanted, const char *hex) {
    return map_set(wanted, hex, wanted);
}

/* What a release needs. As long as it is not whole it has no cover. */
static int want_release(
    struct image_store *s, const struct release_config *config, struct map *wanted) {
    char names[IMAGE_NAMES_MAX][DIGEST_HEX_LENGTH], cover[DIGEST_HEX_SIZE];
    size_t count;
    for (size_t i = 0; i < config->layers.count; i++) {
        if (want(wanted, digest_hex(config->layers.items[i])) < 0) {
            return -1;
        }
    }
    return image_list(s, &config->layers, IMAGE_NAMES_MAX, names, &count, cover, NULL) == 0 &&
                   cover[0]
               ? want(wanted, cover)
               : 0;
}

static int want_all(struct image_store *s, const struct release_config *const *keep,
    size_t keep_count, struct map *wanted) {
    for (size_t i = 0; i < keep_count; i++) {
        if (want_release(s, keep[i], wanted) < 0) {
            return -1;
        }
    }
    LIST_FOREACH (item, &s->layers) {
        if (want(wanted, LIST_ITEM(item, struct layer, link)->hex) < 0) {
            return -1;
        }
    }
    LIST_FOREACH (item, &s->pulls) {
        const struct image_pull *p = LIST_ITEM(item, struct image_pull, link);
        for (size_t i = 0; i < p->layers.count; i++) {
            if (want(wanted, digest_hex(p->layers.items[i])) < 0) {
                return -1;
            }
        }
    }
    MAP_FOREACH (e, &s->leaving) {
        if (want(wanted, e->key) < 0) {
            return -1; /* gone already, or back */
        }
    }
    return 0;
}

/* From now on the layer is not here, though the spawner has yet to hear of it. */
static int start_to_remove(struct image_store *s, const char *hex, struct err *err) {
    if (map_set(&s->leaving, hex, &is_leaving) < 0) {
        return err_no_memory(err);
    }
    if (s->options.remove(s->options.ctx, hex, err) < 0) {
        map_remove(&s->leaving, hex);
        return -1;
    }
    log_info("removing layer %.12s, which nobody wants", hex);
    map_remove(&s->used, hex);
    return 0;
}

int image_store_collect(struct image_store *s, const struct release_config *const *keep,
    size_t keep_count, size_t spare, struct err *err) {
    struct strings unused = { 0 };
    struct map wanted;
    map_init(&wanted);
    int result = want_all(s, keep, keep_count, &wanted) < 0
                     ? err_no_memory(err)
                     : collect_unused(s->layers_fd, &wanted, &s->used, spare, &unused, err);
    for (size_t i = 0; result == 0 && i < unused.count && s->leaving.count < IMAGE_REMOVES; i++) {
        result = start_to_remove(s, unused.items[i], err);
    }
    strings_free(&unused);
    map_free(&wanted);
    return result;
}
