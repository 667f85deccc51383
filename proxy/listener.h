/* Accepting clients on sockets that somebody else holds. SPDX-License-Identifier: Apache-2.0
 *
 * Each worker polls a duplicate of each socket. A listening socket is never made here and never
 * closed for good: its holder keeps it, so no connection is refused while the proxy is away.
 */
#ifndef PAAS_PROXY_LISTENER_H
#define PAAS_PROXY_LISTENER_H

#include <stdbool.h>
#include <sys/socket.h>
#include <uv.h>

#include <paas/err.h>

#include "wheel.h"

struct proxy_worker;

struct listener {
    struct proxy_worker *worker;
    int fd; /* ours: a duplicate */
    uv_poll_t poll;
    struct wheel_timer pause;
    bool polling, open;
};

/* Connections by client address. */
struct addresses;
struct addresses *addresses_create(void);
void addresses_destroy(struct addresses *a); /* NULL is fine */
/* Counts one more and returns its slot; -1 when the address has its share. */
int addresses_enter(struct addresses *a, const struct sockaddr *peer);
void addresses_leave(struct addresses *a, unsigned slot);

/* Prepares to serve a listening socket by a duplicate of `fd`. */
int listener_init(struct listener *l, struct proxy_worker *w, int fd, struct err *err);
void listener_start(struct listener *l);
/* Stops for good; connections in the backlog stay for others. */
void listener_stop(struct listener *l);
/* A client left: accepting may go on. */
void listener_room(struct proxy_worker *w);

#endif
