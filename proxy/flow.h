/* One TCP connection's output: written at once, queued only when the kernel takes no more.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Output of one turn is collected in the worker's outbox as slices and leaves in one write when the
 * turn settles (flow_settle, the last thing each libuv callback of ours does), or when the outbox
 * is full or another connection needs it. So slices must stay valid until then. No event comes from
 * inside a function of this header but flow_settle().
 */
#ifndef PAAS_PROXY_FLOW_H
#define PAAS_PROXY_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "memory.h"
#include "wheel.h"

struct proxy_worker;
struct flow;

struct flow_events {
    void (*news)(struct flow *c, unsigned news); /* bits of enum flow_news */
    void (*closed)(struct flow *c);              /* the handle is gone; free the memory */
};

/* What happened to the output since the last `news`. */
enum flow_news {
    FLOW_BROKEN = 1,    /* a write failed: nothing more will leave */
    FLOW_CONGESTED = 2, /* over FLOW_HIGH bytes wait */
    FLOW_DRAINED = 4,   /* none wait any more */
};

struct flow {
    uv_tcp_t tcp;
    struct proxy_worker *worker;
    const struct flow_events *events;
    struct wheel_timer timer;
    size_t queued;         /* bytes that wait for the peer */
    size_t queued_before;  /* when its progress was looked at last */
    unsigned news;         /* enum flow_news */
    struct flow *next_new; /* of the outbox's list; itself at the end of it */
    bool reading, broken, closing;
};

struct outbox {
    struct flow *flow; /* whose output is in it; NULL: empty */
    struct flow *news; /* who has something to hear */
    unsigned count;
    size_t used; /* of scratch */
    uv_buf_t bufs[OUTBOX_BUFS];
    char scratch[OUTBOX_SCRATCH];
};

/* Makes the handle and counts it open; 0 or a libuv error. */
int flow_init(struct flow *c, struct proxy_worker *w, const struct flow_events *events,
    void (*timeout)(struct wheel_timer *t));
/* Adds a slice to what is written; empty ones are fine. */
void flow_put(struct flow *c, const char *bytes, size_t len);
/* Room for up to `max` <= OUTBOX_SCRATCH made bytes; flow_commit() adds those that were used. */
char *flow_reserve(struct flow *c, size_t max);
void flow_commit(struct flow *c, size_t len);
/* Writes what the outbox holds. */
void flow_flush(struct proxy_worker *w);
/* Flushes, then tells the news, until there is none. Calls worker_next_requests() in between. */
void flow_settle(struct proxy_worker *w);

/* Starts or stops reading into the worker's block; the owner's `on_read` gets it. */
void flow_read(struct flow *c, uv_read_cb on_read);
void flow_pause(struct flow *c);
/* Closes; what still waits is lost. Does nothing the second time. */
void flow_close(struct flow *c);
/* As flow_close, but the peer sees a reset: an answer without a length was cut. */
void flow_reset(struct flow *c);
/* Sets the connection's timer `after` ms from now; 0 turns it off. */
void flow_timer(struct flow *c, msec after);

/* While output waits: sets the timer to CLIENT_STALL_TIMEOUT and remembers how much waits. */
void flow_watch_progress(struct flow *c);
/* When that timer fired: true, and it is set again, if the peer took some of it meanwhile. */
bool flow_made_progress(struct flow *c);

#endif
