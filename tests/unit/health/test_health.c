/* Monitors against real sockets on the loopback. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include <paas/health.h>

enum { DEADLINE_MS = 5000 };

/* A server that answers each connection with the same bytes, or, with NULL, says nothing. */
struct server {
    uv_tcp_t listener;
    const char *answer;
    int port;
    uv_tcp_t peers[64];
    int count;
};

struct bench {
    uv_loop_t loop;
    struct server server;
    struct health_monitor *monitor;
    uv_timer_t deadline;
    enum health_verdict wanted, seen;
    int good, bad;
    char words[HEALTH_WORDS_SIZE];
};

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    static char bytes[4096];
    (void)handle;
    (void)suggested;
    *buf = uv_buf_init(bytes, sizeof bytes);
}

static void on_peer_read(uv_stream_t *peer, ssize_t n, const uv_buf_t *buf) {
    struct server *s = peer->data;
    (void)buf;
    if (n > 0 && s->answer) {
        uv_buf_t out = uv_buf_init((char *)s->answer, (unsigned)strlen(s->answer));
        uv_try_write(peer, &out, 1);
    }
    if ((n < 0 || s->answer) && !uv_is_closing((uv_handle_t *)peer)) {
        uv_close((uv_handle_t *)peer, NULL);
    }
}

static void on_connection(uv_stream_t *listener, int status) {
    struct server *s = listener->data;
    assert_int_equal(status, 0);
    assert_true(s->count < 64);
    uv_tcp_t *peer = &s->peers[s->count++];
    peer->data = s;
    uv_tcp_init(listener->loop, peer);
    assert_int_equal(uv_accept(listener, (uv_stream_t *)peer), 0);
    uv_read_start((uv_stream_t *)peer, on_alloc, on_peer_read);
}

static void serve(struct bench *b, const char *answer) {
    struct sockaddr_in address;
    struct sockaddr_storage bound;
    int len = sizeof bound;
    struct server *s = &b->server;
    s->answer = answer;
    s->listener.data = s;
    uv_tcp_init(&b->loop, &s->listener);
    uv_ip4_addr("127.0.0.1", 0, &address);
    assert_int_equal(uv_tcp_bind(&s->listener, (struct sockaddr *)&address, 0), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&s->listener, 16, on_connection), 0);
    uv_tcp_getsockname(&s->listener, (struct sockaddr *)&bound, &len);
    s->port = ntohs(((struct sockaddr_in *)&bound)->sin_port);
}

static void on_probed(void *data, bool good, const char *words) {
    struct bench *b = data;
    b->good += good;
    b->bad += !good;
    strcpy(b->words, words);
    if (b->wanted == HEALTH_UNKNOWN && b->bad == 3) {
        uv_stop(&b->loop);
    }
}

static void on_changed(void *data, enum health_verdict verdict, const char *words) {
    struct bench *b = data;
    (void)words;
    b->seen = verdict;
    if (verdict == b->wanted) {
        uv_stop(&b->loop);
    }
}

static void on_deadline(uv_timer_t *timer) {
    (void)timer;
    fail_msg("the verdict did not come in time");
}

static void watch(struct bench *b, const char *path, enum health_verdict wanted) {
    struct err err;
    struct health_options options = {
        .loop = &b->loop,
        .address = "127.0.0.1",
        .port = b->server.port,
        .interval = 20,
        .timeout = 50,
        .rule = { .unhealthy_after = 2, .healthy_after = 1 },
        .probed = on_probed,
        .changed = on_changed,
        .data = b,
    };
    strcpy(options.path, path);
    b->wanted = wanted;
    b->monitor = health_start(&options, &err);
    assert_non_null(b->monitor);
    uv_timer_init(&b->loop, &b->deadline);
    uv_timer_start(&b->deadline, on_deadline, DEADLINE_MS, 0);
}

static void open_bench(struct bench *b) {
    memset(b, 0, sizeof *b);
    uv_loop_init(&b->loop);
}

static void close_one(uv_handle_t *handle, void *arg) {
    (void)arg;
    if (!uv_is_closing(handle)) {
        uv_close(handle, NULL);
    }
}

static void close_bench(struct bench *b) {
    health_stop(b->monitor);
    uv_run(&b->loop, UV_RUN_NOWAIT);
    uv_walk(&b->loop, close_one, NULL);
    uv_run(&b->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&b->loop), 0);
}

static void listening_is_healthy_without_a_path(void **state) {
    struct bench b;
    (void)state;
    open_bench(&b);
    serve(&b, NULL);
    watch(&b, "", HEALTH_GOOD);
    uv_run(&b.loop, UV_RUN_DEFAULT);
    assert_int_equal(b.seen, HEALTH_GOOD);
    close_bench(&b);
}

static void a_good_status_is_healthy(void **state) {
    struct bench b;
    (void)state;
    open_bench(&b);
    serve(&b, "HTTP/1.1 204 No Content\r\n\r\n");
    watch(&b, "/healthz", HEALTH_GOOD);
    uv_run(&b.loop, UV_RUN_DEFAULT);
    assert_non_null(strstr(b.words, "GET /healthz 204"));
    close_bench(&b);
}

/* Bad answers before any good one are told, and are no verdict. */
static void bad_answers_are_told(const char *answer, const char *path, const char *words) {
    struct bench b;
    open_bench(&b);
    serve(&b, answer);
    watch(&b, path, HEALTH_UNKNOWN);
    uv_run(&b.loop, UV_RUN_DEFAULT);
    assert_int_equal(b.good, 0);
    assert_int_equal(b.seen, HEALTH_UNKNOWN);
    assert_non_null(strstr(b.words, words));
    close_bench(&b);
}

static void a_bad_status_is_not(void **state) {
    (void)state;
    bad_answers_are_told("HTTP/1.1 500 No\r\n\r\n", "/", "GET / 500");
}

static void garbage_is_not(void **state) {
    (void)state;
    bad_answers_are_told("SSH-2.0-nonsense\r\n", "/", "not HTTP");
}

static void silence_is_not(void **state) {
    (void)state;
    bad_answers_are_told(NULL, "/", "no answer within");
}

static void failures_after_success_are_a_verdict(void **state) {
    struct bench b;
    (void)state;
    open_bench(&b);
    serve(&b, "HTTP/1.1 200 OK\r\n\r\n");
    watch(&b, "/", HEALTH_GOOD);
    uv_run(&b.loop, UV_RUN_DEFAULT);
    b.server.answer = "HTTP/1.1 503 No\r\n\r\n";
    b.wanted = HEALTH_BAD;
    uv_run(&b.loop, UV_RUN_DEFAULT);
    assert_int_equal(b.seen, HEALTH_BAD);
    assert_true(b.bad >= 2);
    close_bench(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(listening_is_healthy_without_a_path),
        cmocka_unit_test(a_good_status_is_healthy),
        cmocka_unit_test(a_bad_status_is_not),
        cmocka_unit_test(garbage_is_not),
        cmocka_unit_test(silence_is_not),
        cmocka_unit_test(failures_after_success_are_a_verdict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
