/* Whose start is next. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "turns.h"

enum { LANES = 6, BURST = 50 };

struct scene {
    struct turns turns;
    struct turn_lane lanes[LANES];
    struct turn items[LANES][BURST];
};

static void init(struct scene *s) {
    turns_init(&s->turns);
    for (int l = 0; l < LANES; l++) {
        turn_lane_init(&s->lanes[l]);
        for (int n = 0; n < BURST; n++) {
            turn_init(&s->items[l][n]);
        }
    }
}

static int lane_of(const struct scene *s, const struct turn *turn) {
    return (int)(turn->lane - s->lanes);
}

static void one_process_leaves_room(void **state) {
    struct scene s;
    (void)state;
    init(&s);
    for (int n = 0; n < BURST; n++) {
        turn_wait(&s.turns, &s.lanes[0], &s.items[0][n]);
    }
    for (int n = 0; n < TURNS_LANE_MAX; n++) {
        assert_ptr_equal(turns_next(&s.turns), &s.items[0][n]);
    }
    assert_null(turns_next(&s.turns));
    turn_wait(&s.turns, &s.lanes[1], &s.items[1][0]);
    assert_ptr_equal(turns_next(&s.turns), &s.items[1][0]);
    assert_null(turns_next(&s.turns));
}

static void processes_take_turns(void **state) {
    struct scene s;
    struct turn *running[TURNS_MAX];
    int got[LANES] = { 0 };
    (void)state;
    init(&s);
    for (int l = 0; l < LANES; l++) {
        for (int n = 0; n < BURST; n++) {
            turn_wait(&s.turns, &s.lanes[l], &s.items[l][n]);
        }
    }
    for (int n = 0; n < TURNS_MAX; n++) {
        running[n] = turns_next(&s.turns);
        assert_non_null(running[n]);
        got[lane_of(&s, running[n])]++;
    }
    for (int round = 0; round < LANES * BURST - TURNS_MAX; round++) {
        turn_leave(&s.turns, running[round % TURNS_MAX]);
        struct turn *next = turns_next(&s.turns);
        assert_non_null(next);
        got[lane_of(&s, next)]++;
        running[round % TURNS_MAX] = next;
        int least = got[0], most = got[0];
        for (int l = 1; l < LANES; l++) {
            least = got[l] < least ? got[l] : least;
            most = got[l] > most ? got[l] : most;
        }
        assert_true(most - least <= 1);
    }
}

static void who_leaves_is_not_taken(void **state) {
    struct scene s;
    (void)state;
    init(&s);
    turn_wait(&s.turns, &s.lanes[0], &s.items[0][0]);
    turn_wait(&s.turns, &s.lanes[0], &s.items[0][1]);
    turn_leave(&s.turns, &s.items[0][0]);
    turn_leave(&s.turns, &s.items[0][0]);
    assert_ptr_equal(turns_next(&s.turns), &s.items[0][1]);
    turn_leave(&s.turns, &s.items[0][1]);
    assert_null(turns_next(&s.turns));
    assert_int_equal(s.turns.running, 0);
    assert_int_equal(s.lanes[0].running, 0);
}

/* Whatever comes and goes, the bounds hold and nobody is forgotten. */
static void bounds_hold_in_any_order(void **state) {
    struct scene s;
    (void)state;
    init(&s);
    srand(1);
    for (int step = 0; step < 100000; step++) {
        int l = rand() % LANES, n = rand() % BURST;
        struct turn *turn = &s.items[l][n];
        if (turn->lane) {
            turn_leave(&s.turns, turn);
        } else {
            turn_wait(&s.turns, &s.lanes[l], turn);
        }
        while (turns_next(&s.turns)) {
        }
        assert_true(s.turns.running <= TURNS_MAX);
        for (int k = 0; k < LANES; k++) {
            assert_true(s.lanes[k].running <= TURNS_LANE_MAX);
            bool could = s.turns.running < TURNS_MAX && s.lanes[k].running < TURNS_LANE_MAX;
            assert_true(!could || list_empty(&s.lanes[k].waiting));
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_process_leaves_room),
        cmocka_unit_test(processes_take_turns),
        cmocka_unit_test(who_leaves_is_not_taken),
        cmocka_unit_test(bounds_hold_in_any_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
