/* What passes through the proxy, both ways. SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* One app, one healthy instance, one worker. */
struct scene {
    struct rig rig;
    struct place web;
    int client;
};

static int setup(void **state) {
    struct scene *s = calloc(1, sizeof *s);
    *state = s;
    rig_begin(&s->rig, 1);
    place_open(&s->web);
    rig_row(&s->rig, "aaaaaaaaaa", s->web.port, "healthy");
    rig_sync(&s->rig);
    s->client = rig_dial(&s->rig);
    return 0;
}

static int teardown(void **state) {
    struct scene *s = *state;
    close(s->client);
    place_close(&s->web);
    rig_close(&s->rig);
    free(s);
    return 0;
}

/* Sends a request, and returns it as the instance got it, up to the head's end. */
static char *through(struct scene *s, const char *request, int *instance) {
    put(s->client, request);
    *instance = place_accept(&s->web);
    return get_until(*instance, "\r\n\r\n");
}

static void a_request_is_written_anew(void **state) {
    struct scene *s = *state;
    int instance;
    char *got = through(s,
        "GET /a/b?c=d HTTP/1.1\r\nhost: APP.test\r\nX-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6"
        "\r\nX-Forwarded-Proto: https\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5"
        "\r\nProxy-Connection: x\r\nAccept:text/plain  \r\nCookie: a=b\r\n\r\n",
        &instance);
    assert_holds(got, "GET /a/b?c=d HTTP/1.1\r\nHost: APP.test\r\n");
    assert_holds(got, "\r\nX-Forwarded-For: 127.0.0.1\r\n");
    assert_holds(got, "\r\nX-Forwarded-Proto: http\r\n");
    assert_holds(got, "\r\nX-Forwarded-Host: APP.test\r\n");
    assert_holds(got, "\r\nX-Request-Id: ");
    assert_holds(got, "\r\nAccept: text/plain\r\n");
    assert_holds(got, "\r\nCookie: a=b\r\n");
    assert_lacks(got, "6.6.6.6");
    assert_lacks(got, "x-hop");
    assert_lacks(got, "keep-alive");
    assert_lacks(got, "proxy-connection");
    free(got);
    put(instance, OK_HELLO);
    char *answer = get_answer(s->client);
    assert_holds(answer, "HTTP/1.1 200 OK\r\n");
    assert_holds(answer, "\r\nDate: ");
    assert_holds(answer, "\r\n\r\nhello");
    free(answer);
    close(instance);
}

static void a_good_request_id_is_kept_and_a_bad_one_replaced(void **state) {
    struct scene *s = *state;
    int instance;
    char *got = through(
        s, "GET / HTTP/1.1\r\nHost: app.test\r\nX-Request-Id: my-Id_1.2\r\n\r\n", &instance);
    assert_holds(got, "\r\nX-Request-Id: my-Id_1.2\r\n");
    free(got);
    put(instance, OK_HELLO);
    char *answer = get_answer(s->client);
    assert_holds(answer, "\r\nX-Request-Id: my-Id_1.2\r\n");
    free(answer);
    put(s->client, "GET / HTTP/1.1\r\nHost: app.test\r\nX-Request-Id: a\"b{}\r\n\r\n");
    got = get_until(instance, "\r\n\r\n");
    assert_lacks(got, "a\"b");
    assert_holds(got, "\r\nX-Request-Id: ");
    free(got);
    put(instance, OK_HELLO);
    free(get_answer(s->client));
    close(instance);
}

static void connections_are_kept_on_both_sides(void **state) {
    struct scene *s = *state;
    int instance;
    free(through(s, GET_APP, &instance));
    put(instance, OK_HELLO);
    free(get_answer(s->client));
    for (int i = 0; i < 3; i++) {
        put(s->client, GET_APP);
        free(get_until(instance, "\r\n\r\n")); /* on the same connection */
        put(instance, OK_HELLO);
        free(get_answer(s->client));
    }
    assert_true(place_is_quiet(&s->web, 20));
    close(instance);
}

static void pipelined_requests_are_answered_in_order(void **state) {
    struct scene *s = *state;
    put(s->client,
        "GET /1 HTTP/1.1\r\nHost: app.test\r\n\r\nGET /2 HTTP/1.1\r\nHost: app.test\r\n\r\n"
        "POST /3 HTTP/1.1\r\nHost: app.test\r\nContent-Length: 3\r\n\r\nabc");
    int instance = place_accept(&s->web);
    for (int i = 1; i <= 3; i++) {
        char line[16], answer[64];
        snprintf(line, sizeof line, " /%d ", i);
        char *got = get_until(instance, i == 3 ? "abc" : "\r\n\r\n");
        assert_holds(got, line);
        free(got);
        snprintf(answer, sizeof answer, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d", i);
        put(instance, answer);
        char *text = get_answer(s->client);
        assert_int_equal(text[strlen(text) - 1], '0' + i);
        free(text);
    }
    close(instance);
}

static void a_request_may_come_byte_by_byte(void **state) {
    struct scene *s = *state;
    static const char request[] =
        "POST /x HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3;a=\"b c\"\r\nabc\r\n0\r\n\r\n";
    for (size_t i = 0; i < sizeof request - 1; i++) {
        put_bytes(s->client, request + i, 1);
        poll(NULL, 0, 1);
    }
    int instance = place_accept(&s->web);
    char *got = get_until(instance, "0\r\n\r\n");
    assert_holds(got, "\r\nTransfer-Encoding: chunked\r\n");
    assert_lacks(got, "b c"); /* extensions are not passed on */
    free(got);
    put(instance, OK_HELLO);
    free(get_answer(s->client));
    close(instance);
}

static void trailers_that_are_allowed_pass(void **state) {
    struct scene *s = *state;
    int instance;
    free(through(s, GET_APP, &instance));
    put(instance, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Grpc-Status\r\n\r\n"
                  "5\r\nhello\r\n0\r\nGrpc-Status: 0\r\nContent-Length: 3\r\nX-Evil: 1\r\n\r\n");
    char *answer = get_until(s->client, "Grpc-Status: 0\r\n\r\n");
    assert_holds(answer, "5\r\nhello\r\n0\r\nGrpc-Status: 0\r\n\r\n");
    assert_lacks(answer, "x-evil");
    assert_lacks(strstr(answer, "hello"), "content-length");
    free(answer);
    close(instance);
}

static void head_and_304_have_a_length_and_no_body(void **state) {
    struct scene *s = *state;
    int instance;
    free(through(s, "HEAD / HTTP/1.1\r\nHost: app.test\r\n\r\n", &instance));
    put(instance, "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n");
    char *answer = get_until(s->client, "\r\n\r\n");
    assert_holds(answer, "\r\nContent-Length: 5000\r\n");
    free(answer);
    put(s->client, GET_APP);
    free(get_until(instance, "\r\n\r\n"));
    put(instance, "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\nETag: \"x\"\r\n\r\n");
    answer = get_until(s->client, "\r\n\r\n");
    assert_holds(answer, "HTTP/1.1 304 ");
    free(answer);
    put(s->client, GET_APP);
    free(get_until(instance, "\r\n\r\n"));
    put(instance, OK_HELLO);
    free(get_answer(s->client));
    close(instance);
}

static void a_streamed_answer_is_not_held_back(void **state) {
    struct scene *s = *state;
    int instance;
    free(through(s, GET_APP, &instance));
    put(instance, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
    char *head = get_until(s->client, "\r\n\r\n"); /* before any event */
    assert_holds(head, "\r\nTransfer-Encoding: chunked\r\n");
    free(head);
    for (int i = 0; i < 3; i++) {
        put(instance, "data: tick\n\n");
        free(get_until(s->client, "data: tick\n\n")); /* each one as it comes */
    }
    close(instance); /* the end of a body without a length */
    free(get_until(s->client, "0\r\n\r\n"));
}

static void an_old_client_gets_no_chunks(void **state) {
    struct scene *s = *state;
    int instance;
    bool reset;
    free(through(s, "GET / HTTP/1.0\r\nHost: app.test\r\n\r\n", &instance));
    put(instance, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    char *answer = get_all(s->client, &reset);
    assert_lacks(answer, "chunked");
    assert_holds(answer, "\r\n\r\nhello");
    assert_string_equal(strstr(answer, "hello"), "hello");
    assert_false(reset);
    free(answer);
    close(instance);
}

static void one_hundred_continue_goes_both_ways(void **state) {
    struct scene *s = *state;
    int instance;
    char *got = through(s,
        "PUT /x HTTP/1.1\r\nHost: app.test\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n",
        &instance);
    assert_holds(got, "\r\nExpect: 100-continue\r\n");
    free(got);
    put(instance, "HTTP/1.1 100 Continue\r\n\r\n");
    free(get_until(s->client, "HTTP/1.1 100 Continue\r\n\r\n"));
    put(s->client, "abc");
    free(get_until(instance, "abc"));
    put(instance, OK_HELLO);
    free(get_answer(s->client));
    close(instance);
}

static void early_hints_pass_and_nothing_desynchronises(void **state) {
    struct scene *s = *state;
    int instance;
    free(through(s, GET_APP, &instance));
    put(instance,
        "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n");
    free(get_until(s->client, "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"));
    put(instance, OK_HELLO);
    char *answer = get_answer(s->client);
    assert_holds(answer, "HTTP/1.1 200 OK\r\n"); /* the 100 that nobody waited for is gone */
    free(answer);
    put(s->client, GET_APP);
    free(get_until(instance, "\r\n\r\n"));
    put(instance, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond");
    answer = get_answer(s->client);
    assert_holds(answer, "\r\n\r\nsecond");
    free(answer);
    close(instance);
}

static void an_upgrade_makes_a_tunnel(void **state) {
    struct scene *s = *state;
    int instance;
    bool reset;
    char *got = through(s,
        "GET /ws HTTP/1.1\r\nHost: app.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Key: x\r\n\r\n",
        &instance);
    assert_holds(got, "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n");
    assert_holds(got, "\r\nSec-WebSocket-Key: x\r\n");
    free(got);
    put(instance,
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
        "\r\nfirst");
    char *answer = get_until(s->client, "first");
    assert_holds(answer, "\r\nUpgrade: websocket\r\n");
    free(answer);
    put(s->client, "GET / HTTP/1.1 is only bytes");
    free(get_until(instance, "GET / HTTP/1.1 is only bytes"));
    shutdown(s->client, SHUT_WR);
    get_end(instance);
    put(instance, "last words");
    close(instance);
    answer = get_all(s->client, &reset);
    assert_string_equal(answer, "last words");
    free(answer);
}

/* More than all buffers on the way hold: the sender must be stopped, and nothing may be lost. */
static void large_bodies_pass_with_a_reader_that_sleeps(void **state) {
    struct scene *s = *state;
    enum { SIZE = 48 << 20, PIECE = 1 << 20 };
    int instance;
    free(through(s, GET_APP, &instance));
    char head[96];
    snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", SIZE);
    put(instance, head);
    char *piece = malloc(PIECE), *got = malloc(PIECE);
    size_t sent = 0, read = 0;
    bool stopped = false;
    free(get_until(s->client, "\r\n\r\n"));
    while (read < SIZE) {
        struct pollfd p = { .fd = instance, .events = POLLOUT };
        if (sent < SIZE && poll(&p, 1, 100) > 0) {
            for (size_t i = 0; i < PIECE; i++) {
                piece[i] = (char)((sent + i) % 251);
            }
            ssize_t n = send(instance, piece, PIECE, MSG_DONTWAIT | MSG_NOSIGNAL);
            sent += n > 0 ? (size_t)n : 0;
            continue;
        }
        stopped |= sent < SIZE;
        ssize_t n = recv(s->client, got, PIECE, 0);
        assert_true(n > 0);
        for (ssize_t i = 0; i < n; i++, read++) {
            if (got[i] != (char)(read % 251)) {
                fail_msg("byte %zu is wrong", read);
            }
        }
    }
    assert_true(stopped); /* else nothing was held back */
    free(piece);
    free(got);
    close(instance);
}

static void large_uploads_pass_with_an_app_that_sleeps(void **state) {
    struct scene *s = *state;
    enum { SIZE = 32 << 20, PIECE = 1 << 20 };
    int instance;
    char head[128];
    snprintf(head, sizeof head, "POST /x HTTP/1.1\r\nHost: app.test\r\nContent-Length: %d\r\n\r\n",
        SIZE);
    free(through(s, head, &instance));
    char *piece = calloc(1, PIECE), *got = malloc(PIECE);
    size_t sent = 0, read = 0;
    bool stopped = false;
    while (read < SIZE) {
        struct pollfd p = { .fd = s->client, .events = POLLOUT };
        if (sent < SIZE && poll(&p, 1, 100) > 0) {
            size_t most = SIZE - sent < PIECE ? SIZE - sent : PIECE;
            ssize_t n = send(s->client, piece, most, MSG_DONTWAIT | MSG_NOSIGNAL);
            sent += n > 0 ? (size_t)n : 0;
            continue;
        }
        stopped |= sent < SIZE;
        ssize_t n = recv(instance, got, PIECE, 0);
        assert_true(n > 0);
        read += (size_t)n;
    }
    assert_true(stopped);
    put(instance, OK_HELLO);
    free(get_answer(s->client));
    free(piece);
    free(got);
    close(instance);
}

static void a_client_that_ends_its_side_gets_its_answer(void **state) {
    struct scene *s = *state;
    int instance;
    bool reset;
    free(through(s, GET_APP, &instance));
    shutdown(s->client, SHUT_WR);
    put(instance, OK_HELLO);
    char *answer = get_all(s->client, &reset);
    assert_holds(answer, "\r\n\r\nhello");
    assert_false(reset);
    free(answer);
    close(instance);
}

static void paths_choose_apps_by_whole_segments(void **state) {
    struct scene *s = *state;
    (void)s;
    struct rig r;
    struct place shop;
    rig_open(&r);
    rig_keep_routes(&r,
        "{\"host\":\"app.test\",\"path\":\"/\",\"app\":\"app\",\"process\":\"web\",\"nodes\":[]}\n"
        "{\"host\":\"app.test\",\"path\":\"/shop\",\"app\":\"shop\",\"process\":\"web\",\"nodes\":[]}\n",
        2);
    rig_launch(&r, 1);
    rig_agent_comes(&r);
    place_open(&shop);
    rig_row(&r, "aaaaaaaaaa", s->web.port, "healthy");
    rig_say(&r,
        "{\"type\":\"instance\",\"id\":\"bbbbbbbbbb\",\"app\":\"shop\",\"process\":\"web\","
        "\"release\":1,\"address\":\"127.0.0.1\",\"port\":%d,\"state\":\"healthy\"}",
        shop.port);
    rig_sync(&r);
    static const struct {
        const char *path;
        bool shop;
    } cases[] = { { "/shop", true }, { "/shop/x", true }, { "/shopping", false }, { "/", false },
        { "/shop?x", true } };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char request[96];
        int client = rig_dial(&r);
        snprintf(request, sizeof request,
            "GET %s HTTP/1.1\r\nHost: app.test:80\r\nConnection: close\r\n\r\n", cases[i].path);
        put(client, request);
        int instance = place_accept(cases[i].shop ? &shop : &s->web);
        free(get_until(instance, "\r\n\r\n"));
        put(instance, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        free(get_answer(client));
        close(instance);
        close(client);
    }
    place_close(&shop);
    rig_close(&r);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_request_is_written_anew),
        TEST(a_good_request_id_is_kept_and_a_bad_one_replaced),
        TEST(connections_are_kept_on_both_sides),
        TEST(pipelined_requests_are_answered_in_order),
        TEST(a_request_may_come_byte_by_byte),
        TEST(trailers_that_are_allowed_pass),
        TEST(head_and_304_have_a_length_and_no_body),
        TEST(a_streamed_answer_is_not_held_back),
        TEST(an_old_client_gets_no_chunks),
        TEST(one_hundred_continue_goes_both_ways),
        TEST(early_hints_pass_and_nothing_desynchronises),
        TEST(an_upgrade_makes_a_tunnel),
        TEST(large_bodies_pass_with_a_reader_that_sleeps),
        TEST(large_uploads_pass_with_an_app_that_sleeps),
        TEST(a_client_that_ends_its_side_gets_its_answer),
        TEST(paths_choose_apps_by_whole_segments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
