/* The host's side of instances' networks: addresses, the range's route, forwarding.
 * SPDX-License-Identifier: Apache-2.0 */
#include "netns.h"
#include "rtnetlink.h"

#include <paas/file.h>

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

static uint32_t range_base(unsigned platform) {
    assert(platform < PLATFORMS_MAX);
    return 10u << 24 | (200 + platform) << 16;
}

struct in_addr netns_platform_address(unsigned platform) {
    return (struct in_addr){ htonl(range_base(platform) | 1) };
}

struct in_addr netns_dns_address(unsigned platform) {
    return (struct in_addr){ htonl(range_base(platform) | 2) };
}

struct in_addr netns_slot_address(unsigned platform, unsigned slot) {
    assert(slot < PLATFORM_SLOTS);
    return (struct in_addr){ htonl(range_base(platform) | (4 + slot / 64) << 8 | (slot % 64 + 1)) };
}

/* The route that answers for every address of the range that no instance has. */
static struct rtnetlink_route unreachable_range(unsigned platform) {
    return (struct rtnetlink_route){ .to = range_base(platform),
        .bits = NETNS_RANGE_BITS,
        .type = RTN_UNREACHABLE,
        .protocol = NETNS_PROTOCOL,
        .scope = RT_SCOPE_UNIVERSE };
}

static int dump_routes(
    struct netlink *nl, struct netlink_batch *b, netlink_each each, void *arg, struct err *err) {
    netlink_reset(b);
    rtnetlink_routes(b);
    return netlink_dump(nl, b, each, arg, err);
}

/* --- is the range free? ------------------------------------------------------------------ */

struct range_check {
    uint32_t base;
    enum netns_range found;
};

static int check_route(void *arg, const struct nlmsghdr *message) {
    struct range_check *check = arg;
    struct rtnetlink_route r;
    if (!rtnetlink_route_read(message, &r) || r.bits == 0 || r.protocol == NETNS_PROTOCOL) {
        return 0;
    }
    bool own_address = r.type == RTN_LOCAL && r.bits == 32 &&
                       (r.to == (check->base | 1) || r.to == (check->base | 2));
    unsigned bits = r.bits < NETNS_RANGE_BITS ? r.bits : NETNS_RANGE_BITS;
    if (own_address || (r.to ^ check->base) >> (32 - bits) != 0) {
        return 0;
    }
    if (bits == NETNS_RANGE_BITS) {
        check->found = NETNS_RANGE_TAKEN;
    } else if (check->found == NETNS_RANGE_FREE) {
        check->found = NETNS_RANGE_COVERED;
    }
    return 0;
}

/* A socket and a batch for the calls that are not on the path of a start. */
struct session {
    struct netlink nl;
    struct netlink_batch *batch;
};

static int session_open(struct session *s, struct err *err) {
    s->nl.fd = -1;
    s->batch = malloc(sizeof(*s->batch));
    return s->batch ? netlink_open(&s->nl, NETLINK_ROUTE, err) : err_no_memory(err);
}

static void session_close(struct session *s) {
    netlink_close(&s->nl);
    free(s->batch);
}

int netns_range_free(unsigned platform, enum netns_range *out, struct err *err) {
    __attribute__((cleanup(session_close))) struct session s;
    struct range_check check = { .base = range_base(platform), .found = NETNS_RANGE_FREE };
    if (session_open(&s, err) != 0 || dump_routes(&s.nl, s.batch, check_route, &check, err) != 0) {
        return -1;
    }
    *out = check.found;
    return 0;
}

/* --- forwarding -------------------------------------------------------------------------- */

enum { SYSCTL_PATH_MAX = 96 };

static int open_proc(struct err *err) {
    int fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? err_sys(err, errno, "open /proc") : fd;
}

/* Reads or, when `value` is not negative, writes net.ipv4.conf.NAME.forwarding of the calling
 * thread's namespace, below an open /proc. Returns the value, or -1 with *err. */
static int forwarding_setting(int proc_fd, const char *name, int value, struct err *err) {
    char path[SYSCTL_PATH_MAX];
    snprintf(path, sizeof(path), "sys/net/ipv4/conf/%s/forwarding", name);
    CLEANUP_FD int fd = openat(proc_fd, path, (value < 0 ? O_RDONLY : O_WRONLY) | O_CLOEXEC);
    if (fd < 0) {
        return err_sys(err, errno, "open /proc/%s", path);
    }
    char text[16] = "";
    if (value < 0) {
        return read(fd, text, sizeof(text) - 1) < 0 ? err_sys(err, errno, "read /proc/%s", path)
                                                    : atoi(text);
    }
    int len = snprintf(text, sizeof(text), "%d\n", value);
    return write(fd, text, (size_t)len) != len ? err_sys(err, errno, "write /proc/%s", path)
                                               : value;
}

struct uplinks {
    struct netns_uplink *list;
    unsigned count;
};

static void add_uplink(struct uplinks *u, uint32_t ifindex) {
    for (unsigned i = 0; i < u->count; i++) {
        if (u->list[i].ifindex == ifindex) {
            return;
        }
    }
    if (u->count < NETNS_UPLINKS) {
        u->list[u->count++] = (struct netns_uplink){ .ifindex = ifindex };
    }
}

/* Adds the interfaces of a default route, which may have several next hops. */
static int collect_uplink(void *arg, const struct nlmsghdr *message) {
    struct rtnetlink_route r;
    if (!rtnetlink_route_read(message, &r) || r.bits != 0 || r.type != RTN_UNICAST) {
        return 0;
    }
    if (r.ifindex) {
        add_uplink(arg, r.ifindex);
    }
    int left = r.hops ? r.hops->nla_len - NLA_HDRLEN : 0;
    const struct rtnexthop *hop = r.hops ? (const void *)((const char *)r.hops + NLA_HDRLEN) : NULL;
    for (; hop && RTNH_OK(hop, left); left -= RTNH_ALIGN(hop->rtnh_len), hop = RTNH_NEXT(hop)) {
        add_uplink(arg, (uint32_t)hop->rtnh_ifindex);
    }
    return 0;
}

int netns_forwarding(struct netns_host *host, struct netns_uplink uplinks[NETNS_UPLINKS],
    unsigned *count, struct err *err) {
    struct uplinks found = { .list = uplinks };
    if (dump_routes(&host->route, host->batch, collect_uplink, &found, err) != 0) {
        return -1;
    }
    for (unsigned i = 0; i < found.count; i++) {
        char name[IFNAMSIZ];
        if (!if_indextoname(uplinks[i].ifindex, name)) {
            continue; /* gone since the dump */
        }
        int value = forwarding_setting(host->proc_fd, name, -1, err);
        if (value == 0) {
            value = forwarding_setting(host->proc_fd, name, NETNS_FORWARDING_OURS, err);
        }
        if (value < 0) {
            return -1;
        }
        uplinks[i].guarded = value == NETNS_FORWARDING_OURS;
    }
    *count = found.count;
    return 0;
}

/* Stops a dump with 1 at the first unreachable route of ours: a platform is still here. */
static int find_platform(void *arg, const struct nlmsghdr *message) {
    (void)arg;
    struct rtnetlink_route r;
    return rtnetlink_route_read(message, &r) && r.protocol == NETNS_PROTOCOL &&
           r.type == RTN_UNREACHABLE;
}

static int restore_forwarding(struct err *err) {
    CLEANUP_FD int proc_fd = open_proc(err);
    if (proc_fd < 0) {
        return -1;
    }
    struct if_nameindex *interfaces = if_nameindex();
    if (!interfaces) {
        return err_sys(err, errno, "list the interfaces");
    }
    int result = 0;
    for (struct if_nameindex *i = interfaces; i->if_index != 0; i++) {
        /* An interface may go while we look. */
        if (forwarding_setting(proc_fd, i->if_name, -1, NULL) == NETNS_FORWARDING_OURS &&
            forwarding_setting(proc_fd, i->if_name, 0, err) < 0) {
            result = -1;
        }
    }
    if_freenameindex(interfaces);
    return result;
}

/* --- the host's side --------------------------------------------------------------------- */

/* Sends a batch whose things may already be gone. */
static int send_removal(struct session *s, struct err *err) {
    struct err why = { 0 };
    if (netlink_send(&s->nl, s->batch, &why) == 0 || why.sys == EADDRNOTAVAIL || why.sys == ESRCH) {
        return 0;
    }
    if (err) {
        *err = why;
    }
    return -1;
}

int netns_host_remove(unsigned platform, struct err *err) {
    __attribute__((cleanup(session_close))) struct session s;
    if (session_open(&s, err) != 0) {
        return -1;
    }
    netlink_reset(s.batch);
    struct rtnetlink_route range = unreachable_range(platform);
    rtnetlink_route_remove(s.batch, &range);
    if (send_removal(&s, err) != 0) {
        return -1;
    }
    const struct in_addr addresses[] = { netns_platform_address(platform),
        netns_dns_address(platform) };
    for (size_t i = 0; i < sizeof(addresses) / sizeof(*addresses); i++) {
        netlink_reset(s.batch);
        rtnetlink_address_remove(s.batch, RTNETLINK_LO, addresses[i]);
        if (send_removal(&s, err) != 0) {
            return -1;
        }
    }
    int others = dump_routes(&s.nl, s.batch, find_platform, NULL, err);
    return others == 0 ? restore_forwarding(err) : others < 0 ? -1 : 0;
}

int netns_host_open(struct netns_host *host, unsigned platform, struct err *err) {
    *host =
        (struct netns_host){ .platform = platform, .host_fd = -1, .proc_fd = -1, .route.fd = -1 };
    host->batch = malloc(sizeof(*host->batch));
    if (!host->batch) {
        return err_no_memory(err);
    }
    if ((host->proc_fd = open_proc(err)) < 0) {
        goto fail;
    }
    host->has_ipv6 = faccessat(host->proc_fd, "sys/net/ipv6", F_OK, 0) == 0;
    /* A random start: the interfaces of an earlier process may be alive. */
    if (getrandom(&host->generation, sizeof(host->generation), 0) != sizeof(host->generation)) {
        err_sys(err, errno, "get random bytes");
        goto fail;
    }
    if (netlink_open(&host->route, NETLINK_ROUTE, err) != 0 ||
        (host->host_fd = netlink_namespace(&host->route, err)) < 0) {
        goto fail;
    }
    netlink_reset(host->batch);
    rtnetlink_address_add(host->batch, RTNETLINK_LO, netns_platform_address(platform));
    rtnetlink_address_add(host->batch, RTNETLINK_LO, netns_dns_address(platform));
    struct rtnetlink_route range = unreachable_range(platform);
    rtnetlink_route_add(host->batch, &range);
    if (netlink_send(&host->route, host->batch, err) != 0) {
        goto fail;
    }
    return 0;
fail:
    netns_host_close(host);
    return -1;
}

void netns_host_close(struct netns_host *host) {
    netlink_close(&host->route);
    file_close(&host->host_fd);
    file_close(&host->proc_fd);
    free(host->batch);
    host->batch = NULL;
}
