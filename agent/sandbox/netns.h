/* The network of instances: a namespace each, joined to the host by a veth pair and routes.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Platform N owns 10.(200+N).0.0/16. On the host, `lo` carries .0.1, the source of all that the
 * platform sends to instances, and .0.2, the DNS forwarder; an `unreachable` route covers the rest,
 * so that an address whose instance is gone fails at once. An instance has one /32 address on eth0,
 * a default route through 169.254.1.1 with a permanent neighbour, and no other interface but lo.
 *
 * An instance's interface pair lives and dies with its namespace: closing the last reference
 * removes it in the background. It is never deleted by request, which costs tens of milliseconds,
 * and no name or index is used twice within 16 million starts.
 *
 * The functions change the calling thread's network namespace for a moment, so the caller has one
 * thread. All need CAP_NET_ADMIN and CAP_SYS_ADMIN of the initial user namespace.
 */
#ifndef SANDBOX_NETNS_H
#define SANDBOX_NETNS_H

#include "netlink.h"

#include <paas/limits.h>

#include <net/if.h>
#include <netinet/in.h>

enum {
    NETNS_RANGE_BITS = 16,  /* prefix length of a platform's range */
    NETNS_UPLINKS = 8,      /* interfaces with a default route; more are not forwarded to */
    NETNS_PROTOCOL = 200,   /* marks the routes that are ours (rtm_protocol) */
    NETNS_INSIDE_INDEX = 2, /* eth0's index inside; lo is always 1 */
    /* Marks an interface whose forwarding was off until a platform needed it (any value but 0 is
     * "on" to the kernel), so that the last platform to leave can turn it off again. */
    NETNS_FORWARDING_OURS = 2,
};

/* Interface group of platform N's interfaces on the host: what the firewall matches. */
#define NETNS_GROUP(platform) (0x70610000u + (platform))

/* The host's side, opened once by the process that makes namespaces. */
struct netns_host {
    unsigned platform;
    int host_fd;                 /* the host's network namespace, to come back to */
    int proc_fd;                 /* /proc as it was at the opening: settings are written there */
    struct netlink route;        /* an rtnetlink socket of the host's namespace */
    uint32_t generation;         /* of the last interface made; 24 bits */
    bool has_ipv6;               /* the kernel speaks it */
    struct netlink_batch *batch; /* room to write requests in */
};

/* An instance's namespace as made. */
struct netns_made {
    int fd;              /* the namespace; the caller closes it */
    unsigned ifindex;    /* of the host's end */
    char name[IFNAMSIZ]; /* of the host's end */
    struct in_addr address;
};

/* An interface that leads out of the host. */
struct netns_uplink {
    unsigned ifindex;
    bool guarded; /* its forwarding is on for us alone: the firewall keeps it shut for others */
};

enum netns_range {
    NETNS_RANGE_FREE,    /* no route but the default leads there */
    NETNS_RANGE_COVERED, /* inside a larger network that is routed (a VPN's 10.0.0.0/8) */
    NETNS_RANGE_TAKEN,   /* some address of it is in use */
};

/* Addresses, computed. Slots map injectively to 10.(200+N).(4 + slot/64).(slot%64 + 1). */
struct in_addr netns_platform_address(unsigned platform);
struct in_addr netns_dns_address(unsigned platform);
struct in_addr netns_slot_address(unsigned platform, unsigned slot);

/* Says whether platform N's range meets a route of this host that is not a platform's own.
 * 0 with *out, or -1 with *err. */
int netns_range_free(unsigned platform, enum netns_range *out, struct err *err);

/* Puts the platform's addresses and the unreachable route in place (also over leftovers) and opens
 * `host`; /proc must be writable there and then, what is mounted later does not matter. Nothing is
 * forwarded before netns_forwarding. 0, or -1 with *err and nothing held. */
int netns_host_open(struct netns_host *host, unsigned platform, struct err *err);
/* Lets packets pass between instances and the interfaces of the default routes, and lists those.
 * Call again when the host's routes may have changed; give the list to firewall_set before the
 * first instance starts. 0 with *count, or -1 with *err. */
int netns_forwarding(struct netns_host *host, struct netns_uplink uplinks[NETNS_UPLINKS],
    unsigned *count, struct err *err);
/* Releases what the struct holds; the host's settings stay, as instances outlive their maker. */
void netns_host_close(struct netns_host *host);
/* Takes the platform's addresses and route off the host, and, when it was the last platform, turns
 * off the forwarding that platforms turned on. Idempotent. 0, or -1 with *err. */
int netns_host_remove(unsigned platform, struct err *err);

/* Makes a fresh namespace with `slot`'s address, configured and up. About 1.2 ms, half of it the
 * kernel's for the namespace itself. 0 with *out, or -1 with *err and nothing left behind. */
int netns_create(struct netns_host *host, unsigned slot, struct netns_made *out, struct err *err);

#endif
