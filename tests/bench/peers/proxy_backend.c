/* What answers in tests/bench/proxy: every read is taken for one request. SPDX-License-Identifier:
 * Apache-2.0
 *
 * `proxy_backend PORT SIZE` answers SIZE bytes on 127.0.0.1:PORT, as fast as one epoll loop can, so
 * that what is measured is the proxy. */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 64, HEAD_MAX = 256 };

static int listen_on(int port) {
    struct sockaddr_in a = { .sin_family = AF_INET,
        .sin_port = htons((unsigned short)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&a, sizeof a) != 0 || listen(fd, 1024) != 0) {
        perror("proxy_backend");
        exit(1);
    }
    return fd;
}

static void watch(int loop, int fd) {
    struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };
    epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event);
}

static void take(int loop, int listening) {
    int one = 1, fd = accept4(listening, NULL, NULL, 0);
    if (fd >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        watch(loop, fd);
    }
}

static void answer(int fd, const char *bytes, size_t len) {
    static char request[65536];
    if (read(fd, request, sizeof request) <= 0) {
        close(fd);
        return;
    }
    while (len > 0) {
        ssize_t n = write(fd, bytes, len);
        if (n <= 0) {
            return;
        }
        bytes += n;
        len -= (size_t)n;
    }
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fputs("proxy_backend PORT SIZE\n", stderr);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    size_t size = strtoul(argv[2], NULL, 10);
    char *bytes = malloc(HEAD_MAX + size);
    int head = snprintf(bytes, HEAD_MAX,
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n\r\n", size);
    memset(bytes + head, 'x', size);
    int listening = listen_on(atoi(argv[1])), loop = epoll_create1(0);
    watch(loop, listening);
    for (;;) {
        struct epoll_event events[EVENTS];
        int count = epoll_wait(loop, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == listening) {
                take(loop, listening);
            } else {
                answer(events[i].data.fd, bytes, (size_t)head + size);
            }
        }
    }
}
