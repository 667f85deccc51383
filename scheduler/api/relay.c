/* A call passed on to the agent, and its answer passed back. SPDX-License-Identifier: Apache-2.0
 *
 * Story: the agent's head begins the answer; its bytes are queued for the client, and past the
 * client's high mark the fetch is paused until the queue is low; its end ends the answer. An error
 * status, or no agent, becomes a problem document. An agent that dies in the middle cuts the answer
 * visibly. A client that goes away cancels the fetch.
 */
#include "relay.h"

#include <stdio.h>
#include <stdlib.h>

enum { NO_CONTENT = 204 };

struct relay {
    struct call *call;
    struct http_fetch *fetch;
    bool begun, paused;
};

static void on_head(void *data, int status, struct http_fetch *f) {
    struct relay *relay = data;
    if (status >= 400 || status == NO_CONTENT) {
        return;
    }
    const char *type = http_fetch_header(f, "Content-Type");
    call_stream_begin(relay->call, type ? type : "application/x-ndjson", -1);
    relay->begun = true;
}

static void on_data(void *data, const char *bytes, size_t len) {
    struct relay *relay = data;
    if (call_stream_write(relay->call, bytes, len) > HTTP_STREAM_HIGH && !relay->paused) {
        relay->paused = true;
        http_pause(relay->fetch);
    }
}

static void on_writable(struct call *c, void *data) {
    struct relay *relay = data;
    (void)c;
    if (relay->paused) {
        relay->paused = false;
        http_resume(relay->fetch);
    }
}

static void on_done(void *data, struct http_answer *answer, const struct err *err) {
    struct relay *relay = data;
    (void)answer;
    if (relay->begun) {
        if (err->code == ERR_OK) {
            call_stream_end(relay->call);
        } else {
            call_stream_abort(relay->call);
        }
    } else if (err->code != ERR_OK) {
        struct err why = *err;
        if (why.code == ERR_UNAVAILABLE) {
            err_wrap(&why, "asking the node's agent");
            err_hint(&why, "paas status shows whether it runs");
        }
        call_fail(relay->call, &why);
    } else {
        call_reply_empty(relay->call);
    }
    free(relay);
}

static void on_closed(struct call *c, void *data) {
    struct relay *relay = data;
    (void)c;
    http_cancel(relay->fetch);
    free(relay);
}

enum call_result relay(
    struct call *c, enum http_method method, const char *path, const struct buf *body) {
    const struct api *api = call_ctx(c);
    struct relay *relay = calloc(1, sizeof(*relay));
    struct buf url;
    struct err err = { 0 };
    buf_init(&url, 8192);
    buf_printf(&url, "http://agent%s", path);
    if (!relay || url.failed) {
        buf_free(&url);
        free(relay);
        return call_fail_with(c, ERR_NO_MEMORY, "out of memory");
    }
    relay->call = c;
    struct http_fetch_options options = {
        .method = method,
        .url = buf_str(&url),
        .unix_path = api->agent_socket,
        .body = body ? body->data : NULL,
        .body_len = body ? body->len : 0,
        .head = on_head,
        .data = on_data,
        .done = on_done,
        .context = relay,
    };
    relay->fetch = http_fetch_start(api->client, &options, &err);
    buf_free(&url);
    if (!relay->fetch) {
        free(relay);
        return call_fail(c, &err);
    }
    call_on_closed(c, on_closed, relay);
    call_on_writable(c, on_writable, relay);
    return CALL_PENDING;
}
