/* What the two halves of the DNS forwarder share. SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_DNS_FORWARD_H
#define AGENT_DNS_FORWARD_H

#include "dns.h"

#include <paas/list.h>

struct dns {
    uv_loop_t *loop;
    uv_udp_t udp;
    uv_tcp_t tcp;
    unsigned handles; /* of the two that are not closed yet */
    unsigned held;    /* queries and connections whose memory is not freed yet */
    bool ending;
    struct in_addr network;
    uint32_t mask; /* network byte order */
    struct sockaddr_storage servers[DNS_SERVERS_MAX];
    unsigned server_count;
    struct list queries; /* under way */
    unsigned query_count;
    struct list connections;
    unsigned connection_count;
    struct dns_stats stats;
    uint8_t incoming[DNS_QUERY_BYTES + 1]; /* a longer query shows as cut */
};

/* Whether `address` is one that is answered. */
bool dns_serves(const struct dns *dns, const struct sockaddr *address);
/* A query or connection is gone; frees the forwarder when it ended and this was the last. */
void dns_release(struct dns *dns);

/* Starts listening for connections on dns->tcp. 0 or a libuv error. */
int dns_tcp_listen(struct dns *dns);
/* Gives up all connections. */
void dns_tcp_end(struct dns *dns);

#endif
