/* What the scheduler grants this node. SPDX-License-Identifier: Apache-2.0
 *
 * Follows the scheduler's stream and keeps the last whole set in a file, so that an agent that
 * starts without a scheduler goes on as before. A lost stream changes nothing.
 */
#ifndef PAAS_GRANTS_H
#define PAAS_GRANTS_H

#include <uv.h>

#include <paas/http_client.h>
#include <paas/loop.h>
#include <paas/model.h>
#include <paas/stream.h>

struct grants;

struct grants_options {
    struct http_client *client;
    struct worker *disk;
    const char *api; /* the scheduler's Unix socket */
    const char *node;
    const char *file;            /* where the last set is kept */
    void (*changed)(void *data); /* a newer set is in force */
    void (*connected)(void *data, bool up);
    void *data;
};

/* Reads the file and follows the stream from there. NULL with *err. A file that can't be understood
 * is set aside and reported: the instances stay, the scheduler tells anew. */
struct grants *grants_open(const struct grants_options *options, struct err *err);
void grants_close(struct grants *g);
/* The rows in force; valid until the next change. */
const struct grant *grants_rows(const struct grants *g, size_t *count);
struct stream_point grants_point(const struct grants *g);

#endif
