/* An answer's way back to the client. SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "client.h"
#include "headers.h"
#include "tunnel.h"
#include "upstream.h"
#include "worker.h"

/* The answer breaks off: the client must see that, so there is no clean end. */
static void cut(struct client *c) {
    struct exchange *x = &c->exchange;
    count_add(&c->flow.worker->counters.answers_cut_total, 1);
    if (x->until_close) {
        client_cut(c, true); /* a plain close would look like the end */
        return;
    }
    exchange_abort(c);
    client_done(c, false);
}

static void count_answer(struct client *c) {
    struct exchange *x = &c->exchange;
    struct counters *counters = &c->flow.worker->counters;
    int class = x->status / 100 - 2;
    gauge_add(&x->app->gauge->answers[class < 0 ? 0 : class > 3 ? 3 : class], 1);
    int bucket = histogram_add(
        &counters->request_duration_seconds, (int64_t)((uv_hrtime() - x->began) / 1000));
    gauge_add(&x->app->gauge->durations[bucket], 1);
}

/* ---- The parts of an answer ---- */

/* 1xx is passed on to those who can read it; a 100 only to those who wait for it. */
static void on_interim(struct client *c, struct upstream *u) {
    const struct http_head *head = &u->parser.head;
    const struct http_head *request = &c->parser.head;
    bool waited_for = head->status != 100 || request->facts.expect_continue;
    if (request->minor < 1 || !waited_for) {
        return;
    }
    char *to = flow_reserve(&c->flow, head_size_max(head));
    flow_commit(&c->flow, head_write_interim(to, head));
}

static bool has_body(const struct http_head *head) {
    return head->facts.framing != BODY_NONE;
}

static void on_answer_head(struct client *c, struct upstream *u) {
    struct exchange *x = &c->exchange;
    const struct http_head *head = &u->parser.head;
    bool client_is_1_1 = c->parser.head.minor > 0;
    bool unframed = has_body(head) && head->facts.framing != BODY_LENGTH;
    x->state = EXCHANGE_ANSWERING;
    x->status = head->status;
    x->chunked = unframed && client_is_1_1;
    x->until_close = unframed && !client_is_1_1;
    x->keep_alive = x->keep_alive && !x->until_close && x->request_whole && !c->half_closed &&
                    !c->flow.worker->draining;
    struct answer_facts facts = {
        .id = { x->id, x->id_len },
        .date = { worker_date(c->flow.worker), 29 },
        .client_is_1_1 = client_is_1_1,
        .keep_alive = x->keep_alive,
        .chunked = x->chunked,
    };
    char *to = flow_reserve(&c->flow, head_size_max(head));
    flow_commit(&c->flow, head_write_answer(to, head, &facts));
}

static void on_answer_body(struct client *c, struct http_text bytes) {
    if (!c->exchange.chunked) {
        flow_put(&c->flow, bytes.at, bytes.len);
        return;
    }
    flow_commit(&c->flow, chunk_line_write(flow_reserve(&c->flow, CHUNK_LINE_MAX), bytes.len));
    flow_put(&c->flow, bytes.at, bytes.len);
    memcpy(flow_reserve(&c->flow, 2), "\r\n", 2);
    flow_commit(&c->flow, 2);
}

/* `clean`: the connection stands right behind the answer's last byte. */
static void on_answer_end(struct client *c, struct upstream *u, bool clean) {
    struct exchange *x = &c->exchange;
    if (x->chunked) {
        size_t max = 3 + trailers_size_max(u->parser.trailers, u->parser.trailer_count);
        char *to = flow_reserve(&c->flow, max);
        memcpy(to, "0\r\n", 3);
        flow_commit(
            &c->flow, 3 + trailers_write(to + 3, u->parser.trailers, u->parser.trailer_count));
    }
    bool keep = x->keep_alive;
    bool reusable = clean && x->request_whole && u->parser.head.facts.keep_alive;
    count_answer(c);
    exchange_release(c, reusable);
    exchange_abort(c); /* what is left of it */
    client_done(c, keep);
}

/* ---- What the upstream says ---- */

static void switch_protocols(struct client *c, struct upstream *u, const char *rest, size_t len) {
    char *to = flow_reserve(&c->flow, head_size_max(&u->parser.head));
    flow_commit(&c->flow, head_write_interim(to, &u->parser.head));
    c->exchange.status = 101;
    count_answer(c);
    tunnel_begin(c);
    if (len) {
        tunnel_from_upstream(c, rest, len);
    }
}

void exchange_answer(struct client *c, const char *bytes, size_t len) {
    struct exchange *x = &c->exchange;
    struct upstream *u = x->upstream;
    size_t used = 0;
    if (x->state == EXCHANGE_TUNNEL) {
        tunnel_from_upstream(c, bytes, len);
        return;
    }
    x->answered = true;
    for (;;) {
        struct http_result r;
        enum http_event event = http_parse_feed(&u->parser, bytes + used, len - used, &r);
        int status = u->parser.head.status;
        used += r.consumed;
        switch (event) {
        case HTTP_NEED_MORE:
            if (x->state == EXCHANGE_ANSWERING) {
                upstream_timer(u, UPSTREAM_STALL_TIMEOUT);
            }
            return;
        case HTTP_HEAD:
            if (status == 101) {
                switch_protocols(c, u, bytes + used, len - used);
                return;
            }
            status < 200 ? on_interim(c, u) : on_answer_head(c, u);
            break;
        case HTTP_BODY:
            on_answer_body(c, r.body);
            break;
        case HTTP_TRAILERS: /* written at the end */
            break;
        case HTTP_END:
            if (status >= 200) {
                on_answer_end(c, u, used == len);
                return;
            }
            http_parse_again(&u->parser, u->arena->bytes);
            break;
        case HTTP_ERROR:
            if (x->state == EXCHANGE_ANSWERING) {
                cut(c);
            } else {
                exchange_attempt_failed(c, ATTEMPT_GARBAGE);
            }
            return;
        }
    }
}

void exchange_upstream_ended(struct client *c, bool error) {
    struct exchange *x = &c->exchange;
    struct upstream *u = x->upstream;
    struct http_result r;
    if (x->state == EXCHANGE_TUNNEL) {
        if (error) {
            client_cut(c, true);
        } else {
            tunnel_upstream_ended(c);
        }
        return;
    }
    if (x->state != EXCHANGE_ANSWERING) {
        exchange_attempt_failed(c, ATTEMPT_CLOSED);
    } else if (!error && http_parse_eof(&u->parser, &r) == HTTP_END) {
        on_answer_end(c, u, false);
    } else {
        cut(c);
    }
}
