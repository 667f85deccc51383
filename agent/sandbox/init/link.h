/* init.sock, from paas-init's side. SPDX-License-Identifier: Apache-2.0 */
#ifndef PAAS_INIT_LINK_H
#define PAAS_INIT_LINK_H

#include <paas/init.h>

#include <stdbool.h>

struct link_peer {
    int fd;                /* -1: free */
    bool dirty;            /* the state is still to be sent */
    uint32_t acknowledged; /* its last request */
    int32_t result;
};

struct link {
    int listen_fd;
    struct link_peer peers[INIT_CONNECTIONS_MAX];
};

void link_init(struct link *link, int listen_fd);
/* Accepts one connection, from outside the instance only. Where there is no room it is closed. */
void link_accept(struct link *link);
/* Reads one request: 1 with *request checked, 0 when there was none, -1 when the peer is gone or
 * doesn't speak the protocol: it is closed. */
int link_receive(struct link_peer *peer, struct init_request *request);
/* Every peer is owed the state. */
void link_changed(struct link *link);
/* Sends the state to those it is owed, as far as they read. True when none is owed any more. */
bool link_send(struct link *link, const struct init_state *state);

#endif
