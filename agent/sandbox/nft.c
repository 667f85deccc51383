/* nftables as netlink messages. SPDX-License-Identifier: Apache-2.0 */
#include "nft.h"

#include <arpa/inet.h>
#include <endian.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>

enum {
    KEY_TYPE_IPV4 = 7, /* how `nft list` shows the set's keys; the kernel only keeps it */
};

/* --- messages ---------------------------------------------------------------------------- */

static void message(struct netlink_batch *b, const char *what, uint16_t type, uint16_t flags) {
    struct nfgenmsg header = { .nfgen_family = NFPROTO_INET, .version = NFNETLINK_V0 };
    netlink_message(
        b, what, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type), flags, &header, sizeof(header));
}

static void mark_transaction(struct netlink_batch *b, const char *what, uint16_t type) {
    struct nfgenmsg header = { .version = NFNETLINK_V0, .res_id = htons(NFNL_SUBSYS_NFTABLES) };
    netlink_message(b, what, type, 0, &header, sizeof(header));
}

void nft_begin(struct netlink_batch *b) {
    mark_transaction(b, "begin the firewall's transaction", NFNL_MSG_BATCH_BEGIN);
}

void nft_end(struct netlink_batch *b) {
    mark_transaction(b, "end the firewall's transaction", NFNL_MSG_BATCH_END);
}

void nft_table_add(struct netlink_batch *b, const char *table) {
    message(b, "add the firewall's table", NFT_MSG_NEWTABLE, NLM_F_CREATE);
    netlink_put_text(b, NFTA_TABLE_NAME, table);
    netlink_put_be32(b, NFTA_TABLE_FLAGS, 0);
}

void nft_table_remove(struct netlink_batch *b, const char *table) {
    message(b, "remove the firewall's table", NFT_MSG_DELTABLE, 0);
    netlink_put_text(b, NFTA_TABLE_NAME, table);
}

void nft_table_get(struct netlink_batch *b, const char *table) {
    message(b, "look for the firewall's table", NFT_MSG_GETTABLE, 0);
    netlink_put_text(b, NFTA_TABLE_NAME, table);
}

void nft_chain_add(struct netlink_batch *b, const char *table, const struct nft_chain *chain) {
    message(b, "add a chain", NFT_MSG_NEWCHAIN, NLM_F_CREATE);
    netlink_put_text(b, NFTA_CHAIN_TABLE, table);
    netlink_put_text(b, NFTA_CHAIN_NAME, chain->name);
    if (!chain->type) {
        return;
    }
    size_t hook = netlink_nest(b, NFTA_CHAIN_HOOK);
    netlink_put_be32(b, NFTA_HOOK_HOOKNUM, chain->hook);
    netlink_put_be32(b, NFTA_HOOK_PRIORITY, (uint32_t)chain->priority);
    netlink_nest_end(b, hook);
    netlink_put_be32(b, NFTA_CHAIN_POLICY, NF_ACCEPT);
    netlink_put_text(b, NFTA_CHAIN_TYPE, chain->type);
}

static void put_be64(struct netlink_batch *b, uint16_t type, uint64_t value) {
    value = htobe64(value);
    netlink_put(b, type, &value, sizeof(value));
}

void nft_set_add(struct netlink_batch *b, const char *table, const struct nft_set *set) {
    message(b, "add a set", NFT_MSG_NEWSET, NLM_F_CREATE);
    netlink_put_text(b, NFTA_SET_TABLE, table);
    netlink_put_text(b, NFTA_SET_NAME, set->name);
    netlink_put_be32(b, NFTA_SET_ID, set->id);
    netlink_put_be32(b, NFTA_SET_FLAGS, NFT_SET_EVAL | (set->timeout_ms ? NFT_SET_TIMEOUT : 0));
    netlink_put_be32(b, NFTA_SET_KEY_TYPE, KEY_TYPE_IPV4);
    netlink_put_be32(b, NFTA_SET_KEY_LEN, sizeof(struct in_addr));
    size_t desc = netlink_nest(b, NFTA_SET_DESC);
    netlink_put_be32(b, NFTA_SET_DESC_SIZE, set->size);
    netlink_nest_end(b, desc);
    if (set->timeout_ms) {
        put_be64(b, NFTA_SET_TIMEOUT, set->timeout_ms);
    }
}

struct nft_rule nft_rule_start(
    struct netlink_batch *b, const char *table, const char *chain, const char *what) {
    message(b, what, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
    netlink_put_text(b, NFTA_RULE_TABLE, table);
    netlink_put_text(b, NFTA_RULE_CHAIN, chain);
    return (struct nft_rule){ .batch = b, .expressions = netlink_nest(b, NFTA_RULE_EXPRESSIONS) };
}

void nft_rule_end(struct nft_rule *rule) {
    netlink_nest_end(rule->batch, rule->expressions);
}

/* --- expressions ------------------------------------------------------------------------- */

/* Marks of an open expression: the element of the rule's list, and its arguments. */
struct expression {
    struct netlink_batch *batch;
    size_t element;
    size_t data;
};

static struct expression start(struct nft_rule *rule, const char *name) {
    struct expression e = { .batch = rule->batch };
    e.element = netlink_nest(e.batch, NFTA_LIST_ELEM);
    netlink_put_text(e.batch, NFTA_EXPR_NAME, name);
    e.data = netlink_nest(e.batch, NFTA_EXPR_DATA);
    return e;
}

static void end(struct expression *e) {
    netlink_nest_end(e->batch, e->data);
    netlink_nest_end(e->batch, e->element);
}

static void put_value(struct netlink_batch *b, uint16_t type, const void *value, size_t len) {
    size_t nest = netlink_nest(b, type);
    netlink_put(b, NFTA_DATA_VALUE, value, len);
    netlink_nest_end(b, nest);
}

void nft_meta(struct nft_rule *rule, uint32_t key) {
    struct expression e = start(rule, "meta");
    netlink_put_be32(e.batch, NFTA_META_KEY, key);
    netlink_put_be32(e.batch, NFTA_META_DREG, NFT_REG_1);
    end(&e);
}

void nft_payload(struct nft_rule *rule, uint32_t base, uint32_t offset, uint32_t len) {
    struct expression e = start(rule, "payload");
    netlink_put_be32(e.batch, NFTA_PAYLOAD_DREG, NFT_REG_1);
    netlink_put_be32(e.batch, NFTA_PAYLOAD_BASE, base);
    netlink_put_be32(e.batch, NFTA_PAYLOAD_OFFSET, offset);
    netlink_put_be32(e.batch, NFTA_PAYLOAD_LEN, len);
    end(&e);
}

void nft_fib(struct nft_rule *rule, uint32_t result, uint32_t flags) {
    struct expression e = start(rule, "fib");
    netlink_put_be32(e.batch, NFTA_FIB_DREG, NFT_REG_1);
    netlink_put_be32(e.batch, NFTA_FIB_RESULT, result);
    netlink_put_be32(e.batch, NFTA_FIB_FLAGS, flags);
    end(&e);
}

void nft_ct(struct nft_rule *rule, uint32_t key) {
    struct expression e = start(rule, "ct");
    netlink_put_be32(e.batch, NFTA_CT_DREG, NFT_REG_1);
    netlink_put_be32(e.batch, NFTA_CT_KEY, key);
    end(&e);
}

void nft_mask(struct nft_rule *rule, const void *mask, size_t len) {
    static const unsigned char zero[16];
    struct expression e = start(rule, "bitwise");
    netlink_put_be32(e.batch, NFTA_BITWISE_SREG, NFT_REG_1);
    netlink_put_be32(e.batch, NFTA_BITWISE_DREG, NFT_REG_1);
    netlink_put_be32(e.batch, NFTA_BITWISE_LEN, (uint32_t)len);
    put_value(e.batch, NFTA_BITWISE_MASK, mask, len);
    put_value(e.batch, NFTA_BITWISE_XOR, zero, len);
    end(&e);
}

void nft_hton(struct nft_rule *rule, uint32_t len) {
    struct expression e = start(rule, "byteorder");
    netlink_put_be32(e.batch, NFTA_BYTEORDER_SREG, NFT_REG_1);
    netlink_put_be32(e.batch, NFTA_BYTEORDER_DREG, NFT_REG_1);
    netlink_put_be32(e.batch, NFTA_BYTEORDER_OP, NFT_BYTEORDER_HTON);
    netlink_put_be32(e.batch, NFTA_BYTEORDER_LEN, len);
    netlink_put_be32(e.batch, NFTA_BYTEORDER_SIZE, len);
    end(&e);
}

void nft_compare(struct nft_rule *rule, uint32_t op, const void *value, size_t len) {
    struct expression e = start(rule, "cmp");
    netlink_put_be32(e.batch, NFTA_CMP_SREG, NFT_REG_1);
    netlink_put_be32(e.batch, NFTA_CMP_OP, op);
    put_value(e.batch, NFTA_CMP_DATA, value, len);
    end(&e);
}

void nft_range(struct nft_rule *rule, uint32_t op, const void *from, const void *to, size_t len) {
    struct expression e = start(rule, "range");
    netlink_put_be32(e.batch, NFTA_RANGE_SREG, NFT_REG_1);
    netlink_put_be32(e.batch, NFTA_RANGE_OP, op);
    put_value(e.batch, NFTA_RANGE_FROM_DATA, from, len);
    put_value(e.batch, NFTA_RANGE_TO_DATA, to, len);
    end(&e);
}

/* What a set does with the address in the register; `arguments` of the counter follow. */
static struct expression start_dynset(
    struct nft_rule *rule, const struct nft_set *set, const char *counter, size_t *nest) {
    struct expression e = start(rule, "dynset");
    netlink_put_text(e.batch, NFTA_DYNSET_SET_NAME, set->name);
    netlink_put_be32(e.batch, NFTA_DYNSET_SET_ID, set->id);
    netlink_put_be32(
        e.batch, NFTA_DYNSET_OP, set->timeout_ms ? NFT_DYNSET_OP_UPDATE : NFT_DYNSET_OP_ADD);
    netlink_put_be32(e.batch, NFTA_DYNSET_SREG_KEY, NFT_REG_1);
    nest[0] = netlink_nest(e.batch, NFTA_DYNSET_EXPR);
    netlink_put_text(e.batch, NFTA_EXPR_NAME, counter);
    nest[1] = netlink_nest(e.batch, NFTA_EXPR_DATA);
    return e;
}

static void end_dynset(struct expression *e, const size_t *nest) {
    netlink_nest_end(e->batch, nest[1]);
    netlink_nest_end(e->batch, nest[0]);
    end(e);
}

void nft_connections_over(struct nft_rule *rule, const struct nft_set *set, uint32_t count) {
    size_t nest[2];
    struct expression e = start_dynset(rule, set, "connlimit", nest);
    netlink_put_be32(e.batch, NFTA_CONNLIMIT_COUNT, count);
    netlink_put_be32(e.batch, NFTA_CONNLIMIT_FLAGS, NFT_CONNLIMIT_F_INV);
    end_dynset(&e, nest);
}

void nft_rate_over(
    struct nft_rule *rule, const struct nft_set *set, uint32_t rate, uint32_t burst) {
    size_t nest[2];
    struct expression e = start_dynset(rule, set, "limit", nest);
    put_be64(e.batch, NFTA_LIMIT_RATE, rate);
    put_be64(e.batch, NFTA_LIMIT_UNIT, 1); /* seconds */
    netlink_put_be32(e.batch, NFTA_LIMIT_BURST, burst);
    netlink_put_be32(e.batch, NFTA_LIMIT_TYPE, NFT_LIMIT_PKTS);
    netlink_put_be32(e.batch, NFTA_LIMIT_FLAGS, NFT_LIMIT_F_INV);
    end_dynset(&e, nest);
}

void nft_verdict(struct nft_rule *rule, int code, const char *chain) {
    struct expression e = start(rule, "immediate");
    netlink_put_be32(e.batch, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
    size_t data = netlink_nest(e.batch, NFTA_IMMEDIATE_DATA);
    size_t verdict = netlink_nest(e.batch, NFTA_DATA_VERDICT);
    netlink_put_be32(e.batch, NFTA_VERDICT_CODE, (uint32_t)code);
    if (chain) {
        netlink_put_text(e.batch, NFTA_VERDICT_CHAIN, chain);
    }
    netlink_nest_end(e.batch, verdict);
    netlink_nest_end(e.batch, data);
    end(&e);
}

void nft_reject_reset(struct nft_rule *rule) {
    struct expression e = start(rule, "reject");
    netlink_put_be32(e.batch, NFTA_REJECT_TYPE, NFT_REJECT_TCP_RST);
    end(&e);
}

void nft_plain(struct nft_rule *rule, const char *name) {
    struct expression e = start(rule, name);
    end(&e);
}
