/* A map from strings to pointers that iterates in insertion order. SPDX-License-Identifier:
 * Apache-2.0 */
#include <paas/map.h>

#include <stdlib.h>
#include <string.h>

enum { MAP_FIRST = 16 /* entries of the first table */ };
static const uint32_t REMOVED = UINT32_MAX;

void map_init(struct map *m) {
    *m = (struct map){ 0 };
}

void map_free(struct map *m) {
    for (size_t i = 0; i < m->used; i++) {
        free(m->entries[i].key);
    }
    free(m->entries);
    free(m->index);
    map_init(m);
}

/* FNV-1a. Keys come from names that are bounded in number before they get here. */
static size_t hash(const char *key) {
    uint64_t h = 14695981039346656037u;
    for (const unsigned char *p = (const unsigned char *)key; *p; p++) {
        h = (h ^ *p) * 1099511628211u;
    }
    return (size_t)(h ^ (h >> 32));
}

/* Where `key` stands in the index, or index_size. */
static size_t find(const struct map *m, const char *key) {
    if (m->index_size == 0) {
        return 0;
    }
    size_t mask = m->index_size - 1;
    for (size_t at = hash(key) & mask;; at = (at + 1) & mask) {
        uint32_t slot = m->index[at];
        if (slot == 0) {
            return m->index_size;
        }
        if (slot != REMOVED && strcmp(m->entries[slot - 1].key, key) == 0) {
            return at;
        }
    }
}

void *map_get(const struct map *m, const char *key) {
    size_t at = find(m, key);
    return at == m->index_size ? NULL : m->entries[m->index[at] - 1].value;
}

static void index_put(struct map *m, const char *key, size_t position) {
    size_t mask = m->index_size - 1;
    size_t at = hash(key) & mask;
    while (m->index[at] != 0) {
        at = (at + 1) & mask;
    }
    m->index[at] = (uint32_t)position + 1;
}

/* Makes tables for one entry more, dropping what was removed. */
static int grow(struct map *m) {
    if (m->used < m->cap) {
        return 0;
    }
    size_t cap = MAP_FIRST;
    while (cap < m->count * 2 + 1) {
        cap *= 2;
    }
    struct map_entry *entries = calloc(cap, sizeof *entries);
    uint32_t *index = calloc(cap * 2, sizeof *index);
    if (!entries || !index) {
        free(entries);
        free(index);
        return -1;
    }
    struct map next = { .entries = entries, .cap = cap, .index = index, .index_size = cap * 2 };
    for (size_t i = 0; i < m->used; i++) {
        if (m->entries[i].key) {
            entries[next.used] = m->entries[i];
            index_put(&next, entries[next.used].key, next.used);
            next.used++;
        }
    }
    next.count = next.used;
    free(m->entries);
    free(m->index);
    *m = next;
    return 0;
}

int map_set(struct map *m, const char *key, void *value) {
    size_t at = find(m, key);
    if (at != m->index_size) {
        m->entries[m->index[at] - 1].value = value;
        return 0;
    }
    char *copy = strdup(key);
    if (!copy || grow(m) < 0) {
        free(copy);
        return -1;
    }
    m->entries[m->used] = (struct map_entry){ copy, value };
    index_put(m, copy, m->used);
    m->used++;
    m->count++;
    return 0;
}

void *map_remove(struct map *m, const char *key) {
    size_t at = find(m, key);
    if (at == m->index_size) {
        return NULL;
    }
    struct map_entry *e = &m->entries[m->index[at] - 1];
    void *value = e->value;
    m->index[at] = REMOVED;
    free(e->key);
    *e = (struct map_entry){ 0 };
    m->count--;
    return value;
}
