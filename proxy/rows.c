/* Rows of one app's process. SPDX-License-Identifier: Apache-2.0 */
#include "rows.h"

#include <stdlib.h>
#include <string.h>

#include "hash.h"

void app_key_set(struct app_key *key, const char *app, const char *process) {
    memset(key, 0, sizeof *key);
    strncpy(key->app, app, sizeof key->app - 1);
    strncpy(key->process, process, sizeof key->process - 1);
    key->hash = hash_bytes(
        hash_bytes(HASH_START, key->app, strlen(key->app) + 1), key->process, strlen(key->process));
}

bool app_key_same(const struct app_key *a, const struct app_key *b) {
    return a->hash == b->hash && strcmp(a->app, b->app) == 0 && strcmp(a->process, b->process) == 0;
}

struct app_rows *app_rows_create(size_t count) {
    struct app_rows *rows = calloc(1, sizeof *rows + count * sizeof rows->instances[0]);
    if (rows) {
        rows->refs = 1;
        rows->count = count;
    }
    return rows;
}

struct app_rows *app_rows_ref(struct app_rows *rows) {
    atomic_fetch_add_explicit(&rows->refs, 1, memory_order_relaxed);
    return rows;
}

void app_rows_unref(struct app_rows *rows) {
    if (!rows || atomic_fetch_sub_explicit(&rows->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    for (size_t i = 0; i < rows->count; i++) {
        gauge_unref(rows->instances[i].gauge);
    }
    gauge_unref(rows->gauge);
    free(rows);
}
