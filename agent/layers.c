/* Layers on this host. SPDX-License-Identifier: Apache-2.0
 *
 * What is wanted is asked of the fleet, which has the grants in force and what lives. As long as
 * the configuration of one of these is not known, neither are its layers, and nothing is removed.
 */
#include "layers.h"

#include <stdlib.h>
#include <string.h>

#include <paas/log.h>
#include <paas/map.h>
#include <paas/str.h>

enum {
    PAUSE_MS = 5000, /* from a change to a look: a push makes many */
    SPARE = 0,       /* layers that nobody wants; the fleet wants those that it may go back to */
};

struct asked {
    struct list link; /* layers->asked */
    struct layers *layers;
    char layer[SPAWNER_LAYER_SIZE];
    enum spawner_operation operation;
};

static void on_timer(uv_timer_t *timer);

static void on_answer(
    void *data, const struct spawner_answer *answer, int *fds, const struct err *err) {
    struct asked *asked = data;
    struct layers *l = asked->layers;
    (void)answer;
    (void)fds;
    if (asked->operation == SPAWNER_COVER) {
        image_covered(l->images, asked->layer, err);
    } else if (asked->operation == SPAWNER_REMOVE_LAYER) {
        image_removed(l->images, asked->layer, err);
        if (err->code == ERR_OK) {
            uv_timer_start(&l->timer, on_timer, 0, 0); /* the next one */
        }
    } else {
        image_unpacked(l->images, asked->layer, err);
    }
    list_remove(&asked->link);
    free(asked);
}

static int ask(struct layers *l, const char *hex, struct spawner_request *request, const int *fds,
    struct err *err) {
    struct asked *asked = calloc(1, sizeof *asked);
    if (!asked) {
        return err_no_memory(err);
    }
    asked->layers = l;
    asked->operation = (enum spawner_operation)request->operation;
    str_copy(asked->layer, sizeof asked->layer, hex);
    if (spawner_ask(l->spawner, request, fds, on_answer, asked, err) < 0) {
        free(asked);
        return -1;
    }
    list_append(&l->asked, &asked->link);
    return 0;
}

static int ask_layer(struct layers *l, enum spawner_operation operation, const char *hex,
    const int *fds, struct err *err) {
    struct spawner_request request = { .operation = operation };
    str_copy(request.layer, sizeof request.layer, hex);
    return ask(l, hex, &request, fds, err);
}

static int start_unpack(void *ctx, const char *hex, int tar, struct err *err) {
    return ask_layer(ctx, SPAWNER_UNPACK, hex, &tar, err);
}

static int start_remove(void *ctx, const char *hex, struct err *err) {
    return ask_layer(ctx, SPAWNER_REMOVE_LAYER, hex, NULL, err);
}

static int start_cover(void *ctx, const char *hex, const char (*names)[DIGEST_HEX_LENGTH],
    size_t count, struct err *err) {
    struct spawner_request request = { .operation = SPAWNER_COVER };
    /* The cover is one more. */
    if (count >= SANDBOX_LAYERS_MAX) {
        return err_set(
            err, ERR_TOO_LARGE, "the image needs more than %d directories", SANDBOX_LAYERS_MAX);
    }
    request.cover.count = (uint32_t)count;
    memcpy(request.cover.layers, names, count * sizeof names[0]);
    return ask(ctx, hex, &request, NULL, err);
}

/* --- what nobody wants ------------------------------------------------------------------------ */

struct kept {
    struct configs *configs;
    struct map by_digest; /* digest -> struct release_config */
    bool unknown;         /* of one that is needed, or for want of memory */
};

static void keep(void *data, const char *digest, bool needed) {
    struct kept *kept = data;
    /* A stopped app's is asked for by nobody else. */
    const struct release_config *config =
        needed ? configs_get(kept->configs, digest) : configs_known(kept->configs, digest);
    if (config) {
        kept->unknown |= map_set(&kept->by_digest, digest, (void *)config) < 0;
    } else {
        kept->unknown |= needed;
    }
}

static int collect(struct layers *l, const struct kept *kept, struct err *err) {
    size_t count = 0;
    const struct release_config **rows = calloc(kept->by_digest.count + 1, sizeof *rows);
    if (!rows) {
        return err_no_memory(err);
    }
    MAP_FOREACH (e, &kept->by_digest) {
        rows[count++] = e->value;
    }
    int result = image_store_collect(l->images, rows, count, SPARE, err);
    free(rows);
    return result;
}

static void on_timer(uv_timer_t *timer) {
    struct layers *l = timer->data;
    struct kept kept = { .configs = l->configs };
    struct err err;
    map_init(&kept.by_digest);
    fleet_each_config(l->fleet, keep, &kept);
    if (kept.unknown) {
        layers_due(l);
    } else if (collect(l, &kept, &err) < 0) {
        log_warn("removing layers that nobody wants: %s", err.text);
    }
    map_free(&kept.by_digest);
}

void layers_due(struct layers *l) {
    if (l->fleet && !uv_is_active((uv_handle_t *)&l->timer)) {
        uv_timer_start(&l->timer, on_timer, PAUSE_MS, 0);
    }
}

int layers_open(struct layers *l, uv_loop_t *loop, const char *directory, const char *registry,
    struct err *err) {
    struct image_options options = {
        .loop = loop,
        .layers = directory,
        .registry = registry,
        .ctx = l,
        .unpack = start_unpack,
        .remove = start_remove,
        .cover = start_cover,
    };
    uv_timer_init(loop, &l->timer);
    l->timer.data = l;
    list_init(&l->asked);
    return image_store_create(&options, &l->images, err);
}

void layers_close(struct layers *l) {
    if (l->timer.data) {
        uv_close((uv_handle_t *)&l->timer, NULL);
        LIST_FOREACH_SAFE (item, after, &l->asked) {
            struct asked *asked = LIST_ITEM(item, struct asked, link);
            list_remove(&asked->link);
            free(asked);
        }
    }
    if (l->images) {
        image_store_close(l->images, NULL, NULL);
    }
}
