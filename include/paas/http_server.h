/* The control server: a table of endpoints, and one dispatcher. SPDX-License-Identifier: Apache-2.0
 *
 * The dispatcher reads a request, finds its row (404, 405), asks who the peer is (401), compares
 * roles (403; a row without roles is refused to all), bounds and decodes the body (413, 422), and
 * calls the handler. The handler answers at once, or returns CALL_PENDING and answers later, from
 * the loop's thread. Errors leave as RFC 9457 problem documents. Requests of one connection are
 * answered in their order; HEAD is served by the GET row.
 *
 * A call lives until it is answered: call_reply*(), call_fail() or call_stream_end() give it up and
 * it must not be used after. If the client goes away first, the `closed` callback is told, if one
 * is set, and the call is gone when that returns; without one the answer is still owed and is
 * dropped when it comes. No callback runs inside a call_*() function.
 *
 * The process must ignore SIGPIPE: libuv writes with write(2).
 */
#ifndef PAAS_HTTP_SERVER_H
#define PAAS_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <uv.h>

#include <paas/buf.h>
#include <paas/clock.h>
#include <paas/err.h>
#include <paas/http_check.h>
#include <paas/http_parse.h>
#include <paas/json_bind.h>

struct http_server;
struct call;

enum call_result { CALL_DONE, CALL_PENDING };

enum endpoint_flags {
    EP_PUBLIC = 1,         /* anybody who reaches the socket; no identity is asked for */
    EP_LIST = 2,           /* `out` is the item of a JSON array (for the documents) */
    EP_LINES = 4,          /* `out` is the item of one JSON object a line */
    EP_WATCH = 8,          /* ?watch keeps the answer open */
    EP_BODY_RAW = 16,      /* the body is bytes, collected whole up to body_max */
    EP_BODY_STREAM = 32,   /* the body goes to call_on_body()'s callbacks */
    EP_BODY_OPTIONAL = 64, /* `in` may be absent: call_body() is NULL then */
    EP_IF_MATCH = 128,     /* 428 without If-Match; see call_if_match() */
};

/* One row; a table ends with a zeroed one. */
struct endpoint {
    enum http_method method;
    const char *path; /* "/v1/apps/{app}"; "{name*}" takes one or more segments */
    unsigned roles;   /* any of these bits is enough; bits are the user's own */
    const struct json_type *in, *out;
    unsigned flags; /* enum endpoint_flags */
    enum call_result (*handler)(struct call *c);
    const char *doc; /* one line for people */
    size_t body_max; /* bytes; 0: HTTP_SERVER_BODY_MAX, of EP_BODY_STREAM no bound */
};

enum { HTTP_SERVER_BODY_MAX = 1 << 20 /* bytes of a body with a table: a manifest fits */ };

/* Who is at the other end. */
enum {
    HTTP_PEER_GROUPS = 64 /* supplementary groups looked at; more give fewer rights, not more */
};
struct http_peer {
    bool is_unix;
    pid_t pid; /* SO_PEERCRED; Unix sockets only */
    uid_t uid;
    gid_t gid;
    gid_t groups[HTTP_PEER_GROUPS];
    size_t group_count;
    struct http_text token;     /* of "Authorization: Bearer"; absent without */
    struct http_authority host; /* what the client called us */
    const char *address;        /* "127.0.0.1:4711", or "unix" */
    int listener;               /* the number that http_server_listen_* was given */
};

/* Who that is to the platform. */
struct http_identity {
    unsigned roles;
    char name[64];  /* for logs and audits */
    int64_t number; /* the user's own: a node's index, a uid */
};

/* One answered request, for logs and metrics. */
struct http_served {
    const struct endpoint *row; /* NULL: none matched */
    struct http_text method, path;
    const char *who;
    int status;
    uint64_t bytes_in, bytes_out; /* of bodies */
    usec took;
};

struct http_server_options {
    uv_loop_t *loop;
    const struct endpoint *endpoints; /* must outlive the server */
    void *ctx;                        /* call_ctx() */
    /* Fills `who`; -1 with ERR_UNAUTHENTICATED (401) or another error. Checks the Host of TCP
     * peers, too. NULL: only EP_PUBLIC rows are served. */
    int (*identify)(
        void *ctx, const struct http_peer *peer, struct http_identity *who, struct err *err);
    void (*served)(void *ctx, const struct http_served *s); /* may be NULL */
    const struct http_limits *limits; /* NULL: http_limits_default; body_max is the row's */
    unsigned connections_max;         /* 0: HTTP_SERVER_CONNECTIONS */
    msec header_timeout;              /* first byte to whole head; 0: 10 s */
    msec idle_timeout;                /* between requests; 0: 60 s */
    msec stall_timeout;               /* no progress on a body or an answer; 0: 60 s */
};

enum { HTTP_SERVER_CONNECTIONS = 1024 };

/* The server starts without listeners. Returns 0, or -1 with *err filled. */
int http_server_create(
    const struct http_server_options *options, struct http_server **out, struct err *err);
/* Serves a listening socket, Unix or TCP; it takes `fd` also when it fails. `number` is handed to
 * identify(). */
int http_server_listen_fd(struct http_server *s, int fd, int number, struct err *err);
/* Binds `path` with `mode`, replacing a socket nobody listens on (ERR_RUNNING otherwise). The file
 * stays when the server closes. */
int http_server_listen_unix(
    struct http_server *s, const char *path, mode_t mode, int number, struct err *err);
/* Binds "127.0.0.1:8080" or "[::1]:0"; *port, if not NULL, becomes the port in use. */
int http_server_listen_tcp(
    struct http_server *s, const char *address, int number, int *port, struct err *err);
/* Stops accepting; connections end after the requests that they carry. */
void http_server_drain(struct http_server *s);
/* Ends everything; `closed` is called from the loop when nothing is left and the server is freed.
 * Pending calls with a `closed` callback hear it; others must have been answered before. */
void http_server_close(struct http_server *s, void (*closed)(void *data), void *data);
unsigned http_server_connections(const struct http_server *s);
/* Appends an OpenAPI 3.1 document made from the table. */
void http_server_openapi(
    const struct endpoint *endpoints, const char *title, const char *version, struct buf *out);

/* ---- What a handler reads. Pointers live as long as the call. ---- */

void *call_ctx(const struct call *c);
uv_loop_t *call_loop(const struct call *c);
const struct http_identity *call_identity(const struct call *c);
const struct endpoint *call_endpoint(const struct call *c);
/* A {param} of the path, percent-decoded (no NUL). Asking for one that the row lacks is a bug. */
const char *call_param(const struct call *c, const char *name);
/* The first query parameter of this name, decoded; "" for a bare one; NULL when absent. */
const char *call_query(const struct call *c, const char *name);
/* An integer query parameter in min..max, `fallback` when absent; -1 with *err otherwise. */
int call_query_int(const struct call *c, const char *name, int64_t min, int64_t max,
    int64_t fallback, int64_t *out, struct err *err);
/* The query as sent, without '?'; absent when there is none. */
struct http_text call_query_text(const struct call *c);
/* The path as sent. */
struct http_text call_path(const struct call *c);
struct http_text call_header(const struct call *c, const char *name);
enum http_method call_method(const struct call *c);
/* The decoded body of a row with `in`: a struct of that type, freed with the call. */
void *call_body(struct call *c);
/* The bytes of an EP_BODY_RAW row. */
struct http_text call_body_bytes(const struct call *c);
/* If-Match: 0 when `etag` (without quotes) is among them or "*"; else -1 with ERR_STALE. */
int call_if_match(const struct call *c, const char *etag, struct err *err);
/* The client has closed its connection, as far as the kernel can tell: over TCP it may have closed
 * its side alone, and wait for the answer. */
bool call_client_is_gone(const struct call *c);
/* A pointer of the handler's own. */
void call_set_data(struct call *c, void *data);
void *call_data(const struct call *c);
/* See the top. May be set again or to NULL. */
void call_on_closed(struct call *c, void (*closed)(struct call *c, void *data), void *data);

/* ---- Streaming bodies (EP_BODY_STREAM): set in the handler, which returns CALL_PENDING. ---- */

struct call_body_events {
    /* Bytes are valid during the call. May pause, and may answer, which drops the rest. */
    void (*data)(struct call *c, void *data, const char *bytes, size_t len);
    void (*end)(struct call *c, void *data); /* the body is whole */
};
/* `events` must outlive the call. 100 Continue is sent, if awaited, when the handler returns
 * pending. A body that is cut ends the call through `closed`. */
void call_on_body(struct call *c, const struct call_body_events *events, void *data);
void call_body_pause(struct call *c);
void call_body_resume(struct call *c);

/* ---- Answers. All return CALL_DONE, so that a handler can return them. ---- */

/* Adds a header field to the answer; before the reply. `value` is a format. */
void call_header_set(struct call *c, const char *name, const char *value, ...)
    __attribute__((format(printf, 3, 4)));
/* The status of the replies below; 200 unless set (204 for call_reply_empty). */
void call_status(struct call *c, int status);
/* The struct of the row's `out` type as JSON. Does not take or free it. */
enum call_result call_reply(struct call *c, const void *out);
/* As call_reply for another type. */
enum call_result call_reply_as(struct call *c, const struct json_type *type, const void *out);
/* `count` structs of `out`: one a line for EP_LINES, else a JSON array. */
enum call_result call_reply_list(struct call *c, const void *items, size_t count);
/* Copies the bytes. */
enum call_result call_reply_bytes(
    struct call *c, const char *content_type, const void *bytes, size_t len);
/* Takes the buffer's bytes; it is empty afterwards. */
enum call_result call_reply_buf(struct call *c, const char *content_type, struct buf *bytes);
enum call_result call_reply_empty(struct call *c);
/* A problem document from the error's code, text and hint. */
enum call_result call_fail(struct call *c, const struct err *err);
/* err_set and call_fail in one. */
enum call_result call_fail_with(struct call *c, enum err_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A streamed answer: begin, any number of writes, end. With `length` < 0 it is chunked (HTTP/1.0:
 * until close). */
void call_stream_begin(struct call *c, const char *content_type, int64_t length);
/* Queues a copy; returns how many bytes now wait for the client. Past HTTP_STREAM_HIGH stop until
 * `writable`. HEAD answers drop the bytes. */
size_t call_stream_write(struct call *c, const void *bytes, size_t len);
size_t call_stream_queued(const struct call *c);
/* True between call_stream_begin() and the end. */
bool call_is_streaming(const struct call *c);
/* Called when the queue has fallen to HTTP_STREAM_LOW or less, after it was above HIGH. */
void call_on_writable(struct call *c, void (*writable)(struct call *c, void *data), void *data);
enum call_result call_stream_end(struct call *c);
/* Cuts the answer visibly: the connection closes without an end. Gives the call up. */
enum call_result call_stream_abort(struct call *c);

enum {
    HTTP_STREAM_HIGH = 256 * 1024, /* bytes: a few reads of 64 KiB */
    HTTP_STREAM_LOW = 64 * 1024,
};

#endif
