/* Changes and heartbeats to the scheduler. SPDX-License-Identifier: Apache-2.0
 *
 * One request at a time. Every report is whole: all rows that the scheduler does not know to have
 * ended, and the grants in force; so one that is lost, late or repeated does no harm. At once on a
 * change (changes of REPORT_GATHER_MS make one), else each second. Without a scheduler it tries
 * again and again, and nothing else waits for it.
 */
#ifndef PAAS_REPORT_H
#define PAAS_REPORT_H

#include <uv.h>

#include <paas/http_client.h>
#include <paas/stream.h>

#include "fleet.h"
#include "grants.h"

enum {
    REPORT_GATHER_MS = 5,
    REPORT_EVERY_MS = 1000,
    REPORT_TIMEOUT_MS = 5000,
};

struct report;

struct report_options {
    uv_loop_t *loop;
    struct http_client *client;
    const char *api; /* the scheduler's Unix socket */
    const char *node;
    struct fleet *fleet;
    struct grants *grants;
};

struct report *report_open(const struct report_options *options, struct err *err);
void report_close(struct report *r);
/* Something changed. */
void report_due(struct report *r);
/* The scheduler is there again: what it missed goes out now, not with the next try. */
void report_again(struct report *r);
/* The proxy has applied these routes. */
void report_routes(struct report *r, struct stream_point applied);

#endif
