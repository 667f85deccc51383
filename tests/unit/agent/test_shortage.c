/* What a host gives up when its memory runs short. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "shortage.h"

#define MIB (INT64_C(1) << 20)
#define TOTAL (1600 * MIB) /* 100 MiB of it are the reserve */

/* One of each stage, of 10 MiB. */
static struct shortage_input host(msec now, int64_t available) {
    struct shortage_input in = { .now = now, .total = TOTAL, .available = available };
    for (int stage = 0; stage < SHORTAGE_STAGES; stage++) {
        in.stock[stage] = (struct shortage_stock){ 1, 10 * MIB };
    }
    return in;
}

static struct shortage_decision decide(struct shortage *s, const struct shortage_input *in) {
    struct shortage_decision out;
    shortage_decide(s, in, &out);
    return out;
}

static void the_reserve_is_a_share_within_bounds(void **state) {
    (void)state;
    assert_int_equal(shortage_reserve(TOTAL), 100 * MIB);
    assert_int_equal(shortage_reserve(0), SHORTAGE_RESERVE_MIN);
    assert_int_equal(shortage_reserve(INT64_MAX), SHORTAGE_RESERVE_MAX);
}

static void with_room_nothing_is_given_up(void **state) {
    struct shortage s = { 0 };
    struct shortage_input in = host(1000, 100 * MIB);
    (void)state;
    struct shortage_decision out = decide(&s, &in);
    assert_int_equal(out.count, 0);
    assert_false(out.spent);
    for (int stage = 0; stage < SHORTAGE_STAGES; stage++) {
        assert_true(shortage_allows(&s, stage));
    }
}

static void in_order_and_no_more_than_lacks(void **state) {
    struct shortage s = { 0 };
    struct shortage_input in = host(1000, 100 * MIB - 25 * MIB);
    (void)state;
    for (int stage = 0; stage < SHORTAGE_STAGES; stage++) {
        in.stock[stage].count = 5;
        struct shortage_decision out = decide(&s, &in);
        assert_int_equal(out.stage, stage);
        assert_int_equal(out.count, 3);
        assert_false(shortage_allows(&s, stage));
        assert_int_equal(out.next, SHORTAGE_STEP_MS);
        in.stock[stage].count = 0;
    }
    struct shortage_decision out = decide(&s, &in);
    assert_int_equal(out.count, 0);
    assert_true(out.spent);
}

static void what_is_on_its_way_out_counts(void **state) {
    struct shortage s = { 0 };
    struct shortage_input in = host(1000, 90 * MIB);
    (void)state;
    in.returning = 10 * MIB;
    struct shortage_decision out = decide(&s, &in);
    assert_int_equal(out.count, 0);
    assert_int_equal(out.next, SHORTAGE_STEP_MS);
}

static void for_what_load_asks_nothing_that_runs_is_given_up(void **state) {
    struct shortage s = { 0 };
    struct shortage_input in = host(1000, 100 * MIB);
    (void)state;
    in.asked = 5 * MIB;
    in.stock[SHORTAGE_POOL].count = in.stock[SHORTAGE_KEPT].count = 0;
    struct shortage_decision out = decide(&s, &in);
    assert_int_equal(out.stage, SHORTAGE_SLEEPERS);
    assert_int_equal(out.count, 1);
    in.stock[SHORTAGE_SLEEPERS].count = 0;
    out = decide(&s, &in);
    assert_int_equal(out.count, 0);
    assert_true(out.spent);
    assert_true(shortage_allows(&s, SHORTAGE_SURPLUS));
}

static void for_what_is_promised_it_is(void **state) {
    struct shortage s = { 0 };
    struct shortage_input in = host(1000, 100 * MIB);
    (void)state;
    in.owed = 5 * MIB;
    for (int stage = 0; stage < SHORTAGE_SURPLUS; stage++) {
        in.stock[stage].count = 0;
    }
    struct shortage_decision out = decide(&s, &in);
    assert_int_equal(out.stage, SHORTAGE_SURPLUS);
    assert_int_equal(out.count, 1);
}

static void made_again_with_twice_the_reserve_stage_by_stage(void **state) {
    struct shortage s = { 0 };
    struct shortage_input in = host(1000, 0);
    (void)state;
    for (int stage = 0; stage < SHORTAGE_STAGES; stage++) {
        in.stock[stage].count = 0;
    }
    decide(&s, &in);
    in.available = 200 * MIB - 1;
    in.now += 100 * SHORTAGE_CALM_MS;
    in.asked = 300 * MIB; /* load that waits does not hold it up */
    decide(&s, &in);
    assert_false(shortage_allows(&s, SHORTAGE_SURPLUS));
    in.available = 200 * MIB;
    in.asked = 0;
    for (int stage = SHORTAGE_SURPLUS; stage >= 0; stage--) {
        in.now += SHORTAGE_CALM_MS - 1;
        decide(&s, &in);
        assert_false(shortage_allows(&s, stage));
        in.now++;
        decide(&s, &in);
        assert_true(shortage_allows(&s, stage));
        assert_int_equal(stage == 0, shortage_allows(&s, SHORTAGE_POOL));
    }
}

static void a_full_host_grows_again_with_room(void **state) {
    struct shortage s = { .stages = SHORTAGE_STAGES };
    struct shortage_input in = host(1000, 150 * MIB);
    (void)state;
    in.asked = 10 * MIB;
    assert_true(decide(&s, &in).spent);
    in.available = 500 * MIB;
    in.now += SHORTAGE_CALM_MS;
    decide(&s, &in);
    assert_true(shortage_allows(&s, SHORTAGE_SURPLUS));
}

static void a_clock_that_goes_back_changes_nothing(void **state) {
    struct shortage s = { 0 };
    struct shortage_input in = host(100000, 95 * MIB);
    (void)state;
    decide(&s, &in);
    in.now = 1;
    in.available = TOTAL;
    decide(&s, &in);
    assert_false(shortage_allows(&s, SHORTAGE_POOL));
    in.now = 100000 + SHORTAGE_CALM_MS;
    decide(&s, &in);
    assert_true(shortage_allows(&s, SHORTAGE_POOL));
}

static void promised_ones_may_use_half_of_the_reserve(void **state) {
    (void)state;
    assert_int_equal(shortage_fit(TOTAL, 120 * MIB, 10 * MIB, false), 2);
    assert_int_equal(shortage_fit(TOTAL, 120 * MIB, 10 * MIB, true), 7);
    assert_int_equal(shortage_fit(TOTAL, -5, 10 * MIB, true), 0);
    assert_int_equal(shortage_fit(TOTAL, 101 * MIB, 0, false), MIB);
}

/* Any host: what is given up is never more than lacks, never out of order, and after as many looks
 * as there are things there is room or nothing is left. */
static void any_host(void **state) {
    unsigned seed = 1;
    (void)state;
    for (int round = 0; round < 20000; round++) {
        struct shortage s = { 0 };
        struct shortage_input in = host(rand_r(&seed) % 1000, (rand_r(&seed) % 300) * MIB);
        int64_t things = 0;
        in.owed = rand_r(&seed) % 2 ? (rand_r(&seed) % 50) * MIB : 0;
        in.asked = rand_r(&seed) % 2 ? (rand_r(&seed) % 50) * MIB : 0;
        for (int stage = 0; stage < SHORTAGE_STAGES; stage++) {
            in.stock[stage] =
                (struct shortage_stock){ rand_r(&seed) % 8, (rand_r(&seed) % 40) * MIB };
            things += in.stock[stage].count;
        }
        struct shortage_decision out;
        for (int64_t looks = 0;; looks++) {
            int64_t lack = shortage_reserve(in.total) + in.owed + in.asked - in.available;
            out = decide(&s, &in);
            if (out.count == 0) {
                break;
            }
            struct shortage_stock *stock = &in.stock[out.stage];
            assert_true(looks < things);
            assert_true(out.count <= stock->count);
            assert_true((out.count - 1) * stock->bytes_each < lack);
            for (int before = 0; before < (int)out.stage; before++) {
                assert_int_equal(in.stock[before].count, 0);
            }
            stock->count -= out.count;
            in.available += out.count * stock->bytes_each;
            in.now += rand_r(&seed) % 1000;
        }
        bool room = in.available >= shortage_reserve(in.total) + in.owed + in.asked;
        assert_true(room || out.spent);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_reserve_is_a_share_within_bounds),
        cmocka_unit_test(with_room_nothing_is_given_up),
        cmocka_unit_test(in_order_and_no_more_than_lacks),
        cmocka_unit_test(what_is_on_its_way_out_counts),
        cmocka_unit_test(for_what_load_asks_nothing_that_runs_is_given_up),
        cmocka_unit_test(for_what_is_promised_it_is),
        cmocka_unit_test(made_again_with_twice_the_reserve_stage_by_stage),
        cmocka_unit_test(a_full_host_grows_again_with_room),
        cmocka_unit_test(a_clock_that_goes_back_changes_nothing),
        cmocka_unit_test(promised_ones_may_use_half_of_the_reserve),
        cmocka_unit_test(any_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
