/* When a failed request may be repeated. SPDX-License-Identifier: Apache-2.0
 *
 * A request that never left may go anywhere. One that was sent may have been carried out, so it is
 * repeated only when its method says that twice is as good as once (RFC 9110 9.2.2), nothing came
 * back, and all of its body is still here.
 */
#include "retry.h"

#include "bounds.h"

enum { TOKENS_A_RETRY = 100 };

int retry_earn(int tokens) {
    tokens += RETRY_TOKENS_EARNED;
    return tokens < RETRY_TOKENS_MAX ? tokens : RETRY_TOKENS_MAX;
}

bool retry_allowed(const struct retry_facts *facts, int *tokens_left) {
    *tokens_left = facts->tokens;
    if (facts->answered || facts->body_gone || facts->attempts >= ATTEMPTS_MAX) {
        return false;
    }
    if (!facts->sent) {
        return true;
    }
    switch (facts->end) {
    case ATTEMPT_CLOSED:
        break;
    case ATTEMPT_NOT_CONNECTED:
        return true;
    case ATTEMPT_SILENT:  /* it may still be at work: a second one would double that */
    case ATTEMPT_GARBAGE: /* it answered */
        return false;
    }
    if (!http_method_idempotent(facts->method) || facts->tokens < TOKENS_A_RETRY) {
        return false;
    }
    *tokens_left = facts->tokens - TOKENS_A_RETRY;
    return true;
}
