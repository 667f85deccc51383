/* Requests of rtnetlink. SPDX-License-Identifier: Apache-2.0 */
#include "rtnetlink.h"

#include <arpa/inet.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <string.h>

static void put_address(struct netlink_batch *b, const char *what, uint16_t type, uint16_t flags,
    uint32_t ifindex, struct in_addr address) {
    struct ifaddrmsg header = { .ifa_family = AF_INET,
        .ifa_prefixlen = 32,
        .ifa_index = ifindex,
        /* The kernel never picks an address of this scope as a source by itself. */
        .ifa_scope = ifindex == RTNETLINK_LO ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE };
    netlink_message(b, what, type, flags, &header, sizeof(header));
    netlink_put(b, IFA_LOCAL, &address, sizeof(address));
    netlink_put(b, IFA_ADDRESS, &address, sizeof(address));
}

void rtnetlink_address_add(struct netlink_batch *b, uint32_t ifindex, struct in_addr address) {
    put_address(b, "add an address", RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, ifindex, address);
}

void rtnetlink_address_remove(struct netlink_batch *b, uint32_t ifindex, struct in_addr address) {
    put_address(b, "remove an address", RTM_DELADDR, 0, ifindex, address);
}

static void put_route(struct netlink_batch *b, const char *what, uint16_t type, uint16_t flags,
    const struct rtnetlink_route *route) {
    struct rtmsg header = { .rtm_family = AF_INET,
        .rtm_dst_len = (unsigned char)route->bits,
        .rtm_table = RT_TABLE_MAIN,
        .rtm_protocol = (unsigned char)route->protocol,
        .rtm_scope = (unsigned char)route->scope,
        .rtm_type = (unsigned char)route->type,
        .rtm_flags = route->gateway ? RTNH_F_ONLINK : 0 };
    netlink_message(b, what, type, flags, &header, sizeof(header));
    if (route->bits > 0) {
        netlink_put_be32(b, RTA_DST, route->to);
    }
    if (route->gateway) {
        netlink_put_be32(b, RTA_GATEWAY, route->gateway);
    }
    if (route->ifindex) {
        netlink_put_u32(b, RTA_OIF, route->ifindex);
    }
    if (route->source) {
        netlink_put_be32(b, RTA_PREFSRC, route->source);
    }
}

void rtnetlink_route_add(struct netlink_batch *b, const struct rtnetlink_route *route) {
    put_route(b, "add a route", RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, route);
}

void rtnetlink_route_remove(struct netlink_batch *b, const struct rtnetlink_route *route) {
    put_route(b, "remove a route", RTM_DELROUTE, 0, route);
}

void rtnetlink_neighbour_add(struct netlink_batch *b, uint32_t ifindex, uint32_t address,
    const unsigned char mac[RTNETLINK_MAC_LEN]) {
    struct ndmsg header = {
        .ndm_family = AF_INET, .ndm_ifindex = (int)ifindex, .ndm_state = NUD_PERMANENT
    };
    netlink_message(
        b, "add a neighbour", RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, &header, sizeof(header));
    netlink_put_be32(b, NDA_DST, address);
    netlink_put(b, NDA_LLADDR, mac, RTNETLINK_MAC_LEN);
}

void rtnetlink_link_up(struct netlink_batch *b, uint32_t ifindex) {
    struct ifinfomsg header = {
        .ifi_index = (int)ifindex, .ifi_flags = IFF_UP, .ifi_change = IFF_UP
    };
    netlink_message(b, "bring up an interface", RTM_NEWLINK, 0, &header, sizeof(header));
}

void rtnetlink_link_get(struct netlink_batch *b, uint32_t ifindex) {
    struct ifinfomsg header = { .ifi_index = (int)ifindex };
    netlink_message(b, "look at an interface", RTM_GETLINK, 0, &header, sizeof(header));
    netlink_put_u32(b, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
}

bool rtnetlink_link_read(const struct nlmsghdr *message) {
    size_t header = NLMSG_SPACE(sizeof(struct ifinfomsg));
    if (message->nlmsg_type != RTM_NEWLINK || message->nlmsg_len < header) {
        return false;
    }
    const struct nlattr *state = netlink_find(
        (const char *)message + header, message->nlmsg_len - header, IFLA_OPERSTATE, 1);
    return state && ((const unsigned char *)state)[NLA_HDRLEN] == IF_OPER_UP;
}

void rtnetlink_routes(struct netlink_batch *b) {
    struct rtmsg header = { .rtm_family = AF_INET };
    netlink_message(b, "list the routes", RTM_GETROUTE, 0, &header, sizeof(header));
}

/* The 32-bit value of an attribute, as it lies there; 0 when it is missing. */
static uint32_t read_u32(const void *attrs, size_t len, uint16_t type) {
    const struct nlattr *attr = netlink_find(attrs, len, type, sizeof(uint32_t));
    uint32_t value = 0;
    if (attr) {
        memcpy(&value, (const char *)attr + NLA_HDRLEN, sizeof(value));
    }
    return value;
}

bool rtnetlink_route_read(const struct nlmsghdr *message, struct rtnetlink_route *route) {
    const struct rtmsg *header = NLMSG_DATA(message);
    if (message->nlmsg_type != RTM_NEWROUTE || message->nlmsg_len < NLMSG_LENGTH(sizeof(*header)) ||
        header->rtm_family != AF_INET || header->rtm_dst_len > 32) {
        return false;
    }
    const void *attrs = RTM_RTA(header);
    size_t len = message->nlmsg_len - NLMSG_SPACE(sizeof(*header));
    *route = (struct rtnetlink_route){
        .to = ntohl(read_u32(attrs, len, RTA_DST)),
        .bits = header->rtm_dst_len,
        .type = header->rtm_type,
        .protocol = header->rtm_protocol,
        .scope = header->rtm_scope,
        .ifindex = read_u32(attrs, len, RTA_OIF),
        .gateway = ntohl(read_u32(attrs, len, RTA_GATEWAY)),
        .source = ntohl(read_u32(attrs, len, RTA_PREFSRC)),
        .hops = netlink_find(attrs, len, RTA_MULTIPATH, sizeof(struct rtnexthop)),
    };
    return true;
}
