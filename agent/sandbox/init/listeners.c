/* The sockets that listen in this network namespace. SPDX-License-Identifier: Apache-2.0 */
#include "listeners.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum {
    CHUNK = 4096,
    SCAN_MAX = 64 << 10, /* bytes of a table that are read: 400 listeners, each of which the app has
                          * paid for with a notified call */
    STATE_LISTEN = 0x0A,
    WORD_DIGITS = 8,
};

static const char *const table_paths[LISTENERS_TABLES] = { "/proc/self/net/tcp",
    "/proc/self/net/tcp6" };
static const uint8_t table_families[LISTENERS_TABLES] = { 4, 6 };

void listeners_init(struct listeners *listeners) {
    memset(listeners, 0, sizeof *listeners);
    for (int i = 0; i < LISTENERS_TABLES; i++) {
        listeners->tables[i] = open(table_paths[i], O_RDONLY | O_CLOEXEC);
    }
}

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
    if (fd < 0 || lseek(fd, 0, SEEK_SET) < 0) {
        return;
    }
    while (seen < SCAN_MAX) {
        ssize_t n = read(fd, chunk + kept, sizeof chunk - kept);
        if (n <= 0) {
            return;
        }
        seen += (size_t)n;
        size_t len = kept + (size_t)n;
        const char *last = memrchr(chunk, '\n', len);
        if (!last) {
            return; /* no line of theirs is that long */
        }
        size_t whole = (size_t)(last - chunk) + 1;
        if (!listeners_parse(listeners, family, chunk, whole)) {
            return;
        }
        kept = len - whole;
        memmove(chunk, chunk + whole, kept);
    }
}

bool listeners_scan(struct listeners *listeners) {
    struct listeners before = *listeners;
    listeners->count = 0;
    memset(listeners->list, 0, sizeof listeners->list);
    for (int i = 0; i < LISTENERS_TABLES; i++) {
        scan_table(listeners, listeners->tables[i], table_families[i]);
    }
    return memcmp(&before, listeners, sizeof before) != 0;
}
