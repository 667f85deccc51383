/* Layers on this host: has the spawner unpack them, and remove those that nobody wants.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef PAAS_LAYERS_H
#define PAAS_LAYERS_H

#include <uv.h>

#include <paas/image.h>
#include <paas/list.h>

#include "configs.h"
#include "fleet.h"
#include "spawner_link.h"

/* All outlive it. What `fleet` is shown must be all that may start: grants are in force, and those
 * who outlived a former agent are adopted. */
struct layers {
    uv_timer_t timer;
    struct spawner_link *spawner;
    struct image_store *images;
    struct configs *configs;
    struct fleet *fleet; /* NULL: nothing is removed yet */
    struct list asked;   /* of the spawner, not yet answered */
};

/* Opens the store of images over `directory` and `registry` (image.h) in l->images. */
int layers_open(struct layers *l, uv_loop_t *loop, const char *directory, const char *registry,
    struct err *err);
/* Grants or instances changed: what nobody wants any more is removed a while later. */
void layers_due(struct layers *l);
/* Nothing the spawner still answers reaches it: its link is to be closed in the same turn. */
void layers_close(struct layers *l);

#endif
