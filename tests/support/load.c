/* Requests at a fixed rate, and what became of each. SPDX-License-Identifier: Apache-2.0
 *
 *     load ADDRESS:PORT HOST RATE [CONNECTIONS] [PATH] [METHOD] [SLOW_MS]
 *
 * Sends RATE requests a second over CONNECTIONS kept ones, whether answers come or not: what is due
 * while all are busy is sent as soon as one is free. A connection that the other side closes
 * between two requests is opened anew and counts as nothing.
 *
 * Standard input tells it what goes on: "open" and "shut" around the time in which a failure
 * may be forgiven, end of input (or SIGTERM) to end. Forgiven is only a request on a connection
 * from before the window: somebody who held it died. Whoever connects afterwards, and everybody
 * outside of a window, is to be answered. Failures are told on standard error as they happen. At
 * the end one line of JSON says:
 *
 *     sent, answered    requests; what was open at the end has two seconds to be answered
 *     failed            answered otherwise than with 200, broken off or never answered
 *     forgiven          of those broken off: in a window, on a connection from before it
 *     refused           connections that could not be made
 *     connections       connections made
 *     silence_ms        the longest time without any answer while one was due
 *     p50_us, p99_us, max_us    from the time a request was due to its answer
 *     slow_ms           from the beginning to the last answer that took over SLOW_MS (1000): where
 *                       an app takes nearly as long for each, when the queue was gone
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum {
    CONNECTIONS_MAX = 1024,
    CONNECTIONS_DEFAULT = 64,
    SLOW_MAX = 60000, /* ms */
    SLOW_DEFAULT = 1000,
    RATE_MAX = 100000,
    ANSWER_MAX = 65536, /* bytes of an answer, head and body */
    TICK_NS = 1000000,
    TOLD_MAX = 40, /* failures told in words */
    LAST_ANSWERS_MS = 2000,
    BACKLOG_SECONDS = 60, /* requests that may be due at once, at the rate */
    BUCKETS = 4096,       /* of 1/64 of a power of two of microseconds */
    BUCKET_BITS = 6,
};

enum connection_state { CLOSED, CONNECTING, IDLE, BUSY };

struct connection {
    int fd;
    enum connection_state state;
    int64_t made; /* when it was asked for, ns */
    int64_t due;  /* when its request was to be sent */
    size_t len;
    char answer[ANSWER_MAX + 1];
};

struct load {
    struct sockaddr_in to;
    char request[1024];
    size_t request_len;
    int rate, count;
    int64_t slow_us; /* what counts as slow */
    int epoll, timer, signals;
    struct connection *connections;
    int64_t *due; /* a ring: when each request that waits for a connection was due */
    size_t due_size, due_at, due_count;
    int64_t began, ticks_done;
    bool ending;
    int64_t window; /* since when failures are forgiven; 0: they are not */
    int64_t last_answer;
    char input[256];
    size_t input_len;
    uint64_t sent, answered, failed, forgiven, refused, made;
    int64_t silence, worst, slow;
    unsigned told;
    uint32_t histogram[BUCKETS];
};

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void die(const char *what) {
    perror(what);
    exit(2);
}

static void add_event(const struct load *l, int fd, uint32_t events, void *data) {
    struct epoll_event event = { .events = events, .data.ptr = data };
    if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
        die("epoll_ctl");
    }
}

/* ---- Counting ---- */

static unsigned bucket_of(int64_t us) {
    uint64_t v = us > 0 ? (uint64_t)us : 0;
    if (v < 1u << BUCKET_BITS) {
        return (unsigned)v;
    }
    unsigned power = 63u - (unsigned)__builtin_clzll(v) - BUCKET_BITS;
    unsigned bucket =
        (power + 1) << BUCKET_BITS | (unsigned)(v >> power & ((1u << BUCKET_BITS) - 1));
    return bucket < BUCKETS ? bucket : BUCKETS - 1;
}

static int64_t bucket_value(unsigned bucket) {
    unsigned power = bucket >> BUCKET_BITS;
    int64_t rest = bucket & ((1u << BUCKET_BITS) - 1);
    return power == 0 ? rest : (rest | 1 << BUCKET_BITS) << (power - 1);
}

static int64_t percentile(const struct load *l, unsigned percent) {
    uint64_t rank = (l->answered * percent + 99) / 100, seen = 0;
    for (unsigned i = 0; i < BUCKETS; i++) {
        seen += l->histogram[i];
        if (seen >= rank) {
            return bucket_value(i);
        }
    }
    return 0;
}

static void tell(struct load *l, const char *what, const char *words, bool forgiven) {
    if (!forgiven && l->told++ < TOLD_MAX) {
        fprintf(
            stderr, "load: at %.3f s %s: %s\n", (double)(now_ns() - l->began) / 1e9, what, words);
    }
}

static void count_answer(struct load *l, const struct connection *c) {
    int64_t now = now_ns();
    int64_t since = l->last_answer > c->due ? l->last_answer : c->due;
    int64_t us = (now - c->due) / 1000;
    if (now - since > l->silence) {
        l->silence = now - since;
    }
    if (us > l->worst) {
        l->worst = us;
    }
    if (us > l->slow_us) {
        l->slow = now - l->began;
    }
    l->histogram[bucket_of(us)]++;
    l->last_answer = now;
    l->answered++;
}

/* ---- Connections ---- */

static void close_connection(struct connection *c) {
    close(c->fd);
    c->fd = -1;
    c->state = CLOSED;
}

static void refuse(struct load *l, struct connection *c, int why) {
    l->refused++;
    tell(l, "a connection was not made", strerror(why), false);
    close_connection(c);
}

static void connect_anew(struct load *l, struct connection *c) {
    int on = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) {
        die("socket");
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    c->state = CONNECTING;
    c->made = now_ns();
    c->len = 0;
    l->made++;
    if (connect(c->fd, (struct sockaddr *)&l->to, sizeof l->to) < 0 && errno != EINPROGRESS) {
        refuse(l, c, errno);
        return;
    }
    add_event(l, c->fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, c);
}

/* What it was asked will not be answered. */
static void fail_connection(
    struct load *l, struct connection *c, const char *what, const char *words) {
    bool forgiven = l->window && c->made < l->window;
    l->failed += !forgiven;
    l->forgiven += forgiven;
    tell(l, what, words, forgiven);
    close_connection(c);
}

static void send_next(struct load *l, struct connection *c) {
    if (l->due_count == 0) {
        return;
    }
    c->due = l->due[l->due_at];
    l->due_at = (l->due_at + 1) % l->due_size;
    l->due_count--;
    c->len = 0;
    c->state = BUSY;
    l->sent++;
    if (send(c->fd, l->request, l->request_len, MSG_NOSIGNAL) != (ssize_t)l->request_len) {
        fail_connection(l, c, "a request could not be sent", strerror(errno));
    }
}

/* ---- Answers ---- */

/* Bytes of the whole answer when its head is there, 0 when not, -1 when it is none that we read. */
static ssize_t answer_size(const struct connection *c) {
    const char *end = strstr(c->answer, "\r\n\r\n");
    if (!end) {
        return 0;
    }
    const char *length = strcasestr(c->answer, "\r\ncontent-length:");
    if (!length || length > end) {
        return -1;
    }
    return end + 4 - c->answer + strtol(length + strlen("\r\ncontent-length:"), NULL, 10);
}

static bool wants_close(const struct connection *c) {
    const char *close = strcasestr(c->answer, "\r\nconnection: close");
    return close && close < strstr(c->answer, "\r\n\r\n");
}

/* True when the whole answer was there. */
static bool take_answer(struct load *l, struct connection *c) {
    ssize_t size = answer_size(c);
    if (size < 0 || size > ANSWER_MAX) {
        fail_connection(l, c, "an answer of no known length", c->answer);
        return true;
    }
    if (size == 0 || c->len < (size_t)size) {
        return false;
    }
    if (strncmp(c->answer, "HTTP/1.1 200 ", 13) == 0) {
        count_answer(l, c);
    } else {
        l->failed++;
        tell(l, "an answer", c->answer, false);
    }
    if (wants_close(c)) {
        close_connection(c);
    } else {
        c->state = IDLE;
    }
    return true;
}

static void on_input_end(struct load *l, struct connection *c, int why) {
    if (c->state == BUSY) {
        fail_connection(l, c, "a request was broken off", why ? strerror(why) : "end of stream");
    } else if (c->state == CONNECTING && why) {
        refuse(l, c, why);
    } else {
        close_connection(c);
    }
}

static void read_answer(struct load *l, struct connection *c) {
    while (c->state != CLOSED) {
        ssize_t n = recv(c->fd, c->answer + c->len, ANSWER_MAX - c->len, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            return;
        }
        if (n <= 0) {
            on_input_end(l, c, n < 0 ? errno : 0);
            return;
        }
        c->len += (size_t)n;
        c->answer[c->len] = '\0';
        if (c->state == BUSY && take_answer(l, c) && c->state == IDLE) {
            send_next(l, c);
        }
    }
}

static void on_connection(struct load *l, struct connection *c, uint32_t events) {
    if (c->state == CONNECTING && events & (EPOLLOUT | EPOLLERR)) {
        int why = 0;
        socklen_t size = sizeof why;
        getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &why, &size);
        if (why) {
            refuse(l, c, why);
            return;
        }
        c->state = IDLE;
        send_next(l, c);
    }
    if (c->state != CLOSED && events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
        read_answer(l, c);
    }
}

/* ---- Time and what is told ---- */

static void on_timer(struct load *l) {
    uint64_t expired;
    if (read(l->timer, &expired, sizeof expired) < 0) {
        return;
    }
    int64_t now = now_ns();
    int64_t wanted = (now - l->began) / 1000 * l->rate / 1000000;
    for (; l->ticks_done < wanted && l->due_count < l->due_size; l->ticks_done++) {
        l->due[(l->due_at + l->due_count++) % l->due_size] =
            l->began + l->ticks_done * 1000000000 / l->rate;
    }
    for (int i = 0; i < l->count; i++) {
        struct connection *c = &l->connections[i];
        if (c->state == CLOSED) {
            connect_anew(l, c);
        } else if (c->state == IDLE) {
            send_next(l, c);
        }
    }
}

static void on_word(struct load *l, const char *word) {
    if (strcmp(word, "open") == 0) {
        l->window = now_ns();
    } else if (strcmp(word, "shut") == 0) {
        l->window = 0;
    } else {
        fprintf(stderr, "load: \"%s\" is neither open nor shut\n", word);
        exit(2);
    }
}

/* Before anything else of a turn: what is told happened before what it explains. */
static void read_input(struct load *l) {
    ssize_t n;
    while ((n = read(0, l->input + l->input_len, sizeof l->input - 1 - l->input_len)) > 0) {
        l->input_len += (size_t)n;
        l->input[l->input_len] = '\0';
        for (char *end; (end = strchr(l->input, '\n'));) {
            *end++ = '\0';
            on_word(l, l->input);
            l->input_len -= (size_t)(end - l->input);
            memmove(l->input, end, l->input_len + 1);
        }
    }
    l->ending = l->ending || n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

static bool is_open(const struct load *l) {
    for (int i = 0; i < l->count; i++) {
        if (l->connections[i].state == BUSY) {
            return true;
        }
    }
    return l->due_count > 0;
}

static void turn(struct load *l, int wait_ms) {
    struct epoll_event events[CONNECTIONS_MAX + 3];
    int n = epoll_wait(l->epoll, events, CONNECTIONS_MAX + 3, wait_ms);
    read_input(l);
    for (int i = 0; i < n; i++) {
        void *who = events[i].data.ptr;
        if (who == &l->timer) {
            on_timer(l);
        } else if (who == &l->signals) {
            l->ending = true;
        } else if (who) {
            on_connection(l, who, events[i].events);
        }
    }
}

static void run(struct load *l) {
    while (!l->ending) {
        turn(l, -1);
    }
    /* What was sent or due is still answered; nothing new comes. */
    int64_t deadline = now_ns() + LAST_ANSWERS_MS * 1000000LL;
    l->rate = 0;
    while (is_open(l) && now_ns() < deadline) {
        turn(l, 10);
    }
    for (int i = 0; i < l->count; i++) {
        if (l->connections[i].state == BUSY) {
            fail_connection(l, &l->connections[i], "a request", "was never answered");
        }
    }
    l->failed += l->due_count;
}

static void print(const struct load *l) {
    printf("{\"sent\":%ju,\"answered\":%ju,\"failed\":%ju,\"forgiven\":%ju,\"refused\":%ju,"
           "\"connections\":%ju,\"silence_ms\":%.1f,\"p50_us\":%jd,\"p99_us\":%jd,\"max_us\":%jd,"
           "\"slow_ms\":%.1f}\n",
        (uintmax_t)l->sent, (uintmax_t)l->answered, (uintmax_t)l->failed, (uintmax_t)l->forgiven,
        (uintmax_t)l->refused, (uintmax_t)l->made, (double)l->silence / 1e6,
        (intmax_t)percentile(l, 50), (intmax_t)percentile(l, 99), (intmax_t)l->worst,
        (double)l->slow / 1e6);
}

/* ---- Beginning ---- */

static int number(const char *text, int max, const char *what) {
    char *end;
    long value = strtol(text, &end, 10);
    if (*end || value < 1 || value > max) {
        fprintf(stderr, "load: %s: not a number from 1 to %d: %s\n", what, max, text);
        exit(2);
    }
    return (int)value;
}

static void parse(struct load *l, int argc, char **argv) {
    if (argc < 4 || argc > 8) {
        fprintf(
            stderr, "usage: load ADDRESS:PORT HOST RATE [CONNECTIONS] [PATH] [METHOD] [SLOW_MS]\n");
        exit(2);
    }
    char address[32];
    const char *colon = strchr(argv[1], ':');
    snprintf(address, sizeof address, "%.*s", colon ? (int)(colon - argv[1]) : 0, argv[1]);
    l->to.sin_family = AF_INET;
    if (!colon || inet_pton(AF_INET, address, &l->to.sin_addr) != 1) {
        fprintf(stderr, "load: not an address and a port: %s\n", argv[1]);
        exit(2);
    }
    l->to.sin_port = htons((uint16_t)number(colon + 1, 65535, "PORT"));
    l->rate = number(argv[3], RATE_MAX, "RATE");
    l->count = argc > 4 ? number(argv[4], CONNECTIONS_MAX, "CONNECTIONS") : CONNECTIONS_DEFAULT;
    l->slow_us = 1000 * (argc > 7 ? number(argv[7], SLOW_MAX, "SLOW_MS") : SLOW_DEFAULT);
    const char *method = argc > 6 ? argv[6] : "GET";
    int n = snprintf(l->request, sizeof l->request, "%s %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", method,
        argc > 5 ? argv[5] : "/", argv[2],
        strcmp(method, "GET") == 0 ? "" : "Content-Length: 0\r\n");
    if (n >= (int)sizeof l->request) {
        fprintf(stderr, "load: HOST, PATH and METHOD are too long\n");
        exit(2);
    }
    l->request_len = (size_t)n;
}

static void prepare(struct load *l) {
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    sigprocmask(SIG_BLOCK, &ends, NULL);
    l->due_size = (size_t)l->rate * BACKLOG_SECONDS;
    l->connections = calloc((size_t)l->count, sizeof *l->connections);
    l->due = calloc(l->due_size, sizeof *l->due);
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    l->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    l->signals = signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK);
    const struct timespec tick = { .tv_nsec = TICK_NS };
    if (!l->connections || !l->due || l->epoll < 0 || l->timer < 0 || l->signals < 0 ||
        timerfd_settime(l->timer, 0, &(struct itimerspec){ tick, tick }, NULL) < 0 ||
        fcntl(0, F_SETFL, O_NONBLOCK) < 0) {
        die("load");
    }
    add_event(l, l->timer, EPOLLIN, &l->timer);
    add_event(l, l->signals, EPOLLIN, &l->signals);
    struct epoll_event input = { .events = EPOLLIN };
    if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, 0, &input) < 0 && errno != EPERM) {
        die("standard input");
    }
    l->began = l->last_answer = now_ns();
    for (int i = 0; i < l->count; i++) {
        connect_anew(l, &l->connections[i]);
    }
}

int main(int argc, char **argv) {
    static struct load l;
    parse(&l, argc, argv);
    prepare(&l);
    run(&l);
    print(&l);
    return 0;
}
