/* What the agent is told, and what it tells. SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct scene {
    struct rig rig;
    struct place a, b;
};

static int setup(void **state) {
    struct scene *s = calloc(1, sizeof *s);
    *state = s;
    rig_begin(&s->rig, 2);
    place_open(&s->a);
    place_open(&s->b);
    rig_row(&s->rig, "aaaaaaaaaa", s->a.port, "healthy");
    rig_sync(&s->rig);
    return 0;
}

static int teardown(void **state) {
    struct scene *s = *state;
    place_close(&s->a);
    place_close(&s->b);
    rig_close(&s->rig);
    free(s);
    return 0;
}

static void after_the_ack_no_request_reaches_a_draining_instance(void **state) {
    struct scene *s = *state;
    rig_row(&s->rig, "bbbbbbbbbb", s->b.port, "healthy");
    rig_row(&s->rig, "aaaaaaaaaa", s->a.port, "draining");
    rig_sync(&s->rig);
    for (int i = 0; i < 20; i++) {
        int client = rig_dial(&s->rig);
        put(client, "GET / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n");
        int instance = place_accept(&s->b);
        free(get_until(instance, "\r\n\r\n"));
        put(instance, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        free(get_answer(client));
        close(instance);
        close(client);
    }
    assert_true(place_is_quiet(&s->a, 20));
}

static void drained_is_told_when_the_last_request_ended(void **state) {
    struct scene *s = *state;
    int client = rig_dial(&s->rig);
    put(client, GET_APP);
    int instance = place_accept(&s->a);
    free(get_until(instance, "\r\n\r\n"));
    rig_row(&s->rig, "aaaaaaaaaa", s->a.port, "draining");
    size_t mark = rig_mark(&s->rig);
    rig_sync(&s->rig);
    assert_true(rig_hears_nothing(&s->rig, mark, "\"drained\"", 60));
    put(instance, OK_HELLO);
    char *answer = get_answer(client);
    assert_holds(answer, "\r\n\r\nhello"); /* it was finished */
    free(answer);
    rig_hears(&s->rig, mark, "\"drained\"");
    get_end(instance); /* not kept for more */
    close(instance);
    close(client);
}

static void an_idle_instance_is_drained_at_once_and_its_kept_connections_close(void **state) {
    struct scene *s = *state;
    int client = rig_dial(&s->rig);
    put(client, GET_APP);
    int instance = place_accept(&s->a);
    free(get_until(instance, "\r\n\r\n"));
    put(instance, OK_HELLO);
    free(get_answer(client));
    rig_row(&s->rig, "aaaaaaaaaa", s->a.port, "draining");
    size_t mark = rig_mark(&s->rig);
    rig_sync(&s->rig);
    rig_hears(&s->rig, mark, "\"drained\"");
    get_end(instance);
    close(instance);
    close(client);
}

static void without_an_agent_the_last_rows_stay_in_force(void **state) {
    struct scene *s = *state;
    close(s->rig.agent);
    s->rig.agent = -1;
    int client = rig_dial(&s->rig);
    put(client, GET_APP);
    int instance = place_accept(&s->a);
    free(get_until(instance, "\r\n\r\n"));
    put(instance, OK_HELLO);
    free(get_answer(client));
    close(instance);
    close(client);
    rig_agent_comes(&s->rig); /* it is looked for again */
}

static void whole_rows_replace_those_before(void **state) {
    struct scene *s = *state;
    close(s->rig.agent);
    s->rig.agent = -1;
    rig_agent_comes(&s->rig);
    rig_row(&s->rig, "bbbbbbbbbb", s->b.port, "healthy");
    rig_sync(&s->rig); /* "a" is not repeated: gone */
    for (int i = 0; i < 8; i++) {
        int client = rig_dial(&s->rig);
        put(client, GET_APP);
        int instance = place_accept(&s->b);
        free(get_until(instance, "\r\n\r\n"));
        put(instance, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        free(get_answer(client));
        close(instance);
        close(client);
    }
    assert_true(place_is_quiet(&s->a, 10));
}

static void nonsense_from_the_agent_changes_nothing(void **state) {
    struct scene *s = *state;
    rig_row(&s->rig, "UPPER", s->b.port, "healthy");
    rig_say(&s->rig,
        "{\"type\":\"instance\",\"id\":\"cccccccccc\",\"app\":\"../x\",\"process\":\"web\","
        "\"address\":\"1.2.3.4\",\"port\":1,\"state\":\"healthy\"}");
    rig_sync(&s->rig);
    int client = rig_dial(&s->rig);
    put(client, GET_APP);
    int instance = place_accept(&s->a);
    free(get_until(instance, "\r\n\r\n"));
    put(instance, OK_HELLO);
    free(get_answer(client));
    close(instance);
    close(client);
}

static void demand_is_told_on_change_only(void **state) {
    struct scene *s = *state;
    int client = rig_dial(&s->rig);
    size_t mark = rig_mark(&s->rig);
    put(client, GET_APP);
    int instance = place_accept(&s->a);
    free(get_until(instance, "\r\n\r\n"));
    /* Of the app: how busy an instance is stands in a line of its own, before. */
    rig_hears(&s->rig, mark, "\"in_flight\":1,\"requests\":1");
    mark = rig_mark(&s->rig);
    assert_true(rig_hears_nothing(&s->rig, mark, "demand", 350));
    put(instance, OK_HELLO);
    free(get_answer(client));
    rig_hears(&s->rig, mark, "\"process\":\"web\",\"requests\":1"); /* a 0 is not written */
    close(instance);
    close(client);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(after_the_ack_no_request_reaches_a_draining_instance),
        TEST(drained_is_told_when_the_last_request_ended),
        TEST(an_idle_instance_is_drained_at_once_and_its_kept_connections_close),
        TEST(without_an_agent_the_last_rows_stay_in_force),
        TEST(whole_rows_replace_those_before),
        TEST(nonsense_from_the_agent_changes_nothing),
        TEST(demand_is_told_on_change_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
