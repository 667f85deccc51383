/* What the files of the store share; nobody else includes it. SPDX-License-Identifier: Apache-2.0
 *
 * image.c has the store's life and pulls, image_use.c what is there, used, and not used any more.
 */
#ifndef IMAGE_PARTS_H
#define IMAGE_PARTS_H

#include <paas/image.h>

#include <stdbool.h>

#include <paas/http_client.h>
#include <paas/list.h>
#include <paas/map.h>

#include "layer.h"

struct wait {
    struct list link; /* of the layer */
    struct layer *layer;
    struct image_pull *pull;
};

struct image_pull {
    struct list link; /* of the store */
    struct image_store *store;
    struct image_events events;
    void *data;
    struct err outcome;
    struct strings layers;       /* all of the release */
    char cover[DIGEST_HEX_SIZE]; /* the cover that it waits for, "": none */
    size_t left;                 /* layers that it waits for */
    size_t wait_count;
    struct wait waits[]; /* the layers that were not here when it came */
};

struct image_store {
    struct image_options options;
    int layers_fd;
    struct http_client *client;
    struct layer_host host;
    struct list layers; /* struct layer: all that are on their way */
    size_t fetching;    /* of them with a helper */
    struct list pulls;  /* struct image_pull that wait */
    struct list ended;  /* struct image_pull whose end is to be told */
    uv_idle_t idle;     /* runs while some are */
    struct map used;    /* hex -> when it was last asked for, as a count of questions */
    uintptr_t questions;
    struct map leaving;  /* hex -> what became of it since its removal began */
    struct map covering; /* covers that are being made */
    unsigned handles;    /* that still close */
    bool closing;
    void (*closed)(void *data);
    void *closed_data;
};

/* The layer, or what one hides, is there and stays. */
bool image_is_here(const struct image_store *s, const char *hex);
/* The layer was put there; one that is being removed is another, of the same name. */
void image_came(struct image_store *s, const char *hex);
/* The directories of these layers without their cover, and its name; "" when they need none. */
int image_list(struct image_store *s, const struct strings *layers, size_t max,
    char (*names)[DIGEST_HEX_LENGTH], size_t *count, char cover[DIGEST_HEX_SIZE], struct err *err);
/* All layers are here: the pull ends, or waits for a cover. */
void image_pull_whole(struct image_pull *p);
/* The pull's outcome, to be told from the loop. */
void image_pull_ends(struct image_pull *p, const struct err *err);
int image_check_config(const struct release_config *config, struct err *err);

#endif
