/* A worker's spare memory: blocks and header arenas, reused last in first out.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The last one given back is the next one taken: its lines are still in the cache.
 */
#ifndef PAAS_PROXY_MEMORY_H
#define PAAS_PROXY_MEMORY_H

#include <stddef.h>
#include <uv.h>

#include "bounds.h"

struct flow;

/* Bytes that wait: for a peer to read them, or for us to use them. */
struct block {
    union {
        uv_write_t write;
        struct block *next; /* while spare */
    };
    struct flow *flow;
    size_t at, len; /* the bytes are data[at] to data[at + len] */
    char data[BLOCK_SIZE];
};

struct arena {
    struct arena *next; /* while spare */
    _Alignas(max_align_t) char bytes[];
};

struct memory {
    struct block *blocks;
    struct arena *arenas;
    size_t blocks_kept, arenas_kept;
    size_t arena_size;
};

void memory_init(struct memory *m, size_t arena_size);
void memory_finish(struct memory *m);
/* An empty block, or NULL. */
struct block *block_take(struct memory *m);
void block_give(struct memory *m, struct block *b); /* NULL is fine */
/* Memory for one parser's head, or NULL. */
struct arena *arena_take(struct memory *m);
void arena_give(struct memory *m, struct arena *a); /* NULL is fine */

#endif
