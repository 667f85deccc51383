/* Output of one TCP connection. SPDX-License-Identifier: Apache-2.0 */
#include "flow.h"

#include <assert.h>
#include <string.h>

#include "worker.h"

enum {
    PUT_COPIED = 2048, /* bytes up to which copying is cheaper than one more slice of a write */
};

int flow_init(struct flow *c, struct proxy_worker *w, const struct flow_events *events,
    void (*timeout)(struct wheel_timer *t)) {
    *c = (struct flow){ .worker = w, .events = events };
    int failed = uv_tcp_init(&w->loop, &c->tcp);
    if (failed) {
        return failed;
    }
    c->tcp.data = c;
    wheel_timer_init(&c->timer, timeout);
    w->flows++;
    return 0;
}

static void tell(struct flow *c, enum flow_news news) {
    struct outbox *box = &c->worker->outbox;
    c->news |= news;
    if (!c->next_new) {
        c->next_new = box->news ? box->news : c;
        box->news = c;
    }
}

static struct flow *take_news(struct outbox *box) {
    struct flow *c = box->news;
    box->news = c->next_new == c ? NULL : c->next_new;
    c->next_new = NULL;
    return c;
}

/* Takes the connection out of the list of those that have news. */
static void forget_news(struct flow *c) {
    struct outbox *box = &c->worker->outbox;
    struct flow *at, *kept = NULL;
    c->news = 0;
    if (!c->next_new) {
        return;
    }
    while (box->news) {
        at = take_news(box);
        if (at != c) {
            at->next_new = kept ? kept : at;
            kept = at;
        }
    }
    box->news = kept;
}

static void on_written(uv_write_t *req, int status) {
    struct block *b = LIST_ITEM(req, struct block, write);
    struct flow *c = b->flow;
    struct proxy_worker *w = c->worker;
    c->queued -= b->len;
    block_give(&w->memory, b);
    if (c->closing) {
        return;
    }
    if (status < 0) {
        c->broken = true;
        tell(c, FLOW_BROKEN);
    } else if (c->queued == 0) {
        tell(c, FLOW_DRAINED);
    }
    flow_settle(w);
}

static int queue_block(struct flow *c, struct block *b) {
    uv_buf_t buf = uv_buf_init(b->data, (unsigned)b->len);
    b->flow = c;
    size_t len = b->len;
    int failed = uv_write(&b->write, (uv_stream_t *)&c->tcp, &buf, 1, on_written);
    if (failed) {
        block_give(&c->worker->memory, b);
        return -1;
    }
    c->queued += len;
    return 0;
}

/* Copies the slices from byte `skip` on to blocks that wait. */
static int queue_rest(struct flow *c, const uv_buf_t *bufs, unsigned count, size_t skip) {
    struct memory *m = &c->worker->memory;
    struct block *b = NULL;
    for (unsigned i = 0; i < count; i++) {
        size_t at = skip < bufs[i].len ? skip : bufs[i].len;
        skip -= at;
        while (at < bufs[i].len) {
            if (!b && !(b = block_take(m))) {
                return -1;
            }
            size_t room = BLOCK_SIZE - b->len, left = bufs[i].len - at;
            size_t part = left < room ? left : room;
            memcpy(b->data + b->len, bufs[i].base + at, part);
            b->len += part;
            at += part;
            if (b->len == BLOCK_SIZE) {
                if (queue_block(c, b) < 0) {
                    return -1;
                }
                b = NULL;
            }
        }
    }
    return b ? queue_block(c, b) : 0;
}

void flow_flush(struct proxy_worker *w) {
    struct outbox *box = &w->outbox;
    struct flow *c = box->flow;
    unsigned count = box->count;
    box->flow = NULL;
    box->count = 0;
    box->used = 0;
    if (!c || count == 0 || c->closing || c->broken) {
        return;
    }
    size_t total = 0;
    for (unsigned i = 0; i < count; i++) {
        total += box->bufs[i].len;
    }
    int written = uv_try_write((uv_stream_t *)&c->tcp, box->bufs, count);
    if (written == UV_EAGAIN) {
        written = 0;
    }
    if (written < 0 ||
        ((size_t)written < total && queue_rest(c, box->bufs, count, (size_t)written) < 0)) {
        c->broken = true;
        tell(c, FLOW_BROKEN);
    } else if (c->queued > FLOW_HIGH) {
        tell(c, FLOW_CONGESTED);
    }
}

/* Makes the outbox the connection's. */
static struct outbox *box_of(struct flow *c) {
    struct outbox *box = &c->worker->outbox;
    if (box->flow != c) {
        flow_flush(c->worker);
        box->flow = c;
    }
    return box;
}

static void add(struct flow *c, char *bytes, size_t len) {
    struct outbox *box = &c->worker->outbox;
    uv_buf_t *last = box->count ? &box->bufs[box->count - 1] : NULL;
    if (last && last->base + last->len == bytes) {
        last->len += len;
        return;
    }
    box->bufs[box->count++] = uv_buf_init(bytes, (unsigned)len);
}

void flow_put(struct flow *c, const char *bytes, size_t len) {
    if (len == 0 || c->closing || c->broken) {
        return;
    }
    if (len <= PUT_COPIED) {
        memcpy(flow_reserve(c, len), bytes, len);
        flow_commit(c, len);
        return;
    }
    struct outbox *box = box_of(c);
    if (box->count == OUTBOX_BUFS) {
        flow_flush(c->worker);
        box->flow = c;
    }
    add(c, (char *)bytes, len);
}

char *flow_reserve(struct flow *c, size_t max) {
    assert(max <= OUTBOX_SCRATCH);
    struct outbox *box = box_of(c);
    if (box->count == OUTBOX_BUFS || box->used + max > OUTBOX_SCRATCH) {
        flow_flush(c->worker);
        box->flow = c;
    }
    return box->scratch + box->used;
}

void flow_commit(struct flow *c, size_t len) {
    struct outbox *box = &c->worker->outbox;
    assert(box->flow == c && box->used + len <= OUTBOX_SCRATCH);
    if (len && !c->closing && !c->broken) {
        add(c, box->scratch + box->used, len);
        box->used += len;
    }
}

void flow_settle(struct proxy_worker *w) {
    struct outbox *box = &w->outbox;
    do {
        flow_flush(w);
        while (box->news) {
            struct flow *c = take_news(box);
            unsigned news = c->news;
            c->news = 0;
            c->events->news(c, news);
        }
    } while (worker_next_requests(w) || box->flow || box->news);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    (void)suggested;
    struct flow *c = handle->data;
    *buf = uv_buf_init(c->worker->input, sizeof c->worker->input);
}

void flow_read(struct flow *c, uv_read_cb on_read) {
    if (!c->reading && !c->closing) {
        c->reading = uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read) == 0;
    }
}

void flow_pause(struct flow *c) {
    if (c->reading) {
        uv_read_stop((uv_stream_t *)&c->tcp);
        c->reading = false;
    }
}

static void on_closed(uv_handle_t *handle) {
    struct flow *c = handle->data;
    c->worker->flows--;
    c->events->closed(c);
}

/* What is common to both ways to close; false the second time. */
static bool leave(struct flow *c) {
    if (c->closing) {
        return false;
    }
    if (c->worker->outbox.flow == c) {
        flow_flush(c->worker);
    }
    c->closing = true;
    c->reading = false;
    forget_news(c);
    wheel_remove(&c->worker->wheel, &c->timer);
    return true;
}

void flow_close(struct flow *c) {
    if (leave(c)) {
        uv_close((uv_handle_t *)&c->tcp, on_closed);
    }
}

void flow_reset(struct flow *c) {
    if (leave(c) && uv_tcp_close_reset(&c->tcp, on_closed) != 0) {
        uv_close((uv_handle_t *)&c->tcp, on_closed);
    }
}

void flow_timer(struct flow *c, msec after) {
    if (after == 0) {
        wheel_off(&c->timer);
    } else if (!c->closing) {
        worker_timer(c->worker, &c->timer, after);
    }
}

void flow_watch_progress(struct flow *c) {
    c->queued_before = c->queued;
    flow_timer(c, CLIENT_STALL_TIMEOUT);
}

bool flow_made_progress(struct flow *c) {
    if (c->queued == 0 || c->queued >= c->queued_before) {
        return false;
    }
    flow_watch_progress(c);
    return true;
}
