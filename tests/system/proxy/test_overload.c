/* More requests than instances may have at once. SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include <paas/clock.h>

struct scene {
    struct rig rig;
    struct place web;
    int64_t asked; /* requests, by ask() */
};

static int begin(void **state, int threads) {
    struct scene *s = calloc(1, sizeof *s);
    *state = s;
    rig_open(&s->rig);
    rig_keep_routes(&s->rig,
        "{\"host\":\"app.test\",\"path\":\"/\",\"app\":\"app\",\"process\":\"web\",\"nodes\":[]}\n"
        "{\"host\":\"other.test\",\"path\":\"/\",\"app\":\"other\",\"process\":\"web\",\"nodes\":[]}\n",
        2);
    rig_launch(&s->rig, threads);
    rig_agent_comes(&s->rig);
    place_open(&s->web);
    return 0;
}

static int setup(void **state) {
    return begin(state, 1);
}

static int setup_two_workers(void **state) {
    return begin(state, 2);
}

static int teardown(void **state) {
    struct scene *s = *state;
    place_close(&s->web);
    rig_close(&s->rig);
    free(s);
    return 0;
}

/* The app may have no more instances, and each takes so many requests. */
static void say_ceiling(struct scene *s, int concurrency, const char *reason) {
    rig_say(&s->rig,
        "{\"type\":\"app\",\"app\":\"app\",\"process\":\"web\",\"can_grow\":false,"
        "\"concurrency\":%d,\"reason\":\"%s\"}",
        concurrency, reason);
}

static void one_instance(struct scene *s, int concurrency) {
    say_ceiling(s, concurrency, "ceiling");
    rig_row(&s->rig, "aaaaaaaaaa", s->web.port, "healthy");
    rig_sync(&s->rig);
}

/* Asks for /NAME on a new connection and waits until the proxy has read that. */
static int ask_from(struct scene *s, const char *address, const char *name) {
    char request[96];
    int fd = rig_dial_from(&s->rig, address);
    msec until = clock_msec() + RIG_DEADLINE;
    snprintf(request, sizeof request, "GET /%s HTTP/1.1\r\nHost: app.test\r\n\r\n", name);
    put(fd, request);
    s->asked++;
    while (rig_metric(&s->rig, "paas_proxy_requests_received_total") < s->asked) {
        assert_true(clock_msec() < until);
    }
    return fd;
}

static int ask(struct scene *s, const char *name) {
    return ask_from(s, "127.0.0.1", name);
}

/* Fails unless the next request at the instance is for /NAME. */
static void expect(int instance, const char *name) {
    char line[64];
    char *got = get_until(instance, "\r\n\r\n");
    snprintf(line, sizeof line, "GET /%s ", name);
    assert_holds(got, line);
    free(got);
}

/* The one instance, which takes one request at once, has that for /NAME, of `client`. Returns its
 * side. */
static int busy_with(struct scene *s, const char *name, int *client) {
    one_instance(s, 1);
    *client = ask(s, name);
    int instance = place_accept(&s->web);
    expect(instance, name);
    return instance;
}

static void get_hello(int client) {
    char *answer = get_answer(client);
    assert_holds(answer, "HTTP/1.1 200 ");
    free(answer);
    close(client);
}

static void get_refused(int client, const char *words) {
    char *answer = get_answer(client);
    assert_holds(answer, "HTTP/1.1 503 ");
    assert_holds(answer, "\r\nRetry-After: 1\r\n");
    assert_holds(answer, words);
    free(answer);
    close(client);
}

static void the_next_request_waits_for_a_place(void **state) {
    struct scene *s = *state;
    int first, instance = busy_with(s, "first", &first);
    int second = ask(s, "second");
    assert_true(place_is_quiet(&s->web, 20) && is_quiet(instance, 20));
    put(instance, OK_HELLO);
    expect(instance, "second"); /* on the connection that became free */
    put(instance, OK_HELLO);
    get_hello(first);
    get_hello(second);
    close(instance);
}

/* Clients of all workers together have two places, and each gets its turn. */
static void workers_share_the_places(void **state) {
    struct scene *s = *state;
    enum { CLIENTS = 24, PLACES = 2 };
    int clients[CLIENTS], instances[PLACES];
    one_instance(s, PLACES);
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = rig_dial(&s->rig);
        put(clients[i], "GET / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n");
    }
    for (int i = 0; i < PLACES; i++) {
        instances[i] = place_accept(&s->web);
        free(get_until(instances[i], "\r\n\r\n"));
    }
    rig_hears(&s->rig, 0, "\"held\":22,");
    for (int answered = 0; answered < CLIENTS; answered++) {
        int at = answered % PLACES;
        assert_true(place_is_quiet(&s->web, 2)); /* no third one */
        put(instances[at], "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        get_end(instances[at]);
        close(instances[at]);
        if (answered + PLACES < CLIENTS) {
            instances[at] = place_accept(&s->web);
            free(get_until(instances[at], "\r\n\r\n"));
        }
    }
    for (int i = 0; i < CLIENTS; i++) {
        get_hello(clients[i]);
    }
}

static void once_the_queue_stands_the_newest_goes_first_and_the_oldest_is_refused(void **state) {
    struct scene *s = *state;
    int quick, instance = busy_with(s, "quick", &quick);
    put(instance, OK_HELLO);
    get_hello(quick);
    int running = ask(s, "running");
    expect(instance, "running");
    int oldest = ask(s, "oldest");
    poll(NULL, 0, 500); /* younger, so that it still waits when the other one is refused */
    int waiting = ask(s, "waiting");
    get_refused(oldest, "its instances are busy, and there may be no more of them");
    int newest = ask(s, "newest");
    put(instance, OK_HELLO);
    expect(instance, "newest");
    put(instance, OK_HELLO);
    get_hello(running);
    get_hello(newest);
    close(waiting);
    close(instance);
    assert_true(rig_metric(&s->rig, "paas_proxy_requests_shed_total") >= 1);
    assert_true(rig_metric(&s->rig, "paas_proxy_queue_delay_seconds_count") >= 1);
}

static void a_full_host_is_named_in_the_answer(void **state) {
    struct scene *s = *state;
    int running, instance = busy_with(s, "running", &running);
    say_ceiling(s, 1, "full");
    rig_sync(&s->rig);
    int waiting = ask(s, "waiting");
    get_refused(waiting, "the host has no room for more");
    put(instance, OK_HELLO);
    get_hello(running);
    close(instance);
}

static void addresses_take_turns(void **state) {
    struct scene *s = *state;
    enum { GREEDY = 10 };
    int greedy[GREEDY];
    char name[16];
    int running, instance = busy_with(s, "running", &running);
    for (int i = 0; i < GREEDY; i++) {
        snprintf(name, sizeof name, "greedy-%d", i);
        greedy[i] = ask_from(s, "127.0.0.2", name);
    }
    int polite = ask_from(s, "127.0.0.3", "polite");
    /* Whether the queue stands by now or not, its turn comes at the latest after one of theirs. */
    char *served[2];
    for (int i = 0; i < 2; i++) {
        put(instance, OK_HELLO);
        served[i] = get_until(instance, "\r\n\r\n");
    }
    if (!strstr(served[0], "GET /polite ")) {
        assert_holds(served[1], "GET /polite ");
    }
    put(instance, OK_HELLO);
    get_hello(polite);
    free(served[0]);
    free(served[1]);
    for (int i = 0; i < GREEDY; i++) {
        close(greedy[i]);
    }
    close(running);
    close(instance);
}

static void one_that_leaves_gives_its_turn_to_the_next(void **state) {
    struct scene *s = *state;
    int running, instance = busy_with(s, "running", &running);
    int leaver = ask(s, "leaver");
    int stayer = ask(s, "stayer");
    msec until = clock_msec() + RIG_DEADLINE;
    close(leaver);
    while (rig_metric(&s->rig, "paas_proxy_requests_held") != 1) {
        assert_true(clock_msec() < until);
    }
    put(instance, OK_HELLO);
    expect(instance, "stayer");
    put(instance, OK_HELLO);
    get_hello(running);
    get_hello(stayer);
    close(instance);
}

static void the_bound_changes_while_requests_wait(void **state) {
    struct scene *s = *state;
    int first, a = busy_with(s, "first", &first);
    int second = ask(s, "second");
    say_ceiling(s, 2, "ceiling");
    rig_sync(&s->rig);
    int b = place_accept(&s->web);
    expect(b, "second");
    say_ceiling(s, 1, "ceiling");
    rig_sync(&s->rig);
    int third = ask(s, "third");
    put(a, OK_HELLO);
    get_hello(first);
    assert_true(is_quiet(a, 20) && is_quiet(b, 20)); /* one is still there */
    put(b, OK_HELLO);
    expect(b, "third");
    put(b, OK_HELLO);
    get_hello(second);
    get_hello(third);
    close(a);
    close(b);
}

static void places_of_an_instance_that_is_gone_are_no_loss(void **state) {
    struct scene *s = *state;
    int first, a = busy_with(s, "first", &first);
    int second = ask(s, "second");
    rig_say(&s->rig, "{\"type\":\"gone\",\"id\":\"aaaaaaaaaa\"}");
    rig_row(&s->rig, "bbbbbbbbbb", s->web.port, "healthy");
    rig_sync(&s->rig);
    int b = place_accept(&s->web);
    expect(b, "second");
    put(b, OK_HELLO);
    get_hello(second);
    put(a, OK_HELLO); /* what it had before may still be answered */
    get_hello(first);
    close(a);
    close(b);
}

/* One app is flooded until its queue is full; what is too much is refused at once, what waits for
 * long, too, and another app is answered all the same. */
static void a_flooded_app_leaves_others_alone(void **state) {
    struct scene *s = *state;
    enum { FLOOD = 1100, ROOM = 1024 };
    int *flood = calloc(FLOOD, sizeof *flood), too_many = 0;
    struct place other;
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    int running, instance = busy_with(s, "running", &running);
    place_open(&other);
    rig_say(&s->rig,
        "{\"type\":\"instance\",\"id\":\"bbbbbbbbbb\",\"app\":\"other\",\"process\":\"web\","
        "\"release\":1,\"address\":\"127.0.0.1\",\"port\":%d,\"state\":\"healthy\"}",
        other.port);
    rig_sync(&s->rig);
    for (int i = 0; i < FLOOD; i++) {
        flood[i] = rig_dial_from(&s->rig, i % 2 ? "127.0.0.2" : "127.0.0.3");
        put(flood[i], GET_APP);
    }
    int client = rig_dial(&s->rig);
    put(client, "GET / HTTP/1.1\r\nHost: other.test\r\n\r\n");
    int other_instance = place_accept(&other);
    free(get_until(other_instance, "\r\n\r\n"));
    put(other_instance, OK_HELLO);
    get_hello(client);
    for (int i = 0; i < FLOOD; i++) {
        char *answer = get_answer(flood[i]);
        assert_holds(answer, "HTTP/1.1 503 ");
        too_many += strstr(answer, "too many requests wait already") != NULL;
        free(answer);
        close(flood[i]);
    }
    assert_in_range(too_many, FLOOD - ROOM, FLOOD);
    put(instance, OK_HELLO);
    get_hello(running);
    free(flood);
    close(instance);
    close(other_instance);
    place_close(&other);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(the_next_request_waits_for_a_place),
        cmocka_unit_test_setup_teardown(workers_share_the_places, setup_two_workers, teardown),
        TEST(once_the_queue_stands_the_newest_goes_first_and_the_oldest_is_refused),
        TEST(a_full_host_is_named_in_the_answer),
        TEST(addresses_take_turns),
        TEST(one_that_leaves_gives_its_turn_to_the_next),
        TEST(the_bound_changes_while_requests_wait),
        TEST(places_of_an_instance_that_is_gone_are_no_loss),
        TEST(a_flooded_app_leaves_others_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
