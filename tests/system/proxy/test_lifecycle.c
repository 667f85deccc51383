/* Beginning, planned stop, and what is given up. SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <paas/clock.h>

#define ROUTE                                                                                      \
    "{\"host\":\"app.test\",\"path\":\"/\",\"app\":\"app\",\"process\":\"web\",\"nodes\":[]}\n"

static int setup(void **state) {
    struct rig *r = calloc(1, sizeof *r);
    *state = r;
    rig_open(r);
    return 0;
}

static int teardown(void **state) {
    rig_close(*state);
    free(*state);
    return 0;
}

static void it_accepts_only_when_all_is_known_or_after_a_second(void **state) {
    struct rig *r = *state;
    rig_keep_routes(r, ROUTE, 1);
    msec began = clock_msec();
    rig_launch(r, 1);
    int client = rig_dial(r); /* the socket listens all the time */
    put(client, GET_APP);
    char *answer = get_answer(client); /* no agent came */
    assert_true(clock_msec() - began >= 990);
    assert_holds(answer, "HTTP/1.1 503 ");
    assert_holds(answer, "instances are not known yet");
    free(answer);
    close(client);
}

static void without_routes_it_says_503_and_not_404(void **state) {
    struct rig *r = *state;
    rig_launch(r, 1);
    rig_agent_comes(r);
    rig_sync(r);
    int client = rig_dial(r);
    put(client, GET_APP);
    char *answer = get_answer(client);
    assert_holds(answer, "HTTP/1.1 503 ");
    assert_holds(answer, "routes are not known yet");
    free(answer);
    close(client);
}

/* Plays the scheduler for one stream of routes. */
static int scheduler_listens(const struct rig *r) {
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    snprintf(a.sun_path, sizeof a.sun_path, "%s/run/api.sock", r->dir);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(fd, 4), 0);
    return fd;
}

static void put_chunk(int fd, const char *text) {
    char line[32];
    snprintf(line, sizeof line, "%zx\r\n", strlen(text));
    put(fd, line);
    put(fd, text);
    put(fd, "\r\n");
}

static void routes_of_the_scheduler_are_used_told_and_kept(void **state) {
    struct rig *r = *state;
    int listening = scheduler_listens(r);
    rig_launch(r, 2);
    rig_agent_comes(r);
    rig_sync(r);
    int stream = accept(listening, NULL, NULL);
    char *request = get_until(stream, "\r\n\r\n");
    assert_holds(request, "GET /v1/routes?");
    assert_holds(request, "watch");
    free(request);
    put(stream, "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n"
                "Transfer-Encoding: chunked\r\n\r\n");
    size_t mark = rig_mark(r);
    put_chunk(stream, "{\"term\":3,\"revision\":14,\"count\":1}\n" ROUTE);
    rig_hears(r, mark, "\"routes\"");
    rig_hears(r, mark, "\"revision\":14");
    int client = rig_dial(r);
    put(client, "GET / HTTP/1.1\r\nHost: nobody.test\r\n\r\n");
    char *answer = get_answer(client);
    assert_holds(answer, "HTTP/1.1 404 "); /* now it is known that there is none */
    assert_holds(answer, "paas route APP add nobody.test");
    free(answer);
    close(client);
    char path[128], line[256] = "";
    snprintf(path, sizeof path, "%s/data/routes", r->dir);
    msec until = clock_msec() + RIG_DEADLINE;
    while (!strstr(line, "\"revision\":14") && clock_msec() < until) {
        FILE *f = fopen(path, "r");
        if (f) {
            if (!fgets(line, sizeof line, f)) {
                line[0] = '\0';
            }
            fclose(f);
        }
        usleep(5000);
    }
    assert_holds(line, "\"revision\":14");
    close(stream);
    close(listening);
}

static void a_planned_stop_finishes_what_is_in_flight(void **state) {
    struct rig *r = *state;
    struct place web;
    bool reset;
    place_open(&web);
    rig_keep_routes(r, ROUTE, 1);
    rig_launch(r, 2);
    rig_agent_comes(r);
    rig_row(r, "aaaaaaaaaa", web.port, "healthy");
    rig_sync(r);
    int busy = rig_dial(r), idle = rig_dial(r), late;
    put(busy, GET_APP);
    int instance = place_accept(&web);
    free(get_until(instance, "\r\n\r\n"));
    rig_stop(r);
    get_end(idle);
    late = rig_dial(r); /* waits in the backlog for the next proxy */
    put(instance, OK_HELLO);
    char *answer = get_all(busy, &reset);
    assert_holds(answer, "\r\nConnection: close\r\n");
    assert_holds(answer, "\r\n\r\nhello");
    assert_false(reset);
    free(answer);
    rig_wait(r);
    close(instance);
    close(r->agent);
    r->agent = -1;
    rig_launch(r, 2); /* the next one */
    rig_agent_comes(r);
    rig_row(r, "aaaaaaaaaa", web.port, "healthy");
    rig_sync(r);
    put(late, GET_APP);
    instance = place_accept(&web);
    free(get_until(instance, "\r\n\r\n"));
    put(instance, OK_HELLO);
    free(get_answer(late));
    close(instance);
    close(late);
    close(busy);
    close(idle);
    place_close(&web);
}

static void a_killed_proxy_refuses_nobody(void **state) {
    struct rig *r = *state;
    rig_keep_routes(r, ROUTE, 1);
    rig_launch(r, 2);
    rig_agent_comes(r);
    rig_sync(r);
    kill(r->proxy, SIGKILL);
    waitpid(r->proxy, NULL, 0);
    int client = rig_dial(r);
    put(client, GET_APP);
    assert_true(is_quiet(client, 30));
    rig_launch(r, 2);
    rig_agent_comes(r);
    rig_sync(r);
    char *answer = get_answer(client);
    assert_holds(answer, "HTTP/1.1 503 ");
    free(answer);
    close(client);
}

static void it_runs_without_capabilities_and_behind_a_filter(void **state) {
    struct rig *r = *state;
    char path[64], line[256];
    int found = 0;
    rig_keep_routes(r, ROUTE, 1);
    rig_launch(r, 2);
    rig_agent_comes(r);
    rig_sync(r);
    snprintf(path, sizeof path, "/proc/%d/status", r->proxy);
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f)) {
        found += strcmp(line, "CapEff:\t0000000000000000\n") == 0 ||
                 strcmp(line, "CapPrm:\t0000000000000000\n") == 0 ||
                 strcmp(line, "NoNewPrivs:\t1\n") == 0 || strcmp(line, "Seccomp:\t2\n") == 0;
    }
    fclose(f);
    assert_int_equal(found, 4);
}

static void a_file_of_routes_that_is_damaged_stops_nothing(void **state) {
    struct rig *r = *state;
    rig_keep_routes(r, "{\"host\":\"app.te", 1);
    rig_launch(r, 1);
    rig_agent_comes(r);
    rig_sync(r);
    int client = rig_dial(r);
    put(client, GET_APP);
    free(get_until(client, "HTTP/1.1 503 "));
    close(client);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(it_accepts_only_when_all_is_known_or_after_a_second),
        TEST(without_routes_it_says_503_and_not_404),
        TEST(routes_of_the_scheduler_are_used_told_and_kept),
        TEST(a_planned_stop_finishes_what_is_in_flight),
        TEST(a_killed_proxy_refuses_nobody),
        TEST(it_runs_without_capabilities_and_behind_a_filter),
        TEST(a_file_of_routes_that_is_damaged_stops_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
