/* A request's way to an instance. The answer's way back is in answer.c. SPDX-License-Identifier:
 * Apache-2.0 */
#include "exchange.h"

#include <stdio.h>
#include <string.h>

#include "client.h"
#include "headers.h"
#include "hold.h"
#include "refusal.h"
#include "room.h"
#include "upstream.h"
#include "worker.h"

static struct proxy_worker *worker_of(const struct client *c) {
    return c->flow.worker;
}

/* ---- Begin ---- */

static void set_id(struct client *c) {
    struct proxy_worker *w = worker_of(c);
    struct exchange *x = &c->exchange;
    const struct http_head *head = &c->parser.head;
    for (size_t i = 0; i < head->header_count; i++) {
        if (head->headers[i].field == FIELD_X_REQUEST_ID) {
            struct http_text given = head->headers[i].value;
            if (request_id_is_valid(given)) {
                memcpy(x->id, given.at, given.len);
                x->id_len = given.len;
                return;
            }
        }
    }
    static const char hex[] = "0123456789abcdef";
    uint64_t number = w->id_next++;
    for (int i = 7; i >= 0; i--) {
        x->id[7 - i] = hex[w->id_prefix >> (4 * i) & 15];
    }
    for (int i = 11; i >= 0; i--) {
        x->id[19 - i] = hex[number >> (4 * i) & 15];
    }
    x->id_len = 20;
}

static void refuse_unknown_host(struct client *c) {
    struct http_text host = c->parser.head.facts.host.host;
    char detail[320], hint[192];
    snprintf(detail, sizeof detail, "no app has a route for \"%.*s\"",
        (int)(host.len < 254 ? host.len : 254), host.at ? host.at : "");
    snprintf(hint, sizeof hint, "paas route APP add %.*s", (int)(host.len < 128 ? host.len : 128),
        host.at ? host.at : "HOST");
    refuse(c,
        &(struct refusal){ .status = 404, .code = ERR_NOT_FOUND, .detail = detail, .hint = hint });
}

static void refuse_unknown_yet(struct client *c, const char *what) {
    char detail[128];
    snprintf(detail, sizeof detail, "the %s are not known yet", what);
    refuse(c, &(struct refusal){ .status = 503,
                  .code = ERR_UNAVAILABLE,
                  .detail = detail,
                  .hint = "try again in a moment",
                  .retry_after = 1 });
}

static void refuse_stopped(struct client *c, const struct route_target *target) {
    char detail[NAME_SIZE + 32], hint[NAME_SIZE + 32];
    snprintf(detail, sizeof detail, "%s was stopped", target->key.app);
    snprintf(hint, sizeof hint, "paas start %s", target->key.app);
    refuse(c, &(struct refusal){
                  .status = 503, .code = ERR_UNAVAILABLE, .detail = detail, .hint = hint });
}

static void refuse_no_instance(struct client *c, const struct route_target *target) {
    char detail[NAME_SIZE * 2 + 64], hint[NAME_SIZE + 32];
    snprintf(detail, sizeof detail, "no instance of %s %s runs, and none is to be started",
        target->key.app, target->key.process);
    snprintf(hint, sizeof hint, "paas ps %s", target->key.app);
    refuse(c, &(struct refusal){ .status = 503,
                  .code = ERR_UNAVAILABLE,
                  .detail = detail,
                  .hint = hint,
                  .retry_after = 1 });
}

/* Finds where the request goes, and sends it there or lets it wait. */
static void start(struct client *c) {
    struct proxy_worker *w = worker_of(c);
    const struct http_head *head = &c->parser.head;
    if (!w->routes) {
        refuse_unknown_yet(c, "routes");
        return;
    }
    const struct route_target *target =
        route_match(w->routes, head->facts.host.host, head->target.path);
    if (!target) {
        w->routes->fresh ? refuse_unknown_host(c) : refuse_unknown_yet(c, "routes");
        return;
    }
    if (target->stopped) {
        refuse_stopped(c, target);
        return;
    }
    struct app *app = apps_find(&w->apps, &target->key);
    if (!app) {
        w->rows_known ? refuse_no_instance(c, target) : refuse_unknown_yet(c, "app's instances");
        return;
    }
    c->exchange.app = app;
    app_use(app);
    app->retry_tokens = retry_earn(app->retry_tokens);
    gauge_add(&app->gauge->requests, 1);
    if (!exchange_dispatch(c)) {
        hold_request(c);
    }
}

void exchange_begin(struct client *c) {
    struct exchange *x = &c->exchange;
    struct http_facts *facts = &c->parser.head.facts;
    struct proxy_worker *w = worker_of(c);
    *x = (struct exchange){ .began = uv_hrtime(), .keep_alive = facts->keep_alive };
    queue_item_init(&x->held);
    if (facts->upgrade.len >= sizeof((struct upstream *)0)->upgrade) {
        facts->upgrade.len = 0; /* as if it were not there: upgrading is the server's choice */
    }
    set_id(c);
    count_add(&w->counters.requests_received_total, 1);
    if (facts->framing != BODY_NONE) {
        start(c);
    }
}

/* ---- To an instance ---- */

static bool repeatable(const struct client *c) {
    return http_method_idempotent(c->parser.head.method) && !c->exchange.body_gone;
}

static void put_body(struct client *c, const char *bytes, size_t len) {
    struct flow *out = &c->exchange.upstream->flow;
    if (c->parser.head.facts.framing != BODY_CHUNKED) {
        flow_put(out, bytes, len);
        return;
    }
    flow_commit(out, chunk_line_write(flow_reserve(out, CHUNK_LINE_MAX), len));
    flow_put(out, bytes, len);
    memcpy(flow_reserve(out, 2), "\r\n", 2);
    flow_commit(out, 2);
}

static void put_body_end(struct client *c) {
    struct upstream *u = c->exchange.upstream;
    if (c->parser.head.facts.framing == BODY_CHUNKED) {
        size_t max = 3 + trailers_size_max(c->parser.trailers, c->parser.trailer_count);
        char *to = flow_reserve(&u->flow, max);
        memcpy(to, "0\r\n", 3);
        flow_commit(
            &u->flow, 3 + trailers_write(to + 3, c->parser.trailers, c->parser.trailer_count));
    }
    upstream_await(u);
}

static void put_head(struct client *c, struct upstream *u) {
    const struct http_head *head = &c->parser.head;
    struct request_facts facts = {
        .client = { c->address, c->address_len },
        .id = { c->exchange.id, c->exchange.id_len },
    };
    char *to = flow_reserve(&u->flow, head_size_max(head));
    flow_commit(&u->flow, head_write_request(to, head, &facts));
}

/* The upstream connection is there: sends what there is of the request. */
static void send_request(struct client *c) {
    struct exchange *x = &c->exchange;
    struct upstream *u = x->upstream;
    struct http_text upgrade = c->parser.head.facts.upgrade;
    if (!u->arena) {
        u->arena = arena_take(&worker_of(c)->memory);
    }
    if (!u->arena) {
        refuse(
            c, &(struct refusal){
                   .status = 503, .code = ERR_NO_MEMORY, .detail = "out of memory", .hint = "" });
        return;
    }
    if (upgrade.len) {
        memcpy(u->upgrade, upgrade.at, upgrade.len);
    }
    u->upgrade[upgrade.len] = '\0';
    http_parse_next(&u->parser, u->arena->bytes);
    http_parse_expect(&u->parser, c->parser.head.method, upgrade.len ? u->upgrade : NULL);
    x->state = EXCHANGE_AWAITING;
    x->sent = true;
    put_head(c, u);
    if (x->replay) {
        put_body(c, x->replay->data, x->replay->len);
    }
    if (x->request_whole) {
        put_body_end(c);
    } else {
        upstream_await(u);
        client_go_on(c);
    }
}

static void attach(struct client *c, struct upstream *u, bool counted) {
    struct exchange *x = &c->exchange;
    x->upstream = u;
    x->counted = counted;
    x->sent_at = worker_now(worker_of(c));
    backend_enter(u->backend);
}

bool exchange_dispatch(struct client *c) {
    struct exchange *x = &c->exchange;
    struct app *app = x->app;
    while (x->attempts < ATTEMPTS_MAX) {
        bool counted;
        struct backend *b = room_take(app, x, &counted);
        if (!b) {
            return false;
        }
        struct upstream *u =
            x->fresh ? NULL : upstream_take(b, c, repeatable(c) ? UPSTREAM_ANY : UPSTREAM_SURE);
        x->attempts++;
        if (u) {
            attach(c, u, counted);
            send_request(c);
            return true;
        }
        u = upstream_connect(b, c);
        if (u) {
            attach(c, u, counted);
            x->state = EXCHANGE_CONNECTING;
            return true;
        }
        if (counted) {
            gauge_give(b->gauge); /* descriptors ran out: nobody else would do better with it */
        }
        x->tried[x->tried_count++] = b->serial;
        x->last_end = ATTEMPT_NOT_CONNECTED;
    }
    return false;
}

void exchange_connected(struct client *c) {
    send_request(c);
}

/* ---- The body ---- */

bool exchange_takes_more(const struct client *c) {
    const struct exchange *x = &c->exchange;
    if (x->request_whole) {
        return false;
    }
    if (c->parser.head.facts.framing == BODY_NONE) {
        return true; /* only its end is left */
    }
    return (x->state == EXCHANGE_AWAITING || x->state == EXCHANGE_ANSWERING) &&
           x->upstream->flow.queued <= FLOW_HIGH;
}

static void forget_replay(struct client *c) {
    struct proxy_worker *w = worker_of(c);
    if (c->exchange.replay) {
        flow_flush(w); /* it may be in the outbox */
        block_give(&w->memory, c->exchange.replay);
        c->exchange.replay = NULL;
    }
}

/* Keeps a small body for another attempt. */
static void keep_for_replay(struct client *c, struct http_text bytes) {
    struct exchange *x = &c->exchange;
    if (x->body_gone) {
        return;
    }
    if (!http_method_idempotent(c->parser.head.method) ||
        (!x->replay && !(x->replay = block_take(&worker_of(c)->memory))) ||
        bytes.len > BLOCK_SIZE - x->replay->len) {
        x->body_gone = true;
        forget_replay(c);
        return;
    }
    memcpy(x->replay->data + x->replay->len, bytes.at, bytes.len);
    x->replay->len += bytes.len;
}

void exchange_body(struct client *c, struct http_text bytes) {
    put_body(c, bytes.at, bytes.len);
    keep_for_replay(c, bytes);
}

void exchange_whole(struct client *c) {
    struct exchange *x = &c->exchange;
    x->request_whole = true;
    if (c->parser.head.facts.framing == BODY_NONE) {
        start(c);
    } else if (x->upstream) {
        put_body_end(c);
    }
}

/* ---- Failed attempts and the end ---- */

void exchange_release(struct client *c, bool keep) {
    struct exchange *x = &c->exchange;
    struct upstream *u = x->upstream;
    if (u) {
        struct backend *b = u->backend;
        x->upstream = NULL;
        if (x->counted) {
            queue_learn(&x->app->queue, worker_now(worker_of(c)) - x->sent_at);
        }
        /* First, so that the next request can have the connection. */
        keep ? upstream_keep(u) : upstream_drop(u);
        backend_leave(b, x->app, x->counted);
    }
}

void exchange_abort(struct client *c) {
    struct exchange *x = &c->exchange;
    if (x->state == EXCHANGE_HELD) {
        hold_leave(c);
    }
    exchange_release(c, false);
    forget_replay(c);
    if (x->app) {
        app_release(x->app);
        x->app = NULL;
    }
    x->state = EXCHANGE_NONE;
}

void exchange_refuse_failed(struct client *c) {
    static const char *const details[] = {
        [ATTEMPT_NOT_CONNECTED] = "no instance of the app accepted the connection",
        [ATTEMPT_CLOSED] = "the app closed the connection before it answered",
        [ATTEMPT_SILENT] = "the app did not answer in time",
        [ATTEMPT_GARBAGE] = "the app's answer is not valid HTTP",
    };
    enum attempt_end end = c->exchange.last_end;
    char hint[NAME_SIZE + 32];
    snprintf(hint, sizeof hint, "paas logs %s", c->exchange.app->key.app);
    refuse(c, &(struct refusal){ .status = end == ATTEMPT_SILENT ? 504 : 502,
                  .code = end == ATTEMPT_SILENT ? ERR_TIMEOUT : ERR_BAD_GATEWAY,
                  .detail = details[end],
                  .hint = hint });
}

/* What the failure says about the instance. */
static void blame(struct client *c, struct upstream *u, enum attempt_end end) {
    struct exchange *x = &c->exchange;
    struct counters *counters = &worker_of(c)->counters;
    if (end == ATTEMPT_CLOSED && u->reused && !x->answered) {
        x->fresh = true; /* it had closed the kept connection: no fault */
        return;
    }
    if (end == ATTEMPT_NOT_CONNECTED) {
        count_add(&counters->upstream_connect_failures_total, 1);
        backend_suspect(u->backend);
    } else if (end == ATTEMPT_GARBAGE) {
        count_add(&counters->upstream_bad_answers_total, 1);
    }
    if (x->tried_count < ATTEMPTS_MAX) {
        x->tried[x->tried_count++] = u->backend->serial;
    }
}

void exchange_attempt_failed(struct client *c, enum attempt_end end) {
    struct exchange *x = &c->exchange;
    struct proxy_worker *w = worker_of(c);
    struct retry_facts facts = {
        .end = end,
        .method = c->parser.head.method,
        .sent = x->sent,
        .answered = x->answered,
        .body_gone = x->body_gone,
        .attempts = x->attempts,
        .tokens = x->app->retry_tokens,
    };
    x->last_end = end;
    blame(c, x->upstream, end);
    exchange_release(c, false);
    if (!retry_allowed(&facts, &x->app->retry_tokens)) {
        exchange_refuse_failed(c);
        return;
    }
    count_add(&w->counters.retries_total, 1);
    if (!exchange_dispatch(c)) {
        hold_request(c);
    }
}
