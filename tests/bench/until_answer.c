/* Times from an act to the first good answer that a client gets. SPDX-License-Identifier:
 * Apache-2.0
 *
 *   until_answer ADDRESS PORT HOST ask
 *   until_answer ADDRESS PORT HOST kill PID
 *   until_answer ADDRESS PORT HOST put|post SOCKET PATH BODY
 *   until_answer ADDRESS PORT HOST turn TEXT post SOCKET PATH BODY
 *   until_answer ADDRESS PORT HOST run COMMAND…
 *
 * Does nothing, kills a process, sends a PUT or POST to an HTTP server on a Unix socket, or starts
 * a command (and ends it afterwards); then asks the proxy, a new connection each time, until the
 * status is 200, and prints the microseconds since the act. With "turn": until every answer of the
 * next half second has the text in it. */
#include <arpa/inet.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { DEADLINE_US = 10000000, PAUSE_US = 200, SETTLE_US = 500000 };

static char answer[4096]; /* the last one */

static long now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000L + t.tv_nsec / 1000;
}

/* Sends `request` on `fd` and returns the status of the answer, 0 when there is none. */
static int ask(int fd, const char *request) {
    int status = 0;
    answer[0] = '\0';
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

static int send_to(
    const char *method, const char *socket_path, const char *path, const char *body) {
    char request[2048];
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    snprintf(address.sun_path, sizeof address.sun_path, "%s", socket_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        return 0;
    }
    snprintf(request, sizeof request,
        "%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        "Content-Length: %zu\r\n\r\n%s",
        method, path, strlen(body), body);
    return ask(fd, request);
}

static pid_t child;

/* The act: the status of what was sent, or 200. */
static int act(int argc, char **argv) {
    if (strcmp(argv[0], "kill") == 0 && argc == 2) {
        return kill(atoi(argv[1]), SIGKILL) == 0 ? 200 : 0;
    }
    if (strcmp(argv[0], "run") == 0 && argc > 1) {
        child = fork();
        if (child == 0) {
            execvp(argv[1], argv + 1);
            _exit(127);
        }
        return child > 0 ? 200 : 0;
    }
    if (argc == 4 && (strcmp(argv[0], "put") == 0 || strcmp(argv[0], "post") == 0)) {
        return send_to(strcmp(argv[0], "put") == 0 ? "PUT" : "POST", argv[1], argv[2], argv[3]);
    }
    return strcmp(argv[0], "ask") == 0 ? 200 : 0;
}

/* Microseconds from `began` to the first good answer after the last one that was not; -1. */
static long wait_good(
    const struct sockaddr_in *address, const char *request, const char *text, long began) {
    long good = 0, now;
    while ((now = now_us()) - began < DEADLINE_US) {
        bool is_good = ask_proxy(address, request) == 200 && (!text || strstr(answer, text));
        good = !is_good ? 0 : good ? good : now_us();
        if (good && (!text || now - good > SETTLE_US)) {
            return good - began;
        }
        usleep(PAUSE_US);
    }
    return -1;
}

int main(int argc, char **argv) {
    int at = 4;
    const char *text = argc > 6 && strcmp(argv[at], "turn") == 0 ? argv[5] : NULL;
    at += text ? 2 : 0;
    if (argc <= at) {
        fprintf(stderr, "usage: until_answer ADDRESS PORT HOST [turn TEXT] ACT\n");
        return 2;
    }
    char request[512];
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(atoi(argv[2])) };
    inet_pton(AF_INET, argv[1], &address.sin_addr);
    snprintf(request, sizeof request, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n",
        argv[3]);
    long began = now_us();
    int status = act(argc - at, argv + at);
    if (status < 200 || status > 299) {
        fprintf(stderr, "until_answer: the act failed (%d)\n", status);
        return 1;
    }
    long took = wait_good(&address, request, text, began);
    if (child > 0) {
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
    }
    if (took < 0) {
        fprintf(stderr, "until_answer: no good answer in time\n");
        return 1;
    }
    printf("%ld\n", took);
    return 0;
}
