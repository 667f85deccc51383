/* An error as a value: what was tried, on what, and why it failed.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A function that can fail takes `struct err *err` last, returns 0 (or a pointer) on success and
 * -1 (or NULL) on failure with *err filled. Context is added on the way up with err_wrap(); the
 * error is printed once, at the top. `err` may be NULL where the caller does not want the words.
 */
#ifndef PAAS_ERR_H
#define PAAS_ERR_H

#include <stdarg.h>
#include <stddef.h>

/* code, name that users see, HTTP status, exit status of the CLI, title */
#define ERRORS(X)                                                                                  \
    X(OK, "ok", 200, 0, "no error")                                                                \
    X(SYSTEM, "system", 500, 1, "a system call failed")                                            \
    X(INTERNAL, "internal", 500, 1, "the platform made a mistake")                                 \
    X(NO_MEMORY, "no-memory", 503, 1, "out of memory")                                             \
    X(BAD_REQUEST, "bad-request", 400, 1, "the request can't be understood")                       \
    X(BAD_VALUE, "bad-value", 422, 1, "a value is out of range")                                   \
    X(UNKNOWN_KEY, "unknown-key", 422, 1, "a key is not known")                                    \
    X(USAGE, "usage", 400, 2, "wrong usage")                                                       \
    X(NOT_FOUND, "not-found", 404, 3, "no such thing")                                             \
    X(METHOD, "method-not-allowed", 405, 1, "this method is not for this resource")                \
    X(UNAUTHENTICATED, "unauthenticated", 401, 4, "who you are is not known")                      \
    X(FORBIDDEN, "forbidden", 403, 4, "not allowed")                                               \
    X(CONFLICT, "conflict", 409, 1, "it is in the way of something else")                          \
    X(STALE, "stale", 412, 1, "someone else changed it first")                                     \
    X(TOO_LARGE, "too-large", 413, 1, "larger than its limit")                                     \
    X(URI_TOO_LONG, "uri-too-long", 414, 1, "the request target is too long")                      \
    X(HEADERS_TOO_LARGE, "headers-too-large", 431, 1, "the request's headers are too large")       \
    X(NOT_IMPLEMENTED, "not-implemented", 501, 1, "not supported")                                 \
    X(VERSION_NOT_SUPPORTED, "http-version", 505, 1, "this HTTP version is not supported")         \
    X(BUSY, "busy", 503, 1, "too much at once")                                                    \
    X(UNAVAILABLE, "unavailable", 503, 1, "not there right now")                                   \
    X(BAD_GATEWAY, "bad-gateway", 502, 1, "the app's answer can't be used")                        \
    X(TIMEOUT, "timeout", 504, 5, "it took too long")                                              \
    X(REQUEST_TIMEOUT, "request-timeout", 408, 1, "the request took too long to arrive")           \
    X(FULL, "full", 507, 1, "no room left")                                                        \
    X(RUNNING, "already-running", 409, 1, "it already runs")                                       \
    X(BAD_IMAGE, "bad-image", 422, 1, "the image can't be used")                                   \
    X(BAD_MANIFEST, "bad-manifest", 422, 1, "the app's description can't be used")                 \
    X(DIGEST, "digest-mismatch", 422, 1, "the content is not what its digest says")                \
    X(COMMAND_MISSING, "command-missing", 422, 1, "the command is not in the image")               \
    X(APP_EXITS, "app-exits", 422, 1, "the app exits")                                             \
    X(APP_SILENT, "app-never-listens", 422, 1, "the app does not listen")                          \
    X(APP_PORT, "app-wrong-port", 422, 1, "the app listens on another port")                       \
    X(APP_UNHEALTHY, "app-unhealthy", 422, 1, "the app fails its health check")                    \
    X(APP_OOM, "app-out-of-memory", 422, 1, "the app ran out of its memory")                       \
    X(SUPERSEDED, "superseded", 409, 1, "a newer change took over")                                \
    X(CANCELLED, "cancelled", 499, 130, "it was given up")

enum err_code {
#define X(id, name, http, exit, title) ERR_##id,
    ERRORS(X)
#undef X
        ERR_COUNT
};

enum {
    ERR_TEXT_MAX = 512, /* bytes of words; longer ones are cut, an error must never fail itself */
    ERR_HINT_MAX = 192, /* bytes of advice */
};

struct err {
    enum err_code code;
    int sys;                 /* errno where a system call failed, else 0 */
    char text[ERR_TEXT_MAX]; /* what was tried, on what, and why it failed */
    char hint[ERR_HINT_MAX]; /* what to try next, or "" */
};

/* What an error code means to HTTP, to the shell and to people. Unknown codes read as INTERNAL. */
const char *err_name(enum err_code code);
int err_http_status(enum err_code code);
int err_exit_status(enum err_code code);
const char *err_title(enum err_code code);
/* The code of a name, or ERR_INTERNAL. */
enum err_code err_by_name(const char *name);

/* Fills *err and returns -1, so that `return err_set(err, ...)` reads well. err may be NULL. */
int err_set(struct err *err, enum err_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* As err_set for a failed system call: code ERR_SYSTEM (ERR_NO_MEMORY for ENOMEM), ": " and the
 * text of `sys`, an errno value, are appended. */
int err_sys(struct err *err, int sys, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* After err_sys of a call that writes: where the disk had no room (ENOSPC, EDQUOT), the code is
 * ERR_FULL. Returns -1. err may be NULL. */
int err_mark_full(struct err *err);
/* As err_set for failed memory allocation. Returns -1. */
int err_no_memory(struct err *err);
/* Puts "context: " before the words of a filled error. Returns -1. */
int err_wrap(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Sets the advice of a filled error. Returns -1. */
int err_hint(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Makes *err say that nothing failed. */
void err_clear(struct err *err);

#endif
