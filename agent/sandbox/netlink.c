/* Netlink batches: built, sent, answered. SPDX-License-Identifier: Apache-2.0 */
#include "netlink.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    ANSWER_BYTES = 8 * 1024, /* errors, or one thing in all its attributes */
    /* The kernel fills the parts of a dump up to the reader's buffer, at most 32 KiB. */
    DUMP_BYTES = 32 * 1024,
};

int netlink_open(struct netlink *nl, int protocol, struct err *err) {
    *nl = (struct netlink){ .fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol) };
    if (nl->fd < 0) {
        return err_sys(err, errno, "open a netlink socket");
    }
    /* Words beside errno, and answers without a copy of the request. Both only help: a kernel that
     * refuses them still works. */
    const int on = 1;
    (void)setsockopt(nl->fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
    (void)setsockopt(nl->fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
    return 0;
}

void netlink_close(struct netlink *nl) {
    if (nl->fd >= 0) {
        close(nl->fd);
    }
    nl->fd = -1;
}

int netlink_namespace(const struct netlink *nl, struct err *err) {
    int fd = ioctl(nl->fd, SIOCGSKNS);
    return fd < 0 ? err_sys(err, errno, "get the network namespace of a socket") : fd;
}

void netlink_reset(struct netlink_batch *b) {
    b->len = 0;
    b->open = 0;
    b->count = 0;
    b->full = false;
}

/* Room for `len` bytes at the end, zeroed with their padding; NULL when the batch is full. */
static void *append(struct netlink_batch *b, size_t len) {
    size_t padded = NLA_ALIGN(len);
    if (b->full || padded > sizeof(b->bytes) - b->len) {
        b->full = true;
        return NULL;
    }
    void *at = b->bytes + b->len;
    memset(at, 0, padded);
    b->len += padded;
    return at;
}

/* The message under construction now ends where the batch ends. */
static void grow_message(struct netlink_batch *b) {
    struct nlmsghdr *message = (struct nlmsghdr *)(b->bytes + b->open);
    message->nlmsg_len = (uint32_t)(b->len - b->open);
}

void netlink_message(struct netlink_batch *b, const char *what, uint16_t type, uint16_t flags,
    const void *header, size_t header_len) {
    if (b->count == NETLINK_BATCH_MESSAGES) {
        b->full = true;
        return;
    }
    size_t start = b->len;
    struct nlmsghdr *message = append(b, sizeof(*message));
    if (!message) {
        return;
    }
    *message = (struct nlmsghdr){ .nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST | flags };
    b->open = start;
    b->what[b->count++] = what;
    netlink_raw(b, header, header_len);
}

void netlink_raw(struct netlink_batch *b, const void *data, size_t len) {
    void *at = append(b, len);
    if (!at) {
        return;
    }
    if (len > 0) {
        memcpy(at, data, len);
    }
    grow_message(b);
}

void netlink_put(struct netlink_batch *b, uint16_t type, const void *data, size_t len) {
    assert(b->count > 0 || b->full);
    struct nlattr *attr = append(b, NLA_HDRLEN + len);
    if (!attr) {
        return;
    }
    *attr = (struct nlattr){ .nla_len = (uint16_t)(NLA_HDRLEN + len), .nla_type = type };
    if (len > 0) {
        memcpy((char *)attr + NLA_HDRLEN, data, len);
    }
    grow_message(b);
}

void netlink_put_u8(struct netlink_batch *b, uint16_t type, uint8_t value) {
    netlink_put(b, type, &value, sizeof(value));
}

void netlink_put_u32(struct netlink_batch *b, uint16_t type, uint32_t value) {
    netlink_put(b, type, &value, sizeof(value));
}

void netlink_put_be32(struct netlink_batch *b, uint16_t type, uint32_t value) {
    netlink_put_u32(b, type, htonl(value));
}

void netlink_put_text(struct netlink_batch *b, uint16_t type, const char *text) {
    netlink_put(b, type, text, strlen(text) + 1);
}

size_t netlink_nest(struct netlink_batch *b, uint16_t type) {
    size_t mark = b->len;
    netlink_put(b, type | NLA_F_NESTED, NULL, 0);
    return mark;
}

void netlink_nest_end(struct netlink_batch *b, size_t mark) {
    if (b->full) {
        return;
    }
    struct nlattr *attr = (struct nlattr *)(b->bytes + mark);
    attr->nla_len = (uint16_t)(b->len - mark);
}

const struct nlattr *netlink_find(const void *attrs, size_t len, uint16_t type, size_t min) {
    const char *at = attrs;
    while (len >= NLA_HDRLEN) {
        const struct nlattr *attr = (const struct nlattr *)at;
        if (attr->nla_len < NLA_HDRLEN || attr->nla_len > len) {
            return NULL;
        }
        if ((attr->nla_type & NLA_TYPE_MASK) == type && attr->nla_len >= NLA_HDRLEN + min) {
            return attr;
        }
        size_t step = NLA_ALIGN(attr->nla_len);
        if (step >= len) {
            return NULL;
        }
        at += step;
        len -= step;
    }
    return NULL;
}

/* Numbers the messages from `first` on and asks for an acknowledgement of the last one that the
 * kernel acknowledges; returns that one's number. */
static uint32_t number_messages(struct netlink_batch *b, uint32_t first) {
    struct nlmsghdr *last = NULL;
    uint32_t seq = first;
    for (size_t at = 0; at < b->len;) {
        struct nlmsghdr *message = (struct nlmsghdr *)(b->bytes + at);
        message->nlmsg_seq = seq++;
        if (message->nlmsg_type != NFNL_MSG_BATCH_END) {
            last = message;
        }
        at += NLMSG_ALIGN(message->nlmsg_len);
    }
    assert(last);
    last->nlmsg_flags |= NLM_F_ACK;
    return last->nlmsg_seq;
}

static int transmit(struct netlink *nl, struct netlink_batch *b, struct err *err) {
    if (b->full || b->count == 0) {
        return err_set(err, ERR_INTERNAL, "netlink batch: %u messages do not fit", b->count);
    }
    nl->seq += b->count;
    struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
    ssize_t sent;
    do {
        sent = sendto(nl->fd, b->bytes, b->len, 0, (struct sockaddr *)&kernel, sizeof(kernel));
    } while (sent < 0 && errno == EINTR);
    if (sent < 0) {
        return err_sys(err, errno, "netlink: %s", b->what[0]);
    }
    return 0;
}

/* Reads what is there. Returns the length, or 0 when nothing is left, or -1 with *err. */
static ssize_t receive(struct netlink *nl, char *bytes, size_t size, struct err *err) {
    struct sockaddr_nl from = { 0 };
    struct iovec iov = { .iov_base = bytes, .iov_len = size };
    struct msghdr header = { .msg_name = &from, .msg_iov = &iov, .msg_iovlen = 1 };
    for (;;) {
        header.msg_namelen = sizeof(from);
        ssize_t len = recvmsg(nl->fd, &header, MSG_DONTWAIT);
        if (len < 0 && errno == EINTR) {
            continue;
        }
        if (len < 0) {
            return errno == EAGAIN ? 0 : err_sys(err, errno, "read a netlink answer");
        }
        if (from.nl_pid == 0) { /* only the kernel's word counts */
            return len;
        }
    }
}

/* The kernel's explanation beside an errno, or NULL. */
static const char *explanation(const struct nlmsghdr *message) {
    const struct nlmsgerr *answer = NLMSG_DATA(message);
    size_t skip = sizeof(*answer);
    if (!(message->nlmsg_flags & NLM_F_ACK_TLVS)) {
        return NULL;
    }
    if (!(message->nlmsg_flags & NLM_F_CAPPED)) {
        skip += answer->msg.nlmsg_len - NLMSG_HDRLEN;
    }
    size_t len = message->nlmsg_len - NLMSG_HDRLEN;
    if (skip >= len) {
        return NULL;
    }
    const struct nlattr *text =
        netlink_find((const char *)answer + NLMSG_ALIGN(skip), len - skip, NLMSGERR_ATTR_MSG, 1);
    if (!text || ((const char *)text)[text->nla_len - 1] != '\0') {
        return NULL;
    }
    return (const char *)text + NLA_HDRLEN;
}

/* Fills *err from a refused message. */
static int refused(const struct netlink_batch *b, uint32_t first, const struct nlmsghdr *message,
    struct err *err) {
    const struct nlmsgerr *answer = NLMSG_DATA(message);
    uint32_t index = message->nlmsg_seq - first;
    const char *what = index < b->count ? b->what[index] : b->what[0];
    const char *why = explanation(message);
    return why ? err_sys(err, -answer->error, "netlink: %s (%s)", what, why)
               : err_sys(err, -answer->error, "netlink: %s", what);
}

/* Whether an answer belongs to the batch whose first message has number `first`. */
static bool belongs(const struct netlink_batch *b, uint32_t first, const struct nlmsghdr *message) {
    return message->nlmsg_seq - first < b->count;
}

/* Whether a message is the kernel's yes or no to one of the batch. */
static bool is_verdict(const struct nlmsghdr *message) {
    return message->nlmsg_type == NLMSG_ERROR &&
           message->nlmsg_len >= NLMSG_LENGTH(sizeof(struct nlmsgerr));
}

int netlink_ask(
    struct netlink *nl, struct netlink_batch *b, netlink_each each, void *arg, struct err *err) {
    uint32_t first = nl->seq + 1;
    uint32_t last = b->full || b->count == 0 ? 0 : number_messages(b, first);
    if (transmit(nl, b, err) != 0) {
        return -1;
    }
    /* Read all that is there, so that nothing is left for the next call. */
    _Alignas(struct nlmsghdr) char bytes[ANSWER_BYTES];
    bool failed = false;
    bool done = false;
    ssize_t len;
    while ((len = receive(nl, bytes, sizeof(bytes), failed ? NULL : err)) > 0) {
        for (struct nlmsghdr *m = (struct nlmsghdr *)bytes; NLMSG_OK(m, len);
             m = NLMSG_NEXT(m, len)) {
            if (!belongs(b, first, m)) {
                continue;
            }
            if (!is_verdict(m)) {
                each = each && each(arg, m) == 0 ? each : NULL;
            } else if (((struct nlmsgerr *)NLMSG_DATA(m))->error == 0) {
                done |= m->nlmsg_seq == last;
            } else if (!failed) {
                refused(b, first, m, err);
                failed = true;
            }
        }
    }
    if (failed || len < 0) {
        return -1;
    }
    return done ? 0 : err_set(err, ERR_INTERNAL, "netlink: %s: no answer", b->what[0]);
}

int netlink_send(struct netlink *nl, struct netlink_batch *b, struct err *err) {
    return netlink_ask(nl, b, NULL, NULL, err);
}

int netlink_dump(
    struct netlink *nl, struct netlink_batch *b, netlink_each each, void *arg, struct err *err) {
    uint32_t first = nl->seq + 1;
    if (!b->full && b->count == 1) {
        ((struct nlmsghdr *)b->bytes)->nlmsg_seq = first;
        ((struct nlmsghdr *)b->bytes)->nlmsg_flags |= NLM_F_DUMP;
    }
    if (transmit(nl, b, err) != 0) {
        return -1;
    }
    _Alignas(struct nlmsghdr) char bytes[DUMP_BYTES];
    int result = 0;
    ssize_t len;
    while ((len = receive(nl, bytes, sizeof(bytes), err)) > 0) {
        for (struct nlmsghdr *m = (struct nlmsghdr *)bytes; NLMSG_OK(m, len);
             m = NLMSG_NEXT(m, len)) {
            if (!belongs(b, first, m)) {
                continue;
            }
            if (m->nlmsg_type == NLMSG_DONE) {
                return result;
            }
            if (m->nlmsg_type == NLMSG_ERROR) {
                return refused(b, first, m, err);
            }
            /* After a stop the rest is still read, so that nothing is left for the next call. */
            result = result == 0 ? each(arg, m) : result;
        }
    }
    return len < 0 ? -1 : err_set(err, ERR_INTERNAL, "netlink: %s: cut short", b->what[0]);
}
