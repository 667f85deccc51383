/* The configurations of releases, by digest. SPDX-License-Identifier: Apache-2.0
 *
 * They may hold secrets: kept in files of mode 0600, never logged. One that was fetched is kept on
 * disk, so that an agent that starts without a scheduler knows what its instances are.
 */
#ifndef PAAS_CONFIGS_H
#define PAAS_CONFIGS_H

#include <paas/http_client.h>
#include <paas/loop.h>
#include <paas/model.h>

struct configs;

struct configs_options {
    struct http_client *client;
    const char *api; /* the scheduler's Unix socket */
    const char *node;
    const char *directory;                           /* where they are kept; is there */
    void (*arrived)(void *data, const char *digest); /* one that configs_get() can give now */
    /* One can't be had now; asked for again when configs_get() is called again. */
    void (*failed)(void *data, const char *digest, const struct err *err);
    void *data;
};

struct configs *configs_open(const struct configs_options *options, struct err *err);
void configs_close(struct configs *c);
/* The configuration, or NULL: then it is being fetched and `arrived` or `failed` is called later.
 * Valid until configs_keep() drops it. */
const struct release_config *configs_get(struct configs *c, const char *digest);
/* The configuration if it is in memory, else NULL; fetches nothing. */
const struct release_config *configs_known(const struct configs *c, const char *digest);
/* Drops all that `wanted` does not want, from memory and disk. */
void configs_keep(struct configs *c, bool (*wanted)(void *data, const char *digest), void *data);

#endif
