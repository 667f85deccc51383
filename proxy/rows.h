/* What the agent says of one app's process: immutable, swapped whole. SPDX-License-Identifier:
 * Apache-2.0 */
#ifndef PAAS_PROXY_ROWS_H
#define PAAS_PROXY_ROWS_H

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <paas/model.h>

#include "gauge.h"

/* Names a process of an app. */
struct app_key {
    char app[NAME_SIZE], process[NAME_SIZE];
    uint32_t hash;
};
/* Fills the key; longer names are cut (names are checked at the edge). */
void app_key_set(struct app_key *key, const char *app, const char *process);
bool app_key_same(const struct app_key *a, const struct app_key *b);

union instance_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

struct instance_row {
    char id[ID_SIZE];
    int64_t release;
    enum instance_state state;
    union instance_address address;
    uint64_t said; /* grows each time the agent speaks of it */
    struct gauge *gauge;
};

struct app_rows {
    _Atomic unsigned refs;
    struct app_key key;
    bool known; /* the agent has a row for the app itself */
    bool can_grow;
    char reason[64];
    int64_t starting;
    int64_t concurrency; /* most requests at an instance at once; 0: as many as come */
    struct gauge *gauge;
    size_t count;
    struct instance_row instances[];
};

/* Room for `count` instances, zeroed but for one reference; NULL without memory. */
struct app_rows *app_rows_create(size_t count);
struct app_rows *app_rows_ref(struct app_rows *rows);
/* Gives up the gauges, too, with the last reference. NULL is fine. */
void app_rows_unref(struct app_rows *rows);

#endif
