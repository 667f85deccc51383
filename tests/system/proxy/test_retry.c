/* Requests that fail before their first answered byte. SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct scene {
    struct rig rig;
    struct place a, b;
    int client;
};

static int setup(void **state) {
    struct scene *s = calloc(1, sizeof *s);
    *state = s;
    rig_begin(&s->rig, 1);
    place_open(&s->a);
    place_open(&s->b);
    rig_row(&s->rig, "aaaaaaaaaa", s->a.port, "healthy");
    rig_sync(&s->rig);
    s->client = rig_dial(&s->rig);
    return 0;
}

static int teardown(void **state) {
    struct scene *s = *state;
    close(s->client);
    place_close(&s->a);
    place_close(&s->b);
    rig_close(&s->rig);
    free(s);
    return 0;
}

static void second_instance(struct scene *s) {
    rig_row(&s->rig, "bbbbbbbbbb", s->b.port, "healthy");
    rig_sync(&s->rig);
}

/* Whichever of both instances is connected to. */
static int accept_any(struct scene *s) {
    struct pollfd p[2] = { { .fd = s->a.fd, .events = POLLIN },
        { .fd = s->b.fd, .events = POLLIN } };
    assert_true(poll(p, 2, RIG_DEADLINE) > 0);
    return place_accept(p[0].revents ? &s->a : &s->b);
}

static void kept_connection(struct scene *s, int *instance) {
    put(s->client, GET_APP);
    *instance = place_accept(&s->a);
    free(get_until(*instance, "\r\n\r\n"));
    put(*instance, OK_HELLO);
    free(get_answer(s->client));
}

/* The app closes an idle connection just as a request takes it. */
static void a_stale_connection_is_replaced_by_a_fresh_one(void **state) {
    struct scene *s = *state;
    int instance;
    kept_connection(s, &instance);
    put(s->client, GET_APP);
    free(get_until(instance, "\r\n\r\n")); /* sent on the kept one */
    close(instance);                       /* which ends without an answer */
    instance = place_accept(&s->a);
    free(get_until(instance, "\r\n\r\n"));
    put(instance, OK_HELLO);
    char *answer = get_answer(s->client);
    assert_holds(answer, "HTTP/1.1 200 ");
    free(answer);
    close(instance);
}

static void a_post_that_was_sent_is_never_repeated(void **state) {
    struct scene *s = *state;
    second_instance(s);
    put(s->client, "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 3\r\n\r\nabc");
    int instance = accept_any(s);
    free(get_until(instance, "abc"));
    close(instance);
    char *answer = get_answer(s->client);
    assert_holds(answer, "HTTP/1.1 502 ");
    free(answer);
    assert_true(place_is_quiet(&s->a, 50));
    assert_true(place_is_quiet(&s->b, 50));
}

static void a_post_takes_no_connection_that_may_be_stale(void **state) {
    struct scene *s = *state;
    int instance;
    kept_connection(s, &instance);
    poll(NULL, 0, 1200); /* idle for longer than is trusted */
    put(s->client, "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 3\r\n\r\nabc");
    int fresh = place_accept(&s->a);
    free(get_until(fresh, "abc"));
    put(fresh, OK_HELLO);
    free(get_answer(s->client));
    close(fresh);
    close(instance);
}

static void a_get_goes_to_another_instance(void **state) {
    struct scene *s = *state;
    second_instance(s);
    put(s->client, GET_APP);
    int first = accept_any(s);
    free(get_until(first, "\r\n\r\n"));
    close(first);
    int second = accept_any(s);
    free(get_until(second, "\r\n\r\n"));
    put(second, OK_HELLO);
    char *answer = get_answer(s->client);
    assert_holds(answer, "HTTP/1.1 200 ");
    free(answer);
    close(second);
    assert_int_equal(rig_metric(&s->rig, "paas_proxy_retries_total"), 1);
}

static void a_put_is_repeated_with_its_small_body(void **state) {
    struct scene *s = *state;
    second_instance(s);
    put(s->client,
        "PUT / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    int first = accept_any(s);
    free(get_until(first, "3\r\nabc\r\n"));
    close(first);
    int second = accept_any(s);
    free(get_until(second, "3\r\nabc\r\n"));
    put(s->client, "2\r\nde\r\n0\r\n\r\n"); /* and goes on */
    free(get_until(second, "2\r\nde\r\n0\r\n\r\n"));
    put(second, OK_HELLO);
    char *answer = get_answer(s->client);
    assert_holds(answer, "HTTP/1.1 200 ");
    free(answer);
    close(second);
}

static void a_put_with_a_large_body_is_not_repeated(void **state) {
    struct scene *s = *state;
    enum { SIZE = 100000 };
    second_instance(s);
    char *body = malloc(SIZE);
    memset(body, 'a', SIZE);
    put(s->client, "PUT / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 100000\r\n\r\n");
    put_bytes(s->client, body, SIZE);
    int first = accept_any(s);
    size_t got = 0;
    while (got < SIZE) { /* the head is some bytes more */
        ssize_t n = recv(first, body, SIZE, 0);
        assert_true(n > 0);
        got += (size_t)n;
    }
    shutdown(first, SHUT_RDWR);
    close(first);
    char *answer = get_answer(s->client);
    assert_holds(answer, "HTTP/1.1 502 ");
    free(answer);
    free(body);
}

static void even_a_post_goes_on_when_nobody_accepted_it(void **state) {
    struct scene *s = *state;
    struct place dead;
    place_open(&dead);
    rig_row(&s->rig, "cccccccccc", dead.port, "healthy");
    rig_row(&s->rig, "aaaaaaaaaa", s->a.port, "draining");
    rig_sync(&s->rig);
    place_close(&dead); /* refuses from now on */
    size_t mark = rig_mark(&s->rig);
    put(s->client, "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 3\r\n\r\nabc");
    rig_hears(&s->rig, mark, "\"suspect\"");
    rig_hears(&s->rig, mark, "cccccccccc");
    second_instance(s);
    int instance = place_accept(&s->b);
    free(get_until(instance, "abc"));
    put(instance, OK_HELLO);
    char *answer = get_answer(s->client);
    assert_holds(answer, "HTTP/1.1 200 ");
    free(answer);
    close(instance);
}

/* Its only instance was killed: the client waits for the next one and sees no error. */
static void a_get_waits_for_the_instance_that_replaces_a_killed_one(void **state) {
    struct scene *s = *state;
    put(s->client, GET_APP);
    int instance = place_accept(&s->a);
    free(get_until(instance, "\r\n\r\n"));
    place_close(&s->a);
    close(instance);
    rig_say(&s->rig, "{\"type\":\"gone\",\"id\":\"aaaaaaaaaa\"}");
    rig_say(&s->rig,
        "{\"type\":\"app\",\"app\":\"app\",\"process\":\"web\",\"can_grow\":true,\"starting\":1}");
    rig_sync(&s->rig);
    assert_true(is_quiet(s->client, 50));
    second_instance(s);
    instance = place_accept(&s->b);
    free(get_until(instance, "\r\n\r\n"));
    put(instance, OK_HELLO);
    char *answer = get_answer(s->client);
    assert_holds(answer, "HTTP/1.1 200 ");
    free(answer);
    close(instance);
}

static void an_answer_that_began_is_never_repeated(void **state) {
    struct scene *s = *state;
    second_instance(s);
    put(s->client, GET_APP);
    int instance = accept_any(s);
    free(get_until(instance, "\r\n\r\n"));
    put(instance, "HTTP/1.1 2");
    poll(NULL, 0, 20);
    close(instance);
    char *answer = get_answer(s->client);
    assert_holds(answer, "HTTP/1.1 502 ");
    free(answer);
    assert_true(place_is_quiet(&s->a, 30));
    assert_true(place_is_quiet(&s->b, 30));
}

static void an_app_that_always_breaks_is_asked_a_few_times(void **state) {
    struct scene *s = *state;
    put(s->client, GET_APP);
    for (int i = 0; i < 4; i++) {
        int instance = place_accept(&s->a);
        free(get_until(instance, "\r\n\r\n"));
        close(instance);
    }
    char *answer = get_answer(s->client);
    assert_holds(answer, "HTTP/1.1 502 ");
    free(answer);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_stale_connection_is_replaced_by_a_fresh_one),
        TEST(a_post_that_was_sent_is_never_repeated),
        TEST(a_post_takes_no_connection_that_may_be_stale),
        TEST(a_get_goes_to_another_instance),
        TEST(a_put_is_repeated_with_its_small_body),
        TEST(a_put_with_a_large_body_is_not_repeated),
        TEST(even_a_post_goes_on_when_nobody_accepted_it),
        TEST(a_get_waits_for_the_instance_that_replaces_a_killed_one),
        TEST(an_answer_that_began_is_never_repeated),
        TEST(an_app_that_always_breaks_is_asked_a_few_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
