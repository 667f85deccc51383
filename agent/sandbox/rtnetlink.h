/* Requests of rtnetlink, one function each, and routes as a dump shows them.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SANDBOX_RTNETLINK_H
#define SANDBOX_RTNETLINK_H

#include "netlink.h"

#include <netinet/in.h>

enum {
    RTNETLINK_LO = 1,      /* the index of lo in every namespace */
    RTNETLINK_MAC_LEN = 6, /* bytes of an Ethernet address */
};

/* A route to write or as read. */
struct rtnetlink_route {
    uint32_t to; /* host byte order; 0 with 0 bits for a default route */
    unsigned bits;
    unsigned type;             /* RTN_UNICAST, RTN_UNREACHABLE, RTN_LOCAL, … */
    unsigned protocol;         /* who made it: RTPROT_… */
    unsigned scope;            /* RT_SCOPE_… */
    uint32_t ifindex;          /* 0 for none */
    uint32_t gateway;          /* host byte order, 0 for none; written as on-link */
    uint32_t source;           /* preferred source address, host byte order, 0 for none */
    const struct nlattr *hops; /* as read: RTA_MULTIPATH, or NULL */
};

/* Each appends one message to the batch. Adding replaces what is there. */
void rtnetlink_address_add(struct netlink_batch *b, uint32_t ifindex, struct in_addr address);
void rtnetlink_address_remove(struct netlink_batch *b, uint32_t ifindex, struct in_addr address);
void rtnetlink_route_add(struct netlink_batch *b, const struct rtnetlink_route *route);
void rtnetlink_route_remove(struct netlink_batch *b, const struct rtnetlink_route *route);
void rtnetlink_neighbour_add(struct netlink_batch *b, uint32_t ifindex, uint32_t address,
    const unsigned char mac[RTNETLINK_MAC_LEN]);
void rtnetlink_link_up(struct netlink_batch *b, uint32_t ifindex);

/* Asks for an interface; for netlink_ask. */
void rtnetlink_link_get(struct netlink_batch *b, uint32_t ifindex);
/* Reads the answer: true when the interface is up and passes packets (IF_OPER_UP). */
bool rtnetlink_link_read(const struct nlmsghdr *message);

/* Starts the request that lists all IPv4 routes; for netlink_dump. */
void rtnetlink_routes(struct netlink_batch *b);
/* Reads a message of that list. False when it is no IPv4 route. */
bool rtnetlink_route_read(const struct nlmsghdr *message, struct rtnetlink_route *route);

#endif
