/* What was decided of one process type lately, and what load it saw. SPDX-License-Identifier:
 * Apache-2.0
 *
 * Pure, and of fixed size: the last HISTORY_DECISIONS decisions with all they were made on, and the
 * requests of each of the last HISTORY_SECONDS seconds.
 */
#ifndef PAAS_HISTORY_H
#define PAAS_HISTORY_H

#include <paas/model.h>

#include "demand.h"

enum { HISTORY_DECISIONS = 32, HISTORY_SECONDS = 900 };

struct history_decision {
    msec at; /* wall clock */
    int64_t sequence;
    int64_t from;
    struct demand_sample sample;
    struct demand_decision decision;
};

/* Zero it to begin. */
struct history {
    struct history_decision decisions[HISTORY_DECISIONS];
    size_t first, count;
    int64_t up, down;                  /* decisions for more and for fewer, ever */
    uint32_t seconds[HISTORY_SECONDS]; /* requests, by second modulo */
    msec second, begun;                /* the last one, and the first one; wall clock; 0: none */
    int64_t total;                     /* requests ever, as last heard */
};

/* Keeps a decision that changed something, in place of the oldest. */
void history_decided(struct history *h, const struct history_decision *d);
/* The proxy has counted `total` requests since its start, `inside` of them not yet answered. The
 * first time it speaks, and after its restart, those that came before are not known. */
void history_arrived(struct history *h, msec wall, int64_t total, int64_t inside);
/* Requests in the second `second` of the wall clock; -1: not remembered. */
int64_t history_requests(const struct history *h, msec second);
/* A decision as people and programs read it; `app`, `process` and `release` stay. */
void history_explain(const struct history_decision *d, struct scaling_decision *out);

#endif
