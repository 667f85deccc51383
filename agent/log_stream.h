/* Logs of instances as an answer: what there is, and what comes. SPDX-License-Identifier:
 * Apache-2.0 */
#ifndef PAAS_LOG_STREAM_H
#define PAAS_LOG_STREAM_H

#include <paas/http_server.h>

#include "fleet.h"

/* Which lines. Strings may be "" for all. */
struct log_query {
    char app[NAME_SIZE], process[NAME_SIZE];
    char instance[SLOT_NAME_SIZE]; /* id or slot */
    int64_t tail;                  /* the last so many lines, of all instances together */
    int64_t since; /* when the app was made, wall clock: what ended and is older is another's */
    bool follow;
};

/* Answers with lines of struct log_line, merged by time; with `follow` the answer stays open, and
 * instances that start later join. Logs of ended instances are among them while they are kept. */
enum call_result log_stream_answer(struct call *c, struct fleet *fleet,
    const struct instance_host *host, const struct log_query *query);

#endif
