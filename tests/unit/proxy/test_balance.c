/* proxy/balance.c. SPDX-License-Identifier: Apache-2.0 */
#include "balance.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { MAX = 10 };
static const struct balance_tried nothing = { NULL, 0 };

/* A generator that goes through many pairs; the seed is printed by a failing assertion's index. */
static uint64_t next(uint64_t *seed) {
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *seed ^ *seed >> 29;
}

static void nobody_is_picked_of_none(void **state) {
    (void)state;
    assert_int_equal(balance_pick(NULL, 0, MAX, nothing, 7), -1);
}

static void the_less_loaded_of_two_is_picked(void **state) {
    (void)state;
    const struct balance_slot slots[] = { { .serial = 1, .in_flight = 3 },
        { .serial = 2, .in_flight = 1 } };
    uint64_t seed = 1;
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(balance_pick(slots, 2, MAX, nothing, next(&seed)), 1);
    }
}

static void what_is_out_full_or_tried_is_never_picked(void **state) {
    (void)state;
    const struct balance_slot slots[] = {
        { .serial = 1, .out = true },
        { .serial = 2, .in_flight = MAX },
        { .serial = 3, .in_flight = 5 },
        { .serial = 4 },
        { .serial = 5, .in_flight = 9 },
    };
    const uint64_t tried[] = { 4 };
    uint64_t seed = 2;
    int picked[5] = { 0 };
    for (int i = 0; i < 5000; i++) {
        int at = balance_pick(slots, 5, MAX, (struct balance_tried){ tried, 1 }, next(&seed));
        assert_in_range(at, 0, 4);
        picked[at]++;
    }
    assert_int_equal(picked[0] + picked[1] + picked[3], 0);
    assert_true(picked[2] > picked[4]);
    assert_true(picked[4] == 0 || picked[4] < 2500);
}

static void the_last_one_left_is_found(void **state) {
    (void)state;
    struct balance_slot slots[50];
    uint64_t seed = 3;
    for (size_t i = 0; i < 50; i++) {
        slots[i] = (struct balance_slot){ .serial = i + 1, .out = i != 37 };
    }
    for (int i = 0; i < 500; i++) {
        assert_int_equal(balance_pick(slots, 50, MAX, nothing, next(&seed)), 37);
    }
    slots[37].out = true;
    assert_int_equal(balance_pick(slots, 50, MAX, nothing, next(&seed)), -1);
}

/* 10,000 requests that all stay: two choices keep the longest queue near the average. */
static void load_spreads(void **state) {
    (void)state;
    struct balance_slot slots[100];
    uint64_t seed = 4;
    for (size_t i = 0; i < 100; i++) {
        slots[i] = (struct balance_slot){ .serial = i + 1 };
    }
    for (int i = 0; i < 10000; i++) {
        int at = balance_pick(slots, 100, UINT32_MAX, nothing, next(&seed));
        slots[at].in_flight++;
    }
    for (size_t i = 0; i < 100; i++) {
        assert_in_range(slots[i].in_flight, 90, 110);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_is_picked_of_none),
        cmocka_unit_test(the_less_loaded_of_two_is_picked),
        cmocka_unit_test(what_is_out_full_or_tried_is_never_picked),
        cmocka_unit_test(the_last_one_left_is_found),
        cmocka_unit_test(load_spreads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
