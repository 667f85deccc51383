/* Keeps the books of requests: each has a number, and is followed to its answer and to the instances
 * that took it. SPDX-License-Identifier: Apache-2.0
 *
 *     ledger ADDRESS:PORT SEED APP:RATE[:MS]...
 *
 * Asks each app, which runs steady.c, for /take/ID/MS (20 unless told otherwise), in a random trace
 * made of SEED (and so are the numbers: those of another seed are others): silence, single requests, a steady rate up to RATE, and bursts of RATE at once; none
 * with RATE 0. Every request has a connection of its own; every second one is a POST, which
 * nobody may repeat. Words on standard input, a line each:
 *
 *     burst APP N     so many at once
 *     leave APP N MS  so many at once, and their clients go away after MS; nothing is expected
 *     proxy PID       kills the proxy: what is under way may be broken off, if unanswered
 *     kill APP PID    kills an instance of the app: a POST that may be under way at it may fail
 *
 * After the end of input (or SIGTERM) what is under way has forty seconds. Then a line of JSON an
 * app, and one in all:
 *
 *     sent, answered  with 200 and the request's own number
 *     forgiven        failed as the words above allow
 *     left            whose client went away
 *     failed          answered otherwise, broken off or never answered
 *     repeated        taken twice, which a GET may be after a failure
 *     doubled         a POST that was taken twice, or any that was taken although its client had
 *                     left before
 *     max_ms          the longest wait for an answer
 *
 * Failures are told on standard error. Status 1 if there was one.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum {
    APPS_MAX = 8,
    REQUESTS_MAX = 1 << 20,
    SEEDS = 1 << 20, /* whose numbers are apart */
    UNDER_WAY_MAX = 3000,
    TICK_MS = 5,
    LAST_ANSWERS_MS = 40000, /* the proxy holds a request for thirty seconds */
    KILL_SPAN_MS = 1000,     /* from an instance's death until everybody heard of it */
    TOLD_MAX = 40,
    MS_DEFAULT = 20,
};

struct books {
    uint64_t sent, answered, forgiven, left, failed, repeated, doubled, max_ms;
};

struct app {
    char name[64];
    uint64_t rate, ms;
    uint64_t piece_ends, piece_rate; /* of the trace; requests a second */
    uint64_t next;                   /* when the next one is due, us */
    uint64_t killed;
    struct books books;
};

/* What is remembered of a request when it is over. */
struct entry {
    uint32_t run, number; /* who took it first; 0: nobody that we know of */
    uint8_t app;
    bool post, left;
};

struct request {
    uv_tcp_t tcp;
    uv_connect_t connect;
    uv_write_t write;
    uv_timer_t leaves;
    struct ledger *ledger;
    int64_t id;
    uint64_t sent;
    unsigned handles;
    bool over, timed;
    size_t len;
    char text[256], answer[2048];
};

struct ledger {
    uv_loop_t loop;
    uv_timer_t ticker;
    uv_pipe_t words;
    uv_signal_t term;
    struct sockaddr_in to;
    struct app apps[APPS_MAX];
    size_t app_count;
    struct entry *entries; /* by id, from 1 on */
    int64_t count, first; /* how many, and what is added to the numbers that apps see */
    uint64_t random, under_way, proxy_died, ended;
    bool ending;
    unsigned told;
    char chunk[4096], line[256];
    size_t line_len;
};

static uint64_t draw(struct ledger *l, uint64_t below) {
    l->random ^= l->random << 13;
    l->random ^= l->random >> 7;
    l->random ^= l->random << 17;
    return l->random % below;
}

static uint64_t now_us(void) {
    return uv_hrtime() / 1000;
}

static struct app *app_of(struct request *r) {
    return &r->ledger->apps[r->ledger->entries[r->id].app];
}

/* ---- The books ---- */

static void tell(struct request *r, const char *what) {
    if (r->ledger->told++ < TOLD_MAX) {
        fprintf(stderr, "ledger: %s %s %jd after %ju ms: %s: %.160s\n", app_of(r)->name,
            r->ledger->entries[r->id].post ? "POST" : "GET", (intmax_t)r->id,
            (uintmax_t)((now_us() - r->sent) / 1000), what, r->answer);
    }
}

/* An instance's run took the request as its so manieth. */
static void note_taken(struct ledger *l, int64_t id, uint32_t run, uint32_t number) {
    id -= l->first;
    if (id < 1 || id > l->count) {
        return;
    }
    struct entry *e = &l->entries[id];
    struct books *books = &l->apps[e->app].books;
    if (e->number == 0) {
        e->run = run;
        e->number = number;
        if (e->left) {
            books->doubled++;
            fprintf(stderr, "ledger: request %jd was taken after its client had left\n",
                (intmax_t)id);
        }
    } else if (e->run != run || e->number != number) {
        books->repeated++;
        if (e->post) {
            books->doubled++;
            fprintf(stderr, "ledger: POST %jd was taken by run %u as %u and by run %u as %u\n",
                (intmax_t)id, e->run, e->number, run, number);
        }
    }
}

/* Reads who took this one and those before it. False if the answer is another one's. */
static bool read_answer(struct request *r) {
    uint32_t run, number;
    int64_t id;
    int at = 0;
    const char *line = strstr(r->answer, "\nrun ");
    if (!line || sscanf(line, "\nrun %" SCNu32 " took %" SCNd64 " as %" SCNu32 " after%n", &run,
                     &id, &number, &at) < 3 || at == 0 ||
        id != r->ledger->first + r->id) {
        return false;
    }
    note_taken(r->ledger, id, run, number);
    char *end = (char *)(uintptr_t)(line + at);
    while (*end == ' ' && number > 1) {
        note_taken(r->ledger, strtoll(end, &end, 10), run, --number);
    }
    return true;
}

static bool may_fail(struct request *r, bool broken_off) {
    const struct ledger *l = r->ledger;
    if (broken_off && r->sent <= l->proxy_died) {
        return true;
    }
    uint64_t killed = app_of(r)->killed;
    return l->entries[r->id].post && killed && r->sent < killed + KILL_SPAN_MS * 1000 &&
           strncmp(r->answer, "HTTP/1.1 502 ", 13) == 0;
}

static void count_end(struct request *r, bool broken_off) {
    struct app *app = app_of(r);
    uint64_t ms = (now_us() - r->sent) / 1000;
    if (r->ledger->entries[r->id].left) {
        app->books.left++;
    } else if (strncmp(r->answer, "HTTP/1.1 200 ", 13) == 0 && read_answer(r)) {
        app->books.answered++;
        app->books.max_ms = ms > app->books.max_ms ? ms : app->books.max_ms;
    } else if (may_fail(r, broken_off)) {
        app->books.forgiven++;
    } else {
        app->books.failed++;
        tell(r, broken_off ? "broken off" : "answered wrongly");
    }
}

/* ---- Requests ---- */

static void on_closed(uv_handle_t *handle) {
    struct request *r = handle->data;
    if (--r->handles == 0) {
        free(r);
    }
}

static void end_request(struct request *r, bool broken_off) {
    if (r->over) {
        return;
    }
    r->over = true;
    r->ledger->under_way--;
    count_end(r, broken_off);
    uv_close((uv_handle_t *)&r->tcp, on_closed);
    if (r->timed) {
        uv_close((uv_handle_t *)&r->leaves, on_closed);
    }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    struct request *r = handle->data;
    (void)suggested;
    *buf = uv_buf_init(r->answer + r->len, (unsigned)(sizeof r->answer - 1 - r->len));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
    struct request *r = stream->data;
    (void)buf;
    if (n < 0) {
        /* "Connection: close" was asked for, so the end of the stream is that of the answer. */
        end_request(r, n != UV_EOF || r->len == 0);
    } else {
        r->len += (size_t)n;
        r->answer[r->len] = '\0';
    }
}

static void on_written(uv_write_t *write, int status) {
    struct request *r = write->handle->data;
    if (status < 0) {
        end_request(r, true);
    }
}

static void on_connected(uv_connect_t *connect, int status) {
    struct request *r = connect->handle->data;
    if (r->over) {
        return;
    }
    if (status < 0) {
        snprintf(r->answer, sizeof r->answer, "connect: %s", uv_strerror(status));
        r->sent = UINT64_MAX / 2; /* a connection is never refused, whoever died */
        end_request(r, true);
        return;
    }
    uv_buf_t buf = uv_buf_init(r->text, (unsigned)strlen(r->text));
    uv_read_start((uv_stream_t *)&r->tcp, on_alloc, on_read);
    uv_write(&r->write, (uv_stream_t *)&r->tcp, &buf, 1, on_written);
}

static void on_leave(uv_timer_t *timer) {
    end_request(timer->data, false);
}

static void ask(struct ledger *l, struct app *app, uint64_t leave_ms) {
    struct request *r = l->under_way < UNDER_WAY_MAX && l->count < REQUESTS_MAX - 1
                            ? calloc(1, sizeof *r)
                            : NULL;
    if (!r) {
        app->books.sent++;
        app->books.failed++;
        fprintf(stderr, "ledger: no room for one more request\n");
        return;
    }
    r->ledger = l;
    r->id = ++l->count;
    r->sent = now_us();
    bool post = r->id % 2 == 0;
    l->entries[r->id] =
        (struct entry){ .app = (uint8_t)(app - l->apps), .post = post, .left = leave_ms > 0 };
    snprintf(r->text, sizeof r->text,
        "%s /take/%jd/%ju HTTP/1.1\r\nHost: %s.localhost\r\nConnection: close\r\n%s\r\n",
        post ? "POST" : "GET", (intmax_t)(l->first + r->id), (uintmax_t)app->ms, app->name,
        post ? "Content-Length: 0\r\n" : "");
    app->books.sent++;
    l->under_way++;
    uv_tcp_init(&l->loop, &r->tcp);
    r->tcp.data = r;
    r->handles = 1;
    if (leave_ms) {
        uv_timer_init(&l->loop, &r->leaves);
        r->leaves.data = r;
        r->handles++;
        r->timed = true;
        uv_timer_start(&r->leaves, on_leave, leave_ms, 0);
    }
    if (uv_tcp_connect(&r->connect, &r->tcp, (struct sockaddr *)&l->to, on_connected) < 0) {
        end_request(r, true);
    }
}

static void burst(struct ledger *l, struct app *app, uint64_t count, uint64_t leave_ms) {
    while (count--) {
        ask(l, app, leave_ms);
    }
}

/* ---- The trace ---- */

static void next_piece(struct ledger *l, struct app *app, uint64_t now) {
    app->piece_rate = 0;
    switch (draw(l, 6)) {
    case 0: /* silence, long enough to fall asleep */
        app->piece_ends = now + 1000000 + draw(l, 2500000);
        return;
    case 1:
    case 2:
        burst(l, app, 1 + draw(l, app->rate), 0);
        app->piece_ends = now + draw(l, 2000000);
        return;
    case 3:
        app->piece_rate = 1 + draw(l, 5);
        break;
    default:
        app->piece_rate = 1 + draw(l, app->rate);
        break;
    }
    app->piece_ends = now + 200000 + draw(l, 3000000);
    app->next = now;
}

static void follow_trace(struct ledger *l, struct app *app, uint64_t now) {
    if (app->rate == 0) {
        return;
    }
    if (now >= app->piece_ends) {
        next_piece(l, app, now);
    }
    while (app->piece_rate && app->next <= now) {
        ask(l, app, 0);
        app->next += 1 + draw(l, 2000000 / app->piece_rate);
    }
}

static void on_tick(uv_timer_t *timer) {
    struct ledger *l = timer->data;
    uint64_t now = now_us();
    for (size_t i = 0; i < l->app_count && !l->ending; i++) {
        follow_trace(l, &l->apps[i], now);
    }
    if (l->ending && (l->under_way == 0 || now >= l->ended + LAST_ANSWERS_MS * 1000)) {
        uv_stop(&l->loop);
    }
}

/* ---- Words ---- */

static void end_trace(struct ledger *l) {
    if (!l->ending) {
        l->ending = true;
        l->ended = now_us();
    }
}

static void on_word(struct ledger *l, const char *line) {
    char name[64];
    uint64_t count = 0, ms = 0;
    int pid = 0;
    if (sscanf(line, "proxy %d", &pid) == 1 && pid > 1) {
        kill(pid, SIGKILL);
        l->proxy_died = now_us();
        return;
    }
    for (size_t i = 0; i < l->app_count; i++) {
        struct app *app = &l->apps[i];
        if (sscanf(line, "burst %63s %" SCNu64, name, &count) == 2 && !strcmp(name, app->name)) {
            burst(l, app, count, 0);
        } else if (sscanf(line, "leave %63s %" SCNu64 " %" SCNu64, name, &count, &ms) == 3 &&
                   !strcmp(name, app->name)) {
            burst(l, app, count, ms);
        } else if (sscanf(line, "kill %63s %d", name, &pid) == 2 && pid > 1 &&
                   !strcmp(name, app->name)) {
            app->killed = now_us();
            kill(pid, SIGKILL);
        }
    }
}

static void on_chunk(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    struct ledger *l = handle->data;
    (void)suggested;
    *buf = uv_buf_init(l->chunk, sizeof l->chunk);
}

static void on_words(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
    struct ledger *l = stream->data;
    (void)buf;
    if (n < 0) {
        uv_read_stop(stream);
        end_trace(l);
        return;
    }
    for (ssize_t i = 0; i < n; i++) {
        if (l->chunk[i] == '\n') {
            l->line[l->line_len] = '\0';
            l->line_len = 0;
            on_word(l, l->line);
        } else if (l->line_len < sizeof l->line - 1) {
            l->line[l->line_len++] = l->chunk[i];
        }
    }
}

static void on_term(uv_signal_t *term, int number) {
    (void)number;
    end_trace(term->data);
}

/* ---- Beginning and end ---- */

static void add(struct books *to, const struct books *from) {
    to->sent += from->sent;
    to->answered += from->answered;
    to->forgiven += from->forgiven;
    to->left += from->left;
    to->failed += from->failed;
    to->repeated += from->repeated;
    to->doubled += from->doubled;
    to->max_ms = from->max_ms > to->max_ms ? from->max_ms : to->max_ms;
}

static void print(const char *name, const struct books *b) {
    printf("{\"app\":\"%s\",\"sent\":%" PRIu64 ",\"answered\":%" PRIu64 ",\"forgiven\":%" PRIu64
           ",\"left\":%" PRIu64 ",\"failed\":%" PRIu64 ",\"repeated\":%" PRIu64
           ",\"doubled\":%" PRIu64 ",\"max_ms\":%" PRIu64 "}\n",
        name, b->sent, b->answered, b->forgiven, b->left, b->failed, b->repeated, b->doubled,
        b->max_ms);
}

static int parse(struct ledger *l, int argc, char **argv) {
    char address[32];
    int port = 0;
    if (argc < 4 || argc - 3 > APPS_MAX || sscanf(argv[1], "%31[0-9.]:%d", address, &port) != 2 ||
        uv_ip4_addr(address, port, &l->to) != 0) {
        return -1;
    }
    uint64_t seed = strtoull(argv[2], NULL, 10);
    l->first = (int64_t)(seed % SEEDS) * REQUESTS_MAX;
    l->random = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15);
    for (int i = 3; i < argc; i++) {
        struct app *app = &l->apps[l->app_count++];
        app->ms = MS_DEFAULT;
        if (sscanf(argv[i], "%63[^:]:%" SCNu64 ":%" SCNu64, app->name, &app->rate, &app->ms) < 2) {
            return -1;
        }
    }
    return 0;
}

int main(int argc, char **argv) {
    static struct ledger l;
    struct books all = { 0 };
    l.entries = calloc(REQUESTS_MAX, sizeof *l.entries);
    if (!l.entries || parse(&l, argc, argv) < 0) {
        fprintf(stderr, "usage: ledger ADDRESS:PORT SEED APP:RATE[:MS]...\n");
        return 2;
    }
    uv_loop_init(&l.loop);
    uv_timer_init(&l.loop, &l.ticker);
    uv_pipe_init(&l.loop, &l.words, 0);
    uv_signal_init(&l.loop, &l.term);
    l.ticker.data = l.words.data = l.term.data = &l;
    uv_timer_start(&l.ticker, on_tick, 0, TICK_MS);
    uv_signal_start(&l.term, on_term, SIGTERM);
    if (uv_pipe_open(&l.words, 0) < 0 ||
        uv_read_start((uv_stream_t *)&l.words, on_chunk, on_words) < 0) {
        fprintf(stderr, "ledger: standard input is no pipe\n");
        return 2;
    }
    uv_run(&l.loop, UV_RUN_DEFAULT);
    for (size_t i = 0; i < l.app_count; i++) {
        struct books *books = &l.apps[i].books;
        books->failed += books->sent - books->answered - books->forgiven - books->left -
                         books->failed; /* never answered */
        print(l.apps[i].name, books);
        add(&all, books);
    }
    print("", &all);
    free(l.entries);
    return all.failed + all.doubled > 0;
}
