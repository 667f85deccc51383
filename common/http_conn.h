/* One HTTP/1.1 connection of a server: bytes, order, time. SPDX-License-Identifier: Apache-2.0
 *
 * A connection carries one request at a time: what a client sends ahead waits unparsed until the
 * answer before it is finished, so answers keep their order. It knows nothing of endpoints; what
 * happens goes up through `struct conn_events`, always from the loop, never from inside a conn_*()
 * function.
 */
#ifndef COMMON_HTTP_CONN_H
#define COMMON_HTTP_CONN_H

#include <uv.h>

#include <paas/buf.h>
#include <paas/clock.h>
#include <paas/http_parse.h>
#include <paas/list.h>

struct http_conn;

/* In the order in which they come. */
struct conn_events {
    /* The first byte of a request: where its head may go (http_arena_size() of the limits), or
     * NULL without memory. */
    void *(*begin)(struct http_conn *c);
    void (*head)(struct http_conn *c);
    void (*body)(struct http_conn *c, struct http_text bytes);
    void (*end)(struct http_conn *c);
    /* The request can't go on: 4xx or 5xx. Before `head`, or while the body comes. */
    void (*refused)(struct http_conn *c, int status, const char *words);
    /* The queue fell to HTTP_STREAM_LOW after conn_send() had found it above HTTP_STREAM_HIGH. */
    void (*writable)(struct http_conn *c);
    /* Nobody will read an answer any more. Only between `begin` and conn_finish(). */
    void (*lost)(struct http_conn *c);
    /* The connection's memory goes now. */
    void (*freed)(struct http_conn *c);
};

/* The connections of one server, and what they share. */
struct conn_group {
    uv_loop_t *loop;
    const struct conn_events *events;
    const struct http_limits *limits;
    msec header_timeout, idle_timeout, stall_timeout;
    bool draining;
    struct list all, ready;
    unsigned count;
    uv_idle_t idle;  /* runs while `ready` has some */
    uv_timer_t tick; /* runs while there are connections */
    char *scratch;   /* CONN_READ bytes that every read goes to first */
    void *data;      /* the server */
};

enum conn_state {
    CONN_WAIT,    /* for the first byte of a request */
    CONN_HEAD,    /* the head comes */
    CONN_BODY,    /* the body comes; the answer may be under way */
    CONN_ANSWER,  /* the request is whole, the answer is not */
    CONN_FLUSH,   /* the last answer leaves */
    CONN_LINGER,  /* ours is closed; what still comes is dropped until the peer closes */
    CONN_CLOSING, /* the handle closes */
};

struct http_conn {
    struct conn_group *group;
    struct list link, ready;
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } io;
    uv_write_t write;
    uv_shutdown_t shutdown;
    enum conn_state state;
    struct http_parser parser;
    struct buf in;      /* came, and waits to be parsed */
    struct buf out;     /* to be sent */
    struct buf sending; /* being sent by `write` */
    msec deadline;      /* 0: none */
    bool reading, eof, paused, full;
    bool answered;    /* in CONN_BODY: finished before the end of a request without a body */
    bool eof_is_lost; /* a peer that closes its side during the answer is gone */
    void *call;       /* the server's, of the present request */
    void *peer;       /* the server's, of the connection */
};

enum {
    CONN_READ = 65536, /* bytes of a read; also how much a client may send ahead */
    CONN_TICK = 100,   /* ms: how late a timeout may be */
    CONN_LINGER_MS = 2000,
};

/* Prepares a group whose settings are filled. -1 without memory. */
int conn_group_open(struct conn_group *g);
/* Closes the group's handles; all connections must be gone. Each calls `closed`. */
void conn_group_close(struct conn_group *g, uv_close_cb closed);

/* Takes the next connection of a listener. The caller may look at it and conn_close() it; NULL
 * when it could not be had. */
struct http_conn *conn_accept(struct conn_group *g, uv_stream_t *listener);
/* Queues a copy. */
void conn_send(struct http_conn *c, const void *bytes, size_t len);
size_t conn_queued(const struct http_conn *c);
/* Whether an answer that is finished now leaves the connection open: the request is whole. */
bool conn_can_keep(const struct http_conn *c);
/* The answer is whole: the next request, or, without `keep`, the end. */
void conn_finish(struct http_conn *c, bool keep);
/* Stops and resumes the body. */
void conn_pause(struct http_conn *c);
void conn_resume(struct http_conn *c);
/* Ends it now as if the peer had gone: with `lost`, if a request is under way. For the loop. */
void conn_lose(struct http_conn *c);
/* Ends it now, without `lost`. */
void conn_close(struct http_conn *c);
/* Ends those that wait for a request; the others after theirs. */
void conn_group_drain(struct conn_group *g);

#endif
