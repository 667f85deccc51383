/* One request and its answer. SPDX-License-Identifier: Apache-2.0
 *
 * Story: the head is parsed and the route found; an instance is picked, or the request is held; a
 * kept connection takes it at once, else one is made (connecting); head and body go upstream, each
 * written anew from what was parsed (awaiting); the answer's head comes (answering), then its body,
 * passed on as it comes; at the end the connection goes back to its pool.
 *
 * When an attempt fails before the answer's head was passed on, retry.c says whether another
 * instance may have the request, else the client gets 502 or 504. After it, the client is cut, so
 * that it sees that the answer is not whole. When the client goes away the upstream connection is
 * closed.
 */
#ifndef PAAS_PROXY_EXCHANGE_H
#define PAAS_PROXY_EXCHANGE_H

#include <stdbool.h>
#include <stdint.h>

#include <paas/clock.h>
#include <paas/http_parse.h>
#include <paas/list.h>

#include "bounds.h"
#include "queue.h"
#include "retry.h"

struct app;
struct block;
struct client;
struct upstream;

enum exchange_state {
    EXCHANGE_NONE,       /* no request, or its head is not whole */
    EXCHANGE_HELD,       /* waits for an instance */
    EXCHANGE_CONNECTING, /* waits for a connection */
    EXCHANGE_AWAITING,   /* sent, or being sent */
    EXCHANGE_ANSWERING,  /* the answer's head was passed on */
    EXCHANGE_TUNNEL,     /* upgraded */
};

struct exchange {
    enum exchange_state state;
    struct app *app; /* from the route on */
    struct upstream *upstream;
    uint64_t tried[ATTEMPTS_MAX]; /* serials of instances that failed */
    unsigned tried_count, attempts;
    enum attempt_end last_end; /* of the last attempt, if there was one */
    bool fresh;                /* a kept connection was stale: only a new one now */
    bool request_whole;        /* its last byte came */
    bool sent;                 /* something of it may have reached an instance */
    bool body_gone;            /* bytes of its body were passed on and not kept */
    bool answered;             /* a byte of an answer came */
    bool chunked;              /* the answer's body leaves in chunks */
    bool until_close;          /* the answer's body ends with the connection */
    bool keep_alive;           /* the client's connection goes on afterwards */
    struct block *replay;      /* the body so far, for another attempt */
    struct queue_item held;    /* of app->queue */
    msec held_since;           /* 0: never held */
    bool cold;                 /* it was held because nothing ran */
    bool counted;              /* it has a place at the instance, of room_take() */
    msec sent_at;              /* when it went to the instance */
    uint64_t began;            /* ns */
    int status;                /* of the answer */
    char id[REQUEST_ID_MAX];   /* X-Request-Id */
    size_t id_len;
};

/* ---- From the client ---- */

/* The head is parsed. A request without a body is started by exchange_whole(). */
void exchange_begin(struct client *c);
/* True when more of the request can be used now. */
bool exchange_takes_more(const struct client *c);
void exchange_body(struct client *c, struct http_text bytes);
void exchange_whole(struct client *c);
/* Takes the upstream connection off: back to its pool when `keep`, else closed. */
void exchange_release(struct client *c, bool keep);
/* Answers 502 or 504 for the last attempt's end. */
void exchange_refuse_failed(struct client *c);
/* The client is gone, or is cut: ends the exchange without an answer. */
void exchange_abort(struct client *c);

/* ---- From the hold ---- */

/* Tries to send the request to an instance. False when none can take it; nothing changed then. */
bool exchange_dispatch(struct client *c);

/* ---- From the upstream ---- */

void exchange_connected(struct client *c);
/* Bytes of an answer; they are used up. */
void exchange_answer(struct client *c, const char *bytes, size_t len);
/* The upstream will send no more: `error` when it was reset rather than ended. */
void exchange_upstream_ended(struct client *c, bool error);
void exchange_attempt_failed(struct client *c, enum attempt_end end);

#endif
