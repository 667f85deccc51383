/* Stands between agent and proxy on their socket and does what a bad line would.
 * SPDX-License-Identifier: Apache-2.0
 *
 *     relay LISTEN UPSTREAM SEED
 *
 * Who connects to LISTEN is connected to UPSTREAM. Each line comes up to 150 ms late, one in four comes
 * twice, and every second or so all is lost for a while, until both connections are cut: a stream that
 * loses something does not live on. SIGTERM ends it; then a line of JSON says how many lines came, were
 * doubled and were lost, and how often it cut.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <uv.h>

enum { LINE_MAX_BYTES = 8192, LATE_MS = 150, TICK_MS = 3, GOOD_MS = 300, GOOD_SPAN_MS = 1500, LOSS_MS = 60 };

struct line {
    struct line *next;
    uint64_t due;
    size_t len;
    uv_write_t write;
    char text[];
};

struct side {
    uv_pipe_t pipe;
    struct pair *pair;
    struct side *other;
    struct line *first, **last; /* what waits to be sent to the other side */
    uint64_t latest;
    char in[LINE_MAX_BYTES];
    size_t len;
};

struct pair {
    struct relay *relay;
    struct pair *next;
    struct side client, server;
    uv_connect_t connect;
    uint64_t loses, cut; /* from when, and when it ends */
    unsigned handles;
    bool over;
};

struct relay {
    uv_loop_t loop;
    uv_pipe_t listener;
    uv_timer_t ticker;
    uv_signal_t term;
    struct pair *pairs;
    const char *upstream;
    uint64_t random;
    unsigned long lines, doubled, lost, cuts;
};

static uint64_t draw(struct relay *r, uint64_t below) {
    r->random ^= r->random << 13;
    r->random ^= r->random >> 7;
    r->random ^= r->random << 17;
    return r->random % below;
}

static void die(const char *what, int why) {
    fprintf(stderr, "relay: %s: %s\n", what, uv_strerror(why));
    exit(2);
}

/* ---- The end of a pair ---- */

static void free_lines(struct side *s) {
    while (s->first) {
        struct line *l = s->first;
        s->first = l->next;
        free(l);
    }
}

static void on_closed(uv_handle_t *handle) {
    struct pair *p = ((struct side *)handle->data)->pair;
    if (--p->handles == 0) {
        struct pair **at = &p->relay->pairs;
        while (*at != p) {
            at = &(*at)->next;
        }
        *at = p->next;
        free_lines(&p->client);
        free_lines(&p->server);
        free(p);
    }
}

static void cut(struct pair *p) {
    if (!p->over) {
        p->over = true;
        uv_close((uv_handle_t *)&p->client.pipe, on_closed);
        uv_close((uv_handle_t *)&p->server.pipe, on_closed);
    }
}

/* ---- Lines ---- */

static void queue(struct side *from, const char *text, size_t len) {
    struct relay *r = from->pair->relay;
    struct line *l = malloc(sizeof *l + len);
    if (!l) {
        die("a line", UV_ENOMEM);
    }
    uint64_t due = uv_now(&r->loop) + draw(r, LATE_MS);
    from->latest = due > from->latest ? due : from->latest;
    *l = (struct line){ .due = from->latest, .len = len };
    memcpy(l->text, text, len);
    *from->last = l;
    from->last = &l->next;
}

static void take_line(struct side *from, const char *text, size_t len) {
    struct relay *r = from->pair->relay;
    r->lines++;
    if (uv_now(&r->loop) >= from->pair->loses) {
        r->lost++;
        return;
    }
    queue(from, text, len);
    if (draw(r, 4) == 0 && !memmem(text, len, "\"hello\"", 7)) {
        r->doubled++;
        queue(from, text, len);
    }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    struct side *s = handle->data;
    (void)suggested;
    *buf = uv_buf_init(s->in + s->len, (unsigned)(sizeof s->in - s->len));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
    struct side *s = stream->data;
    char *end;
    (void)buf;
    if (n < 0) {
        cut(s->pair);
        return;
    }
    s->len += (size_t)n;
    size_t used = 0;
    while ((end = memchr(s->in + used, '\n', s->len - used))) {
        size_t len = (size_t)(end + 1 - s->in) - used;
        take_line(s, s->in + used, len);
        used += len;
    }
    memmove(s->in, s->in + used, s->len - used);
    s->len -= used;
}

static void on_written(uv_write_t *write, int status) {
    struct line *l = write->data;
    (void)status; /* its end of the stream is read, too */
    free(l);
}

static void send_due(struct side *from, uint64_t now) {
    while (from->first && from->first->due <= now) {
        struct line *l = from->first;
        uv_buf_t buf = uv_buf_init(l->text, (unsigned)l->len);
        from->first = l->next;
        from->last = from->first ? from->last : &from->first;
        l->write.data = l;
        if (uv_write(&l->write, (uv_stream_t *)&from->other->pipe, &buf, 1, on_written) < 0) {
            free(l);
        }
    }
}

static void on_tick(uv_timer_t *timer) {
    struct relay *r = timer->data;
    uint64_t now = uv_now(&r->loop);
    for (struct pair *p = r->pairs; p; p = p->next) {
        if (p->over) {
            continue;
        }
        if (now >= p->cut) {
            r->cuts++;
            cut(p);
            continue;
        }
        send_due(&p->client, now);
        send_due(&p->server, now);
    }
}

/* ---- Beginning ---- */

static void open_side(struct side *s, struct pair *p, struct side *other) {
    s->pair = p;
    s->other = other;
    s->last = &s->first;
    s->pipe.data = s;
    uv_pipe_init(&p->relay->loop, &s->pipe, 0);
    p->handles++;
}

static void on_connected(uv_connect_t *connect, int status) {
    struct pair *p = ((struct side *)connect->handle->data)->pair;
    if (p->over) {
        return;
    }
    if (status < 0) {
        cut(p);
        return;
    }
    uv_read_start((uv_stream_t *)&p->client.pipe, on_alloc, on_read);
    uv_read_start((uv_stream_t *)&p->server.pipe, on_alloc, on_read);
}

static void on_connection(uv_stream_t *listener, int status) {
    struct relay *r = listener->data;
    struct pair *p = calloc(1, sizeof *p);
    if (status < 0 || !p) {
        die("accept", status < 0 ? status : UV_ENOMEM);
    }
    p->relay = r;
    p->next = r->pairs;
    r->pairs = p;
    open_side(&p->client, p, &p->server);
    open_side(&p->server, p, &p->client);
    p->loses = uv_now(&r->loop) + GOOD_MS + draw(r, GOOD_SPAN_MS);
    p->cut = p->loses + draw(r, LOSS_MS);
    if (uv_accept(listener, (uv_stream_t *)&p->client.pipe) < 0) {
        cut(p);
        return;
    }
    uv_pipe_connect(&p->connect, &p->server.pipe, r->upstream, on_connected);
}

static void on_term(uv_signal_t *term, int number) {
    struct relay *r = term->data;
    (void)number;
    printf("{\"lines\":%lu,\"doubled\":%lu,\"lost\":%lu,\"cuts\":%lu}\n", r->lines, r->doubled, r->lost,
        r->cuts);
    exit(0);
}

int main(int argc, char **argv) {
    static struct relay r;
    if (argc != 4) {
        fprintf(stderr, "usage: relay LISTEN UPSTREAM SEED\n");
        return 2;
    }
    r.upstream = argv[2];
    r.random = (strtoull(argv[3], NULL, 10) + 1) * UINT64_C(0x9e3779b97f4a7c15);
    uv_loop_init(&r.loop);
    uv_pipe_init(&r.loop, &r.listener, 0);
    uv_timer_init(&r.loop, &r.ticker);
    uv_signal_init(&r.loop, &r.term);
    r.listener.data = r.ticker.data = r.term.data = &r;
    int failed = uv_pipe_bind(&r.listener, argv[1]);
    failed = failed ? failed : uv_listen((uv_stream_t *)&r.listener, 8, on_connection);
    if (failed || chmod(argv[1], 0666) < 0) {
        die(argv[1], failed ? failed : UV_EACCES);
    }
    uv_timer_start(&r.ticker, on_tick, 0, TICK_MS);
    uv_signal_start(&r.term, on_term, SIGTERM);
    return uv_run(&r.loop, UV_RUN_DEFAULT);
}
