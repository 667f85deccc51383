/* What the files of the registry share. SPDX-License-Identifier: Apache-2.0 */
#ifndef API_REGISTRY_PARTS_H
#define API_REGISTRY_PARTS_H

#include <paas/list.h>
#include <paas/loop.h>

#include "blob_store.h"
#include "registry.h"

struct registry {
    uv_loop_t *loop;
    struct blob_store store;
    struct worker *writer, *reader; /* so that a slow fsync stops no pull */
    struct list uploads;            /* struct upload */
    size_t upload_count;
    uv_timer_t timer; /* uploads that nobody goes on with */
    bool closing;
    void (*closed)(void *data);
    void *closed_data;
};

/* The app of a call; NULL after an answer: it was no name. */
const char *registry_app(struct call *c);
/* 201 for what is stored under `path` ("/v2/hello/blobs/") as `digest`. */
void registry_reply_stored(struct call *c, const char *kind, const char *digest);
/* Gives up uploads that have been idle. */
void registry_expire_uploads(struct registry *r);
/* Gives up all. */
void registry_end_uploads(struct registry *r);

#endif
