/* A release's layers, from the registry to directories on this host. SPDX-License-Identifier:
 * Apache-2.0
 *
 * Asynchronous, on one loop, unprivileged. A layer that several releases need is fetched once,
 * whoever asks; as many are fetched at once as IMAGE_FETCHES says. Its bytes go from the registry
 * straight into a helper's pipe (<paas/unpack.h>): nothing packed is kept on the host. The digest
 * of what arrived is compared here, that of what it unpacked to in the helper. A layer is in the
 * store under its name when it is whole, and never before.
 *
 * Callbacks come from the loop, never from inside a function of this header. The process ignores
 * SIGPIPE: a helper may end before it has read all.
 */
#ifndef PAAS_IMAGE_H
#define PAAS_IMAGE_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include <paas/digest.h>
#include <paas/err.h>
#include <paas/limits.h>
#include <paas/model.h>
#include <paas/strings.h>

enum {
    IMAGE_FETCHES = 3, /* layers at once: one unpacks, one arrives, one waits for the disk */
    IMAGE_REMOVES = 1, /* layers at once: nobody waits for them */
    IMAGE_COVERS = 2,  /* at once: each takes milliseconds */
    IMAGE_NAMES_MAX = 2 * LAYERS_PER_IMAGE + 1, /* directories of an image */
};

struct image_store;
struct image_pull;

struct image_options {
    uv_loop_t *loop;
    const char *layers;   /* directory of the layers' directories; only looked at */
    const char *registry; /* Unix socket of the scheduler's API */
    void *ctx;            /* of the operations below */
    /* Starts a helper that unpacks `tar` (the reading end of a pipe, borrowed) as layer `hex` of
     * the store. Its end is told by image_unpacked(). -1 with *err when none can be started. */
    int (*unpack)(void *ctx, const char *hex, int tar, struct err *err);
    /* Starts to remove the layer `hex`; its end is told by image_removed(). */
    int (*remove)(void *ctx, const char *hex, struct err *err);
    /* Starts to make the cover of these directories, lowest first; its end is told by
     * image_covered() with the same `hex`. */
    int (*cover)(void *ctx, const char *hex, const char (*names)[DIGEST_HEX_LENGTH], size_t count,
        struct err *err);
};

int image_store_create(
    const struct image_options *options, struct image_store **out, struct err *err);
/* Gives up all pulls without a callback, and calls `closed` (may be NULL) from the loop when the
 * handles are gone. Helpers that still run are the caller's. */
void image_store_close(struct image_store *s, void (*closed)(void *data), void *data);

struct image_events {
    /* `done` of `total` packed bytes are here, as far as sizes are known. May be NULL. */
    void (*progress)(void *data, uint64_t done, uint64_t total);
    /* All layers, and the cover, are in the store (`err->code` is ERR_OK), or not: ERR_BAD_IMAGE,
     * ERR_TOO_LARGE and ERR_DIGEST blame the image and will come again; ERR_UNAVAILABLE and
     * ERR_FULL may pass. The pull is gone afterwards. */
    void (*done)(void *data, const struct err *err);
};

/* Fetches what the store lacks of `config`'s layers; `config` is not kept. NULL with *err when the
 * config has no sane list of layers or memory is out. */
struct image_pull *image_pull(struct image_store *s, const struct release_config *config,
    const struct image_events *events, void *data, struct err *err);
/* No callback comes any more; a layer that nobody else waits for is given up. NULL is allowed. */
void image_pull_cancel(struct image_pull *p);

/* The helper for `hex` ended; `err` is what it reported (ERR_OK: the layer is in the store). */
void image_unpacked(struct image_store *s, const char *hex, const struct err *err);
void image_removed(struct image_store *s, const char *hex, const struct err *err);
void image_covered(struct image_store *s, const char *hex, const struct err *err);

/* The directories to mount for `config`, lowest first: its layers, under each that hides something
 * the directory that says what, and over all the cover, if it needs one (<paas/unpack.h>). At most
 * `max`; ERR_NOT_FOUND when one is not here, ERR_TOO_LARGE when there are more. Only looks at
 * names: a few microseconds a layer. */
int image_layer_names(struct image_store *s, const struct release_config *config, size_t max,
    char (*names)[DIGEST_HEX_LENGTH], size_t *count, struct err *err);

/* Starts to remove layers that no config among `keep` names and no pull waits for, but for the
 * `spare` ones that were used last; IMAGE_REMOVES at most, so call it again after image_removed().
 * A layer that leaves is not here any more: who wants it pulls it anew. Lists the directory of
 * layers: call it when idle. */
int image_store_collect(struct image_store *s, const struct release_config *const *keep,
    size_t keep_count, size_t spare, struct err *err);

#endif
