/* Requests that wait for an instance. SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* A demand without the member "held", which is not written when it is 0. */
#define NONE_HELD "\"process\":\"web\",\"requests\""

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
    return 0;
}

static int teardown(void **state) {
    struct scene *s = *state;
    place_close(&s->web);
    rig_close(&s->rig);
    free(s);
    return 0;
}

static void say_app(struct scene *s, bool can_grow, int starting, const char *reason) {
    rig_say(&s->rig,
        "{\"type\":\"app\",\"app\":\"app\",\"process\":\"web\",\"can_grow\":%s,\"starting\":%d,"
        "\"reason\":\"%s\"}",
        can_grow ? "true" : "false", starting, reason);
    rig_sync(&s->rig);
}

static void a_request_to_a_sleeping_app_wakes_it(void **state) {
    struct scene *s = *state;
    say_app(s, true, 0, "");
    int client = rig_dial(&s->rig);
    size_t mark = rig_mark(&s->rig);
    put(client, GET_APP);
    rig_hears(&s->rig, mark, "\"demand\"");
    rig_hears(&s->rig, mark, "\"held\":1");
    assert_true(is_quiet(client, 20));
    rig_row(&s->rig, "aaaaaaaaaa", s->web.port, "healthy");
    rig_sync(&s->rig);
    int instance = place_accept(&s->web);
    free(get_until(instance, "\r\n\r\n"));
    put(instance, OK_HELLO);
    char *answer = get_answer(client);
    assert_holds(answer, "\r\n\r\nhello");
    free(answer);
    mark = rig_mark(&s->rig);
    close(instance);
    close(client);
}

static void those_that_wait_go_on_in_order(void **state) {
    struct scene *s = *state;
    enum { COUNT = 20 };
    int clients[COUNT];
    say_app(s, false, 1, "ceiling");
    for (int i = 0; i < COUNT; i++) {
        char request[64], held[32];
        size_t mark = rig_mark(&s->rig);
        clients[i] = rig_dial(&s->rig);
        snprintf(request, sizeof request, "GET /%02d HTTP/1.1\r\nHost: app.test\r\n\r\n", i);
        put(clients[i], request);
        snprintf(held, sizeof held, "\"held\":%d,", i + 1);
        rig_hears(&s->rig, mark, held);
    }
    rig_row(&s->rig, "aaaaaaaaaa", s->web.port, "healthy");
    rig_sync(&s->rig);
    for (int i = 0; i < COUNT; i++) {
        char line[16];
        int instance = place_accept(&s->web);
        char *got = get_until(instance, "\r\n\r\n");
        snprintf(line, sizeof line, "GET /%02d ", i);
        assert_holds(got, line);
        free(got);
        put(instance, OK_HELLO);
        free(get_answer(clients[i]));
        close(instance);
        close(clients[i]);
    }
}

static void without_hope_it_is_503_at_once_with_the_reason(void **state) {
    struct scene *s = *state;
    say_app(s, false, 0, "failing: exited with code 1");
    int client = rig_dial(&s->rig);
    put(client, GET_APP);
    char *answer = get_answer(client);
    assert_holds(answer, "HTTP/1.1 503 ");
    assert_holds(answer, "\r\nRetry-After: 1\r\n");
    assert_holds(answer, "failing: exited with code 1");
    free(answer);
    close(client);
}

static void those_that_wait_are_told_when_hope_ends(void **state) {
    struct scene *s = *state;
    say_app(s, true, 1, "");
    int client = rig_dial(&s->rig);
    put(client, GET_APP);
    assert_true(is_quiet(client, 30));
    say_app(s, false, 0, "full");
    char *answer = get_answer(client);
    assert_holds(answer, "HTTP/1.1 503 ");
    assert_holds(answer, "full");
    free(answer);
    close(client);
}

static void a_client_that_leaves_does_not_wait_any_more(void **state) {
    struct scene *s = *state;
    say_app(s, true, 1, "");
    int client = rig_dial(&s->rig);
    size_t mark = rig_mark(&s->rig);
    put(client, GET_APP);
    rig_hears(&s->rig, mark, "\"held\":1");
    mark = rig_mark(&s->rig);
    close(client);
    rig_hears(&s->rig, mark, NONE_HELD);
    rig_row(&s->rig, "aaaaaaaaaa", s->web.port, "healthy");
    rig_sync(&s->rig);
    assert_true(place_is_quiet(&s->web, 50));
}

static void a_body_waits_with_its_request(void **state) {
    struct scene *s = *state;
    say_app(s, true, 1, "");
    int client = rig_dial(&s->rig);
    put(client, "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 6\r\n\r\nabc");
    assert_true(is_quiet(client, 30));
    put(client, "def");
    rig_row(&s->rig, "aaaaaaaaaa", s->web.port, "healthy");
    rig_sync(&s->rig);
    int instance = place_accept(&s->web);
    free(get_until(instance, "abcdef"));
    put(instance, OK_HELLO);
    free(get_answer(client));
    close(instance);
    close(client);
}

static void the_queue_is_bounded(void **state) {
    struct scene *s = *state;
    enum { ROOM = 1000 };
    int *clients = malloc(ROOM * sizeof *clients);
    say_app(s, true, 1, "");
    for (int i = 0; i < ROOM; i++) {
        clients[i] = rig_dial(&s->rig);
        put(clients[i], GET_APP);
    }
    size_t mark = rig_mark(&s->rig);
    rig_hears(&s->rig, mark > 2000 ? mark - 2000 : 0, "\"held\":1000,");
    for (int i = 0; i < ROOM; i++) {
        close(clients[i]);
    }
    free(clients);
    rig_hears(&s->rig, mark, NONE_HELD);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_request_to_a_sleeping_app_wakes_it),
        TEST(those_that_wait_go_on_in_order),
        TEST(without_hope_it_is_503_at_once_with_the_reason),
        TEST(those_that_wait_are_told_when_hope_ends),
        TEST(a_client_that_leaves_does_not_wait_any_more),
        TEST(a_body_waits_with_its_request),
        TEST(the_queue_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
