/* From what a grant allows and what runs to what to do. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "converge.h"

/* The actions as text: "start 1, stop 2". */
static const char *decide(const struct converge_input *in) {
    static const char *const words[] = { "start", "stop", "freeze", "thaw" };
    static char text[1024];
    static struct converge_action actions[INSTANCES_PER_NODE];
    size_t count = converge(in, actions);
    text[0] = '\0';
    for (size_t n = 0; n < count; n++) {
        char one[32];
        snprintf(
            one, sizeof one, "%s%s %d", n ? ", " : "", words[actions[n].kind], actions[n].number);
        strcat(text, one);
    }
    return text;
}

static void missing_ones_start_at_the_lowest_numbers(void **state) {
    (void)state;
    struct converge_instance running[] = { { .number = 2, .life = LIFE_HEALTHY } };
    struct converge_input in = { .wanted = 3, .instances = running, .count = 1 };
    assert_string_equal(decide(&in), "start 1, start 3");
}

static void enough_is_quiet(void **state) {
    (void)state;
    struct converge_instance running[] = { { .number = 1, .life = LIFE_HEALTHY },
        { .number = 2, .life = LIFE_STARTING } };
    struct converge_input in = { .wanted = 2, .instances = running, .count = 2 };
    assert_string_equal(decide(&in), "");
}

static void the_idlest_and_newest_go_first(void **state) {
    (void)state;
    struct converge_instance running[] = {
        { .number = 1, .life = LIFE_HEALTHY },
        { .number = 2, .life = LIFE_HEALTHY, .in_flight = 5 },
        { .number = 3, .life = LIFE_HEALTHY },
        { .number = 4, .life = LIFE_STARTING },
    };
    struct converge_input in = { .wanted = 1, .instances = running, .count = 4 };
    assert_string_equal(decide(&in), "stop 4, stop 3, stop 1");
}

static void an_unhealthy_one_is_replaced_in_one_step(void **state) {
    (void)state;
    struct converge_instance running[] = { { .number = 1, .life = LIFE_UNHEALTHY, .in_flight = 3 },
        { .number = 2, .life = LIFE_HEALTHY } };
    struct converge_input in = { .wanted = 2, .instances = running, .count = 2 };
    assert_string_equal(decide(&in), "stop 1, start 1");
}

static void a_blocked_slot_waits_and_no_other_takes_its_place(void **state) {
    (void)state;
    const bool blocked[] = { true, false, 0 };
    struct converge_input in = { .wanted = 2, .blocked = blocked, .blocked_count = 2 };
    assert_string_equal(decide(&in), "start 2");
}

static void sleepers_wake_before_anything_starts(void **state) {
    (void)state;
    struct converge_instance running[] = { { .number = 1, .life = LIFE_FROZEN } };
    struct converge_input in = { .wanted = 2, .instances = running, .count = 1 };
    assert_string_equal(decide(&in), "thaw 1, start 2");
}

static void those_in_memory_wake_before_those_in_swap(void **state) {
    (void)state;
    struct converge_instance running[] = {
        { .number = 1, .life = LIFE_FROZEN, .in_swap = true },
        { .number = 2, .life = LIFE_FROZEN },
        { .number = 3, .life = LIFE_FROZEN, .in_swap = true },
    };
    struct converge_input in = { .wanted = 2, .frozen = 3, .instances = running, .count = 3 };
    assert_string_equal(decide(&in), "thaw 2, thaw 1");
}

static void surplus_falls_asleep_up_to_what_is_kept(void **state) {
    (void)state;
    struct converge_instance running[] = { { .number = 1, .life = LIFE_HEALTHY },
        { .number = 2, .life = LIFE_HEALTHY } };
    struct converge_input in = { .wanted = 0, .frozen = 1, .instances = running, .count = 2 };
    assert_string_equal(decide(&in), "freeze 2, stop 1");
}

static void surplus_sleepers_stop(void **state) {
    (void)state;
    struct converge_instance running[] = { { .number = 1, .life = LIFE_FROZEN },
        { .number = 2, .life = LIFE_FROZEN } };
    struct converge_input in = { .frozen = 1, .instances = running, .count = 2 };
    assert_string_equal(decide(&in), "stop 2");
}

static void a_missing_standby_starts_and_falls_asleep(void **state) {
    (void)state;
    struct converge_instance running[] = { { .number = 1, .life = LIFE_HEALTHY, .in_flight = 4 },
        { .number = 2, .life = LIFE_STARTING } };
    struct converge_input in = {
        .wanted = 1, .frozen = 1, .standby = 1, .instances = running, .count = 1
    };
    assert_string_equal(decide(&in), "start 2");
    in.count = 2;
    assert_string_equal(decide(&in), "");
    running[1].life = LIFE_HEALTHY;
    running[1].since = 9;
    assert_string_equal(decide(&in), "freeze 2");
    running[1].life = LIFE_FROZEN;
    assert_string_equal(decide(&in), "");
}

static void a_standby_takes_the_place_of_the_missing_and_is_made_anew(void **state) {
    (void)state;
    struct converge_instance running[] = { { .number = 2, .life = LIFE_FROZEN } };
    const bool blocked[] = { true };
    struct converge_input in = {
        .wanted = 1, .frozen = 1, .standby = 1, .instances = running, .count = 1
    };
    assert_string_equal(decide(&in), "thaw 2, start 1");
    struct converge_instance later[] = { { .number = 1, .life = LIFE_HEALTHY, .since = 9 },
        { .number = 2, .life = LIFE_HEALTHY, .since = 5 } };
    struct converge_input after = in;
    after.instances = later;
    after.count = 2;
    assert_string_equal(decide(&after), "freeze 1"); /* who took over goes on */
    in.blocked = blocked; /* what just failed waits, and no other number takes its place */
    in.blocked_count = 1;
    assert_string_equal(decide(&in), "thaw 2");
}

static void one_that_overslept_stops_unless_it_is_a_standby(void **state) {
    (void)state;
    struct converge_instance running[] = { { .number = 1, .life = LIFE_FROZEN, .overslept = true },
        { .number = 2, .life = LIFE_FROZEN, .overslept = true },
        { .number = 3, .life = LIFE_FROZEN } };
    struct converge_input in = { .frozen = 3, .instances = running, .count = 3 };
    assert_string_equal(decide(&in), "stop 2, stop 1");
    in.standby = 2;
    assert_string_equal(decide(&in), "stop 2");
    in.standby = 3;
    assert_string_equal(decide(&in), "");
}

/* Doing what it says leads to a state that it leaves alone, and that is what was wanted. */
static void every_decision_leads_to_rest(void **state) {
    (void)state;
    unsigned seed = 1;
    for (int round = 0; round < 20000; round++) {
        struct converge_instance now[INSTANCES_PER_NODE] = { 0 };
        struct converge_action actions[INSTANCES_PER_NODE];
        size_t count = 0;
        for (int number = 1; number <= 8; number++) {
            if (rand_r(&seed) % 2) {
                now[count++] = (struct converge_instance){ .number = number,
                    .life = (enum converge_life)(rand_r(&seed) % 4),
                    .in_flight = rand_r(&seed) % 3,
                    .overslept = rand_r(&seed) % 4 == 0,
                    .in_swap = rand_r(&seed) % 2 == 0,
                    .since = rand_r(&seed) % 3 };
            }
        }
        struct converge_input in = { .wanted = rand_r(&seed) % 6,
            .frozen = rand_r(&seed) % 3,
            .standby = rand_r(&seed) % 3,
            .instances = now,
            .count = count };
        for (int step = 0; step < 3; step++) {
            size_t n_actions = converge(&in, actions);
            bool gone[INSTANCES_PER_NODE] = { false };
            for (size_t n = 0; n < n_actions; n++) {
                if (actions[n].kind == CONVERGE_STOP) {
                    gone[actions[n].index] = true;
                } else if (actions[n].kind == CONVERGE_START) {
                    now[in.count++] = (struct converge_instance){ .number = actions[n].number,
                        .life = LIFE_HEALTHY };
                } else {
                    now[actions[n].index].life =
                        actions[n].kind == CONVERGE_FREEZE ? LIFE_FROZEN : LIFE_HEALTHY;
                }
            }
            size_t kept = 0;
            for (size_t n = 0; n < in.count; n++) {
                if (!gone[n]) {
                    now[kept] = now[n];
                    bool starts = now[kept].life == LIFE_STARTING;
                    now[kept++].life = starts ? LIFE_HEALTHY : now[n].life;
                }
            }
            in.count = kept;
        }
        int64_t running = 0, frozen = 0;
        for (size_t n = 0; n < in.count; n++) {
            running += now[n].life != LIFE_FROZEN;
            frozen += now[n].life == LIFE_FROZEN;
        }
        assert_int_equal(converge(&in, actions), 0);
        assert_int_equal(running, in.wanted);
        assert_true(frozen >= in.standby);
        assert_true(frozen <= (in.frozen > in.standby ? in.frozen : in.standby));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(missing_ones_start_at_the_lowest_numbers),
        cmocka_unit_test(enough_is_quiet),
        cmocka_unit_test(the_idlest_and_newest_go_first),
        cmocka_unit_test(an_unhealthy_one_is_replaced_in_one_step),
        cmocka_unit_test(a_blocked_slot_waits_and_no_other_takes_its_place),
        cmocka_unit_test(sleepers_wake_before_anything_starts),
        cmocka_unit_test(those_in_memory_wake_before_those_in_swap),
        cmocka_unit_test(surplus_falls_asleep_up_to_what_is_kept),
        cmocka_unit_test(surplus_sleepers_stop),
        cmocka_unit_test(a_missing_standby_starts_and_falls_asleep),
        cmocka_unit_test(a_standby_takes_the_place_of_the_missing_and_is_made_anew),
        cmocka_unit_test(one_that_overslept_stops_unless_it_is_a_standby),
        cmocka_unit_test(every_decision_leads_to_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
