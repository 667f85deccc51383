/* A map from strings to pointers that iterates in insertion order. SPDX-License-Identifier:
 * Apache-2.0
 *
 * Open addressing over an ordered array of entries: the same operations give the same order
 * everywhere. Keys are copied. Values are the caller's. Removal keeps the order of the rest.
 */
#ifndef PAAS_MAP_H
#define PAAS_MAP_H

#include <stddef.h>
#include <stdint.h>

struct map_entry {
    char *key; /* NULL where an entry was removed */
    void *value;
};

struct map {
    struct map_entry *entries;
    size_t used;  /* entries in the array, with removed ones */
    size_t count; /* live entries */
    size_t cap;
    uint32_t *index; /* 1 + position in entries, 0 = free, UINT32_MAX = removed */
    size_t index_size;
};

/* Makes an empty map; allocates nothing. */
void map_init(struct map *m);
/* Frees keys and tables, not the values. The map is empty and usable afterwards. */
void map_free(struct map *m);
/* The value of `key`, or NULL. */
void *map_get(const struct map *m, const char *key);
/* Sets `key` to `value` (not NULL). 0, or -1 without memory: then nothing changed. */
int map_set(struct map *m, const char *key, void *value);
/* Takes `key` out and returns its value, or NULL when it was not there. */
void *map_remove(struct map *m, const char *key);
/* Walks live entries in the order in which their keys came. The body may map_remove() the current
 * one, and must not add. */
#define MAP_FOREACH(e, m)                                                                          \
    for (struct map_entry *e = (m)->entries; e < (m)->entries + (m)->used; e++)                    \
        if (e->key)

#endif
