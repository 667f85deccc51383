/* One probe: a connection, a question, an answer. SPDX-License-Identifier: Apache-2.0
 *
 * connect; without a path a connection that stands is the answer. With one: write the request, read
 * the head of the answer, look at its status, close. Every way ends in finish(), once: refused,
 * reset, cut, not HTTP, a status that is no success, or the timeout over all of it.
 */
#include "probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    REQUEST_MAX = PATH_SIZE + HOST_SIZE + 128, /* bytes of the request */
    STATUS_LINE_MAX = 512,                     /* bytes read at most: only the first line counts */
};

struct probe {
    uv_tcp_t socket;
    uv_timer_t timer;
    uv_connect_t connect;
    uv_write_t write;
    void (*done)(void *data, bool good, const char *words);
    void *data;
    uint64_t started; /* ms on the loop's clock */
    int handles;      /* not closed yet */
    bool asks;        /* a path was given */
    char path[PATH_SIZE];
    char request[REQUEST_MAX];
    size_t got;
    char answer[STATUS_LINE_MAX + 1];
};

static void on_closed(uv_handle_t *handle) {
    struct probe *p = handle->data;
    if (--p->handles == 0) {
        free(p);
    }
}

static void close_handles(struct probe *p) {
    uv_close((uv_handle_t *)&p->socket, on_closed);
    uv_close((uv_handle_t *)&p->timer, on_closed);
}

void probe_cancel(struct probe *p) {
    if (p && p->done) {
        p->done = NULL;
        close_handles(p);
    }
}

static void finish(struct probe *p, bool good, const char *words) {
    void (*done)(void *, bool, const char *) = p->done;
    if (done) {
        probe_cancel(p);
        done(p->data, good, words);
    }
}

static void fail(struct probe *p, const char *what, int status) {
    char words[HEALTH_WORDS_SIZE];
    snprintf(words, sizeof words, "%s: %s", what, uv_strerror(status));
    finish(p, false, words);
}

static void on_timeout(uv_timer_t *timer) {
    struct probe *p = timer->data;
    char words[HEALTH_WORDS_SIZE];
    snprintf(words, sizeof words, "no %s within %d ms", p->asks ? "answer" : "connection",
        (int)(uv_now(timer->loop) - p->started));
    finish(p, false, words);
}

/* The status of "HTTP/1.x NNN", or -1. */
static int read_status(const char *line) {
    int minor, status, end = 0;
    if (sscanf(line, "HTTP/1.%1d %3d%n", &minor, &status, &end) != 2 || end != 12) {
        return -1;
    }
    return status;
}

static void judge(struct probe *p) {
    char words[HEALTH_WORDS_SIZE];
    int status = read_status(p->answer);
    if (status < 0) {
        finish(p, false, "the answer is not HTTP");
        return;
    }
    snprintf(words, sizeof words, "GET %.64s %d in %d ms", p->path, status,
        (int)(uv_now(p->timer.loop) - p->started));
    finish(p, status >= 200 && status < 400, words);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    struct probe *p = handle->data;
    (void)suggested;
    *buf = uv_buf_init(p->answer + p->got, (unsigned)(STATUS_LINE_MAX - p->got));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
    struct probe *p = stream->data;
    (void)buf;
    if (n < 0) {
        fail(p, "reading the answer", (int)n);
        return;
    }
    p->got += (size_t)n;
    p->answer[p->got] = '\0';
    if (strchr(p->answer, '\n') || p->got == STATUS_LINE_MAX) {
        judge(p);
    }
}

static void on_written(uv_write_t *write, int status) {
    struct probe *p = write->data;
    if (status < 0 && p->done) {
        fail(p, "asking", status);
    }
}

static void on_connected(uv_connect_t *connect, int status) {
    struct probe *p = connect->data;
    if (!p->done) {
        return;
    }
    if (status < 0) {
        fail(p, "connecting", status);
        return;
    }
    if (!p->asks) {
        finish(p, true, "accepts connections");
        return;
    }
    uv_buf_t buf = uv_buf_init(p->request, (unsigned)strlen(p->request));
    p->write.data = p;
    int failed = uv_write(&p->write, (uv_stream_t *)&p->socket, &buf, 1, on_written);
    failed = failed ? failed : uv_read_start((uv_stream_t *)&p->socket, on_alloc, on_read);
    if (failed) {
        fail(p, "asking", failed);
    }
}

static int make_address(const struct health_options *o, struct sockaddr_storage *to) {
    if (uv_ip4_addr(o->address, o->port, (struct sockaddr_in *)to) == 0) {
        return 0;
    }
    return uv_ip6_addr(o->address, o->port, (struct sockaddr_in6 *)to);
}

struct probe *probe_start(const struct health_options *o,
    void (*done)(void *data, bool good, const char *words), void *data) {
    struct sockaddr_storage address;
    struct probe *p = make_address(o, &address) == 0 ? calloc(1, sizeof *p) : NULL;
    if (!p) {
        return NULL;
    }
    p->done = done;
    p->data = data;
    p->asks = o->path[0] != '\0';
    memcpy(p->path, o->path, sizeof p->path);
    snprintf(p->request, sizeof p->request,
        "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: paas-health\r\nConnection: close\r\n\r\n",
        o->path, o->host[0] ? o->host : o->address);
    p->socket.data = p->timer.data = p->connect.data = p;
    uv_tcp_init(o->loop, &p->socket);
    uv_timer_init(o->loop, &p->timer);
    p->handles = 2;
    p->started = uv_now(o->loop);
    uv_timer_start(&p->timer, on_timeout, (uint64_t)o->timeout, 0);
    int failed =
        uv_tcp_connect(&p->connect, &p->socket, (const struct sockaddr *)&address, on_connected);
    if (failed) {
        probe_cancel(p);
        return NULL;
    }
    return p;
}
