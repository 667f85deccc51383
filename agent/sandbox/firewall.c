/* The firewall's rules, as tables, and their installation. SPDX-License-Identifier: Apache-2.0 */
#include "firewall.h"
#include "nft.h"
#include "rtnetlink.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter_ipv4.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    NETWORK_SOURCE = 12,      /* offsets in the IPv4 header */
    NETWORK_DESTINATION = 16, /* likewise */
    TRANSPORT_PORT = 2,       /* destination port in the header of UDP or TCP */
    TRANSPORT_FLAGS = 13,     /* in the header of TCP */
    TCP_SYN = 0x02,
    TCP_ACK = 0x10,
    CT_ANSWER = 1 << 1 | 1 << 2, /* ct state: established, related */
    CT_NEW = 1 << 3,
    MATCHES = 3,            /* of a rule, at most */
    TABLE_NAME_SIZE = 16,   /* "paas31" */
    RATE_FORGET_MS = 60000, /* an address that made no new connection for so long is forgotten */
};

/* What a packet may be asked. */
enum match {
    ANY,
    FROM_INSTANCE,  /* of this platform */
    FROM_PLATFORMS, /* an instance of any platform */
    TO_INSTANCE,
    NOT_TO_INSTANCE,
    FROM_LO,
    IPV6,
    TCP,
    BARE_SYN,       /* TCP: a connection that begins */
    FOREIGN_SOURCE, /* the way back to its source is not the way it came */
    TO_HOST,        /* to any address of this host */
    TO_PLATFORM,    /* into this platform's range */
    TO_PLATFORMS,   /* into the range of all platforms */
    NOT_TO_PLATFORMS,
    ANSWER, /* of a tracked connection, either direction */
    NOT_NEW,
    TOO_FAST, /* source address beyond its rate of new connections */
    TOO_MANY, /* source address beyond its count of connections */
};

enum action { PASS, DROP, RESET, UNTRACKED, MASQUERADE, GOTO, JUMP };

struct rule {
    const char *chain;
    enum match match[MATCHES];
    enum action action;
    const char *to; /* for GOTO, and JUMP, which comes back */
    const char *why;
};

static const struct nft_chain chains[] = {
    { "prerouting", "filter", NF_INET_PRE_ROUTING, NF_IP_PRI_RAW },
    { "output", "filter", NF_INET_LOCAL_OUT, NF_IP_PRI_RAW },
    { "input", "filter", NF_INET_LOCAL_IN, NF_IP_PRI_FILTER },
    { "forward", "filter", NF_INET_FORWARD, NF_IP_PRI_FILTER },
    { "postrouting", "nat", NF_INET_POST_ROUTING, NF_IP_PRI_NAT_SRC },
    { .name = "arriving" }, /* from an instance, to anywhere */
    { .name = "to_host" },
    { .name = "outbound" },
    { .name = "resolvers" }, /* port 53 of the instances' resolvers */
    { .name = "private" },   /* what no forwarded packet may reach */
    { .name = "limits" },
    { .name = "guard" }, /* what the host did not forward before, it does not now */
    { .name = "refuse" },
};

static const struct nft_set rate_set = { "new_connections", 1, 2048, RATE_FORGET_MS };
static const struct nft_set count_set = { "connections", 2, 2048, 0 };

/* In order. A packet that no rule of a base chain ends goes on as if there were no table. */
static const struct rule rules[] = {
    { "prerouting", { FROM_INSTANCE }, GOTO, "arriving", "what an instance sends" },
    { "prerouting", { FROM_LO }, PASS, NULL, "the host's own" },
    { "prerouting", { FROM_PLATFORMS }, PASS, NULL, "another platform's table judges it" },
    { "prerouting", { TO_PLATFORM }, DROP, NULL, "the range is not for the outside" },
    { "arriving", { IPV6 }, DROP, NULL, "instances have no IPv6" },
    { "arriving", { FOREIGN_SOURCE }, DROP, NULL, "strict source check" },
    { "arriving", { TO_HOST }, UNTRACKED, NULL, "answers to the host cost no tracking" },
    { "arriving", { TO_HOST }, PASS, NULL, "to the input chain" },
    { "arriving", { TO_PLATFORMS }, GOTO, "refuse", "other instances, there or not" },

    { "output", { TO_INSTANCE }, UNTRACKED, NULL, "questions of the host likewise" },

    { "input", { FROM_INSTANCE }, GOTO, "to_host", "what an instance sends to the host" },
    { "to_host", { ANY }, JUMP, "resolvers", "the one exception" },
    { "to_host", { BARE_SYN }, GOTO, "refuse", "no connection to the host" },
    { "to_host", { TCP }, PASS, NULL, "answers to the platform" },
    { "to_host", { ANY }, GOTO, "refuse", "no UDP, no ICMP" },

    { "forward", { FROM_INSTANCE }, GOTO, "outbound", "what an instance sends out" },
    { "forward", { TO_INSTANCE, ANSWER }, PASS, NULL, "answers from outside" },
    { "forward", { TO_INSTANCE }, DROP, NULL, "nothing else from outside" },
    { "forward", { NOT_TO_PLATFORMS }, JUMP, "guard", "what we must not forward" },

    { "outbound", { ANSWER }, PASS, NULL, "a connection that was let pass" },
    { "outbound", { NOT_NEW }, DROP, NULL, "untracked: it would leave unmasqueraded" },
    { "outbound", { TO_INSTANCE }, GOTO, "refuse", "another instance" },
    { "outbound", { ANY }, JUMP, "limits", "a flood ends here" },
    { "outbound", { ANY }, JUMP, "resolvers", "which may be private" },
    { "outbound", { ANY }, JUMP, "private", "networks that are not the internet" },
    { "outbound", { ANY }, PASS, NULL, "the internet" },

    /* Of a connection that began here; only then did the host forward before. */
    { "guard", { ANSWER }, PASS, NULL, "answers to what others forward" },

    { "limits", { TOO_FAST }, DROP, NULL, "limit the rate of new connections" },
    { "limits", { TOO_MANY }, DROP, NULL, "limit the number of connections" },

    { "refuse", { TCP }, RESET, NULL, "refuse TCP" },
    { "refuse", { ANY }, DROP, NULL, "drop the rest" },

    { "postrouting", { FROM_INSTANCE, NOT_TO_INSTANCE }, MASQUERADE, NULL, "hide the address" },
};

/* What no instance reaches by forwarding. */
static const struct {
    const char *network;
    unsigned bits;
    const char *why;
} private_networks[] = {
    { "0.0.0.0", 8, "this network" },
    { "10.0.0.0", 8, "private" },
    { "100.64.0.0", 10, "shared by providers" },
    { "127.0.0.0", 8, "loopback" },
    { "169.254.0.0", 16, "link-local, metadata services" },
    { "172.16.0.0", 12, "private" },
    { "192.0.0.0", 24, "protocol assignments" },
    { "192.168.0.0", 16, "private" },
    { "198.18.0.0", 15, "benchmark networks" },
    { "224.0.0.0", 4, "multicast" },
    { "240.0.0.0", 4, "reserved, broadcast" },
};

/* --- a rule as expressions --------------------------------------------------------------- */

/* What the rules are written for. */
struct writer {
    struct netlink_batch *batch;
    const struct firewall_spec *spec;
    char table[TABLE_NAME_SIZE];
};

static void compare_u8(struct nft_rule *rule, uint8_t value) {
    nft_compare(rule, NFT_CMP_EQ, &value, sizeof(value));
}

static void compare_u32(struct nft_rule *rule, uint32_t op, uint32_t value) {
    nft_compare(rule, op, &value, sizeof(value));
}

static void meta_is(struct nft_rule *rule, uint32_t key, uint32_t op, uint32_t value) {
    nft_meta(rule, key);
    compare_u32(rule, op, value);
}

static void family_is(struct nft_rule *rule, uint8_t family) {
    nft_meta(rule, NFT_META_NFPROTO);
    compare_u8(rule, family);
}

static void protocol_is(struct nft_rule *rule, uint8_t protocol) {
    nft_meta(rule, NFT_META_L4PROTO);
    compare_u8(rule, protocol);
}

static void begins_connection(struct nft_rule *rule) {
    const uint8_t mask = TCP_SYN | TCP_ACK;
    protocol_is(rule, IPPROTO_TCP);
    nft_payload(rule, NFT_PAYLOAD_TRANSPORT_HEADER, TRANSPORT_FLAGS, sizeof(mask));
    nft_mask(rule, &mask, sizeof(mask));
    compare_u8(rule, TCP_SYN);
}

/* It is IPv4, and the address at `offset` of the header is within the network. */
static void address_in(struct nft_rule *rule, uint32_t offset, uint32_t network, unsigned bits) {
    family_is(rule, NFPROTO_IPV4);
    uint32_t mask = htonl(bits == 0 ? 0 : UINT32_MAX << (32 - bits));
    nft_payload(rule, NFT_PAYLOAD_NETWORK_HEADER, offset, sizeof(mask));
    if (bits < 32) {
        nft_mask(rule, &mask, sizeof(mask));
    }
    compare_u32(rule, NFT_CMP_EQ, network & mask);
}

static void to_platforms(struct nft_rule *rule, uint32_t op) {
    uint32_t first = htonl(ntohl(netns_platform_address(0).s_addr) & 0xffff0000u);
    uint32_t last = htonl(ntohl(netns_platform_address(PLATFORMS_MAX - 1).s_addr) | 0xffffu);
    family_is(rule, NFPROTO_IPV4);
    nft_payload(rule, NFT_PAYLOAD_NETWORK_HEADER, NETWORK_DESTINATION, sizeof(first));
    nft_range(rule, op, &first, &last, sizeof(first));
}

/* Groups are compared in network byte order, as ranges compare bytes. */
static void from_platforms(struct nft_rule *rule) {
    uint32_t first = htonl(NETNS_GROUP(0));
    uint32_t last = htonl(NETNS_GROUP(PLATFORMS_MAX - 1));
    nft_meta(rule, NFT_META_IIFGROUP);
    nft_hton(rule, sizeof(first));
    nft_range(rule, NFT_RANGE_EQ, &first, &last, sizeof(first));
}

static void state_has(struct nft_rule *rule, uint32_t bits, uint32_t op) {
    nft_ct(rule, NFT_CT_STATE);
    nft_mask(rule, &bits, sizeof(bits));
    compare_u32(rule, op, 0);
}

static void load_source(struct nft_rule *rule) {
    nft_payload(rule, NFT_PAYLOAD_NETWORK_HEADER, NETWORK_SOURCE, sizeof(struct in_addr));
}

static void put_match(struct nft_rule *rule, enum match match, unsigned platform) {
    switch (match) {
    case ANY:
        break;
    case FROM_INSTANCE:
        meta_is(rule, NFT_META_IIFGROUP, NFT_CMP_EQ, NETNS_GROUP(platform));
        break;
    case FROM_PLATFORMS:
        from_platforms(rule);
        break;
    case TO_INSTANCE:
        meta_is(rule, NFT_META_OIFGROUP, NFT_CMP_EQ, NETNS_GROUP(platform));
        break;
    case NOT_TO_INSTANCE:
        meta_is(rule, NFT_META_OIFGROUP, NFT_CMP_NEQ, NETNS_GROUP(platform));
        break;
    case FROM_LO:
        meta_is(rule, NFT_META_IIF, NFT_CMP_EQ, RTNETLINK_LO);
        break;
    case IPV6:
        family_is(rule, NFPROTO_IPV6);
        break;
    case TCP:
        protocol_is(rule, IPPROTO_TCP);
        break;
    case BARE_SYN:
        begins_connection(rule);
        break;
    case FOREIGN_SOURCE:
        nft_fib(rule, NFT_FIB_RESULT_OIF, NFTA_FIB_F_SADDR | NFTA_FIB_F_IIF);
        compare_u32(rule, NFT_CMP_EQ, 0);
        break;
    case TO_HOST:
        nft_fib(rule, NFT_FIB_RESULT_ADDRTYPE, NFTA_FIB_F_DADDR);
        compare_u32(rule, NFT_CMP_EQ, RTN_LOCAL);
        break;
    case TO_PLATFORM:
        address_in(
            rule, NETWORK_DESTINATION, netns_platform_address(platform).s_addr, NETNS_RANGE_BITS);
        break;
    case TO_PLATFORMS:
        to_platforms(rule, NFT_RANGE_EQ);
        break;
    case NOT_TO_PLATFORMS:
        to_platforms(rule, NFT_RANGE_NEQ);
        break;
    case ANSWER:
        state_has(rule, CT_ANSWER, NFT_CMP_NEQ);
        break;
    case NOT_NEW:
        state_has(rule, CT_NEW, NFT_CMP_EQ);
        break;
    case TOO_FAST:
        load_source(rule);
        nft_rate_over(rule, &rate_set, FIREWALL_CONNECTIONS_SECOND, FIREWALL_CONNECTIONS_BURST);
        break;
    case TOO_MANY:
        load_source(rule);
        nft_connections_over(rule, &count_set, FIREWALL_CONNECTIONS_OPEN);
        break;
    }
}

static void put_action(struct nft_rule *rule, enum action action, const char *to) {
    switch (action) {
    case PASS:
        nft_verdict(rule, NF_ACCEPT, NULL);
        break;
    case DROP:
        nft_verdict(rule, NF_DROP, NULL);
        break;
    case RESET:
        nft_reject_reset(rule);
        break;
    case UNTRACKED:
        nft_plain(rule, "notrack");
        break;
    case MASQUERADE:
        nft_plain(rule, "masq");
        break;
    case GOTO:
        nft_verdict(rule, NFT_GOTO, to);
        break;
    case JUMP:
        nft_verdict(rule, NFT_JUMP, to);
        break;
    }
}

/* --- the table --------------------------------------------------------------------------- */

static struct nft_rule start(struct writer *w, const char *chain, const char *why) {
    return nft_rule_start(w->batch, w->table, chain, why);
}

static void put_rules(struct writer *w) {
    for (size_t i = 0; i < sizeof(rules) / sizeof(*rules); i++) {
        const struct rule *r = &rules[i];
        struct nft_rule rule = start(w, r->chain, r->why);
        for (int m = 0; m < MATCHES; m++) {
            put_match(&rule, r->match[m], w->spec->platform);
        }
        put_action(&rule, r->action, r->to);
        nft_rule_end(&rule);
    }
}

static void put_private_networks(struct writer *w) {
    for (size_t i = 0; i < sizeof(private_networks) / sizeof(*private_networks); i++) {
        struct nft_rule rule = start(w, "private", private_networks[i].why);
        address_in(&rule, NETWORK_DESTINATION, inet_addr(private_networks[i].network),
            private_networks[i].bits);
        put_action(&rule, GOTO, "refuse");
        nft_rule_end(&rule);
    }
}

static void put_resolvers(struct writer *w) {
    static const uint8_t protocols[] = { IPPROTO_UDP, IPPROTO_TCP };
    const uint16_t port = htons(53);
    for (unsigned i = 0; i < w->spec->resolver_count; i++) {
        for (size_t p = 0; p < sizeof(protocols); p++) {
            struct nft_rule rule = start(w, "resolvers", "let name resolution pass");
            address_in(&rule, NETWORK_DESTINATION, w->spec->resolvers[i].s_addr, 32);
            protocol_is(&rule, protocols[p]);
            nft_payload(&rule, NFT_PAYLOAD_TRANSPORT_HEADER, TRANSPORT_PORT, sizeof(port));
            nft_compare(&rule, NFT_CMP_EQ, &port, sizeof(port));
            put_action(&rule, PASS, NULL);
            nft_rule_end(&rule);
        }
    }
}

static void put_guards(struct writer *w) {
    for (unsigned i = 0; i < w->spec->uplink_count; i++) {
        if (w->spec->uplinks[i].guarded) {
            struct nft_rule rule = start(w, "guard", "forward nothing new from an uplink");
            meta_is(&rule, NFT_META_IIF, NFT_CMP_EQ, w->spec->uplinks[i].ifindex);
            put_action(&rule, DROP, NULL);
            nft_rule_end(&rule);
        }
    }
}

static void put_table(struct writer *w) {
    netlink_reset(w->batch);
    nft_begin(w->batch);
    /* Added so that it can be removed, whether it was there or not. */
    nft_table_add(w->batch, w->table);
    nft_table_remove(w->batch, w->table);
    nft_table_add(w->batch, w->table);
    for (size_t i = 0; i < sizeof(chains) / sizeof(*chains); i++) {
        nft_chain_add(w->batch, w->table, &chains[i]);
    }
    nft_set_add(w->batch, w->table, &rate_set);
    nft_set_add(w->batch, w->table, &count_set);
    put_rules(w);
    put_private_networks(w);
    put_resolvers(w);
    put_guards(w);
    nft_end(w->batch);
}

/* Writes one batch with `put` and sends it. */
static int transact(unsigned platform, const struct firewall_spec *spec,
    void (*put)(struct writer *), struct err *err) {
    assert(platform < PLATFORMS_MAX);
    struct netlink nl;
    struct writer w = { .batch = malloc(sizeof(*w.batch)), .spec = spec };
    if (!w.batch) {
        return err_no_memory(err);
    }
    snprintf(w.table, sizeof(w.table), "paas%u", platform);
    int result = netlink_open(&nl, NETLINK_NETFILTER, err);
    if (result == 0) {
        put(&w);
        result = netlink_send(&nl, w.batch, err);
        netlink_close(&nl);
    }
    free(w.batch);
    return result;
}

int firewall_set(const struct firewall_spec *spec, struct err *err) {
    if (spec->resolver_count > FIREWALL_RESOLVERS || spec->uplink_count > NETNS_UPLINKS) {
        return err_set(err, ERR_BAD_VALUE, "firewall: %u resolvers, %u uplinks: too many",
            spec->resolver_count, spec->uplink_count);
    }
    return transact(spec->platform, spec, put_table, err);
}

static void put_removal(struct writer *w) {
    netlink_reset(w->batch);
    nft_begin(w->batch);
    nft_table_add(w->batch, w->table);
    nft_table_remove(w->batch, w->table);
    nft_end(w->batch);
}

int firewall_clear(unsigned platform, struct err *err) {
    return transact(platform, NULL, put_removal, err);
}

static void put_question(struct writer *w) {
    netlink_reset(w->batch);
    nft_table_get(w->batch, w->table);
}

int firewall_present(unsigned platform, bool *present, struct err *err) {
    struct err why = { 0 };
    *present = transact(platform, NULL, put_question, &why) == 0;
    if (*present || why.sys == ENOENT) {
        return 0;
    }
    if (err) {
        *err = why;
    }
    return -1;
}
