/* A release's layers, from the registry to directories on this host. SPDX-License-Identifier:
 * Apache-2.0
 *
 * Pulls wait for layers; a layer (layer.c) is fetched once for all who wait. The links between the
 * two are `struct wait`. Every pull ends in on_idle(), from the loop, never inside the call that
 * decided it.
 */
#include "image_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <paas/file.h>
#include <paas/http_client.h>
#include <paas/list.h>
#include <paas/log.h>
#include <paas/map.h>
#include <paas/str.h>
#include <paas/unpack.h>

/* ---- the ends of pulls ---- */

static void pull_free(struct image_pull *p) {
    strings_free(&p->layers);
    free(p);
}

static void on_idle(uv_idle_t *idle) {
    struct image_store *s = idle->data;
    while (!list_empty(&s->ended)) {
        struct image_pull *p = LIST_ITEM(s->ended.next, struct image_pull, link);
        list_remove(&p->link);
        p->events.done(p->data, &p->outcome);
        pull_free(p);
        if (s->closing) {
            return;
        }
    }
    uv_idle_stop(idle);
}

void image_pull_ends(struct image_pull *p, const struct err *err) {
    p->outcome = *err;
    p->cover[0] = '\0';
    list_remove(&p->link);
    list_append(&p->store->ended, &p->link);
    uv_idle_start(&p->store->idle, on_idle);
}

/* Takes the pull out of all layers that it waits for; those that nobody wants are given up. */
static void stop_waiting(struct image_pull *p) {
    for (size_t i = 0; i < p->wait_count; i++) {
        struct layer *l = p->waits[i].layer;
        if (!l) {
            continue;
        }
        p->waits[i].layer = NULL;
        list_remove(&p->waits[i].link);
        if (!list_empty(&l->waits)) {
            continue;
        }
        if (l->state == LAYER_QUEUED) {
            list_remove(&l->link);
            layer_destroy(l);
        } else {
            layer_give_up(l);
        }
    }
}

static void pull_failed(struct image_pull *p, const struct err *err) {
    stop_waiting(p);
    image_pull_ends(p, err);
}

/* ---- layers ---- */

static void fetch_next(struct image_store *s);

/* Tells all who wait for `l`. */
static void tell_waiting(struct layer *l, const struct err *err) {
    while (!list_empty(&l->waits)) {
        struct wait *w = LIST_ITEM(l->waits.next, struct wait, link);
        struct image_pull *p = w->pull;
        list_remove(&w->link);
        w->layer = NULL;
        if (err->code != ERR_OK) {
            pull_failed(p, err);
        } else if (--p->left == 0) {
            image_pull_whole(p);
        }
    }
}

/* A new layer in the place of `l`, for all who wait; NULL without memory. */
static struct layer *start_again(struct image_store *s, struct layer *l) {
    char diff_id[DIGEST_SIZE];
    snprintf(diff_id, sizeof diff_id, "sha256:%s", l->hex);
    struct layer *again = layer_create(l->host, diff_id, l->blob, l->app);
    while (again && !list_empty(&l->waits)) {
        struct wait *w = LIST_ITEM(l->waits.next, struct wait, link);
        list_remove(&w->link);
        list_append(&again->waits, &w->link);
        w->layer = again;
    }
    if (again) {
        list_append(&s->layers, &again->link);
    }
    return again;
}

static void on_layer_over(struct layer *l, const struct err *err) {
    struct image_store *s = l->host->ctx;
    s->fetching--;
    list_remove(&l->link);
    /* Somebody came while it was given up: once more, from the start. */
    struct layer *again =
        l->given_up && err->code != ERR_OK && !list_empty(&l->waits) ? start_again(s, l) : NULL;
    if (!again) {
        tell_waiting(l, err);
    }
    layer_destroy(l);
    fetch_next(s);
}

static void on_layer_progress(struct layer *l) {
    LIST_FOREACH (item, &l->waits) {
        struct image_pull *p = LIST_ITEM(item, struct wait, link)->pull;
        uint64_t done = 0, total = 0;
        if (!p->events.progress) {
            continue;
        }
        for (size_t i = 0; i < p->wait_count; i++) {
            const struct layer *other = p->waits[i].layer;
            done += other ? other->received : 0;
            total += other ? other->total : 0;
        }
        p->events.progress(p->data, done, total);
    }
}

static void fetch_next(struct image_store *s) {
    LIST_FOREACH_SAFE (item, after, &s->layers) {
        struct layer *l = LIST_ITEM(item, struct layer, link);
        struct err err;
        if (s->fetching >= IMAGE_FETCHES || s->closing) {
            return;
        }
        if (l->state != LAYER_QUEUED) {
            continue;
        }
        if (layer_fetch(l, &err) == 0) {
            s->fetching++;
            continue;
        }
        list_remove(&l->link);
        /* What waits for this one may be all that waits for `after`, too. */
        tell_waiting(l, &err);
        layer_destroy(l);
        fetch_next(s);
        return;
    }
}

static struct layer *find_layer(const struct image_store *s, const char *hex) {
    LIST_FOREACH (item, &s->layers) {
        struct layer *l = LIST_ITEM(item, struct layer, link);
        if (strcmp(l->hex, hex) == 0) {
            return l;
        }
    }
    return NULL;
}

void image_unpacked(struct image_store *s, const char *hex, const struct err *err) {
    struct layer *l = s ? find_layer(s, hex) : NULL;
    if (l && l->state != LAYER_QUEUED) {
        if (err->code == ERR_OK) {
            image_came(s, hex);
        }
        layer_unpacked(l, err);
    }
}

/* ---- pulls ---- */

static bool waits_for(const struct image_pull *p, const struct layer *l) {
    for (size_t i = 0; i < p->wait_count; i++) {
        if (p->waits[i].layer == l) {
            return true;
        }
    }
    return false;
}

/* Makes the pull wait for layer `i` of the config, if it is not here. */
static int want_layer(struct image_pull *p, const struct release_config *config, size_t i) {
    struct image_store *s = p->store;
    const char *hex = digest_hex(config->layers.items[i]);
    if (image_is_here(s, hex)) {
        return 0;
    }
    struct layer *l = find_layer(s, hex);
    if (!l) {
        l = layer_create(&s->host, config->layers.items[i], config->blobs.items[i], config->app);
        if (!l) {
            return -1;
        }
        list_append(&s->layers, &l->link);
    }
    if (!waits_for(p, l)) {
        struct wait *w = &p->waits[p->wait_count++];
        *w = (struct wait){ .layer = l, .pull = p };
        list_append(&l->waits, &w->link);
        p->left++;
    }
    return 0;
}

struct image_pull *image_pull(struct image_store *s, const struct release_config *config,
    const struct image_events *events, void *data, struct err *err) {
    if (image_check_config(config, err) < 0) {
        return NULL;
    }
    struct image_pull *p = calloc(1, sizeof *p + config->layers.count * sizeof p->waits[0]);
    if (!p) {
        err_no_memory(err);
        return NULL;
    }
    p->store = s;
    p->events = *events;
    p->data = data;
    list_append(&s->pulls, &p->link);
    for (size_t i = 0; i < config->layers.count; i++) {
        if (strings_add(&p->layers, config->layers.items[i]) < 0 || want_layer(p, config, i) < 0) {
            err_no_memory(err);
            image_pull_cancel(p);
            return NULL;
        }
    }
    if (p->left == 0) {
        image_pull_whole(p);
    }
    fetch_next(s);
    return p;
}

void image_pull_cancel(struct image_pull *p) {
    if (p) {
        stop_waiting(p);
        list_remove(&p->link);
        pull_free(p);
    }
}

/* ---- life ---- */

static int start_unpack(void *ctx, const char *hex, int tar, struct err *err) {
    struct image_store *s = ctx;
    return s->options.unpack(s->options.ctx, hex, tar, err);
}

int image_store_create(
    const struct image_options *options, struct image_store **out, struct err *err) {
    struct image_store *s = calloc(1, sizeof *s);
    *out = s;
    if (!s) {
        return err_no_memory(err);
    }
    s->options = *options;
    list_init(&s->layers);
    list_init(&s->pulls);
    list_init(&s->ended);
    map_init(&s->used);
    map_init(&s->leaving);
    map_init(&s->covering);
    s->layers_fd = open(options->layers, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->layers_fd < 0) {
        /* Names can be looked at where they can't be listed. */
        s->layers_fd = open(options->layers, O_PATH | O_DIRECTORY | O_CLOEXEC);
    }
    if (s->layers_fd < 0) {
        err_sys(err, errno, "opening %s", options->layers);
    } else if (http_client_create(options->loop, &s->client, err) == 0) {
        uv_idle_init(options->loop, &s->idle);
        s->idle.data = s;
        s->host = (struct layer_host){
            .loop = options->loop,
            .client = s->client,
            .registry = strdup(options->registry),
            .ctx = s,
            .unpack = start_unpack,
            .progress = on_layer_progress,
            .over = on_layer_over,
        };
        return 0;
    }
    file_close(&s->layers_fd);
    free(s);
    *out = NULL;
    return -1;
}

static void handle_closed(struct image_store *s) {
    if (--s->handles > 0) {
        return;
    }
    if (s->closed) {
        s->closed(s->closed_data);
    }
    free((char *)s->host.registry);
    free(s);
}

static void on_idle_closed(uv_handle_t *handle) {
    handle_closed(handle->data);
}

static void on_client_closed(void *data) {
    handle_closed(data);
}

static void free_pulls(struct list *pulls) {
    LIST_FOREACH_SAFE (item, after, pulls) {
        pull_free(LIST_ITEM(item, struct image_pull, link));
    }
    list_init(pulls);
}

void image_store_close(struct image_store *s, void (*closed)(void *data), void *data) {
    if (!s) {
        return;
    }
    s->closing = true;
    s->closed = closed;
    s->closed_data = data;
    LIST_FOREACH_SAFE (item, after, &s->layers) {
        layer_destroy(LIST_ITEM(item, struct layer, link));
    }
    free_pulls(&s->pulls);
    free_pulls(&s->ended);
    map_free(&s->used);
    map_free(&s->leaving);
    map_free(&s->covering);
    file_close(&s->layers_fd);
    s->handles = 2;
    http_client_close(s->client, on_client_closed, s);
    uv_close((uv_handle_t *)&s->idle, on_idle_closed);
}
