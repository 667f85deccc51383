/* Helpers that write and remove layers in the store's id range. SPDX-License-Identifier: Apache-2.0
 *
 * The files of layers belong to ids that an image chose; whoever writes them must be able to become
 * any of these, and must be able to do nothing else: a child in a user namespace that holds the
 * store's range alone, without a capability outside of it, with one directory and one stream.
 */
#ifndef PAAS_LAYER_HELPER_H
#define PAAS_LAYER_HELPER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <paas/err.h>
#include <paas/sandbox.h>

struct layer_helper {
    pid_t pid; /* 0: nothing was left to do */
    enum layer_job { LAYER_UNPACK, LAYER_REMOVE, LAYER_COVER } job;
    int report;                          /* what the helper says in the end */
    char layer[SANDBOX_DIGEST_LEN + 1];  /* names in the store: of the layer, */
    char hidden[SANDBOX_DIGEST_LEN + 1]; /* and of what it hides of those below */
};

/* Starts to unpack `tar` as layer `layer`, named by its diff id's digits; the caller is the parent.
 * `ids` is the first id of the store's range. */
int layer_unpack(
    struct layer_helper *h, int store, const char *layer, int tar, uint32_t ids, struct err *err);
/* Starts to make the cover of these directories, lowest first (<paas/unpack.h>). */
int layer_cover(struct layer_helper *h, int store, const char (*names)[SANDBOX_DIGEST_LEN],
    size_t count, uint32_t ids, struct err *err);
/* Sets a layer aside, so that from here on it is not there, and starts to remove it. */
int layer_remove(
    struct layer_helper *h, int store, const char *layer, uint32_t ids, struct err *err);
/* After a helper ended. One that unpacked or covered: puts a whole layer, synced first, in its
 * place; else removes what it left and says in *err what went wrong. One that removed: clears away
 * what is left of the layer. */
int layer_finish(struct layer_helper *h, int store, uint32_t ids, struct err *err);
/* Removes what unfinished helpers left; waits for it. */
int layer_sweep(int store, uint32_t ids, struct err *err);

#endif
