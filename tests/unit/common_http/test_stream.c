/* Streams between our server and our client, and from servers that do not behave.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <paas/stream.h>

#include "must.h"

/* A server with one feed of each kind, a client that follows, and what it heard. */
struct world {
    uv_loop_t loop;
    struct http_server *server;
    struct http_client *client;
    struct feed *snapshots, *lines;
    struct follow *follow;
    char path[64];
    uv_timer_t guard, later;

    const char *script; /* what /raw answers, then it ends */
    bool hang;          /* and what it does instead of ending */
    struct call *hanging;
    int opened, lost, ended, snapshots_heard, lines_heard;
    bool close_at_first;
    struct stream_point at;
    struct buf heard;
    struct err err;
    char query[128]; /* of the last request */
};

enum { PATIENCE = 15000 /* ms */ };

/* ---- The server ---- */

static enum call_result watch_snapshots(struct call *c) {
    struct world *w = call_ctx(c);
    struct http_text query = call_query_text(c);
    snprintf(w->query, sizeof w->query, "%.*s", (int)query.len, query.at ? query.at : "");
    return feed_watch(w->snapshots, c);
}

static enum call_result join_lines(struct call *c) {
    struct world *w = call_ctx(c);
    struct http_text query = call_query_text(c);
    snprintf(w->query, sizeof w->query, "%.*s", (int)query.len, query.at ? query.at : "");
    call_stream_begin(c, "application/x-ndjson", -1);
    call_stream_write(c, "older\n", 6);
    return feed_join(w->lines, c, call_query(c, "key"));
}

static void on_raw_closed(struct call *c, void *data) {
    (void)c;
    ((struct world *)data)->hanging = NULL;
}

static enum call_result raw(struct call *c) {
    struct world *w = call_ctx(c);
    call_stream_begin(c, "application/x-ndjson", -1);
    call_stream_write(c, w->script, strlen(w->script));
    if (w->hang) {
        w->hanging = c;
        call_on_closed(c, on_raw_closed, w);
        return CALL_PENDING;
    }
    return call_stream_end(c);
}

static const struct endpoint endpoints[] = {
    { METHOD_GET, "/snapshots", 0, NULL, NULL, EP_PUBLIC | EP_WATCH, watch_snapshots, "", 0 },
    { METHOD_GET, "/lines", 0, NULL, NULL, EP_PUBLIC | EP_WATCH, join_lines, "", 0 },
    { METHOD_GET, "/raw", 0, NULL, NULL, EP_PUBLIC | EP_WATCH, raw, "", 0 },
    { 0 },
};

static void serve(struct world *w) {
    struct err err;
    struct http_server_options options = { .loop = &w->loop, .endpoints = endpoints, .ctx = w };
    must(http_server_create(&options, &w->server, &err) == 0);
    must(http_server_listen_unix(w->server, w->path, 0600, 0, &err) == 0);
    must(feed_create(&w->loop, &w->snapshots, &err) == 0);
    must(feed_create(&w->loop, &w->lines, &err) == 0);
}

static void stop_serving(struct world *w) {
    feed_destroy(w->snapshots);
    feed_destroy(w->lines);
    http_server_close(w->server, NULL, NULL);
    w->server = NULL;
}

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
    buf_init(&w->heard, 64 << 20);
    snprintf(w->path, sizeof w->path, "/tmp/test_stream.%d.%d", getpid(), number++);
    serve(w);
    must(http_client_create(&w->loop, &w->client, &err) == 0);
    *state = w;
    return 0;
}

static int teardown(void **state) {
    struct world *w = *state;
    follow_close(w->follow);
    if (w->server) {
        stop_serving(w);
    }
    http_client_close(w->client, NULL, NULL);
    uv_close((uv_handle_t *)&w->guard, NULL);
    uv_close((uv_handle_t *)&w->later, NULL);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    must(uv_loop_close(&w->loop) == 0);
    unlink(w->path);
    buf_free(&w->heard);
    free(w);
    return 0;
}

static void on_opened(void *data) {
    ((struct world *)data)->opened++;
}

static void on_lost(void *data, const struct err *err) {
    struct world *w = data;
    w->lost++;
    w->err = *err;
}

static void on_ended(void *data) {
    ((struct world *)data)->ended++;
}

static void on_snapshot(void *data, const struct follow_snapshot *s) {
    struct world *w = data;
    w->snapshots_heard++;
    w->at = s->at;
    buf_reset(&w->heard);
    buf_append(&w->heard, s->lines, s->len);
    const char *lines = s->lines;
    size_t len = s->len, count = 0;
    struct http_text line;
    while (stream_next_line(&lines, &len, &line)) {
        count++;
    }
    must(count == s->count && len == 0);
}

static void on_line(void *data, const char *line, size_t len) {
    struct world *w = data;
    must(strlen(line) == len);
    w->lines_heard++;
    buf_append(&w->heard, line, len);
    buf_putc(&w->heard, ';');
    if (w->close_at_first) {
        follow_close(w->follow);
        w->follow = NULL;
    }
}

static void on_after(void *data, char *text, size_t size) {
    snprintf(text, size, "%d", ((struct world *)data)->lines_heard);
}

static void follow(struct world *w, const char *url, enum follow_framing framing, bool once) {
    struct follow_options o = {
        .client = w->client,
        .framing = framing,
        .url = url,
        .unix_path = w->path,
        .after = on_after,
        .line_max = 1000,
        .once = once,
        .snapshot = on_snapshot,
        .line = on_line,
        .opened = on_opened,
        .lost = on_lost,
        .ended = on_ended,
        .data = w,
    };
    must(follow_open(&o, (struct stream_point){ 0, 0 }, &w->follow, &w->err) == 0);
}

#define RUN_UNTIL(condition)                                                                       \
    while (!(condition)) {                                                                         \
        uv_run(&w->loop, UV_RUN_ONCE);                                                             \
    }

static void on_waited(uv_timer_t *timer) {
    (void)timer;
}

static void run_for(struct world *w, unsigned ms) {
    uv_timer_start(&w->later, on_waited, ms, 0);
    RUN_UNTIL(!uv_is_active((uv_handle_t *)&w->later))
}

static void set(struct world *w, int64_t term, int64_t revision, size_t count, const char *lines) {
    struct stream_point at = { term, revision };
    must(feed_set(w->snapshots, at, count, lines, strlen(lines), &w->err) == 0);
}

/* ---- Tests ---- */

static void test_points(void **state) {
    (void)state;
    struct stream_point p;
    assert_int_equal(stream_point_parse("3.14", &p, NULL), 0);
    assert_int_equal(p.term, 3);
    assert_int_equal(p.revision, 14);
    static const char *const bad[] = { "", "3", ".", "3.", ".3", "3.-1", "a.b", "1.2.3", " 1.2",
        "99999999999999999999.1", "1.99999999999999999999" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(stream_point_parse(bad[i], &p, NULL), -1);
    }
    struct stream_point a = { 1, 9 }, b = { 2, 0 }, c = { 2, 1 };
    assert_true(stream_compare(a, b) < 0 && stream_compare(c, b) > 0 && !stream_compare(a, a));
}

static void test_snapshots(void **state) {
    struct world *w = *state;
    follow(w, "http://paas/snapshots", FOLLOW_SNAPSHOTS, false);
    RUN_UNTIL(w->opened)
    assert_int_equal(feed_watchers(w->snapshots), 1);
    set(w, 1, 1, 2, "{\"a\":1}\n{\"b\":2}\n");
    RUN_UNTIL(w->snapshots_heard == 1)
    assert_string_equal(buf_str(&w->heard), "{\"a\":1}\n{\"b\":2}\n");
    set(w, 1, 2, 0, "");
    RUN_UNTIL(w->snapshots_heard == 2)
    assert_string_equal(buf_str(&w->heard), "");
    /* What is not newer is not even sent. */
    set(w, 1, 1, 1, "old\n");
    set(w, 0, 9, 1, "old\n");
    assert_int_equal(feed_point(w->snapshots).revision, 2);
    set(w, 2, 0, 1, "new\n");
    RUN_UNTIL(w->snapshots_heard == 3)
    assert_string_equal(buf_str(&w->heard), "new\n");
    assert_int_equal(w->at.term, 2);
    assert_int_equal(w->lost, 0);
}

static void test_resumes(void **state) {
    struct world *w = *state;
    set(w, 1, 5, 1, "five\n");
    follow(w, "http://paas/snapshots?x=y", FOLLOW_SNAPSHOTS, false);
    RUN_UNTIL(w->snapshots_heard == 1)
    assert_string_equal(w->query, "x=y&watch&after=0.0");
    stop_serving(w);
    RUN_UNTIL(w->lost)
    assert_false(follow_is_open(w->follow));
    run_for(w, 200);
    assert_int_equal(w->lost, 1); /* told once, however often it fails */
    serve(w);
    set(w, 1, 5, 1, "five\n");
    RUN_UNTIL(w->opened == 2)
    assert_string_equal(w->query, "x=y&watch&after=1.5");
    set(w, 1, 6, 1, "six\n");
    RUN_UNTIL(w->snapshots_heard == 2)
    assert_string_equal(buf_str(&w->heard), "six\n");
}

static void test_heartbeats_keep_it(void **state) {
    struct world *w = *state;
    follow(w, "http://paas/snapshots", FOLLOW_SNAPSHOTS, false);
    RUN_UNTIL(w->opened)
    run_for(w, STREAM_SILENCE + 500);
    assert_int_equal(w->lost, 0);
    assert_true(follow_is_open(w->follow));
}

static void test_silence_loses_it(void **state) {
    struct world *w = *state;
    w->script = "{\"term\":1,\"revision\":1,\"count\":1}\nx\n";
    w->hang = true;
    follow(w, "http://paas/raw", FOLLOW_SNAPSHOTS, false);
    RUN_UNTIL(w->snapshots_heard)
    uint64_t began = uv_now(&w->loop);
    RUN_UNTIL(w->lost)
    assert_int_equal(w->err.code, ERR_TIMEOUT);
    assert_true(uv_now(&w->loop) - began < STREAM_SILENCE + 500);
}

/* A stream of nonsense is lost with words, and none of it is applied. */
static void test_nonsense(void **state) {
    struct world *w = *state;
    static const char *const scripts[] = {
        "hello\n",
        "{\"term\":1,\"revision\":1}\n",
        "{\"term\":-1,\"revision\":1,\"count\":0}\n",
        "{\"term\":1,\"revision\":1,\"count\":3}\none\ntwo\n",
        "{\"term\":1,\"revision\":1,\"count\":1}\nno end",
        "{\"term\":1,\"revision\":1,\"count\":1,\"more\":1}\nx\n",
        "{\"term\":0,\"revision\":0,\"count\":1}\nx\n",
    };
    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
        w->script = scripts[i];
        w->lost = 0;
        follow(w, "http://paas/raw", FOLLOW_SNAPSHOTS, false);
        RUN_UNTIL(w->lost)
        assert_true(w->err.text[0]);
        assert_int_equal(w->snapshots_heard, 0);
        follow_close(w->follow);
        w->follow = NULL;
    }
}

static void test_long_line(void **state) {
    struct world *w = *state;
    char script[2100];
    memset(script, 'a', sizeof script);
    script[1000] = '\n';
    script[2050] = '\0';
    w->script = script;
    follow(w, "http://paas/raw", FOLLOW_LINES, false);
    RUN_UNTIL(w->lost)
    assert_int_equal(w->err.code, ERR_TOO_LARGE);
    assert_int_equal(w->lines_heard, 1); /* of exactly the bound */
}

static void test_lines(void **state) {
    struct world *w = *state;
    follow(w, "http://paas/lines?key=web", FOLLOW_LINES, false);
    RUN_UNTIL(w->lines_heard == 1)
    feed_line(w->lines, "web", "mine", 4);
    feed_line(w->lines, "db", "not mine", 8);
    feed_line(w->lines, NULL, "nobody's", 8);
    feed_line(w->lines, "web", "last", 4);
    RUN_UNTIL(w->lines_heard == 3)
    assert_string_equal(buf_str(&w->heard), "older;mine;last;");
    assert_string_equal(w->query, "key=web&watch&after=0");
    stop_serving(w);
    RUN_UNTIL(w->lost)
    serve(w);
    RUN_UNTIL(w->lines_heard == 4)
    assert_string_equal(w->query, "key=web&watch&after=3");
}

static void test_once(void **state) {
    struct world *w = *state;
    w->script = "a\n\nb\n";
    follow(w, "http://paas/raw", FOLLOW_LINES, true);
    RUN_UNTIL(w->ended)
    assert_string_equal(buf_str(&w->heard), "a;b;");
    assert_int_equal(w->lost, 0);
    run_for(w, 200);
    assert_int_equal(w->opened, 1);
}

static void test_close_inside(void **state) {
    struct world *w = *state;
    w->script = "a\nb\n";
    w->close_at_first = true;
    follow(w, "http://paas/raw", FOLLOW_LINES, false);
    RUN_UNTIL(w->lines_heard)
    run_for(w, 100);
    assert_string_equal(buf_str(&w->heard), "a;");
    assert_int_equal(w->lost, 0);
}

/* Watchers that read nothing. */
static struct http_fetch *stuck(struct world *w, const char *url);

static void on_stuck_head(void *data, int status, struct http_fetch *f) {
    (void)status;
    http_pause(f);
    ((struct world *)data)->opened++;
}

static void on_stuck_data(void *data, const char *bytes, size_t len) {
    struct world *w = data;
    buf_append(&w->heard, bytes, len);
}

static void on_stuck_done(void *data, struct http_answer *answer, const struct err *err) {
    (void)answer;
    struct world *w = data;
    w->err = *err;
    w->ended++;
}

static struct http_fetch *stuck(struct world *w, const char *url) {
    struct http_fetch_options o = { .method = METHOD_GET,
        .url = url,
        .unix_path = w->path,
        .head = on_stuck_head,
        .data = on_stuck_data,
        .done = on_stuck_done,
        .context = w };
    return http_fetch_start(w->client, &o, &w->err);
}

/* One that has the newest already is sent nothing until there is a newer one. */
static void test_newcomer_who_knows(void **state) {
    struct world *w = *state;
    set(w, 1, 5, 1, "five\n");
    struct http_fetch *f = stuck(w, "http://paas/snapshots?watch&after=1.5");
    RUN_UNTIL(w->opened)
    http_resume(f);
    run_for(w, 100);
    assert_null(strstr(buf_str(&w->heard), "five"));
    set(w, 1, 6, 1, "six\n");
    RUN_UNTIL(strstr(buf_str(&w->heard), "six"))
    http_cancel(f);
}

/* One that lags is sent the newest snapshot and not all. */
static void test_lagging_snapshots(void **state) {
    struct world *w = *state;
    struct http_fetch *f = stuck(w, "http://paas/snapshots?watch");
    RUN_UNTIL(w->opened)
    char *large = malloc((2 << 20) + 1);
    memset(large, 'x', 2 << 20);
    large[(2 << 20) - 1] = '\n';
    large[2 << 20] = '\0';
    for (int i = 1; i <= 20; i++) {
        set(w, 1, i, 1, large);
        run_for(w, 2);
    }
    assert_int_equal(feed_watchers(w->snapshots), 1);
    http_resume(f);
    RUN_UNTIL(strstr(buf_str(&w->heard), "\"revision\":20,"))
    assert_true(w->heard.len < (size_t)6 << 20); /* of 40 */
    http_cancel(f);
    run_for(w, 20);
    assert_int_equal(feed_watchers(w->snapshots), 0);
    free(large);
}

/* One that lags behind lines is cut, visibly. */
static void test_lagging_lines(void **state) {
    struct world *w = *state;
    struct http_fetch *f = stuck(w, "http://paas/lines?watch");
    RUN_UNTIL(w->opened)
    char line[1000];
    memset(line, 'x', sizeof line);
    for (int i = 0; i < 5000; i++) {
        feed_line(w->lines, NULL, line, sizeof line);
        if (i % 100 == 0) {
            uv_run(&w->loop, UV_RUN_NOWAIT);
        }
    }
    assert_int_equal(feed_dropped(w->lines), 1);
    assert_int_equal(feed_watchers(w->lines), 0);
    http_resume(f);
    RUN_UNTIL(w->ended)
    assert_int_equal(w->err.code, ERR_BAD_GATEWAY);
}

static void test_plain_get(void **state) {
    struct world *w = *state;
    struct http_answer answer;
    struct http_fetch_options o = { .method = METHOD_GET, .unix_path = w->path };
    o.url = "http://paas/snapshots";
    assert_int_equal(http_fetch_now(w->client, &o, &answer, &w->err), -1);
    assert_int_equal(w->err.code, ERR_UNAVAILABLE);
    buf_free(&answer.body);
    set(w, 1, 1, 1, "one\n");
    assert_int_equal(http_fetch_now(w->client, &o, &answer, &w->err), 0);
    assert_string_equal(buf_str(&answer.body), "{\"term\":1,\"revision\":1,\"count\":1}\none\n");
    buf_free(&answer.body);
    o.url = "http://paas/snapshots?watch&after=x";
    assert_int_equal(http_fetch_now(w->client, &o, &answer, &w->err), -1);
    assert_int_equal(w->err.code, ERR_BAD_VALUE);
    buf_free(&answer.body);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_points),
        TEST(test_snapshots),
        TEST(test_resumes),
        TEST(test_heartbeats_keep_it),
        TEST(test_silence_loses_it),
        TEST(test_nonsense),
        TEST(test_long_line),
        TEST(test_lines),
        TEST(test_once),
        TEST(test_close_inside),
        TEST(test_newcomer_who_knows),
        TEST(test_lagging_snapshots),
        TEST(test_lagging_lines),
        TEST(test_plain_get),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
