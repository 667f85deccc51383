/* An app that does right. SPDX-License-Identifier: Apache-2.0
 *
 *     steady [DELAY_MS] [LINES] [START_MS] [UNTIL]
 *
 * Answers each request with its slot, DELAY_MS after it came, over kept connections. The answer to
 * /take/ID or /take/ID/MS, MS after it came, has a second line,
 *
 *     run RUN took ID as N after ID...
 *
 * where RUN is a number of this process alone, N counts such requests from 1, and the ids are of the
 * last ones before, newest first: whoever hears some answers knows of the others, too. A request
 * to upgrade makes a tunnel: what comes goes back.
 *
 * It listens START_MS after its start, and does not start at all from UNTIL on (seconds since 1970).
 * Writes LINES numbered lines a second to standard output ("line 17"). At SIGTERM it takes no new
 * connection, answers what it was asked, and ends with status 0. As a worker (no PORT) it only
 * writes its lines.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CLIENTS_MAX = 512, REQUEST_MAX = 4096, BACKLOG = 512, LATEST_MS = 100, TAKEN_KEPT = 32 };

struct client {
    int fd;
    bool tunnel;
    int64_t answer_at; /* ms; 0: nothing was asked */
    int64_t taken, id; /* its request's number; 0: it asked for nothing that is counted */
    size_t len;
    char request[REQUEST_MAX];
};

struct steady {
    struct pollfd fds[CLIENTS_MAX + 1]; /* the last one listens */
    struct client clients[CLIENTS_MAX];
    size_t count;
    int listener;
    int64_t delay, lines, written, began;
    int64_t taken, ids[TAKEN_KEPT]; /* how many were counted, and the last ones' ids */
    uint32_t run;
    const char *slot;
};

static volatile sig_atomic_t ending;

static void on_term(int signal) {
    (void)signal;
    ending = 1;
}

static int64_t now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
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

static void write_lines(struct steady *s) {
    for (int64_t due = (now_ms() - s->began) * s->lines / 1000; s->written < due;) {
        printf("line %jd\n", (intmax_t)++s->written);
    }
}

static void count(struct steady *s, struct client *c, int64_t *delay) {
    intmax_t id, ms = *delay;
    c->taken = 0;
    if (sscanf(c->request, "%*s /take/%jd/%jd", &id, &ms) > 0) {
        c->taken = ++s->taken;
        c->id = s->ids[c->taken % TAKEN_KEPT] = id;
        *delay = ms;
    }
}

/* A whole head came: an answer is due. Requests have no body here. */
static void look_at(struct steady *s, struct client *c) {
    char *end = strstr(c->request, "\r\n\r\n");
    if (end && c->answer_at == 0) {
        size_t used = (size_t)(end + 4 - c->request);
        int64_t delay = s->delay;
        end[2] = '\0';
        c->tunnel = strcasestr(c->request, "\r\nupgrade:") != NULL;
        count(s, c, &delay);
        memmove(c->request, c->request + used, c->len - used + 1);
        c->len -= used;
        c->answer_at = now_ms() + delay;
    }
}

/* What comes through a tunnel goes back. */
static bool echo(struct client *c) {
    ssize_t len = (ssize_t)c->len;
    c->len = 0;
    return write(c->fd, c->request, (size_t)len) == len;
}

/* False when the connection is over. */
static bool receive(struct steady *s, struct client *c) {
    ssize_t n = read(c->fd, c->request + c->len, sizeof c->request - 1 - c->len);
    if (n <= 0) {
        return n < 0 && (errno == EAGAIN || errno == EINTR);
    }
    c->len += (size_t)n;
    c->request[c->len] = '\0';
    if (c->tunnel && c->answer_at == 0) {
        return echo(c);
    }
    look_at(s, c);
    return true;
}

static size_t write_body(const struct steady *s, const struct client *c, char *to, size_t size) {
    size_t len = (size_t)snprintf(to, size, "steady from %s\n", s->slot);
    if (c->taken == 0) {
        return len;
    }
    len += (size_t)snprintf(to + len, size - len, "run %u took %jd as %jd after", s->run,
        (intmax_t)c->id, (intmax_t)c->taken);
    /* Others came since: the oldest ids that are kept may be theirs. */
    for (int64_t n = c->taken - 1; n > 0 && n > s->taken - TAKEN_KEPT; n--) {
        len += (size_t)snprintf(
            to + len, size - len, " %jd", (intmax_t)s->ids[n % TAKEN_KEPT]);
    }
    return len + (size_t)snprintf(to + len, size - len, "\n");
}

static bool answer(struct steady *s, struct client *c) {
    char body[1024], text[1280];
    int len;
    if (c->tunnel) {
        len = snprintf(text, sizeof text,
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
    } else {
        size_t size = write_body(s, c, body, sizeof body);
        len = snprintf(
            text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", size, body);
    }
    bool sent = write(c->fd, text, (size_t)len) == len;
    c->answer_at = 0;
    if (c->tunnel) {
        return sent && (c->len == 0 || echo(c));
    }
    look_at(s, c);
    return sent && !(ending && c->answer_at == 0);
}

static void drop(struct steady *s, size_t at) {
    close(s->clients[at].fd);
    if (at != --s->count) {
        s->clients[at] = s->clients[s->count];
    }
}

static void accept_clients(struct steady *s) {
    int fd;
    while (s->count < CLIENTS_MAX && (fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        struct client *c = &s->clients[s->count++];
        c->fd = fd;
        c->tunnel = false;
        c->answer_at = 0;
        c->len = 0;
    }
}

static int next_wait(const struct steady *s) {
    int64_t now = now_ms(), wait = s->lines ? 1 : LATEST_MS;
    for (size_t i = 0; i < s->count; i++) {
        int64_t left = s->clients[i].answer_at - now;
        if (s->clients[i].answer_at && left < wait) {
            wait = left > 0 ? left : 0;
        }
    }
    return (int)wait;
}

static void turn(struct steady *s) {
    size_t polled = s->count;
    for (size_t i = 0; i < polled; i++) {
        s->fds[i] = (struct pollfd){ .fd = s->clients[i].fd, .events = POLLIN };
    }
    s->fds[polled] = (struct pollfd){ .fd = ending ? -1 : s->listener,
        .events = polled < CLIENTS_MAX ? POLLIN : 0 };
    int ready = poll(s->fds, (nfds_t)polled + 1, next_wait(s));
    write_lines(s);
    int64_t now = now_ms();
    /* From the end: the last client takes the place of one that goes. */
    for (size_t i = polled; i-- > 0;) {
        struct client *c = &s->clients[i];
        bool lives = ready <= 0 || !s->fds[i].revents || receive(s, c);
        if (lives && c->answer_at && c->answer_at <= now) {
            lives = answer(s, c);
        }
        if (!lives || (ending && c->answer_at == 0)) {
            drop(s, i);
        }
    }
    if (ready > 0 && s->fds[polled].revents && !ending) {
        accept_clients(s);
    }
}

int main(int argc, char **argv) {
    static struct steady s;
    const char *port = getenv("PORT"), *slot = getenv("PAAS_SLOT");
    s.delay = argc > 1 ? atoll(argv[1]) : 0;
    s.lines = argc > 2 ? atoll(argv[2]) : 0;
    s.began = now_ms();
    if (argc > 4 && time(NULL) >= atoll(argv[4])) {
        printf("its time is over\n");
        return 1;
    }
    usleep(argc > 3 ? (useconds_t)atoll(argv[3]) * 1000 : 0);
    s.listener = port ? listen_on(atoi(port)) : -1;
    s.slot = slot ? slot : "nowhere";
    if (getrandom(&s.run, sizeof s.run, 0) < 0) {
        perror("getrandom");
        return 1;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGPIPE, SIG_IGN);
    sigaction(SIGTERM, &(struct sigaction){ .sa_handler = on_term }, NULL);
    while (!ending || s.count > 0) {
        turn(&s);
    }
    return 0;
}
