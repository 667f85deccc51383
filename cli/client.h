/* The API of a platform as commands use it: where it is, who we are, one request after the other.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include <paas/buf.h>
#include <paas/err.h>
#include <paas/http_client.h>
#include <paas/json_bind.h>

struct client;

enum { CLIENT_PATH_MAX = 1024 /* bytes of a request's path with its query */ };

/* `api` is "unix:PATH" or a URL; `token` may be NULL. NULL with *err on failure. */
struct client *client_create(const char *api, const char *token, struct err *err);
/* NULL is allowed. */
void client_destroy(struct client *c);

/* What was given, for people. */
const char *client_api(const struct client *c);
/* The path of the Unix socket, or NULL. */
const char *client_socket(const struct client *c);
uv_loop_t *client_loop(struct client *c);
struct http_client *client_http(struct client *c);
const char *client_token(const struct client *c);
/* Writes the URL of `path` ("/v1/apps?…"). */
int client_url(const struct client *c, const char *path, char *url, size_t size, struct err *err);

/* Puts plain words into an ERR_UNAVAILABLE: no platform runs here, and how to start it. */
void client_explain(const struct client *c, struct err *err);

/* One request with the struct `in` of `type` as its body (NULL: none); the answer's body is
 * appended to `out` (NULL: not wanted). A platform that is not there is an ERR_UNAVAILABLE that
 * says how to start it. */
int client_call(struct client *c, enum http_method method, const char *path,
    const struct json_type *type, const void *in, struct buf *out, struct err *err);
/* GET, decoded into `out` of `type`; free with json_free. */
int client_get(
    struct client *c, const char *path, const struct json_type *type, void *out, struct err *err);
/* GET of a list; free with json_free_array. */
int client_list(struct client *c, const char *path, const struct json_type *type,
    struct json_array *out, struct err *err);

/* Follows a stream of lines until `line` answers false, the stream ends, or SIGINT (ERR_CANCELLED);
 * a broken one is opened again where `after` (may be NULL) says. */
struct client_stream {
    const char *path;
    bool (*line)(void *data, const char *line, size_t len);
    void (*after)(void *data, char *text, size_t size);
    void *data;
    bool once;       /* a clean end ends it */
    int64_t timeout; /* ms in all; 0: none. Then ERR_TIMEOUT */
    /* Called after each CLIENT_QUIET ms without a line; may be NULL. */
    void (*quiet)(void *data);
};
enum { CLIENT_QUIET = 10000 /* ms: who watches knows by then that it still runs */ };
int client_follow(struct client *c, const struct client_stream *stream, struct err *err);

/* Appends `text` to `out` as one segment or value of a URL. -1 when it does not fit. */
int client_escape(const char *text, char *out, size_t size);

#endif
