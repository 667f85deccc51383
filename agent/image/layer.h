/* One layer on its way from the registry into the store. SPDX-License-Identifier: Apache-2.0 */
#ifndef IMAGE_LAYER_H
#define IMAGE_LAYER_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include <paas/digest.h>
#include <paas/err.h>
#include <paas/http_client.h>
#include <paas/list.h>
#include <paas/model.h>

enum layer_state {
    LAYER_QUEUED,  /* waits for its turn */
    LAYER_FETCHED, /* its bytes come, and go to a helper */
    LAYER_LEAVING, /* the helper is to end: all bytes are there, or none comes any more */
    LAYER_OVER,    /* its outcome is told; a handle still closes */
};

struct layer;

/* What it needs, and whom it tells. */
struct layer_host {
    uv_loop_t *loop;
    struct http_client *client;
    const char *registry; /* Unix socket */
    void *ctx;
    int (*unpack)(void *ctx, const char *hex, int tar, struct err *err);
    void (*progress)(struct layer *l);
    /* The outcome; the layer is gone afterwards. */
    void (*over)(struct layer *l, const struct err *err);
};

struct layer {
    struct list link;  /* the store's */
    struct list waits; /* the store's: who wants it */
    const struct layer_host *host;
    enum layer_state state;
    char hex[DIGEST_HEX_SIZE]; /* of the diff id: its name in the store */
    char blob[DIGEST_SIZE];    /* what it is fetched by */
    char app[NAME_SIZE];       /* whose image names it */
    uint64_t received, total;  /* packed bytes; total is 0 until it is known */
    bool given_up;             /* nobody wanted it any more */

    struct http_fetch *fetch; /* NULL: none runs */
    struct digest *sum;
    uv_pipe_t pipe; /* to the helper */
    bool piped;     /* the pipe is open */
    unsigned writes;
    bool paused;
    struct err failure; /* of the fetch; ERR_OK so far */
};

/* NULL without memory. */
struct layer *layer_create(
    const struct layer_host *host, const char *diff_id, const char *blob, const char *app);
/* LAYER_QUEUED -> LAYER_FETCHED. -1 with *err when no helper can be started: then it is queued
 * still. */
int layer_fetch(struct layer *l, struct err *err);
/* Nobody wants it: what comes is dropped, the helper ends. The outcome is still told. Only in
 * LAYER_FETCHED and LAYER_LEAVING. */
void layer_give_up(struct layer *l);
/* The helper ended, with *err. Tells the outcome. */
void layer_unpacked(struct layer *l, const struct err *err);
/* Frees it at once, or when its handle has closed. */
void layer_destroy(struct layer *l);

#endif
