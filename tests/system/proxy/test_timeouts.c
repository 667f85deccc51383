/* Who is too slow is told so. SPDX-License-Identifier: Apache-2.0
 *
 * The times are those of proxy/bounds.h, so all cases wait side by side: it ends with the longest.
 */
#include "rig.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <paas/clock.h>

enum {
    LONGEST = 60000, /* ms: UPSTREAM_ANSWER_TIMEOUT */
    PACE = 500,      /* ms between two bytes of those who are slow */
};

enum slow_case {
    SLOW_HEAD,     /* a byte of its head now and then, for ever */
    SLOW_BODY,     /* begins a body and sends no more of it */
    SLOW_INSTANCE, /* its instance says nothing */
    NEVER_READY,   /* its app starts and starts */
    CASES,
};

static const char *const requests[CASES] = {
    [SLOW_HEAD] = "GET / HTTP/1.1\r\nHost: app.test\r\nX-Endless: ",
    [SLOW_BODY] = "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 10\r\n\r\n12345",
    [SLOW_INSTANCE] = GET_APP,
    [NEVER_READY] = "GET / HTTP/1.1\r\nHost: other.test\r\n\r\n",
};
static const char *const answers[CASES][2] = {
    [SLOW_HEAD] = { "HTTP/1.1 408 ", "the request's head did not arrive in time" },
    [SLOW_BODY] = { "HTTP/1.1 408 ", "the request's body did not arrive in time" },
    [SLOW_INSTANCE] = { "HTTP/1.1 504 ", "the app did not answer in time" },
    [NEVER_READY] = { "HTTP/1.1 503 ", "no instance was ready in time" },
};

/* Waits until all have their answer, while the one with the slow head sends on. */
static void wait_for_all(int clients[CASES]) {
    struct pollfd waits[CASES];
    int missing = CASES;
    msec until = clock_msec() + LONGEST + RIG_DEADLINE;
    for (int i = 0; i < CASES; i++) {
        waits[i] = (struct pollfd){ .fd = clients[i], .events = POLLIN };
    }
    while (missing) {
        poll(waits, CASES, PACE);
        for (int i = 0; i < CASES; i++) {
            if (waits[i].fd >= 0 && waits[i].revents) {
                waits[i].fd = -1;
                missing--;
            }
        }
        if (waits[SLOW_HEAD].fd >= 0) {
            put(clients[SLOW_HEAD], "x");
        }
        if (missing && clock_msec() > until) {
            fail_msg("%d answers do not come", missing);
        }
    }
}

static void who_is_too_slow_is_told_so(void **state) {
    struct rig *r = *state;
    struct place web;
    int clients[CASES], instances[2];
    place_open(&web);
    rig_row(r, "aaaaaaaaaa", web.port, "healthy");
    rig_say(r, "{\"type\":\"app\",\"app\":\"other\",\"process\":\"web\",\"starting\":1}");
    rig_sync(r);
    for (int i = 0; i < CASES; i++) {
        clients[i] = rig_dial(r);
        put(clients[i], requests[i]);
    }
    for (int i = 0; i < 2; i++) { /* the body's and the silent one */
        instances[i] = place_accept(&web);
        free(get_until(instances[i], "\r\n\r\n"));
    }
    wait_for_all(clients);
    for (int i = 0; i < CASES; i++) {
        char *answer = get_answer(clients[i]);
        assert_holds(answer, answers[i][0]);
        assert_holds(answer, answers[i][1]);
        free(answer);
        close(clients[i]);
    }
    /* What was cut off is no trouble to the next one. */
    int client = rig_dial(r);
    put(client, GET_APP);
    int instance = place_accept(&web);
    free(get_until(instance, "\r\n\r\n"));
    put(instance, OK_HELLO);
    free(get_answer(client));
    close(client);
    close(instance);
    for (int i = 0; i < 2; i++) {
        close(instances[i]);
    }
    place_close(&web);
}

static int setup(void **state) {
    struct rig *r = calloc(1, sizeof *r);
    *state = r;
    rig_open(r);
    rig_keep_routes(r,
        "{\"host\":\"app.test\",\"path\":\"/\",\"app\":\"app\",\"process\":\"web\",\"nodes\":[]}\n"
        "{\"host\":\"other.test\",\"path\":\"/\",\"app\":\"other\",\"process\":\"web\",\"nodes\":[]}\n",
        2);
    rig_launch(r, 1);
    rig_agent_comes(r);
    return 0;
}

static int teardown(void **state) {
    rig_close(*state);
    free(*state);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(who_is_too_slow_is_told_so, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
