/* Hostile and broken clients. SPDX-License-Identifier: Apache-2.0 */
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

struct scene {
    struct rig rig;
    struct place web;
};

static int setup(void **state) {
    struct scene *s = calloc(1, sizeof *s);
    *state = s;
    rig_begin(&s->rig, 1);
    place_open(&s->web);
    rig_row(&s->rig, "aaaaaaaaaa", s->web.port, "healthy");
    rig_sync(&s->rig);
    return 0;
}

static int teardown(void **state) {
    struct scene *s = *state;
    place_close(&s->web);
    rig_close(&s->rig);
    free(s);
    return 0;
}

#define H "Host: app.test\r\n"

/* What must be refused, and as what; nothing of it may reach the instance. */
static const struct refused {
    const char *status, *request;
} refused[] = {
    { "400", "GET / HTTP/1.1\r\n\r\n" },
    { "400", "GET / HTTP/1.1\r\n" H H "\r\n" },
    { "400", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n" },
    { "400", "GET / HTTP/1.1\r\nHost: user@app.test\r\n\r\n" },
    { "400", "GET / HTTP/1.1\r\n" H "X: a\r\n b\r\n\r\n" },
    { "400", "GET / HTTP/1.1\r\n" H "X : a\r\n\r\n" },
    { "400", "GET / HTTP/1.1\r\n" H ": a\r\n\r\n" },
    { "400", "GET / HTTP/1.1\n" H "\r\n" },
    { "400", "GET  / HTTP/1.1\r\n" H "\r\n" },
    { "400", "GET /#x HTTP/1.1\r\n" H "\r\n" },
    { "400", "GET * HTTP/1.1\r\n" H "\r\n" },
    { "400", "\r\n\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n" },
    { "505", "GET / HTTP/2.0\r\n" H "\r\n" },
    { "501", "FOO / HTTP/1.1\r\n" H "\r\n" },
    { "501", "QUERY / HTTP/1.1\r\n" H "\r\n" },
    { "400", "POST / HTTP/1.1\r\n" H
             "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" },
    { "400", "POST / HTTP/1.1\r\n" H "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc" },
    { "400", "POST / HTTP/1.1\r\n" H "Content-Length: -1\r\n\r\n" },
    { "400", "POST / HTTP/1.1\r\n" H "Content-Length: 18446744073709551616\r\n\r\n" },
    { "413", "POST / HTTP/1.1\r\n" H "Content-Length: 9000000000000000000\r\n\r\n" },
    { "400", "POST / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" },
    { "400", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n" },
    { "501", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" },
    { "400", "\x16\x03\x01\x02" },
};

static void what_is_ambiguous_is_refused_and_the_connection_closed(void **state) {
    struct scene *s = *state;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        char status[32];
        bool reset;
        int client = rig_dial(&s->rig);
        put(client, refused[i].request);
        put(client, "GET /smuggled HTTP/1.1\r\n" H "\r\n");
        char *answer = get_all(client, &reset);
        snprintf(status, sizeof status, "HTTP/1.1 %s ", refused[i].status);
        if (strncmp(answer, status, strlen(status)) != 0) {
            fail_msg(
                "\"%s\" gives \"%.60s\" and not %s", refused[i].request, answer, refused[i].status);
        }
        assert_holds(answer, "\r\nContent-Type: application/problem+json\r\n");
        assert_holds(answer, "\r\nConnection: close\r\n");
        assert_null(strstr(answer + 1, "\nHTTP/1.1 ")); /* one answer, not two */
        free(answer);
        close(client);
    }
    assert_true(place_is_quiet(&s->web, 50));
}

/* A body that turns out wrong after its head was passed on. */
static void a_malformed_chunk_ends_both_sides(void **state) {
    struct scene *s = *state;
    bool reset;
    int client = rig_dial(&s->rig);
    put(client, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    int instance = place_accept(&s->web);
    free(get_until(instance, "abc"));
    put(client, "3\r\nabcXX");
    char *answer = get_all(client, &reset);
    assert_holds(answer, "HTTP/1.1 400 ");
    char *rest = get_all(instance, &reset);
    assert_lacks(rest, "0\r\n\r\n"); /* the instance must not take it for whole */
    free(answer);
    free(rest);
    close(client);
    close(instance);
}

static void headers_and_targets_have_limits(void **state) {
    struct scene *s = *state;
    enum { SIZE = 100000 };
    char *long_text = malloc(SIZE + 1);
    bool reset;
    memset(long_text, 'a', SIZE);
    long_text[SIZE] = '\0';
    static const struct {
        const char *before, *after, *status;
    } cases[] = {
        { "GET /", " HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 414 " },
        { "GET / HTTP/1.1\r\n" H "X: ", "\r\n\r\n", "HTTP/1.1 431 " },
    };
    for (int i = 0; i < 2; i++) {
        int client = rig_dial(&s->rig);
        put(client, cases[i].before);
        put_bytes(client, long_text, SIZE);
        char *answer = get_all(client, &reset);
        assert_holds(answer, cases[i].status);
        free(answer);
        close(client);
    }
    int client = rig_dial(&s->rig);
    put(client, "GET / HTTP/1.1\r\n" H);
    for (int i = 0; i < 101; i++) {
        put(client, "A: b\r\n");
    }
    char *answer = get_all(client, &reset);
    assert_holds(answer, "HTTP/1.1 431 ");
    free(answer);
    close(client);
    free(long_text);
}

static void an_unknown_host_is_told_how_to_route_it(void **state) {
    struct scene *s = *state;
    int client = rig_dial(&s->rig);
    put(client, "GET / HTTP/1.1\r\nHost: nobody.test\r\n\r\n");
    char *answer = get_answer(client);
    /* These routes are an earlier run's: what they lack may exist. */
    assert_holds(answer, "HTTP/1.1 503 ");
    assert_holds(answer, "\r\nRetry-After: 1\r\n");
    free(answer);
    close(client);
}

static void a_page_does_not_run_what_a_host_name_holds(void **state) {
    struct scene *s = *state;
    int client = rig_dial(&s->rig);
    put(client, "GET / HTTP/1.1\r\nHost: a'b&c;(d)\r\nAccept: text/html\r\n\r\n");
    char *answer = get_answer(client);
    assert_holds(answer, "text/html");
    assert_lacks(answer, "b&c");
    free(answer);
    close(client);
}

static void a_client_that_leaves_frees_its_instance(void **state) {
    struct scene *s = *state;
    int client = rig_dial(&s->rig);
    put(client, GET_APP);
    int instance = place_accept(&s->web);
    free(get_until(instance, "\r\n\r\n"));
    struct linger hard = { 1, 0 };
    setsockopt(client, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(client); /* a reset */
    get_end(instance);
    close(instance);
    /* In the middle of its body. */
    client = rig_dial(&s->rig);
    put(client, "POST / HTTP/1.1\r\n" H "Content-Length: 10\r\n\r\nabc");
    instance = place_accept(&s->web);
    free(get_until(instance, "abc"));
    close(client);
    get_end(instance);
    close(instance);
}

static void one_address_cannot_take_all_connections(void **state) {
    struct scene *s = *state;
    enum { SHARE = 1024 /* CLIENTS_PER_ADDRESS */ };
    int *fds = malloc((SHARE + 1) * sizeof *fds);
    for (int i = 0; i <= SHARE; i++) {
        fds[i] = rig_dial(&s->rig);
    }
    get_end(fds[SHARE]); /* closed at once */
    put(fds[0], GET_APP);
    int instance = place_accept(&s->web);
    free(get_until(instance, "\r\n\r\n"));
    put(instance, OK_HELLO);
    free(get_answer(fds[0])); /* the others are served */
    for (int i = 0; i <= SHARE; i++) {
        close(fds[i]);
    }
    free(fds);
    close(instance);
}

static void an_answer_before_the_body_ends_the_connection(void **state) {
    struct scene *s = *state;
    bool reset;
    int client = rig_dial(&s->rig);
    put(client, "POST / HTTP/1.1\r\n" H "Content-Length: 1000000\r\n\r\nabc");
    int instance = place_accept(&s->web);
    free(get_until(instance, "abc"));
    put(instance, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno");
    char *answer = get_all(client, &reset);
    assert_holds(answer, "HTTP/1.1 413 Too Large\r\n");
    assert_holds(answer, "\r\nConnection: close\r\n");
    assert_holds(answer, "\r\n\r\nno");
    assert_false(reset);
    free(answer);
    get_end(instance);
    close(client);
    close(instance);
}

/* Whoever asks on and on, and reads no answer, is not read any more. */
static void a_client_that_does_not_read_is_not_served(void **state) {
    struct scene *s = *state;
    enum { MOST = 64 << 20 };
    static const char request[] = "GET / HTTP/1.1\r\nHost: nobody.test\r\n\r\n";
    int client = rig_dial(&s->rig);
    char *many = malloc(sizeof request * 1000);
    size_t len = 0, sent = 0;
    for (int i = 0; i < 1000; i++) {
        memcpy(many + len, request, sizeof request - 1);
        len += sizeof request - 1;
    }
    for (int stuck = 0; sent < MOST && stuck < 10;) {
        ssize_t n = send(client, many + sent % len, len - sent % len, MSG_DONTWAIT | MSG_NOSIGNAL);
        stuck = n > 0 ? 0 : stuck + 1;
        sent += n > 0 ? (size_t)n : 0;
        if (n <= 0) {
            poll(NULL, 0, 20);
        }
    }
    assert_true(sent < MOST);
    /* Once it reads, all goes on, and each request has its answer. */
    char *answers = malloc(1 << 20);
    size_t read = 0;
    while (poll(&(struct pollfd){ .fd = client, .events = POLLIN }, 1, 300) > 0) {
        ssize_t n = recv(client, answers, 1 << 20, 0);
        assert_true(n > 0);
        read += (size_t)n;
    }
    assert_true(read > sent * 3); /* an answer is some 300 bytes, a request 40 */
    free(many);
    free(answers);
    close(client);
}

/* Asks for the hosts number `first` to `first + count - 1`, pipelined, and reads the answers, each
 * of `size` bytes. */
static void ask_for_strangers(int client, int first, int count, size_t size) {
    char request[64];
    char *batch = calloc((size_t)count, sizeof request),
         *answers = malloc((size_t)count * size + 1);
    size_t len = 0, got = 0;
    for (int i = first; i < first + count; i++) {
        len += (size_t)snprintf(
            batch + len, sizeof request, "GET / HTTP/1.1\r\nHost: h%07d.test\r\n\r\n", i);
    }
    put_bytes(client, batch, len);
    while (got < (size_t)count * size) {
        assert_int_equal(poll(&(struct pollfd){ client, POLLIN, 0 }, 1, RIG_DEADLINE), 1);
        ssize_t n = recv(client, answers + got, (size_t)count * size - got, 0);
        assert_true(n > 0);
        got += (size_t)n;
    }
    answers[got] = '\0';
    for (int i = 0; i < count; i++) {
        assert_memory_equal(answers + (size_t)i * size, "HTTP/1.1 503 ", 13);
    }
    free(batch);
    free(answers);
}

static void names_that_nobody_has_cost_no_memory(void **state) {
    struct scene *s = *state;
    enum {
        NAMES = 1000000,
        NAMES_UNMEASURED = 100000, /* where the memory says nothing */
        BATCH = 200,
        GROWTH = 2 << 20, /* bytes; a name that is kept would cost 20 at least: 18 MB */
    };
    int names = rig_memory(&s->rig) < 0 ? NAMES_UNMEASURED : NAMES;
    int client = rig_dial(&s->rig);
    int64_t before = 0;
    put(client, "GET / HTTP/1.1\r\nHost: h9999999.test\r\n\r\n");
    char *answer = get_answer(client);
    size_t size = strlen(answer);
    free(answer);
    for (int i = 0; i < names; i += BATCH) {
        ask_for_strangers(client, i, BATCH, size);
        before = i < names / 10 ? rig_memory(&s->rig) : before;
    }
    assert_true(rig_memory(&s->rig) - before < GROWTH);
    close(client);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(what_is_ambiguous_is_refused_and_the_connection_closed),
        TEST(a_malformed_chunk_ends_both_sides),
        TEST(headers_and_targets_have_limits),
        TEST(an_unknown_host_is_told_how_to_route_it),
        TEST(a_page_does_not_run_what_a_host_name_holds),
        TEST(names_that_nobody_has_cost_no_memory),
        TEST(a_client_that_leaves_frees_its_instance),
        TEST(one_address_cannot_take_all_connections),
        TEST(an_answer_before_the_body_ends_the_connection),
        TEST(a_client_that_does_not_read_is_not_served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
