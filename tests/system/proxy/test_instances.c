/* Hostile and broken instances. SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

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

/* Answers that can't be read in one way only, or are no HTTP at all. */
static const char *const hostile[] = {
    "SSH-2.0-OpenSSH_9.2\r\n",
    "hello world\n",
    "HTTP/2.0 200 OK\r\n\r\n",
    "HTTP/1.1 99 Low\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
    "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    "HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n",
};

static void an_answer_that_is_not_http_becomes_502(void **state) {
    struct scene *s = *state;
    for (size_t i = 0; i < sizeof hostile / sizeof hostile[0]; i++) {
        put(s->client, GET_APP);
        int instance = place_accept(&s->web);
        free(get_until(instance, "\r\n\r\n"));
        put(instance, hostile[i]);
        char *answer = get_answer(s->client);
        if (strncmp(answer, "HTTP/1.1 502 ", 13) != 0) {
            fail_msg("\"%s\" gives \"%.80s\"", hostile[i], answer);
        }
        assert_holds(answer, "\"code\":\"bad-gateway\"");
        free(answer);
        get_end(instance);
        close(instance);
    }
    assert_int_equal(rig_metric(&s->rig, "paas_proxy_upstream_bad_answers_total"),
        sizeof hostile / sizeof hostile[0]);
}

static void interim_answers_without_end_become_502(void **state) {
    struct scene *s = *state;
    put(s->client, GET_APP);
    int instance = place_accept(&s->web);
    free(get_until(instance, "\r\n\r\n"));
    for (int i = 0; i < 17; i++) {
        put(instance, "HTTP/1.1 102 Processing\r\n\r\n");
    }
    free(get_until(s->client, "HTTP/1.1 502 "));
    close(instance);
}

static void bytes_behind_an_answer_are_no_second_one(void **state) {
    struct scene *s = *state;
    put(s->client, GET_APP);
    int instance = place_accept(&s->web);
    free(get_until(instance, "\r\n\r\n"));
    put(instance, OK_HELLO "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
    char *answer = get_answer(s->client);
    assert_holds(answer, "\r\n\r\nhello");
    assert_lacks(answer, "evil");
    free(answer);
    get_end(instance); /* not kept */
    close(instance);
    put(s->client, GET_APP);
    instance = place_accept(&s->web);
    free(get_until(instance, "\r\n\r\n"));
    put(instance, OK_HELLO);
    answer = get_answer(s->client);
    assert_lacks(answer, "evil");
    free(answer);
    close(instance);
}

static void words_on_an_idle_connection_are_not_an_answer(void **state) {
    struct scene *s = *state;
    put(s->client, GET_APP);
    int instance = place_accept(&s->web);
    free(get_until(instance, "\r\n\r\n"));
    put(instance, OK_HELLO);
    free(get_answer(s->client));
    put(instance, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
    get_end(instance);
    close(instance);
    put(s->client, GET_APP);
    instance = place_accept(&s->web);
    free(get_until(instance, "\r\n\r\n"));
    put(instance, OK_HELLO);
    char *answer = get_answer(s->client);
    assert_holds(answer, "\r\n\r\nhello");
    free(answer);
    close(instance);
}

static void a_cut_answer_is_cut_visibly(void **state) {
    struct scene *s = *state;
    static const char *const answers[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nnonsense\r\n",
    };
    for (int i = 0; i < 3; i++) {
        bool reset;
        int client = rig_dial(&s->rig);
        put(client, GET_APP);
        int instance = place_accept(&s->web);
        free(get_until(instance, "\r\n\r\n"));
        put(instance, answers[i]);
        char *head = get_until(client, "hello");
        close(instance);
        char *rest = get_all(client, &reset);
        assert_lacks(rest, "0\r\n\r\n");
        free(head);
        free(rest);
        close(client);
    }
}

static void a_cut_answer_to_an_old_client_is_a_reset(void **state) {
    struct scene *s = *state;
    bool reset = false;
    put(s->client, "GET / HTTP/1.0\r\nHost: app.test\r\n\r\n");
    int instance = place_accept(&s->web);
    free(get_until(instance, "\r\n\r\n"));
    put(instance, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    free(get_until(s->client, "hello"));
    close(instance);
    free(get_all(s->client, &reset));
    assert_true(reset); /* a plain close would be the answer's end */
}

static void an_answer_may_come_byte_by_byte(void **state) {
    struct scene *s = *state;
    static const char answer[] =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    put(s->client, GET_APP);
    int instance = place_accept(&s->web);
    free(get_until(instance, "\r\n\r\n"));
    for (size_t i = 0; i < sizeof answer - 1; i++) {
        put_bytes(instance, answer + i, 1);
    }
    char *got = get_until(s->client, "0\r\n\r\n");
    assert_holds(got, "HTTP/1.1 200 OK\r\n");
    free(got);
    close(instance);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(an_answer_that_is_not_http_becomes_502),
        TEST(interim_answers_without_end_become_502),
        TEST(bytes_behind_an_answer_are_no_second_one),
        TEST(words_on_an_idle_connection_are_not_an_answer),
        TEST(a_cut_answer_is_cut_visibly),
        TEST(a_cut_answer_to_an_old_client_is_a_reset),
        TEST(an_answer_may_come_byte_by_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
