/* Makes the network namespace of one instance. SPDX-License-Identifier: Apache-2.0
 *
 * Two sendmsg(2) do it. The first, on the host: the veth pair with indexes of our choice, its
 * settings, up, the host's route and neighbour. The second, inside: lo up, eth0 up, address,
 * default route, neighbour. As both link addresses are fixed and both neighbours permanent, no
 * packet ever waits for ARP. A third message sees to it that the host's end, which was up before
 * its peer, has noticed: until then the kernel would drop the first packet. IPv6 gets no link-local
 * address on either end: nothing listens there, and duplicate address detection would cost timers.
 */
#include "netns.h"
#include "rtnetlink.h"

#include <paas/file.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    GENERATION_MASK = 0xffffff, /* what fits an interface name beside platform and slot */
    INDEX_BASE = 0x20000000,    /* far above what the kernel counts up to by itself */
    CREATE_TRIES = 4,           /* generations tried when a name or index is in use */
    ARP_IGNORE_ALL = 8,         /* answer no ARP request: none is needed */
    CARRIER_TRIES = 100,        /* looks for the carrier, */
    CARRIER_PAUSE_US = 200,     /* and the time between two */
};

/* Link addresses of every pair, host's end and inside; locally administered. */
static const unsigned char host_mac[] = { 0x02, 'p', 'a', 'a', 's', 0x01 };
static const unsigned char inside_mac[] = { 0x02, 'p', 'a', 'a', 's', 0x02 };

static const uint32_t gateway = 0xa9fe0101; /* 169.254.1.1 */

/* What both ends of a pair have: one queue each, as a pair of queues per CPU costs memory. */
static void put_end(struct netlink_batch *b, const char *name, const unsigned char mac[6]) {
    netlink_put_text(b, IFLA_IFNAME, name);
    netlink_put(b, IFLA_ADDRESS, mac, 6);
    netlink_put_u32(b, IFLA_NUM_TX_QUEUES, 1);
    netlink_put_u32(b, IFLA_NUM_RX_QUEUES, 1);
}

static void put_pair(struct netlink_batch *b, const struct netns_host *host,
    const struct netns_made *made, int inside_fd) {
    struct ifinfomsg header = { .ifi_index = (int)made->ifindex };
    netlink_message(
        b, "add the veth pair", RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &header, sizeof(header));
    put_end(b, made->name, host_mac);
    netlink_put_u32(b, IFLA_GROUP, NETNS_GROUP(host->platform));
    size_t info = netlink_nest(b, IFLA_LINKINFO);
    netlink_put_text(b, IFLA_INFO_KIND, "veth");
    size_t data = netlink_nest(b, IFLA_INFO_DATA);
    size_t peer = netlink_nest(b, VETH_INFO_PEER);
    struct ifinfomsg inside = { .ifi_index = NETNS_INSIDE_INDEX };
    netlink_raw(b, &inside, sizeof(inside));
    put_end(b, "eth0", inside_mac);
    netlink_put_u32(b, IFLA_NET_NS_FD, (uint32_t)inside_fd);
    netlink_nest_end(b, peer);
    netlink_nest_end(b, data);
    netlink_nest_end(b, info);
}

/* No link-local address by itself; before the interface goes up. */
static void put_no_ipv6(struct netlink_batch *b) {
    size_t family = netlink_nest(b, AF_INET6);
    netlink_put_u8(b, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
    netlink_nest_end(b, family);
}

static void put_host_settings(
    struct netlink_batch *b, const struct netns_host *host, unsigned ifindex) {
    struct ifinfomsg header = { .ifi_index = (int)ifindex };
    netlink_message(b, "set up the host's end", RTM_NEWLINK, 0, &header, sizeof(header));
    size_t spec = netlink_nest(b, IFLA_AF_SPEC);
    size_t family = netlink_nest(b, AF_INET);
    size_t conf = netlink_nest(b, IFLA_INET_CONF);
    netlink_put_u32(b, IPV4_DEVCONF_FORWARDING, 1);
    netlink_put_u32(b, IPV4_DEVCONF_RP_FILTER, 1);
    netlink_put_u32(b, IPV4_DEVCONF_SEND_REDIRECTS, 0);
    netlink_put_u32(b, IPV4_DEVCONF_ACCEPT_REDIRECTS, 0);
    netlink_put_u32(b, IPV4_DEVCONF_ARP_IGNORE, ARP_IGNORE_ALL);
    netlink_nest_end(b, conf);
    netlink_nest_end(b, family);
    if (host->has_ipv6) {
        put_no_ipv6(b);
    }
    netlink_nest_end(b, spec);
}

static void put_inside_settings(struct netlink_batch *b) {
    struct ifinfomsg header = { .ifi_index = NETNS_INSIDE_INDEX };
    netlink_message(b, "set up eth0", RTM_NEWLINK, 0, &header, sizeof(header));
    size_t spec = netlink_nest(b, IFLA_AF_SPEC);
    put_no_ipv6(b);
    netlink_nest_end(b, spec);
}

/* Makes the pair and the host's half. A name or index in use (of an instance that an earlier
 * process made) costs another try; the route that such a try may have set is replaced by the
 * next one's. */
static int make_outside(
    struct netns_host *host, unsigned slot, struct netns_made *made, struct err *err) {
    struct err why = { 0 };
    for (int try = 0; try < CREATE_TRIES; try++) {
        host->generation = (host->generation + 1) & GENERATION_MASK;
        made->ifindex = INDEX_BASE | host->platform << 24 | host->generation;
        snprintf(
            made->name, sizeof(made->name), "p%ui%ux%06x", host->platform, slot, host->generation);
        struct netlink_batch *b = host->batch;
        netlink_reset(b);
        put_pair(b, host, made, made->fd);
        put_host_settings(b, host, made->ifindex);
        rtnetlink_link_up(b, made->ifindex);
        /* Also replaces the route to the slot's last owner, whose interface may still be dying. */
        rtnetlink_route_add(
            b, &(struct rtnetlink_route){ .to = ntohl(made->address.s_addr),
                   .bits = 32,
                   .type = RTN_UNICAST,
                   .protocol = NETNS_PROTOCOL,
                   .scope = RT_SCOPE_LINK,
                   .ifindex = made->ifindex,
                   .source = ntohl(netns_platform_address(host->platform).s_addr) });
        rtnetlink_neighbour_add(b, made->ifindex, ntohl(made->address.s_addr), inside_mac);
        if (netlink_send(&host->route, b, &why) == 0) {
            return 0;
        }
        if (why.sys != EEXIST && why.sys != EBUSY) {
            break;
        }
    }
    if (err) {
        *err = why;
    }
    return -1;
}

static int make_inside(struct netns_host *host, struct netlink *inside,
    const struct netns_made *made, struct err *err) {
    struct netlink_batch *b = host->batch;
    netlink_reset(b);
    rtnetlink_link_up(b, RTNETLINK_LO);
    if (host->has_ipv6) {
        put_inside_settings(b);
    }
    rtnetlink_link_up(b, NETNS_INSIDE_INDEX);
    rtnetlink_address_add(b, NETNS_INSIDE_INDEX, made->address);
    rtnetlink_route_add(b, &(struct rtnetlink_route){ .type = RTN_UNICAST,
                               .protocol = NETNS_PROTOCOL,
                               .scope = RT_SCOPE_UNIVERSE,
                               .ifindex = NETNS_INSIDE_INDEX,
                               .gateway = gateway });
    rtnetlink_neighbour_add(b, NETNS_INSIDE_INDEX, gateway, host_mac);
    return netlink_send(inside, b, err);
}

static int see_up(void *up, const struct nlmsghdr *message) {
    *(bool *)up |= rtnetlink_link_read(message);
    return 0;
}

/* The end that was up first learns of its peer by a job of the kernel's. Newer kernels do the job
 * when asked for the interface's state, older ones (6.1) within a millisecond, mostly. One that
 * takes longer delays a first packet; that is no reason to fail. */
static int await_carrier(struct netns_host *host, const struct netns_made *made, struct err *err) {
    bool up = false;
    for (int try = 0; try < CARRIER_TRIES && !up; try++) {
        if (try > 0) {
            usleep(CARRIER_PAUSE_US);
        }
        netlink_reset(host->batch);
        rtnetlink_link_get(host->batch, made->ifindex);
        if (netlink_ask(&host->route, host->batch, see_up, &up, err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* Every port is for every program: the namespace has but one instance, which has no capability. */
static int open_low_ports(const struct netns_host *host, struct err *err) {
    static const char path[] = "sys/net/ipv4/ip_unprivileged_port_start";
    CLEANUP_FD int fd = openat(host->proc_fd, path, O_WRONLY | O_CLOEXEC);
    return fd < 0 || write(fd, "0", 1) != 1 ? err_sys(err, errno, "write /proc/%s", path) : 0;
}

/* All that happens while the thread is in the new namespace. */
static int furnish(
    struct netns_host *host, unsigned slot, struct netns_made *made, struct err *err) {
    struct netlink inside;
    if (netlink_open(&inside, NETLINK_ROUTE, err) != 0) {
        return -1;
    }
    made->fd = netlink_namespace(&inside, err);
    bool made_it = made->fd >= 0 && make_outside(host, slot, made, err) == 0 &&
                   make_inside(host, &inside, made, err) == 0 && open_low_ports(host, err) == 0 &&
                   await_carrier(host, made, err) == 0;
    netlink_close(&inside);
    return made_it ? 0 : -1;
}

int netns_create(struct netns_host *host, unsigned slot, struct netns_made *out, struct err *err) {
    *out = (struct netns_made){ .fd = -1, .address = netns_slot_address(host->platform, slot) };
    if (unshare(CLONE_NEWNET) != 0) {
        return err_sys(err, errno, "make a network namespace");
    }
    int result = furnish(host, slot, out, err);
    /* To be left in an instance's namespace would be the end of everything that follows. */
    if (setns(host->host_fd, CLONE_NEWNET) != 0) {
        abort();
    }
    if (result != 0) {
        file_close(&out->fd);
        return err_wrap(err, "network of slot %u", slot);
    }
    return 0;
}
