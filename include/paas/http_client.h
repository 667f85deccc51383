/* An HTTP client for control traffic: libcurl on the loop. SPDX-License-Identifier: Apache-2.0
 *
 * Requests run at once and keep connections alive. Callbacks come from the loop, never from inside
 * a function of this header, and none comes after http_cancel(). A request ends in exactly one
 * `done`, unless it is cancelled.
 */
#ifndef PAAS_HTTP_CLIENT_H
#define PAAS_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include <paas/buf.h>
#include <paas/clock.h>
#include <paas/err.h>
#include <paas/http_check.h>

struct http_client;
struct http_fetch;

/* What came back. */
struct http_answer {
    int status;      /* 0 when there was no answer */
    struct buf body; /* collected only without a `data` callback, or of an error answer */
};

struct http_fetch_options {
    enum http_method method;
    /* "http://host:port/path?query" or "https://…"; with `unix_path` set the host is only a name:
     * "http://paas/v1/apps". */
    const char *url;
    const char *unix_path;      /* NULL: TCP */
    const char *token;          /* sent as "Authorization: Bearer"; NULL: none */
    const char *const *headers; /* "Name: value", ended by NULL; NULL: none */

    const char *content_type; /* of the body; NULL: application/json */
    const void *body;         /* copied; NULL: none, or `read` */
    size_t body_len;
    /* Fills up to `size` bytes; 0 ends the body, -1 fails the request, HTTP_READ_PAUSE waits for
     * http_resume_read(). */
    ssize_t (*read)(void *data, char *bytes, size_t size);
    int64_t read_size; /* bytes that `read` will give; -1: unknown, sent chunked */

    msec connect_timeout; /* 0: HTTP_CONNECT_TIMEOUT */
    msec timeout;         /* whole request; 0: none (streams) */
    size_t collect_max;   /* bytes of a collected body; 0: HTTP_COLLECT_MAX. More is TOO_LARGE */

    /* All may be NULL but `done`. */
    void (*head)(void *data, int status, struct http_fetch *f);
    /* Bytes of a body whose status is below 400. May http_pause(). */
    void (*data)(void *data, const char *bytes, size_t len);
    /* The end. `err->code` is ERR_OK for a status below 400; otherwise code, text and hint come
     * from the problem document, or from what went wrong on the way (ERR_UNAVAILABLE: not
     * connected, ERR_TIMEOUT, ERR_BAD_GATEWAY: cut or nonsense). `answer->body` may be taken by
     * buf_take(). The fetch is gone afterwards. */
    void (*done)(void *data, struct http_answer *answer, const struct err *err);
    void *context; /* `data` of the callbacks */
};

enum {
    HTTP_CONNECT_TIMEOUT = 3000,  /* ms: one lost SYN is repeated after 1 s */
    HTTP_COLLECT_MAX = 8 << 20,   /* bytes */
    HTTP_READ_PAUSE = 0x10000001, /* CURL_READFUNC_PAUSE; checked where it is used */
};

int http_client_create(uv_loop_t *loop, struct http_client **out, struct err *err);
uv_loop_t *http_client_loop(const struct http_client *c);
/* Cancels all requests and calls `closed` (may be NULL) from the loop when the handles are gone. */
void http_client_close(struct http_client *c, void (*closed)(void *data), void *data);

/* Starts a request. What `options` points to is copied, but for callbacks' data. NULL with *err
 * filled only without memory or with a URL that is none. */
struct http_fetch *http_fetch_start(
    struct http_client *c, const struct http_fetch_options *options, struct err *err);
/* Ends it without any further callback; NULL is fine. */
void http_cancel(struct http_fetch *f);
/* Stops and resumes `data`; the peer feels the pressure. */
void http_pause(struct http_fetch *f);
void http_resume(struct http_fetch *f);
/* After `read` answered HTTP_READ_PAUSE. */
void http_resume_read(struct http_fetch *f);
/* A header of the answer, after `head`, valid until `done` returns; NULL when absent. */
const char *http_fetch_header(struct http_fetch *f, const char *name);

/* Runs the loop until the request is done, whatever else runs on it, too. 0 and the answer, or -1
 * and *err; the caller frees answer->body either way. `done` of the options is not used. */
int http_fetch_now(struct http_client *c, const struct http_fetch_options *options,
    struct http_answer *answer, struct err *err);

/* Makes an error from an answer of 400 and above: a problem document's words if it is one. */
void http_problem(int status, const char *body, size_t len, struct err *err);

#endif
