/* Lists of strings and of key-value pairs. SPDX-License-Identifier: Apache-2.0 */
#include <paas/strings.h>

#include <stdlib.h>
#include <string.h>

int strings_add(struct strings *list, const char *text) {
    char *copy = strdup(text);
    char **items = copy ? realloc(list->items, (list->count + 1) * sizeof *items) : NULL;
    if (!items) {
        free(copy);
        return -1;
    }
    list->items = items;
    items[list->count++] = copy;
    return 0;
}

void strings_free(struct strings *list) {
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i]);
    }
    free(list->items);
    *list = (struct strings){ 0 };
}

static struct pair *pairs_find(const struct pairs *list, const char *key) {
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i].key, key) == 0) {
            return &list->items[i];
        }
    }
    return NULL;
}

int pairs_set(struct pairs *list, const char *key, const char *value) {
    struct pair *old = pairs_find(list, key);
    char *new_value = strdup(value);
    if (!new_value) {
        return -1;
    }
    if (old) {
        free(old->value);
        old->value = new_value;
        return 0;
    }
    char *new_key = strdup(key);
    struct pair *items = new_key ? realloc(list->items, (list->count + 1) * sizeof *items) : NULL;
    if (!items) {
        free(new_key);
        free(new_value);
        return -1;
    }
    list->items = items;
    items[list->count++] = (struct pair){ new_key, new_value };
    return 0;
}

bool pairs_unset(struct pairs *list, const char *key) {
    struct pair *old = pairs_find(list, key);
    if (!old) {
        return false;
    }
    free(old->key);
    free(old->value);
    size_t after = (size_t)(list->items + list->count - (old + 1));
    memmove(old, old + 1, after * sizeof *old);
    list->count--;
    return true;
}

const char *pairs_get(const struct pairs *list, const char *key) {
    const struct pair *found = pairs_find(list, key);
    return found ? found->value : NULL;
}

void pairs_free(struct pairs *list) {
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i].key);
        free(list->items[i].value);
    }
    free(list->items);
    *list = (struct pairs){ 0 };
}
