/* Health checks: one monitor per thing watched. SPDX-License-Identifier: Apache-2.0
 *
 * A monitor probes an address again and again (TCP connect, or an HTTP GET whose answer counts),
 * and tells each result and each change of verdict. Runs on one loop, needs no privilege.
 */
#ifndef PAAS_HEALTH_H
#define PAAS_HEALTH_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include <paas/clock.h>
#include <paas/err.h>
#include <paas/limits.h>

/* ---- the pure part: results to a verdict ---- */

struct health_rule {
    int64_t unhealthy_after; /* failures in a row; at least 1 */
    int64_t healthy_after;   /* successes in a row after having been unhealthy; at least 1 */
};
enum health_verdict { HEALTH_UNKNOWN, HEALTH_GOOD, HEALTH_BAD };
struct health_count {
    enum health_verdict verdict;
    int64_t good_in_row, bad_in_row;
};
/* Counts one result and returns the verdict after it. Unknown turns good with the first success;
 * only `unhealthy_after` failures in a row make it bad. Pure. */
enum health_verdict health_judge(
    const struct health_rule *rule, struct health_count *count, bool good);

/* ---- the monitor ---- */

struct health_monitor;

enum { HEALTH_WORDS_SIZE = 128, HEALTH_RESUME_MS = 20 };

struct health_options {
    uv_loop_t *loop;
    char address[ADDRESS_SIZE]; /* IPv4 or IPv6 */
    int port;
    char path[PATH_SIZE]; /* "" for a TCP connect */
    char host[HOST_SIZE]; /* Host of the request; "" for the address */
    msec interval, timeout;
    struct health_rule rule;
    /* Each result: `words` is the answer ("GET /healthz 200 in 3 ms", "connection refused"). */
    void (*probed)(void *data, bool good, const char *words);
    /* The verdict changed. May stop the monitor. */
    void (*changed)(void *data, enum health_verdict verdict, const char *words);
    void *data;
};

/* Starts probing at once; until the first success the pauses are short (from 2 ms, doubling up to
 * the interval): a start is not to wait for an interval. NULL without memory. */
struct health_monitor *health_start(const struct health_options *options, struct err *err);
/* A verdict carried over: a monitor of an adopted instance begins as good. */
void health_assume(struct health_monitor *m, enum health_verdict verdict);
/* Pauses (no probe, no result), and goes on with a probe after HEALTH_RESUME_MS: the request that
 * woke it goes first. */
void health_pause(struct health_monitor *m);
void health_resume(struct health_monitor *m);
/* Probes now rather than at the next interval, if it is not paused or probing. */
void health_probe_now(struct health_monitor *m);
/* Ends it; no callback comes afterwards; memory goes in a later turn of the loop. NULL is fine. */
void health_stop(struct health_monitor *m);

#endif
