/* The proxy's own answers: problem documents. SPDX-License-Identifier: Apache-2.0 */
#ifndef PAAS_PROXY_REFUSAL_H
#define PAAS_PROXY_REFUSAL_H

#include <paas/err.h>

struct client;

struct refusal {
    int status;
    enum err_code code;
    const char *detail;
    const char *hint; /* "" for none */
    int retry_after;  /* seconds; 0: not said */
};

/* Answers the client's request, or what it sent instead of one, and ends the exchange. */
void refuse(struct client *c, const struct refusal *r);
/* The parser's verdict on a request. */
void refuse_verdict(struct client *c, int status, const char *words);

#endif
