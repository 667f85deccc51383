/* May a request that failed be sent to another instance? SPDX-License-Identifier: Apache-2.0 */
#ifndef PAAS_PROXY_RETRY_H
#define PAAS_PROXY_RETRY_H

#include <stdbool.h>

#include <paas/http_words.h>

/* How an attempt ended. */
enum attempt_end {
    ATTEMPT_NOT_CONNECTED, /* refused, unreachable, or too slow to accept */
    ATTEMPT_CLOSED,        /* closed or reset before the answer's head was whole */
    ATTEMPT_SILENT,        /* no answer in time */
    ATTEMPT_GARBAGE,       /* not HTTP, or HTTP that can't be read in one way only */
};

struct retry_facts {
    enum attempt_end end;
    enum http_method method;
    bool sent;         /* a byte of the request may have reached the instance */
    bool answered;     /* a byte of an answer came back */
    bool body_gone;    /* bytes of the body were passed on and not kept */
    unsigned attempts; /* so far, this one included */
    int tokens;        /* of the app's budget, hundredths */
};

/* Fills the budget at a new request. */
int retry_earn(int tokens);

/* True when another instance may be tried. Then *tokens_left is the budget afterwards: repeating
 * what was sent costs, so that retries cannot multiply the load of an app that breaks down; what
 * was never sent is free. */
bool retry_allowed(const struct retry_facts *facts, int *tokens_left);

#endif
