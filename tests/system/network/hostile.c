/* A program that tries what an instance must not reach, and one that answers when reached.
 * SPDX-License-Identifier: Apache-2.0
 *
 *   hostile try TARGET…     TARGET: tcp:ADDRESS:PORT, udp:ADDRESS:PORT, icmp:ADDRESS
 *   hostile later PORT TARGET…   as `try`, once somebody has connected to the port
 *   hostile serve ADDRESS:PORT…
 *   hostile spoof SOURCE ADDRESS:PORT
 *   hostile resolve NAME
 *   hostile nameserver SERVER ADDRESS
 *
 * `try` prints "TARGET VERDICT" for each, all tried at once and waited for two seconds in all:
 *   connected  answered  refused (by reset or ICMP)  unreachable  denied (no such socket)  silent
 * `serve` answers TCP and UDP with "hello", prints "ready" once it listens, and a line for every
 * UDP packet with its source. `spoof` sends one UDP packet with a source address of its choice.
 * `resolve` prints the address of a name as the C library finds it. `nameserver` says on port 53 of
 * SERVER that every name has this ADDRESS.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    TARGETS_MAX = 128,
    WAIT_MS =
        2000, /* enough for a local answer on a busy machine; a lost SYN is sent again at 1 s */
    TEXT_MAX = 64,
    BACKLOG = 1024, /* a flood of connections waits here */
    ECHO_REQUEST = 8,
    ECHO_REPLY = 0,
    IP_HEADER = 20,
    UDP_HEADER = 8,
    DNS_HEADER = 12,
};

struct target {
    const char *text;
    char kind[8];
    struct sockaddr_in address;
    const char *verdict; /* NULL while it is open */
};

static long now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000L + t.tv_nsec / 1000000L;
}

static void fail(const char *what) {
    fprintf(stderr, "hostile: %s: %s\n", what, strerror(errno));
    exit(2);
}

/* Reads "ADDRESS[:PORT]". */
static struct sockaddr_in parse_address(const char *text) {
    struct sockaddr_in a = { .sin_family = AF_INET };
    char host[TEXT_MAX];
    snprintf(host, sizeof(host), "%s", text);
    char *colon = strchr(host, ':');
    if (colon) {
        *colon = '\0';
        a.sin_port = htons((uint16_t)atoi(colon + 1));
    }
    if (inet_pton(AF_INET, host, &a.sin_addr) != 1) {
        errno = EINVAL;
        fail(text);
    }
    return a;
}

static uint16_t checksum(const void *bytes, size_t len) {
    const uint8_t *p = bytes;
    uint32_t sum = 0;
    for (size_t i = 0; i + 1 < len; i += 2) {
        sum += (uint32_t)p[i] << 8 | p[i + 1];
    }
    while (sum >> 16) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return htons((uint16_t)~sum);
}

static const char *verdict_of(int error) {
    switch (error) {
    case ECONNREFUSED:
    case ECONNRESET:
        return "refused";
    case EHOSTUNREACH:
    case ENETUNREACH:
        return "unreachable";
    case EPERM:
    case EACCES:
    case EAFNOSUPPORT:
    case EPROTONOSUPPORT:
        return "denied";
    default:
        return strerror(error);
    }
}

/* --- try --------------------------------------------------------------------------------- */

static int start_icmp(const struct target *t) {
    int fd = socket(AF_INET, SOCK_RAW | SOCK_NONBLOCK, IPPROTO_ICMP);
    if (fd < 0) {
        fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, IPPROTO_ICMP);
    }
    if (fd < 0 || connect(fd, (const struct sockaddr *)&t->address, sizeof(t->address)) != 0) {
        return -1;
    }
    uint8_t echo[16] = { ECHO_REQUEST, 0, 0, 0, 'p', 'a', 0, 1 };
    uint16_t sum = checksum(echo, sizeof(echo));
    memcpy(echo + 2, &sum, sizeof(sum));
    return send(fd, echo, sizeof(echo), 0) < 0 ? -1 : fd;
}

static int start_target(struct target *t) {
    if (strcmp(t->kind, "icmp") == 0) {
        return start_icmp(t);
    }
    int type = strcmp(t->kind, "tcp") == 0 ? SOCK_STREAM : SOCK_DGRAM;
    int fd = socket(AF_INET, type | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -1;
    }
    int failed = connect(fd, (struct sockaddr *)&t->address, sizeof(t->address));
    if (failed && errno != EINPROGRESS) {
        return -1;
    }
    if (type == SOCK_DGRAM && send(fd, "hello", 5, 0) < 0) {
        return -1;
    }
    return fd;
}

/* Something happened on the target's socket: what does it mean? */
static void judge(struct target *t, int fd) {
    if (strcmp(t->kind, "tcp") == 0) {
        int error = 0;
        socklen_t len = sizeof(error);
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
        t->verdict = error == 0 ? "connected" : verdict_of(error);
        return;
    }
    uint8_t answer[256];
    ssize_t len = recv(fd, answer, sizeof(answer), 0);
    if (len < 0) {
        t->verdict = errno == EAGAIN ? NULL : verdict_of(errno);
        return;
    }
    size_t skip = strcmp(t->kind, "icmp") == 0 && len > IP_HEADER && answer[0] >> 4 == 4
                      ? (size_t)(answer[0] & 15) * 4
                      : 0;
    if (strcmp(t->kind, "udp") == 0 || ((size_t)len > skip && answer[skip] == ECHO_REPLY)) {
        t->verdict = "answered";
    }
}

static int try_all(int count, char **texts) {
    static struct target targets[TARGETS_MAX];
    static struct pollfd polls[TARGETS_MAX];
    if (count > TARGETS_MAX) {
        errno = E2BIG;
        fail("targets");
    }
    for (int i = 0; i < count; i++) {
        struct target *t = &targets[i];
        t->text = texts[i];
        const char *colon = strchr(texts[i], ':');
        if (!colon || (size_t)(colon - texts[i]) >= sizeof(t->kind)) {
            errno = EINVAL;
            fail(texts[i]);
        }
        memcpy(t->kind, texts[i], (size_t)(colon - texts[i]));
        t->address = parse_address(colon + 1);
        int fd = start_target(t);
        if (fd < 0) {
            t->verdict = verdict_of(errno);
        }
        polls[i] =
            (struct pollfd){ .fd = fd, .events = strcmp(t->kind, "tcp") == 0 ? POLLOUT : POLLIN };
    }
    long deadline = now_ms() + WAIT_MS;
    for (long left = WAIT_MS; left > 0; left = deadline - now_ms()) {
        if (poll(polls, (nfds_t)count, (int)left) <= 0) {
            break;
        }
        for (int i = 0; i < count; i++) {
            if (polls[i].fd >= 0 && polls[i].revents) {
                judge(&targets[i], polls[i].fd);
                polls[i].fd = targets[i].verdict ? -1 : polls[i].fd;
            }
        }
    }
    for (int i = 0; i < count; i++) {
        printf("%s %s\n", targets[i].text, targets[i].verdict ? targets[i].verdict : "silent");
    }
    return 0;
}

/* --- serve ------------------------------------------------------------------------------- */

static int bound_socket(const char *text, int type) {
    struct sockaddr_in a = parse_address(text);
    int on = 1;
    int fd = socket(AF_INET, type, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        bind(fd, (struct sockaddr *)&a, sizeof(a)) != 0 ||
        (type == SOCK_STREAM && listen(fd, BACKLOG) != 0)) {
        fail(text);
    }
    return fd;
}

static _Noreturn void serve(int count, char **texts) {
    static struct pollfd polls[TARGETS_MAX];
    if (count * 2 > TARGETS_MAX) {
        errno = E2BIG;
        fail("addresses");
    }
    for (int i = 0; i < count; i++) {
        polls[2 * i] = (struct pollfd){ bound_socket(texts[i], SOCK_STREAM), POLLIN, 0 };
        polls[2 * i + 1] = (struct pollfd){ bound_socket(texts[i], SOCK_DGRAM), POLLIN, 0 };
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    puts("ready");
    for (;;) {
        if (poll(polls, (nfds_t)count * 2, -1) < 0) {
            fail("poll");
        }
        for (int i = 0; i < count * 2; i++) {
            if (!polls[i].revents) {
                continue;
            }
            if (i % 2 == 0) {
                int client = accept(polls[i].fd, NULL, NULL);
                (void)!write(client, "hello\n", 6);
                close(client);
                continue;
            }
            char packet[256];
            struct sockaddr_in from;
            socklen_t from_len = sizeof(from);
            ssize_t len =
                recvfrom(polls[i].fd, packet, sizeof(packet), 0, (void *)&from, &from_len);
            if (len >= 0) {
                printf("udp from %s\n", inet_ntoa(from.sin_addr));
                sendto(polls[i].fd, packet, (size_t)len, 0, (void *)&from, from_len);
            }
        }
    }
}

/* --- later ------------------------------------------------------------------------------- */

static int try_later(const char *port, int count, char **texts) {
    char text[TEXT_MAX];
    snprintf(text, sizeof(text), "0.0.0.0:%s", port);
    int listener = bound_socket(text, SOCK_STREAM);
    if (accept(listener, NULL, NULL) < 0) {
        fail("accept");
    }
    return try_all(count, texts);
}

/* --- spoof ------------------------------------------------------------------------------- */

static int spoof(const char *source, const char *target) {
    struct sockaddr_in from = parse_address(source);
    struct sockaddr_in to = parse_address(target);
    int fd = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
    if (fd < 0) {
        puts("denied");
        return 0;
    }
    uint8_t packet[IP_HEADER + UDP_HEADER + 4] = { 0x45, 0, 0, sizeof(packet), 0, 0, 0, 0, 64,
        IPPROTO_UDP };
    memcpy(packet + 12, &from.sin_addr, 4);
    memcpy(packet + 16, &to.sin_addr, 4);
    packet[IP_HEADER + 1] = 9; /* source port */
    memcpy(packet + IP_HEADER + 2, &to.sin_port, 2);
    packet[IP_HEADER + 5] = UDP_HEADER + 4;
    if (sendto(fd, packet, sizeof(packet), 0, (struct sockaddr *)&to, sizeof(to)) < 0) {
        fail("send");
    }
    puts("sent");
    return 0;
}

/* --- names ------------------------------------------------------------------------------- */

static int resolve(const char *name) {
    struct addrinfo *found = NULL;
    struct addrinfo hints = { .ai_family = AF_INET, .ai_socktype = SOCK_STREAM };
    int failed = getaddrinfo(name, NULL, &hints, &found);
    if (failed) {
        printf("%s\n", gai_strerror(failed));
        return 1;
    }
    puts(inet_ntoa(((struct sockaddr_in *)found->ai_addr)->sin_addr));
    freeaddrinfo(found);
    return 0;
}

/* Answers one question in place: an A record for A, nothing for other types. Returns its length. */
static size_t answer_name(uint8_t *m, size_t len, struct in_addr address) {
    static const uint8_t record[] = { 0xc0, DNS_HEADER, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4 };
    size_t at = DNS_HEADER;
    while (at < len && m[at] != 0) {
        at += 1u + m[at];
    }
    at += 5; /* the root, type, class */
    if (at > len) {
        return 0;
    }
    int is_a = m[at - 4] == 0 && m[at - 3] == 1;
    m[2] = 0x81;
    m[3] = 0x80;
    memset(m + 6, 0, 6);
    if (is_a) {
        m[7] = 1;
        memcpy(m + at, record, sizeof(record));
        memcpy(m + at + sizeof(record), &address, sizeof(address));
        at += sizeof(record) + sizeof(address);
    }
    return at;
}

static _Noreturn void nameserver(const char *server, const char *address) {
    char text[TEXT_MAX];
    snprintf(text, sizeof(text), "%s:53", server);
    int fd = bound_socket(text, SOCK_DGRAM);
    setvbuf(stdout, NULL, _IOLBF, 0);
    puts("ready");
    for (;;) {
        uint8_t m[1024];
        struct sockaddr_in from;
        socklen_t from_len = sizeof(from);
        ssize_t len = recvfrom(fd, m, sizeof(m) / 2, 0, (void *)&from, &from_len);
        size_t out =
            len > DNS_HEADER ? answer_name(m, (size_t)len, parse_address(address).sin_addr) : 0;
        if (out > 0) {
            sendto(fd, m, out, 0, (void *)&from, from_len);
        }
    }
}

int main(int argc, char **argv) {
    if (argc > 2 && strcmp(argv[1], "try") == 0) {
        return try_all(argc - 2, argv + 2);
    }
    if (argc > 3 && strcmp(argv[1], "later") == 0) {
        return try_later(argv[2], argc - 3, argv + 3);
    }
    if (argc > 2 && strcmp(argv[1], "serve") == 0) {
        serve(argc - 2, argv + 2);
    }
    if (argc == 3 && strcmp(argv[1], "resolve") == 0) {
        return resolve(argv[2]);
    }
    if (argc == 4 && strcmp(argv[1], "nameserver") == 0) {
        nameserver(argv[2], argv[3]);
    }
    if (argc == 4 && strcmp(argv[1], "spoof") == 0) {
        return spoof(argv[2], argv[3]);
    }
    fputs("usage: hostile try TARGET… | later PORT TARGET… | serve ADDRESS:PORT… |"
          " spoof SOURCE ADDRESS:PORT | resolve NAME | nameserver SERVER ADDRESS\n",
        stderr);
    return 2;
}
