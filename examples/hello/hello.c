/* The smallest useful app: answers every request in one sentence. SPDX-License-Identifier:
 * Apache-2.0
 *
 * A static program for stack "scratch": no file but itself is in its instance. It reads PORT and
 * GREETING, listens, and serves many connections from one thread. Paths: / answers "hello from
 * web.1", /healthz "ok", /exit ends it with status 1, to see it come back.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    PORT_DEFAULT = 8080,
    CLIENTS_MAX = 512,  /* connections at once; more wait in the backlog */
    REQUEST_MAX = 8192, /* bytes of a request's head; larger ones are refused */
    ANSWER_MAX = 1024,
    BACKLOG = 512,
};

struct client {
    int fd;
    size_t len;
    char request[REQUEST_MAX];
};

struct server {
    struct pollfd fds[CLIENTS_MAX + 1]; /* the last one listens */
    struct client clients[CLIENTS_MAX];
    size_t count;
    const char *greeting, *name;
};

static const char *setting(const char *name, const char *fallback) {
    const char *value = getenv(name);
    return value && value[0] ? value : fallback;
}

static int listen_on(int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, BACKLOG) < 0) {
        perror("listen");
        exit(1);
    }
    return fd;
}

/* Writes the answer to one request; false when the connection is to be closed. */
static int answer(const struct server *s, const struct client *c) {
    char body[ANSWER_MAX / 2], text[ANSWER_MAX];
    int is_head = strncmp(c->request, "HEAD ", 5) == 0;
    const char *path = strchr(c->request, ' ');
    if (path && strncmp(path, " /healthz ", 10) == 0) {
        strcpy(body, "ok\n");
    } else if (path && strncmp(path, " /exit ", 7) == 0) {
        fprintf(stderr, "asked to exit\n");
        exit(1);
    } else {
        snprintf(body, sizeof body, "%.200s from %.200s\n", s->greeting, s->name);
    }
    int keep =
        !strcasestr(c->request, "\r\nconnection: close") && strstr(c->request, " HTTP/1.1\r");
    int len = snprintf(text, sizeof text,
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n%s\r\n%s",
        strlen(body), keep ? "" : "Connection: close\r\n", is_head ? "" : body);
    return write(c->fd, text, (size_t)len) == len && keep;
}

/* Answers what is complete. False when the connection is to be closed. */
static int serve(const struct server *s, struct client *c) {
    ssize_t n = read(c->fd, c->request + c->len, sizeof c->request - 1 - c->len);
    if (n <= 0) {
        return n < 0 && (errno == EAGAIN || errno == EINTR);
    }
    c->len += (size_t)n;
    c->request[c->len] = '\0';
    for (char *end; (end = strstr(c->request, "\r\n\r\n"));) {
        size_t used = (size_t)(end + 4 - c->request);
        *end = '\r'; /* the head alone: what follows is the next request */
        char next = end[4];
        end[4] = '\0';
        if (!answer(s, c)) {
            return 0;
        }
        end[4] = next;
        memmove(c->request, c->request + used, c->len - used + 1);
        c->len -= used;
    }
    return c->len < sizeof c->request - 1;
}

static void accept_clients(struct server *s, int listener) {
    int fd;
    while (s->count < CLIENTS_MAX && (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        s->clients[s->count].fd = fd;
        s->clients[s->count].len = 0;
        s->count++;
    }
}

static void turn(struct server *s, int listener) {
    for (size_t i = 0; i < s->count; i++) {
        s->fds[i] = (struct pollfd){ .fd = s->clients[i].fd, .events = POLLIN };
    }
    s->fds[s->count] =
        (struct pollfd){ .fd = listener, .events = s->count < CLIENTS_MAX ? POLLIN : 0 };
    size_t polled = s->count;
    if (poll(s->fds, (nfds_t)polled + 1, -1) < 0) {
        return;
    }
    /* From the end: the last client takes the place of one that goes. */
    for (size_t i = polled; i-- > 0;) {
        if (s->fds[i].revents && !serve(s, &s->clients[i])) {
            close(s->clients[i].fd);
            s->count--;
            if (i != s->count) {
                s->clients[i] = s->clients[s->count];
            }
        }
    }
    if (s->fds[polled].revents) {
        accept_clients(s, listener);
    }
}

int main(void) {
    static struct server s;
    int port = atoi(setting("PORT", "0"));
    signal(SIGPIPE, SIG_IGN);
    s.greeting = setting("GREETING", "hello");
    s.name = setting("PAAS_SLOT", setting("PAAS_INSTANCE", "nowhere"));
    int listener = listen_on(port ? port : PORT_DEFAULT);
    fprintf(stderr, "listening on port %d\n", port ? port : PORT_DEFAULT);
    for (;;) {
        turn(&s, listener);
    }
}
