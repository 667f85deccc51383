/* The sockets that listen in this network namespace. SPDX-License-Identifier: Apache-2.0 */
#include "listeners.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CHUNK = 4096,
    SCAN_MAX = 64 << 10, /* bytes of a table that are read: 400 listeners, each of which the app has
                          * paid for with a notified call */
    LINE_MAX_BYTES = 256,
    STATE_LISTEN = 0x0A,
    WORD_DIGITS = 8,
    ANSWER_MAX = 16 << 10, /* bytes of one netlink answer; the kernel sends no longer ones */
};

static const char *const table_paths[LISTENERS_FAMILIES] = { "/proc/self/net/tcp",
    "/proc/self/net/tcp6" };
static const uint8_t family_numbers[LISTENERS_FAMILIES] = { 4, 6 };
static const uint8_t family_codes[LISTENERS_FAMILIES] = { AF_INET, AF_INET6 };

static void add(struct listeners *listeners, const struct init_listener *one) {
    uint32_t kept = listeners->count < INIT_LISTENERS_MAX ? listeners->count : INIT_LISTENERS_MAX;
    for (uint32_t i = 0; i < kept; i++) {
        if (memcmp(&listeners->list[i], one, sizeof *one) == 0) {
            return; /* several sockets may share an address */
        }
    }
    if (kept < INIT_LISTENERS_MAX) {
        listeners->list[kept] = *one;
    }
    listeners->count++;
}

/* ---- sock_diag ---------------------------------------------------------------------------- */

static int ask(int fd, uint8_t family) {
    struct {
        struct nlmsghdr head;
        struct inet_diag_req_v2 body;
    } request = { .head = { .nlmsg_len = sizeof request,
                      .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                      .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
        .body = { .sdiag_family = family,
            .sdiag_protocol = IPPROTO_TCP,
            .idiag_states = 1u << STATE_LISTEN } };
    return send(fd, &request, sizeof request, 0) == (ssize_t)sizeof request ? 0 : -1;
}

static void add_socket(
    struct listeners *listeners, uint8_t family, const struct inet_diag_msg *socket) {
    struct init_listener one = { .family = family, .port = ntohs(socket->id.idiag_sport) };
    memcpy(one.address, socket->id.idiag_src, family == 4 ? 4 : sizeof one.address);
    add(listeners, &one);
}

/* Reads the answer to the end: a dump that is left half read blocks the next one. */
static int scan_family(struct listeners *listeners, int index) {
    union {
        struct nlmsghdr head;
        char bytes[ANSWER_MAX];
    } answer;
    if (ask(listeners->diag, family_codes[index]) < 0) {
        return -1;
    }
    for (;;) {
        ssize_t n = recv(listeners->diag, &answer, sizeof answer, MSG_DONTWAIT);
        if (n <= 0) {
            return -1;
        }
        size_t left = (size_t)n;
        for (struct nlmsghdr *m = &answer.head; NLMSG_OK(m, left); m = NLMSG_NEXT(m, left)) {
            if (m->nlmsg_type == NLMSG_DONE) {
                return 0;
            }
            if (m->nlmsg_type != SOCK_DIAG_BY_FAMILY ||
                m->nlmsg_len < NLMSG_LENGTH(sizeof(struct inet_diag_msg))) {
                return -1; /* NLMSG_ERROR: this kernel has no such module */
            }
            add_socket(listeners, family_numbers[index], NLMSG_DATA(m));
        }
    }
}

/* ---- /proc -------------------------------------------------------------------------------- */

/* `digits` hexadecimal digits at *at, which is moved past them. False when there are fewer. */
static bool read_hex(const char **at, const char *end, int digits, uint32_t *value) {
    *value = 0;
    for (int i = 0; i < digits; i++, (*at)++) {
        if (*at >= end) {
            return false;
        }
        char c = **at;
        if (c >= '0' && c <= '9') {
            *value = *value << 4 | (uint32_t)(c - '0');
        } else if (c >= 'A' && c <= 'F') {
            *value = *value << 4 | (uint32_t)(c - 'A' + 10);
        } else {
            return false;
        }
    }
    return true;
}

static bool skip(const char **at, const char *end, char c) {
    return *at < end && *(*at)++ == c;
}

/* "  12: ADDRESS:PORT ADDRESS:PORT STATE …": address words are in host order. */
static bool parse_line(
    const char *at, const char *end, uint8_t family, struct init_listener *out, uint32_t *state) {
    int words = family == 6 ? 4 : 1;
    uint32_t word, port;
    memset(out, 0, sizeof *out);
    out->family = family;
    const char *colon = memchr(at, ':', (size_t)(end - at));
    if (!colon) {
        return false;
    }
    at = colon + 1;
    if (!skip(&at, end, ' ')) {
        return false;
    }
    for (int i = 0; i < words; i++) {
        if (!read_hex(&at, end, WORD_DIGITS, &word)) {
            return false;
        }
        memcpy(out->address + i * sizeof word, &word, sizeof word);
    }
    if (!skip(&at, end, ':') || !read_hex(&at, end, 4, &port) || !skip(&at, end, ' ')) {
        return false;
    }
    out->port = (uint16_t)port;
    at += words * WORD_DIGITS + 5; /* the peer's, and its port */
    return skip(&at, end, ' ') && read_hex(&at, end, 2, state);
}

bool listeners_parse(struct listeners *listeners, uint8_t family, const char *text, size_t len) {
    const char *end = text + len;
    while (text < end) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        const char *stop = newline ? newline : end;
        struct init_listener one;
        uint32_t state;
        if (parse_line(text, stop, family, &one, &state)) {
            if (state != STATE_LISTEN) {
                return false;
            }
            add(listeners, &one);
        }
        text = stop + (newline ? 1 : 0);
    }
    return true;
}

static void scan_table(struct listeners *listeners, int fd, uint8_t family) {
    char chunk[CHUNK];
    size_t kept = 0, seen = 0;
    bool more = fd >= 0 && lseek(fd, 0, SEEK_SET) == 0;
    while (more && seen < SCAN_MAX) {
        ssize_t n = read(fd, chunk + kept, sizeof chunk - kept);
        if (n <= 0) {
            return;
        }
        seen += (size_t)n;
        size_t len = kept + (size_t)n;
        const char *last = memrchr(chunk, '\n', len);
        size_t whole = last ? (size_t)(last - chunk) + 1 : 0; /* no line of theirs is that long */
        more = whole && listeners_parse(listeners, family, chunk, whole) &&
               len + LINE_MAX_BYTES > sizeof chunk; /* else it had no more to give */
        kept = len - whole;
        memmove(chunk, chunk + whole, kept);
    }
}

/* ---- both --------------------------------------------------------------------------------- */

void listeners_init(struct listeners *listeners) {
    memset(listeners, 0, sizeof *listeners);
    listeners->diag = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    for (int i = 0; i < LISTENERS_FAMILIES; i++) {
        listeners->tables[i] = open(table_paths[i], O_RDONLY | O_CLOEXEC);
    }
}

static void forget(struct listeners *listeners) {
    listeners->count = 0;
    memset(listeners->list, 0, sizeof listeners->list);
}

bool listeners_scan(struct listeners *listeners) {
    struct listeners before = *listeners;
    forget(listeners);
    if (listeners->diag >= 0 && scan_family(listeners, 0) == 0 && scan_family(listeners, 1) == 0) {
        return memcmp(&before, listeners, sizeof before) != 0;
    }
    forget(listeners);
    if (listeners->diag >= 0) {
        close(listeners->diag); /* it won't learn */
        before.diag = listeners->diag = -1;
    }
    for (int i = 0; i < LISTENERS_FAMILIES; i++) {
        scan_table(listeners, listeners->tables[i], family_numbers[i]);
    }
    return memcmp(&before, listeners, sizeof before) != 0;
}
