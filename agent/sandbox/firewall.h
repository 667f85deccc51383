/* What instances may reach: one nftables table per platform, `paas<N>`, written whole.
 * SPDX-License-Identifier: Apache-2.0
 *
 * From an instance to an address of the host, only TCP that is no bare SYN passes: answers to what
 * the platform asked. It is matched without state and kept out of connection tracking. Port 53 of
 * the instance's resolvers is the one exception. Forwarded traffic is tracked, limited and
 * masqueraded, and never reaches private, shared, link-local, metadata or multicast addresses,
 * another instance or another platform's. What is refused is answered by a reset if it is TCP, by
 * silence otherwise. IPv6 and packets with a foreign source address are dropped.
 *
 * The rules look at packets of the platform's own interfaces and addresses only, and at packets
 * between interfaces that the host did not route before (see netns_uplink.guarded); all else passes
 * the table untouched.
 */
#ifndef SANDBOX_FIREWALL_H
#define SANDBOX_FIREWALL_H

#include "netns.h"

enum {
    FIREWALL_RESOLVERS = 3,            /* as many as resolv.conf may name */
    FIREWALL_CONNECTIONS_SECOND = 200, /* new forwarded connections of an instance, sustained */
    FIREWALL_CONNECTIONS_BURST = 400,  /* and at once */
    FIREWALL_CONNECTIONS_OPEN = 4096,  /* and tracked at a time, so that no instance can fill the
                                          host's connection table */
};

struct firewall_spec {
    unsigned platform;
    struct in_addr resolvers[FIREWALL_RESOLVERS]; /* reachable on port 53, UDP and TCP */
    unsigned resolver_count;
    struct netns_uplink uplinks[NETNS_UPLINKS]; /* from netns_forwarding */
    unsigned uplink_count;
};

/* Installs the platform's table in the calling thread's network namespace, in one transaction:
 * there is no moment without rules, and an older table is replaced. 0, or -1 with *err and the
 * rules as they were. */
int firewall_set(const struct firewall_spec *spec, struct err *err);
/* Removes the platform's table; also when there is none. 0, or -1 with *err. */
int firewall_clear(unsigned platform, struct err *err);
/* Whether the table is there (`nft flush ruleset` removes it). 0 with *present, or -1 with *err. */
int firewall_present(unsigned platform, bool *present, struct err *err);

#endif
