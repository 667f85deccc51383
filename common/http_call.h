/* One request of the control server and its answer. SPDX-License-Identifier: Apache-2.0 */
#ifndef COMMON_HTTP_CALL_H
#define COMMON_HTTP_CALL_H

#include <paas/http_server.h>

#include "http_conn.h"
#include "http_match.h"

struct http_server {
    struct http_server_options options;
    struct http_limits limits;
    struct conn_group group;
    struct list listeners;
    uv_idle_t closer; /* http_server_close() goes on from here */
    bool closing;
    unsigned open; /* handles and calls that still exist; the server goes with the last */
    void (*closed)(void *data);
    void *closed_data;
};

enum call_state {
    CALL_RECEIVING, /* not yet with a handler */
    CALL_HANDLED,   /* a handler has it and owes the answer */
    CALL_STREAMING, /* the head of the answer is out */
    CALL_OVER,      /* answered, or given up; freed when no callback runs in it */
};

/* What is known of a connection's other end. */
struct peer {
    struct http_peer is;
    char address[64];
};

struct call {
    struct http_server *server;
    struct http_conn *conn; /* NULL: the client is gone */
    enum call_state state;
    unsigned running; /* callbacks in progress */
    const struct endpoint *row;
    struct http_identity who;
    struct http_head head;
    usec began;

    /* the request */
    struct match_pair params[MATCH_PARAMS], queries[MATCH_QUERIES]; /* as sent, then decoded */
    size_t param_count, query_count;
    struct buf words; /* decoded values, one after the other */
    struct buf body;
    uint64_t body_bytes;
    void *decoded;      /* of row->in, or NULL */
    struct err refusal; /* code not OK: why no handler gets it */
    int refusal_status;

    /* the answer */
    int status;
    struct buf fields; /* header lines */
    bool chunked, has_no_body, keep;
    uint64_t bytes_out;

    /* the handler's */
    void *data;
    void (*closed)(struct call *c, void *data);
    void *closed_data;
    void (*writable)(struct call *c, void *data);
    void *writable_data;
    const struct call_body_events *body_events;
    void *body_data;

    _Alignas(struct http_header) char arena[];
};

enum { CALL_FIELDS_MAX = 16384 /* bytes of header lines that handlers add */ };

/* A call for the next request of a connection, or NULL without memory. */
struct call *call_create(struct http_server *s, struct http_conn *conn);
/* Runs a callback of the handler's; the call may be gone after call_leave(). */
void call_enter(struct call *c);
void call_leave(struct call *c);
/* The client is gone. */
void call_lose(struct call *c);
/* Decodes parameters and query; -1 with *err for broken escapes. */
int call_decode_words(struct call *c, struct err *err);
/* As call_fail with another status than the code's. */
enum call_result call_fail_status(struct call *c, int status, const struct err *err);
/* The body of a problem document. */
void call_problem(struct buf *out, int status, const struct err *err, struct http_text instance);
/* Closes all listeners. */
void server_stop_listening(struct http_server *s);
/* One less of what keeps the server; frees it at the end of its closing. */
void server_release(struct http_server *s);

#endif
