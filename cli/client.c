/* The API of a platform as commands use it. SPDX-License-Identifier: Apache-2.0 */
#include "client.h"

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <paas/limits.h>
#include <paas/str.h>
#include <paas/stream.h>

enum {
    API_MAX = 512,              /* bytes of an API's address */
    ANSWER_MAX = 64 << 20,      /* bytes: ten thousand instances are 5 MB */
    REQUEST_TIMEOUT_MS = 20000, /* a request that waits for more says so itself */
    BODY_MAX = 4 << 20,         /* bytes of a request's body: an exec's input is the largest */
};

struct client {
    uv_loop_t loop;
    struct http_client *http;
    char api[API_MAX];
    char *token;
};

struct client *client_create(const char *api, const char *token, struct err *err) {
    struct client *c = calloc(1, sizeof *c);
    if (!c || (token && !(c->token = strdup(token)))) {
        free(c);
        err_no_memory(err);
        return NULL;
    }
    bool is_url = str_starts(api, "http://") || str_starts(api, "https://");
    if (!is_url && !str_starts(api, "unix:")) {
        err_set(err, ERR_USAGE, "\"%.80s\" is not the address of an API", api);
        err_hint(err, "use http://ADDRESS:PORT or unix:PATH");
        goto failed;
    }
    if (str_copy(c->api, sizeof c->api, api) < 0) {
        err_set(err, ERR_USAGE, "the API's address is over %d bytes", API_MAX - 1);
        goto failed;
    }
    size_t len = strlen(c->api);
    if (is_url && c->api[len - 1] == '/') {
        c->api[len - 1] = '\0';
    }
    int failed = uv_loop_init(&c->loop);
    if (failed) {
        err_sys(err, -failed, "making a loop");
        goto failed;
    }
    if (http_client_create(&c->loop, &c->http, err) < 0) {
        uv_loop_close(&c->loop);
        goto failed;
    }
    return c;
failed:
    free(c->token);
    free(c);
    return NULL;
}

void client_destroy(struct client *c) {
    if (!c) {
        return;
    }
    http_client_close(c->http, NULL, NULL);
    uv_run(&c->loop, UV_RUN_DEFAULT);
    uv_loop_close(&c->loop);
    free(c->token);
    free(c);
}

const char *client_api(const struct client *c) {
    return c->api;
}

const char *client_socket(const struct client *c) {
    return str_starts(c->api, "unix:") ? c->api + strlen("unix:") : NULL;
}

uv_loop_t *client_loop(struct client *c) {
    return &c->loop;
}

struct http_client *client_http(struct client *c) {
    return c->http;
}

const char *client_token(const struct client *c) {
    return c->token;
}

int client_url(const struct client *c, const char *path, char *url, size_t size, struct err *err) {
    const char *base = client_socket(c) ? "http://paas" : c->api;
    return snprintf(url, size, "%s%s", base, path) < (int)size
               ? 0
               : err_set(err, ERR_USAGE, "the request is too long");
}

/* Why there is no answer, where the reason is plain. */
void client_explain(const struct client *c, struct err *err) {
    const char *socket = client_socket(c);
    if (!err || err->code != ERR_UNAVAILABLE) {
        return;
    }
    if (socket && access(socket, F_OK) < 0) {
        err_set(err, ERR_UNAVAILABLE, "no platform runs here: there is no %s", socket);
        err_hint(err, "sudo paas up --detach, or --api for one that is elsewhere");
    } else if (!err->hint[0]) {
        err_hint(err, "%s",
            socket ? "paas status, or sudo paas up --detach"
                   : "check the address, and that the platform runs there");
    }
}

/* Where the next page of a list is; "" when there is none. */
struct next {
    char path[CLIENT_PATH_MAX];
};

/* Takes the target of `Link: <…>; rel="next"`, which is a path of this API. */
static void on_head(void *data, int status, struct http_fetch *fetch) {
    struct next *next = data;
    const char *link = status == 200 ? http_fetch_header(fetch, "Link") : NULL;
    const char *end = link ? strstr(link, ">; rel=\"next\"") : NULL;
    if (end && str_starts(link, "</") && (size_t)(end - link) <= sizeof next->path) {
        snprintf(next->path, sizeof next->path, "%.*s", (int)(end - link - 1), link + 1);
    }
}

static int call_once(struct client *c, enum http_method method, const char *path,
    const struct json_type *type, const void *in, struct buf *out, struct next *next,
    struct err *err) {
    char url[API_MAX + CLIENT_PATH_MAX];
    struct buf body;
    struct http_answer answer = { 0 };
    if (client_url(c, path, url, sizeof url, err) < 0) {
        return -1;
    }
    buf_init(&body, BODY_MAX);
    if (in) {
        json_encode(type, in, &body);
    }
    struct http_fetch_options options = {
        .method = method,
        .url = url,
        .unix_path = client_socket(c),
        .token = c->token,
        .body = body.data,
        .body_len = body.len,
        .timeout = REQUEST_TIMEOUT_MS,
        .collect_max = ANSWER_MAX,
        .head = next ? on_head : NULL,
        .context = next,
    };
    int result = body.failed ? err_set(err, ERR_TOO_LARGE, "the request is over %d bytes", BODY_MAX)
                             : http_fetch_now(c->http, &options, &answer, err);
    if (result < 0) {
        client_explain(c, err);
    } else if (out && answer.body.len && buf_append(out, answer.body.data, answer.body.len) < 0) {
        result = err_set(err, ERR_TOO_LARGE, "the answer to %s is too large", path);
    }
    buf_free(&answer.body);
    buf_free(&body);
    return result;
}

/* Adds a page to the list: "[a]\n" and "[b]\n" are "[a,b]\n". */
static int join(struct buf *list, const struct buf *page, const char *path, struct err *err) {
    const char *text = buf_str(page);
    if (list->len < 3 || !str_starts(text, "[")) {
        return err_set(err, ERR_BAD_GATEWAY, "a page of %s is no list", path);
    }
    list->len -= 2;
    buf_putc(list, ',');
    return buf_append(list, text + 1, page->len - 1) < 0
               ? err_set(err, ERR_TOO_LARGE, "the answer to %s is too large", path)
               : 0;
}

int client_call(struct client *c, enum http_method method, const char *path,
    const struct json_type *type, const void *in, struct buf *out, struct err *err) {
    struct next next = { "" };
    bool reads = method == METHOD_GET && out;
    int result = call_once(c, method, path, type, in, out, reads ? &next : NULL, err);
    while (result == 0 && next.path[0]) {
        struct next at = next;
        struct buf page;
        next.path[0] = '\0';
        buf_init(&page, ANSWER_MAX);
        result = call_once(c, METHOD_GET, at.path, NULL, NULL, &page, &next, err);
        if (result == 0) {
            result = join(out, &page, path, err);
        }
        buf_free(&page);
    }
    return result;
}

/* An answer that does not decode is the server's fault. */
static int blame_server(const char *path, struct err *err) {
    if (err) {
        err->code = ERR_BAD_GATEWAY;
    }
    return err_wrap(err, "the answer to GET %s", path);
}

int client_get(
    struct client *c, const char *path, const struct json_type *type, void *out, struct err *err) {
    struct buf body;
    buf_init(&body, ANSWER_MAX);
    int result = client_call(c, METHOD_GET, path, NULL, NULL, &body, err);
    if (result == 0 && json_decode(type, buf_str(&body), body.len, out, err) < 0) {
        result = blame_server(path, err);
    }
    buf_free(&body);
    return result;
}

int client_list(struct client *c, const char *path, const struct json_type *type,
    struct json_array *out, struct err *err) {
    struct buf body;
    buf_init(&body, ANSWER_MAX);
    int result = client_call(c, METHOD_GET, path, NULL, NULL, &body, err);
    if (result == 0 && json_decode_array(type, buf_str(&body), body.len, SIZE_MAX, out, err) < 0) {
        result = blame_server(path, err);
    }
    buf_free(&body);
    return result;
}

/* ---- Streams ---- */

struct following {
    const struct client_stream *stream;
    struct client *client;
    struct follow *follow;
    uv_signal_t interrupt;
    uv_timer_t timer, quiet;
    struct err err; /* the last loss */
    bool done, opened;
    int result;
    struct err *out;
};

static void finish(struct following *f, int result) {
    if (!f->done) {
        f->done = true;
        f->result = result;
        uv_stop(&f->client->loop);
    }
}

static void on_line(void *data, const char *line, size_t len) {
    struct following *f = data;
    uv_timer_again(&f->quiet);
    if (!f->done && len > 0 && !f->stream->line(f->stream->data, line, len)) {
        finish(f, 0);
    }
}

static void on_after(void *data, char *text, size_t size) {
    struct following *f = data;
    text[0] = '\0';
    if (f->stream->after) {
        f->stream->after(f->stream->data, text, size);
    }
}

static void on_opened(void *data) {
    ((struct following *)data)->opened = true;
}

static void on_ended(void *data) {
    finish(data, 0);
}

/* A refusal will not change by asking again; a platform that is not there at first, neither. */
static void on_lost(void *data, const struct err *err) {
    struct following *f = data;
    bool refused = err->code == ERR_NOT_FOUND || err->code == ERR_FORBIDDEN ||
                   err->code == ERR_UNAUTHENTICATED || err->code == ERR_BAD_VALUE ||
                   err->code == ERR_BAD_REQUEST || err->code == ERR_CONFLICT;
    f->err = *err;
    if (refused || !f->opened) {
        if (f->out) {
            *f->out = *err;
            client_explain(f->client, f->out);
        }
        finish(f, -1);
    }
}

static void on_interrupt(uv_signal_t *signal, int number) {
    (void)number;
    struct following *f = signal->data;
    finish(f, err_set(f->out, ERR_CANCELLED, "interrupted"));
}

static void on_timeout(uv_timer_t *timer) {
    struct following *f = timer->data;
    err_set(f->out, ERR_TIMEOUT, "no end after %d s", (int)(f->stream->timeout / 1000));
    finish(f, -1);
}

static void on_quiet(uv_timer_t *timer) {
    struct following *f = timer->data;
    f->stream->quiet(f->stream->data);
}

int client_follow(struct client *c, const struct client_stream *stream, struct err *err) {
    struct following f = { .stream = stream, .client = c, .out = err };
    char url[API_MAX + CLIENT_PATH_MAX];
    if (client_url(c, stream->path, url, sizeof url, err) < 0) {
        return -1;
    }
    struct follow_options options = {
        .client = c->http,
        .framing = FOLLOW_LINES,
        .url = url,
        .unix_path = client_socket(c),
        .token = c->token,
        .after = on_after,
        .once = stream->once,
        .line = on_line,
        .opened = on_opened,
        .lost = on_lost,
        .ended = on_ended,
        .data = &f,
    };
    uv_signal_init(&c->loop, &f.interrupt);
    uv_timer_init(&c->loop, &f.timer);
    uv_timer_init(&c->loop, &f.quiet);
    f.interrupt.data = f.timer.data = f.quiet.data = &f;
    uv_signal_start(&f.interrupt, on_interrupt, SIGINT);
    if (stream->timeout) {
        uv_timer_start(&f.timer, on_timeout, (uint64_t)stream->timeout, 0);
    }
    if (stream->quiet) {
        uv_timer_start(&f.quiet, on_quiet, CLIENT_QUIET, CLIENT_QUIET);
    }
    f.result = follow_open(&options, (struct stream_point){ 0 }, &f.follow, err);
    while (f.result == 0 && !f.done) {
        uv_run(&c->loop, UV_RUN_DEFAULT);
    }
    follow_close(f.follow);
    uv_close((uv_handle_t *)&f.interrupt, NULL);
    uv_close((uv_handle_t *)&f.timer, NULL);
    uv_close((uv_handle_t *)&f.quiet, NULL);
    uv_run(&c->loop, UV_RUN_NOWAIT); /* closes the handles, which are on this stack */
    return f.result;
}

int client_escape(const char *text, char *out, size_t size) {
    size_t used = strlen(out);
    for (; *text; text++) {
        unsigned char byte = (unsigned char)*text;
        bool plain = isalnum(byte) || strchr("-._~", byte);
        if (used + 4 > size) {
            return -1;
        }
        used += (size_t)snprintf(out + used, size - used, plain ? "%c" : "%%%02X", byte);
    }
    return 0;
}
