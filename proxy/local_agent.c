/* The socket to this host's agent. SPDX-License-Identifier: Apache-2.0 */
#include "local_agent.h"

#include <stdlib.h>
#include <string.h>

#include <paas/buf.h>
#include <paas/clock.h>
#include <paas/list.h>
#include <paas/log.h>
#include <paas/str.h>
#include <paas/wire.h>

#include "bounds.h"

enum {
    QUEUE_MAX = 1 << 20,  /* bytes that an agent may lag: more and the socket is opened anew */
    PATH_MAX_BYTES = 108, /* sun_path */
};

struct local_agent {
    uv_loop_t *loop;
    char path[PATH_MAX_BYTES];
    const struct local_agent_events *events;
    void *data;
    uv_pipe_t *pipe; /* NULL between two tries */
    uv_timer_t again;
    msec backoff;
    bool open; /* hello came */
    bool closing;
    bool was_lost; /* said in the log */
    char line[LOCAL_LINE_MAX];
    size_t used;
    char input[BLOCK_SIZE];
};

struct connection {
    uv_pipe_t pipe;
    uv_connect_t connect;
};

struct sending {
    uv_write_t write;
    char bytes[];
};

static void on_again(uv_timer_t *timer);

static void on_connection_closed(uv_handle_t *handle) {
    free(LIST_ITEM(handle, struct connection, pipe));
}

static void disconnect(struct local_agent *a) {
    if (a->pipe) {
        a->pipe->data = NULL;
        uv_close((uv_handle_t *)a->pipe, on_connection_closed);
        a->pipe = NULL;
    }
    a->open = false;
    a->used = 0;
}

static void lose(struct local_agent *a, const char *why) {
    if (!a->was_lost) {
        log_warn("the agent is not reached: %s; the last rows stay in force", why);
        a->was_lost = true;
    }
    disconnect(a);
    uv_timer_start(&a->again, on_again, (uint64_t)a->backoff, 0);
    a->backoff = a->backoff * 2 < LOCAL_BACKOFF_MAX ? a->backoff * 2 : LOCAL_BACKOFF_MAX;
}

/* ---- Reading ---- */

static int take_line(struct local_agent *a, const char *line, size_t len) {
    struct local_message m;
    struct err err;
    if (len == 0) {
        return 0; /* a heartbeat */
    }
    if (json_decode(&local_message_json, line, len, &m, &err) < 0) {
        log_error("the agent's line can't be read: %s", err.text);
        return -1;
    }
    if (m.type == LOCAL_HELLO) {
        a->open = true;
        a->backoff = LOCAL_BACKOFF_MIN;
        if (a->was_lost) {
            log_info("the agent is reached again");
            a->was_lost = false;
        }
        a->events->opened(a->data);
    } else if (a->open) {
        a->events->message(a->data, &m);
    }
    json_free(&local_message_json, &m);
    return 0;
}

/* Adds what comes to the line that is not whole yet. -1 when a line is too long or nonsense. */
static int take_bytes(struct local_agent *a, const char *bytes, size_t len) {
    while (len) {
        const char *end = memchr(bytes, '\n', len);
        size_t part = end ? (size_t)(end - bytes) : len;
        if (a->used + part > sizeof a->line) {
            return -1;
        }
        memcpy(a->line + a->used, bytes, part);
        a->used += part;
        if (!end) {
            return 0;
        }
        size_t whole = a->used;
        a->used = 0;
        if (take_line(a, a->line, whole) < 0) {
            return -1;
        }
        bytes = end + 1;
        len -= part + 1;
    }
    return 0;
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    struct local_agent *a = handle->data;
    (void)suggested;
    *buf = uv_buf_init(a->input, sizeof a->input);
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf) {
    struct local_agent *a = stream->data;
    if (!a || len == 0) {
        return;
    }
    if (len < 0) {
        lose(a, uv_strerror((int)len));
    } else if (take_bytes(a, buf->base, (size_t)len) < 0) {
        lose(a, "it sent what is no message");
    }
}

/* ---- Writing ---- */

static void on_written(uv_write_t *req, int status) {
    struct local_agent *a = req->handle->data;
    free(LIST_ITEM(req, struct sending, write));
    if (status < 0 && a) {
        lose(a, uv_strerror(status));
    }
}

static void send_bytes(struct local_agent *a, const char *bytes, size_t len) {
    uv_stream_t *stream = (uv_stream_t *)a->pipe;
    struct sending *s = malloc(sizeof *s + len);
    if (!s || uv_stream_get_write_queue_size(stream) > QUEUE_MAX) {
        free(s);
        uv_timer_start(&a->again, on_again, 0, 0);
        return;
    }
    memcpy(s->bytes, bytes, len);
    uv_buf_t buf = uv_buf_init(s->bytes, (unsigned)len);
    if (uv_write(&s->write, stream, &buf, 1, on_written) != 0) {
        free(s);
    }
}

void local_agent_send(struct local_agent *a, const struct local_message *m) {
    if (!a || !a->pipe || !a->open) {
        return;
    }
    struct buf line;
    buf_init(&line, LOCAL_LINE_MAX);
    json_encode(&local_message_json, m, &line);
    buf_putc(&line, '\n');
    if (!line.failed) {
        send_bytes(a, line.data, line.len);
    }
    buf_free(&line);
}

/* ---- Connecting ---- */

static void on_connected(uv_connect_t *req, int status) {
    struct local_agent *a = req->handle->data;
    if (!a) {
        return;
    }
    if (status < 0) {
        lose(a, uv_strerror(status));
        return;
    }
    static const char hello[] = "{\"type\":\"hello\"}\n";
    send_bytes(a, hello, sizeof hello - 1);
    uv_read_start((uv_stream_t *)a->pipe, on_alloc, on_read);
}

static void on_again(uv_timer_t *timer) {
    struct local_agent *a = timer->data;
    disconnect(a);
    struct connection *c = calloc(1, sizeof *c);
    if (!c || uv_pipe_init(a->loop, &c->pipe, 0) != 0) {
        free(c);
        lose(a, "out of memory");
        return;
    }
    a->pipe = &c->pipe;
    c->pipe.data = a;
    uv_pipe_connect(&c->connect, &c->pipe, a->path, on_connected);
}

struct local_agent *local_agent_open(uv_loop_t *loop, const char *path,
    const struct local_agent_events *events, void *data, struct err *err) {
    struct local_agent *a = calloc(1, sizeof *a);
    if (!a) {
        err_no_memory(err);
        return NULL;
    }
    if (str_copy(a->path, sizeof a->path, path) < 0) {
        free(a);
        err_set(err, ERR_BAD_VALUE, "%s: too long for a socket", path);
        return NULL;
    }
    a->loop = loop;
    a->events = events;
    a->data = data;
    a->backoff = LOCAL_BACKOFF_MIN;
    uv_timer_init(loop, &a->again);
    a->again.data = a;
    uv_timer_start(&a->again, on_again, 0, 0);
    return a;
}

bool local_agent_is_open(const struct local_agent *a) {
    return a && a->open;
}

static void on_closed(uv_handle_t *handle) {
    free(handle->data);
}

void local_agent_close(struct local_agent *a) {
    if (a && !a->closing) {
        a->closing = true;
        disconnect(a);
        uv_close((uv_handle_t *)&a->again, on_closed);
    }
}
