/* The client against our own server and against peers that do not behave.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <paas/http_client.h>
#include <paas/http_server.h>

#include "must.h"

/* A server, a client, and what its callbacks heard. */
struct world {
    uv_loop_t loop;
    struct http_server *server;
    struct http_client *client;
    char path[64];
    uv_timer_t guard, later;
    struct call *pending;
    int asked, server_gone;

    struct http_fetch *fetch;
    int heads, status, done, datas;
    size_t bytes, sent, paused_at;
    struct buf body;
    char header[32];
    struct err err;
};

enum { PATIENCE = 10000 /* ms */, BIG = 3 << 20 };

/* ---- The server ---- */

static enum call_result hello(struct call *c) {
    call_header_set(c, "X-Token", "%.*s", (int)call_header(c, "authorization").len,
        call_header(c, "authorization").at);
    return call_reply_bytes(c, "text/plain", "hello", 5);
}

static enum call_result echo(struct call *c) {
    struct http_text body = call_body_bytes(c);
    return call_reply_bytes(c, "text/plain", body.at, body.len);
}

static enum call_result problem(struct call *c) {
    struct err err;
    err_set(&err, ERR_STALE, "it moved");
    err_hint(&err, "look again");
    return call_fail(c, &err);
}

static enum call_result big(struct call *c) {
    static char bytes[BIG];
    return call_reply_bytes(c, "application/octet-stream", bytes, sizeof bytes);
}

static void on_gone(struct call *c, void *data) {
    (void)c;
    ((struct world *)data)->server_gone++;
}

static enum call_result never(struct call *c) {
    struct world *w = call_ctx(c);
    w->asked++;
    call_on_closed(c, on_gone, w);
    return CALL_PENDING;
}

static enum call_result cut(struct call *c) {
    call_stream_begin(c, "text/plain", -1);
    call_stream_write(c, "half", 4);
    struct world *w = call_ctx(c);
    w->pending = c;
    return CALL_PENDING;
}

static void on_upload(struct call *c, void *data, const char *bytes, size_t len) {
    (void)c;
    (void)bytes;
    ((struct world *)data)->bytes += len;
}

static void on_uploaded(struct call *c, void *data) {
    struct world *w = data;
    char text[32];
    call_reply_bytes(c, "text/plain", text, (size_t)snprintf(text, sizeof text, "%zu", w->bytes));
}

static enum call_result upload(struct call *c) {
    static const struct call_body_events events = { on_upload, on_uploaded };
    call_on_body(c, &events, call_ctx(c));
    return CALL_PENDING;
}

/* Echoes line by line while the body still comes. */
static void on_talk(struct call *c, void *data, const char *bytes, size_t len) {
    (void)data;
    call_stream_write(c, bytes, len);
}

static void on_talked(struct call *c, void *data) {
    (void)data;
    call_stream_end(c);
}

static enum call_result talk(struct call *c) {
    static const struct call_body_events events = { on_talk, on_talked };
    call_on_body(c, &events, NULL);
    call_stream_begin(c, "text/plain", -1);
    return CALL_PENDING;
}

static const struct endpoint endpoints[] = {
    { METHOD_GET, "/hello", 0, NULL, NULL, EP_PUBLIC, hello, "", 0 },
    { METHOD_POST, "/echo", 0, NULL, NULL, EP_PUBLIC | EP_BODY_RAW, echo, "", 0 },
    { METHOD_PUT, "/echo", 0, NULL, NULL, EP_PUBLIC | EP_BODY_RAW, echo, "", 4 << 20 },
    { METHOD_GET, "/problem", 0, NULL, NULL, EP_PUBLIC, problem, "", 0 },
    { METHOD_GET, "/big", 0, NULL, NULL, EP_PUBLIC, big, "", 0 },
    { METHOD_GET, "/never", 0, NULL, NULL, EP_PUBLIC | EP_WATCH, never, "", 0 },
    { METHOD_GET, "/cut", 0, NULL, NULL, EP_PUBLIC, cut, "", 0 },
    { METHOD_PUT, "/upload", 0, NULL, NULL, EP_PUBLIC | EP_BODY_STREAM, upload, "", 0 },
    { METHOD_POST, "/talk", 0, NULL, NULL, EP_PUBLIC | EP_BODY_STREAM, talk, "", 0 },
    { 0 },
};

/* ---- The world ---- */

static void on_guard(uv_timer_t *timer) {
    (void)timer;
    must(!"waited too long");
}

static int setup(void **state) {
    static int number;
    struct err err;
    struct world *w = calloc(1, sizeof *w);
    uv_loop_init(&w->loop);
    uv_timer_init(&w->loop, &w->guard);
    uv_timer_init(&w->loop, &w->later);
    uv_timer_start(&w->guard, on_guard, PATIENCE, 0);
    w->later.data = w;
    buf_init(&w->body, BIG * 2);
    snprintf(w->path, sizeof w->path, "/tmp/test_http_client.%d.%d", getpid(), number++);
    struct http_server_options options = { .loop = &w->loop, .endpoints = endpoints, .ctx = w };
    must(http_server_create(&options, &w->server, &err) == 0);
    must(http_server_listen_unix(w->server, w->path, 0600, 0, &err) == 0);
    must(http_client_create(&w->loop, &w->client, &err) == 0);
    *state = w;
    return 0;
}

static int teardown(void **state) {
    struct world *w = *state;
    if (w->client) {
        http_client_close(w->client, NULL, NULL);
    }
    if (w->pending) {
        call_stream_abort(w->pending);
    }
    http_server_close(w->server, NULL, NULL);
    uv_close((uv_handle_t *)&w->guard, NULL);
    uv_close((uv_handle_t *)&w->later, NULL);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    must(uv_loop_close(&w->loop) == 0);
    unlink(w->path);
    buf_free(&w->body);
    free(w);
    return 0;
}

static void on_head(void *data, int status, struct http_fetch *f) {
    struct world *w = data;
    w->heads++;
    w->status = status;
    const char *value = http_fetch_header(f, "x-token");
    snprintf(w->header, sizeof w->header, "%s", value ? value : "");
}

static void on_data(void *data, const char *bytes, size_t len) {
    struct world *w = data;
    w->datas++;
    buf_append(&w->body, bytes, len);
}

static void on_done(void *data, struct http_answer *answer, const struct err *err) {
    struct world *w = data;
    w->done++;
    w->status = answer->status;
    w->err = *err;
    if (answer->body.len) {
        buf_append(&w->body, answer->body.data, answer->body.len);
    }
}

static struct http_fetch_options get(struct world *w, const char *url) {
    return (struct http_fetch_options){
        .method = METHOD_GET,
        .url = url,
        .unix_path = w->path,
        .head = on_head,
        .done = on_done,
        .context = w,
    };
}

static void run_until_done(struct world *w, const struct http_fetch_options *o) {
    int before = w->done;
    buf_reset(&w->body);
    w->fetch = http_fetch_start(w->client, o, &w->err);
    must(w->fetch);
    must(w->done == before);
    while (w->done == before) {
        uv_run(&w->loop, UV_RUN_ONCE);
    }
}

/* ---- Tests ---- */

static void test_get(void **state) {
    struct world *w = *state;
    struct http_fetch_options o = get(w, "http://paas/hello");
    o.token = "abc";
    run_until_done(w, &o);
    assert_int_equal(w->err.code, ERR_OK);
    assert_int_equal(w->status, 200);
    assert_int_equal(w->heads, 1);
    assert_string_equal(buf_str(&w->body), "hello");
    assert_string_equal(w->header, "Bearer abc");
    run_until_done(w, &o);
    assert_int_equal(http_server_connections(w->server), 1); /* kept alive */
}

static void test_bodies(void **state) {
    struct world *w = *state;
    struct http_fetch_options o = get(w, "http://paas/echo");
    o.method = METHOD_POST;
    o.body = "some bytes";
    o.body_len = 10;
    run_until_done(w, &o);
    assert_string_equal(buf_str(&w->body), "some bytes");
    o.body = NULL;
    o.body_len = 0;
    run_until_done(w, &o);
    assert_int_equal(w->status, 200);
    assert_int_equal(w->body.len, 0);
    /* Large enough for curl to ask first. */
    char *large = calloc(1, BIG);
    o.method = METHOD_PUT;
    o.body = large;
    o.body_len = BIG;
    run_until_done(w, &o);
    free(large);
    assert_int_equal(w->body.len, BIG);
}

static void test_problem(void **state) {
    struct world *w = *state;
    struct http_fetch_options o = get(w, "http://paas/problem");
    o.data = on_data;
    run_until_done(w, &o);
    assert_int_equal(w->status, 412);
    assert_int_equal(w->err.code, ERR_STALE);
    assert_string_equal(w->err.text, "it moved");
    assert_string_equal(w->err.hint, "look again");
    assert_int_equal(w->datas, 0);
    struct err err;
    http_problem(404, "no json", 7, &err);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_string_equal(err.text, "the answer was 404 Not Found");
    http_problem(500, "{\"code\":\"ok\",\"detail\":5}", 24, &err);
    assert_int_equal(err.code, ERR_SYSTEM);
}

static void test_bounds(void **state) {
    struct world *w = *state;
    struct http_fetch_options o = get(w, "http://paas/big");
    o.collect_max = 1 << 20;
    run_until_done(w, &o);
    assert_int_equal(w->err.code, ERR_TOO_LARGE);
    o.collect_max = 0;
    run_until_done(w, &o);
    assert_int_equal(w->err.code, ERR_OK);
    assert_int_equal(w->body.len, BIG);
}

static void on_resume(uv_timer_t *timer) {
    struct world *w = timer->data;
    /* Nothing came while it was paused. */
    assert_int_equal(w->body.len, w->paused_at);
    http_resume(w->fetch);
}

static void on_slow_data(void *data, const char *bytes, size_t len) {
    struct world *w = data;
    on_data(data, bytes, len);
    if (w->datas % 20 == 1) {
        w->paused_at = w->body.len;
        http_pause(w->fetch);
        uv_timer_start(&w->later, on_resume, 10, 0);
    }
}

static void test_pause(void **state) {
    struct world *w = *state;
    struct http_fetch_options o = get(w, "http://paas/big");
    o.data = on_slow_data;
    run_until_done(w, &o);
    assert_int_equal(w->err.code, ERR_OK);
    assert_int_equal(w->body.len, BIG);
    assert_true(w->datas > 20);
}

static ssize_t on_read(void *data, char *bytes, size_t size) {
    struct world *w = data;
    size_t left = BIG - w->sent;
    size_t n = size < left ? size : left;
    memset(bytes, 'x', n);
    w->sent += n;
    return (ssize_t)n;
}

static void test_upload(void **state) {
    struct world *w = *state;
    for (int chunked = 0; chunked < 2; chunked++) {
        struct http_fetch_options o = get(w, "http://paas/upload");
        o.method = METHOD_PUT;
        o.read = on_read;
        o.read_size = chunked ? -1 : BIG;
        w->sent = w->bytes = 0;
        run_until_done(w, &o);
        assert_int_equal(w->err.code, ERR_OK);
        assert_string_equal(buf_str(&w->body), "3145728");
    }
}

/* Says a line, hears it back, says the next: both ways at once. */
static ssize_t on_say(void *data, char *bytes, size_t size) {
    struct world *w = data;
    (void)size;
    if (w->sent > w->body.len) {
        return HTTP_READ_PAUSE;
    }
    if (w->sent == 12) {
        return 0;
    }
    memcpy(bytes, "abc\n", 4);
    w->sent += 4;
    return 4;
}

static void on_echo(void *data, const char *bytes, size_t len) {
    on_data(data, bytes, len);
    http_resume_read(((struct world *)data)->fetch);
}

static void test_both_ways(void **state) {
    struct world *w = *state;
    struct http_fetch_options o = get(w, "http://paas/talk");
    o.method = METHOD_POST;
    o.read = on_say;
    o.read_size = -1;
    o.data = on_echo;
    run_until_done(w, &o);
    assert_string_equal(w->err.text, "");
    assert_string_equal(buf_str(&w->body), "abc\nabc\nabc\n");
}

static void on_waited(uv_timer_t *timer) {
    (void)timer; /* it is no longer active, which is what the loops ask */
}

static void on_cancelling_data(void *data, const char *bytes, size_t len) {
    struct world *w = data;
    on_data(data, bytes, len);
    http_cancel(w->fetch);
}

static void run_for(struct world *w, unsigned ms) {
    uv_timer_start(&w->later, on_waited, ms, 0);
    while (uv_is_active((uv_handle_t *)&w->later)) {
        uv_run(&w->loop, UV_RUN_ONCE);
    }
}

static void run_until(struct world *w, const int *counter, int value) {
    while (*counter != value) {
        uv_run(&w->loop, UV_RUN_ONCE);
    }
}

static void test_cancel(void **state) {
    struct world *w = *state;
    struct http_fetch_options o = get(w, "http://paas/never");
    /* At once, under way, and from inside a callback. */
    w->fetch = http_fetch_start(w->client, &o, &w->err);
    http_cancel(w->fetch);
    w->fetch = http_fetch_start(w->client, &o, &w->err);
    run_until(w, &w->asked, 1);
    http_cancel(w->fetch);
    run_until(w, &w->server_gone, 1);
    o = get(w, "http://paas/big");
    o.data = on_cancelling_data;
    w->fetch = http_fetch_start(w->client, &o, &w->err);
    run_until(w, &w->datas, 1);
    run_for(w, 50);
    assert_int_equal(w->datas, 1);
    /* The client closes over a running one. */
    o = get(w, "http://paas/never");
    http_fetch_start(w->client, &o, &w->err);
    run_until(w, &w->asked, 2);
    http_client_close(w->client, NULL, NULL);
    w->client = NULL;
    run_until(w, &w->server_gone, 2);
    assert_int_equal(w->done, 0);
}

static void on_cut(uv_timer_t *timer) {
    struct world *w = timer->data;
    call_stream_abort(w->pending);
    w->pending = NULL;
}

static void test_failures(void **state) {
    struct world *w = *state;
    struct http_fetch_options o = get(w, "http://paas/never");
    o.timeout = 50;
    run_until_done(w, &o);
    assert_int_equal(w->err.code, ERR_TIMEOUT);
    o = get(w, "http://paas/cut");
    uv_timer_start(&w->later, on_cut, 30, 0);
    run_until_done(w, &o);
    assert_int_equal(w->err.code, ERR_BAD_GATEWAY);
    o = get(w, "http://paas/hello");
    o.unix_path = "/tmp/test_http_client.nobody";
    run_until_done(w, &o);
    assert_int_equal(w->err.code, ERR_UNAVAILABLE);
    assert_string_equal(
        w->err.text, "connecting to /tmp/test_http_client.nobody: No such file or directory");
    o.unix_path = NULL;
    o.url = "http://127.0.0.1:1/";
    run_until_done(w, &o);
    assert_int_equal(w->err.code, ERR_UNAVAILABLE);
    o.url = "file:///etc/passwd";
    run_until_done(w, &o);
    assert_int_not_equal(w->err.code, ERR_OK);
    assert_int_equal(w->body.len, 0);
}

static void test_now(void **state) {
    struct world *w = *state;
    struct http_answer answer;
    struct err err;
    struct http_fetch_options o = get(w, "http://paas/hello");
    assert_int_equal(http_fetch_now(w->client, &o, &answer, &err), 0);
    assert_string_equal(buf_str(&answer.body), "hello");
    buf_free(&answer.body);
    o = get(w, "http://paas/none");
    assert_int_equal(http_fetch_now(w->client, &o, &answer, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_int_equal(answer.status, 404);
    buf_free(&answer.body);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        TEST(test_get),
        TEST(test_bodies),
        TEST(test_problem),
        TEST(test_bounds),
        TEST(test_pause),
        TEST(test_upload),
        TEST(test_both_ways),
        TEST(test_cancel),
        TEST(test_failures),
        TEST(test_now),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
