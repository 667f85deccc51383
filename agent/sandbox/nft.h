/* nftables as netlink messages: tables, chains, sets, and the expressions of a rule.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Every expression loads into, changes or compares the one register that all rules here use, as the
 * kernel evaluates a rule from left to right and stops at the first comparison that fails.
 */
#ifndef SANDBOX_NFT_H
#define SANDBOX_NFT_H

#include "netlink.h"

#include <linux/netfilter/nf_tables.h>

/* A chain. `type` NULL makes one that is only jumped to. */
struct nft_chain {
    const char *name;
    const char *type; /* "filter", "nat" */
    unsigned hook;    /* NF_INET_… */
    int priority;
};

/* A set of IPv4 addresses that rules fill themselves, with something counted for each. */
struct nft_set {
    const char *name;
    uint32_t id;         /* its number in this transaction */
    uint32_t size;       /* elements at most */
    uint64_t timeout_ms; /* an element unused for so long goes; 0 for never */
};

/* A transaction: what lies between is carried out wholly or not at all. */
void nft_begin(struct netlink_batch *b);
void nft_end(struct netlink_batch *b);

void nft_table_add(struct netlink_batch *b, const char *table);
void nft_table_remove(struct netlink_batch *b, const char *table);
/* A question rather than a change: not inside a transaction. Fails with ENOENT when not there. */
void nft_table_get(struct netlink_batch *b, const char *table);
/* A base chain accepts what its rules say nothing about. */
void nft_chain_add(struct netlink_batch *b, const char *table, const struct nft_chain *chain);
void nft_set_add(struct netlink_batch *b, const char *table, const struct nft_set *set);

/* A rule being written: expressions go between start and end. */
struct nft_rule {
    struct netlink_batch *batch;
    size_t expressions; /* mark of the open list */
};

/* Starts a rule at the end of `chain`; `what` is static text for errors. */
struct nft_rule nft_rule_start(
    struct netlink_batch *b, const char *table, const char *chain, const char *what);
void nft_rule_end(struct nft_rule *rule);

/* Loads. */
void nft_meta(struct nft_rule *rule, uint32_t key);
void nft_payload(struct nft_rule *rule, uint32_t base, uint32_t offset, uint32_t len);
void nft_fib(struct nft_rule *rule, uint32_t result, uint32_t flags);
void nft_ct(struct nft_rule *rule, uint32_t key);
/* Changes: keeps the bits of the mask; turns host into network byte order, in which ranges are. */
void nft_mask(struct nft_rule *rule, const void *mask, size_t len);
void nft_hton(struct nft_rule *rule, uint32_t len);
/* Comparisons: the rule goes on when `op` (NFT_CMP_…, NFT_RANGE_…) holds. */
void nft_compare(struct nft_rule *rule, uint32_t op, const void *value, size_t len);
void nft_range(struct nft_rule *rule, uint32_t op, const void *from, const void *to, size_t len);
/* Go on only when the address in the register has more than `count` tracked connections, or asks
 * for more than `rate` a second after `burst` at once; both remember it in the set. */
void nft_connections_over(struct nft_rule *rule, const struct nft_set *set, uint32_t count);
void nft_rate_over(struct nft_rule *rule, const struct nft_set *set, uint32_t rate, uint32_t burst);
/* Ends. `chain` for NFT_GOTO and NFT_JUMP, else NULL. */
void nft_verdict(struct nft_rule *rule, int code, const char *chain);
void nft_reject_reset(struct nft_rule *rule);
/* "notrack", "masq": expressions without arguments. */
void nft_plain(struct nft_rule *rule, const char *name);

#endif
