/* Netlink: messages built into one fixed buffer, sent together, answered together.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A batch holds one or more requests that go to the kernel with one sendmsg(2). The kernel works
 * through them before sendmsg returns, so every answer is there to be read at once and no call in
 * this file ever waits. Used for rtnetlink (netns.c) and for nftables (firewall.c).
 */
#ifndef SANDBOX_NETLINK_H
#define SANDBOX_NETLINK_H

#include <paas/err.h>

#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    NETLINK_BATCH_BYTES = 64 * 1024, /* the firewall's batch needs up to a half */
    NETLINK_BATCH_MESSAGES = 128,    /* likewise */
};

/* A netlink socket. It belongs to the network namespace in which it was opened, whatever namespace
 * the caller enters later. */
struct netlink {
    int fd;       /* -1 when closed */
    uint32_t seq; /* of the last message sent */
};

/* Requests under construction. About 65 KB: keep it off the stack. Appending past the end sets
 * `full`, which netlink_send reports: a writer may append many times and check once. */
struct netlink_batch {
    size_t len;                               /* bytes used */
    size_t open;                              /* offset of the message that is being built */
    unsigned count;                           /* messages */
    bool full;                                /* something did not fit */
    const char *what[NETLINK_BATCH_MESSAGES]; /* each message in words, for errors; static text */
    _Alignas(struct nlmsghdr) char bytes[NETLINK_BATCH_BYTES];
};

/* Opens a socket of `protocol` (NETLINK_ROUTE, NETLINK_NETFILTER) in the calling thread's network
 * namespace. 0 or -1 with *err. */
int netlink_open(struct netlink *nl, int protocol, struct err *err);
/* Closes it; harmless when already closed. */
void netlink_close(struct netlink *nl);

/* The network namespace the socket belongs to, as a descriptor for setns(2) that the caller closes;
 * -1 with *err. Needs no /proc. */
int netlink_namespace(const struct netlink *nl, struct err *err);

/* Empties a batch. */
void netlink_reset(struct netlink_batch *b);
/* Starts the next message: `what` in words ("add the host's route"), its type, NLM_F_ flags beside
 * NLM_F_REQUEST, and the fixed header (ifinfomsg, rtmsg, nfgenmsg, …) that follows. */
void netlink_message(struct netlink_batch *b, const char *what, uint16_t type, uint16_t flags,
    const void *header, size_t header_len);
/* Appends one attribute to the message. The 32-bit forms write host and network byte order; text is
 * written with its NUL. */
void netlink_put(struct netlink_batch *b, uint16_t type, const void *data, size_t len);
void netlink_put_u8(struct netlink_batch *b, uint16_t type, uint8_t value);
void netlink_put_u32(struct netlink_batch *b, uint16_t type, uint32_t value);
void netlink_put_be32(struct netlink_batch *b, uint16_t type, uint32_t value);
void netlink_put_text(struct netlink_batch *b, uint16_t type, const char *text);
/* Opens a nested attribute and returns its mark for netlink_nest_end. */
size_t netlink_nest(struct netlink_batch *b, uint16_t type);
void netlink_nest_end(struct netlink_batch *b, size_t mark);
/* Appends bytes without an attribute header, padded (the ifinfomsg inside VETH_INFO_PEER). */
void netlink_raw(struct netlink_batch *b, const void *data, size_t len);

/* Sends the batch and reads the answers. Returns 0 when every message was carried out; else -1 with
 * *err: the first refused message in words, its errno in err->sys, and the kernel's own explanation
 * where it gave one. Messages of rtnetlink are independent, so later ones may have been carried
 * out; a batch of nftables is all or nothing.
 *
 * The last message carries NLM_F_ACK. A batch of nftables ends in NFNL_MSG_BATCH_END, which old
 * kernels do not acknowledge: there the message before it carries the flag. */
int netlink_send(struct netlink *nl, struct netlink_batch *b, struct err *err);

/* Called for each message of an answer. Return 0 to go on. */
typedef int (*netlink_each)(void *arg, const struct nlmsghdr *message);
/* As netlink_send for a batch that asks: `each` gets what the kernel tells before it acknowledges.
 * What `each` returns only ends the calls to it. */
int netlink_ask(
    struct netlink *nl, struct netlink_batch *b, netlink_each each, void *arg, struct err *err);
/* Sends the batch, which is one dump request, and hands over each answer until the end or until
 * `each` returns other than 0, which is returned. -1 with *err when the dump failed. */
int netlink_dump(
    struct netlink *nl, struct netlink_batch *b, netlink_each each, void *arg, struct err *err);

/* Finds attribute `type` in `len` bytes of attributes at `attrs`; NULL when it is not there or is
 * shorter than `min` bytes of data. The data follows the header (NLA_HDRLEN). */
const struct nlattr *netlink_find(const void *attrs, size_t len, uint16_t type, size_t min);

#endif
