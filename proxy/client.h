/* A connection from the world. SPDX-License-Identifier: Apache-2.0
 *
 * Story: accepted; idle; the head of a request arrives; busy with an exchange, which takes the
 * body as it comes; idle again. What was read and cannot be used yet (the next request, a body
 * while the instance does not read) waits in `in`, and reading pauses. At the end the last answer
 * leaves (flushing), and when the peer may still be sending, its bytes are thrown away for a moment
 * (lingering), so that a reset does not destroy the answer. An upgrade makes it one end of a
 * tunnel.
 */
#ifndef PAAS_PROXY_CLIENT_H
#define PAAS_PROXY_CLIENT_H

#include <netinet/in.h>

#include <paas/http_parse.h>

#include "flow.h"
#include "exchange.h"

enum client_state {
    CLIENT_IDLE,
    CLIENT_HEAD,
    CLIENT_BUSY,
    CLIENT_TUNNEL,
    CLIENT_FLUSHING,
    CLIENT_LINGERING,
    CLIENT_GONE,
};

struct client {
    struct flow flow;
    enum client_state state;
    struct http_parser parser;
    struct arena *arena; /* the parser's; none while idle */
    struct block *in;
    bool linger;      /* the peer may still be sending when we close */
    bool half_closed; /* it will send no more */
    bool head_late;   /* a head came in more than one piece: its timer runs */
    struct exchange exchange;
    struct list link;    /* worker->clients */
    struct list idle;    /* worker->idle_clients */
    struct client *next; /* spare, or worker->ready */
    bool is_ready;
    unsigned address_slot;
    char address[INET6_ADDRSTRLEN];
    size_t address_len;
};

/* Serves an accepted socket; takes `fd`. */
void client_accept(
    struct proxy_worker *w, int fd, const struct sockaddr *peer, unsigned address_slot);
/* Goes on with what waits in `in`, or reads; from the next settling. */
void client_go_on(struct client *c);
/* Called for those that were woken. */
void client_proceed(struct client *c);
/* The exchange is over and its answer is in the outbox. `keep`: the connection can go on. */
void client_done(struct client *c, bool keep);
/* Closes at once: a reset when `visibly`, for what could pass for a whole answer. */
void client_cut(struct client *c, bool visibly);
/* Closes one idle connection, the longest idle, to make room; false when there is none. */
bool client_reap(struct proxy_worker *w);
/* The worker drains: closes what is idle. */
void client_drain_idle(struct proxy_worker *w);
/* Cuts all. */
void client_cut_all(struct proxy_worker *w);

#endif
