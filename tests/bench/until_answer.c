/* Times from an act to the first good answer that a client gets. SPDX-License-Identifier: Apache-2.0
 *
 *   until_answer ADDRESS PORT HOST kill PID
 *   until_answer ADDRESS PORT HOST put SOCKET PATH BODY
 *
 * Kills a process, or sends a PUT to an HTTP server on a Unix socket; then asks the proxy, a new
 * connection each time, until the status is 200, and prints the microseconds since the act. */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { DEADLINE_US = 10000000, PAUSE_US = 200 };

static long now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000L + t.tv_nsec / 1000;
}

/* Sends `request` on `fd` and returns the status of the answer, 0 when there is none. */
static int ask(int fd, const char *request) {
    char answer[512];
    int status = 0;
    ssize_t n = write(fd, request, strlen(request)) < 0 ? -1 : read(fd, answer, sizeof answer - 1);
    if (n > 0) {
        answer[n] = '\0';
        sscanf(answer, "HTTP/1.%*d %d", &status);
    }
    close(fd);
    return status;
}

static int ask_proxy(const struct sockaddr_in *address, const char *request) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (const struct sockaddr *)address, sizeof *address) < 0) {
        close(fd);
        return 0;
    }
    return ask(fd, request);
}

static int put(const char *socket_path, const char *path, const char *body) {
    char request[2048];
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    snprintf(address.sun_path, sizeof address.sun_path, "%s", socket_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        return 0;
    }
    snprintf(request, sizeof request,
        "PUT %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        "Content-Length: %zu\r\n\r\n%s",
        path, strlen(body), body);
    return ask(fd, request);
}

int main(int argc, char **argv) {
    if (argc < 6) {
        fprintf(stderr, "usage: until_answer ADDRESS PORT HOST kill PID | put SOCKET PATH BODY\n");
        return 2;
    }
    char request[512];
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(atoi(argv[2])) };
    inet_pton(AF_INET, argv[1], &address.sin_addr);
    snprintf(request, sizeof request, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n",
        argv[3]);
    long began = now_us();
    int status = 200;
    if (strcmp(argv[4], "kill") == 0) {
        status = kill(atoi(argv[5]), SIGKILL) == 0 ? 200 : 0;
    } else if (argc == 8) {
        status = put(argv[5], argv[6], argv[7]);
    }
    if (status < 200 || status > 299) {
        fprintf(stderr, "until_answer: the act failed (%d)\n", status);
        return 1;
    }
    while (ask_proxy(&address, request) != 200) {
        if (now_us() - began > DEADLINE_US) {
            fprintf(stderr, "until_answer: no good answer in time\n");
            return 1;
        }
        usleep(PAUSE_US);
    }
    printf("%ld\n", now_us() - began);
    return 0;
}
