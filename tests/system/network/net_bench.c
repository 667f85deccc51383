/* Times how long an instance's network takes to make. SPDX-License-Identifier: Apache-2.0
 *
 *   net_bench [COUNT [GAP_MS]]      in a network namespace of its own, as it claims platform 27
 *
 * Prints microseconds of netns_create, and of a connection made at once to a listener inside. */
#include "netns.h"

#include <paas/clock.h>

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PLATFORM = 27, COUNT_MAX = 1000, PORT = 80 };

static int by_value(const void *a, const void *b) {
    usec x = *(const usec *)a, y = *(const usec *)b;
    return (x > y) - (x < y);
}

static void show(const char *what, usec *times, int n) {
    qsort(times, (size_t)n, sizeof(*times), by_value);
    printf("%-8s p50 %5ld  p90 %5ld  p99 %5ld  max %5ld us\n", what, (long)times[n / 2],
        (long)times[n * 9 / 10], (long)times[n * 99 / 100], (long)times[n - 1]);
}

/* Connects from the host to a listener inside; microseconds, or -1. */
static usec connect_inside(const struct netns_host *host, const struct netns_made *made) {
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(PORT) };
    if (setns(made->fd, CLONE_NEWNET) != 0) {
        return -1;
    }
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int failed = bind(listener, (struct sockaddr *)&a, sizeof(a)) | listen(listener, 1);
    if (setns(host->host_fd, CLONE_NEWNET) != 0 || failed) {
        return -1;
    }
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    a.sin_addr = made->address;
    usec start = clock_usec();
    failed = connect(client, (struct sockaddr *)&a, sizeof(a));
    usec took = clock_usec() - start;
    close(client);
    close(listener);
    return failed ? -1 : took;
}

int main(int argc, char **argv) {
    static usec creates[COUNT_MAX], connects[COUNT_MAX];
    int count = argc > 1 ? atoi(argv[1]) : 200;
    int gap_ms = argc > 2 ? atoi(argv[2]) : 30; /* a tight loop hides what an idle kernel charges */
    struct netns_host host;
    struct netns_made made;
    struct err err = { 0 };
    if (count < 1 || count > COUNT_MAX || unshare(CLONE_NEWNET) != 0 ||
        netns_host_open(&host, PLATFORM, &err) != 0) {
        fprintf(stderr, "net_bench: %s\n", err.text);
        return 1;
    }
    for (int i = 0; i < count; i++) {
        usleep((useconds_t)gap_ms * 1000);
        usec start = clock_usec();
        if (netns_create(&host, (unsigned)i % PLATFORM_SLOTS, &made, &err) != 0) {
            fprintf(stderr, "net_bench: %s\n", err.text);
            return 1;
        }
        creates[i] = clock_usec() - start;
        connects[i] = connect_inside(&host, &made);
        close(made.fd);
    }
    show("create", creates, count);
    show("connect", connects, count);
    netns_host_close(&host);
    return 0;
}
