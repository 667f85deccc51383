/* Spare blocks and arenas. SPDX-License-Identifier: Apache-2.0 */
#include "memory.h"

#include <stdlib.h>

void memory_init(struct memory *m, size_t arena_size) {
    *m = (struct memory){ .arena_size = arena_size };
}

void memory_finish(struct memory *m) {
    while (m->blocks) {
        struct block *b = m->blocks;
        m->blocks = b->next;
        free(b);
    }
    while (m->arenas) {
        struct arena *a = m->arenas;
        m->arenas = a->next;
        free(a);
    }
    m->blocks_kept = m->arenas_kept = 0;
}

struct block *block_take(struct memory *m) {
    struct block *b = m->blocks;
    if (b) {
        m->blocks = b->next;
        m->blocks_kept--;
    } else {
        b = malloc(sizeof *b);
    }
    if (b) {
        b->at = b->len = 0;
    }
    return b;
}

void block_give(struct memory *m, struct block *b) {
    if (!b) {
        return;
    }
    if (m->blocks_kept >= BLOCKS_KEPT) {
        free(b);
        return;
    }
    b->next = m->blocks;
    m->blocks = b;
    m->blocks_kept++;
}

struct arena *arena_take(struct memory *m) {
    struct arena *a = m->arenas;
    if (a) {
        m->arenas = a->next;
        m->arenas_kept--;
        return a;
    }
    return malloc(sizeof *a + m->arena_size);
}

void arena_give(struct memory *m, struct arena *a) {
    if (!a) {
        return;
    }
    if (m->arenas_kept >= ARENAS_KEPT) {
        free(a);
        return;
    }
    a->next = m->arenas;
    m->arenas = a;
    m->arenas_kept++;
}
