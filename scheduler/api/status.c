/* Endpoints about the scheduler itself. SPDX-License-Identifier: Apache-2.0 */
#include "handlers.h"

#include <paas/version.h>

enum { DOCUMENT_MAX = 4 << 20 /* bytes of metrics or of the OpenAPI document */ };

enum call_result status_get(struct call *c) {
    const struct api *api = call_ctx(c);
    struct status_answer out = { 0 };
    api->ops->status(api->owner, &out);
    return call_reply(c, &out);
}

/* It answers, so it lives. */
enum call_result status_health(struct call *c) {
    return call_reply_bytes(c, "text/plain", "ok\n", 3);
}

enum call_result status_ready(struct call *c) {
    const struct api *api = call_ctx(c);
    if (!core_is_settled(api->core)) {
        return call_fail_with(c, ERR_UNAVAILABLE, "waiting for the nodes' first reports");
    }
    return call_reply_bytes(c, "text/plain", "ok\n", 3);
}

enum call_result status_metrics(struct call *c) {
    const struct api *api = call_ctx(c);
    struct buf text;
    buf_init(&text, DOCUMENT_MAX);
    api->ops->metrics(api->owner, &text);
    call_reply_buf(c, "text/plain; version=0.0.4", &text);
    buf_free(&text);
    return CALL_DONE;
}

enum call_result status_openapi(struct call *c) {
    struct buf text;
    buf_init(&text, DOCUMENT_MAX);
    http_server_openapi(api_endpoints, "paas", PAAS_VERSION, &text);
    call_reply_buf(c, "application/json", &text);
    buf_free(&text);
    return CALL_DONE;
}
