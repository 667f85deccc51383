/* Lists of strings and of key-value pairs that own what they hold. SPDX-License-Identifier:
 * Apache-2.0 */
#ifndef PAAS_STRINGS_H
#define PAAS_STRINGS_H

#include <stdbool.h>
#include <stddef.h>

struct strings {
    char **items;
    size_t count;
};
struct pair {
    char *key, *value;
};
struct pairs {
    struct pair *items;
    size_t count;
};

/* Appends a copy. 0, or -1 without memory: then nothing changed. */
int strings_add(struct strings *list, const char *text);
/* Frees everything; the list is empty and usable afterwards. */
void strings_free(struct strings *list);

/* Sets `key`, replacing its value when it is there, else at the end. 0, or -1 without memory. */
int pairs_set(struct pairs *list, const char *key, const char *value);
/* Takes `key` out; false when it was not there. */
bool pairs_unset(struct pairs *list, const char *key);
/* The value of `key`, or NULL. */
const char *pairs_get(const struct pairs *list, const char *key);
void pairs_free(struct pairs *list);

#endif
