/* How many sandboxes are kept ready. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "stock.h"

static void one_is_ready_before_anything_started(void **state) {
    struct stock stock = { 0 };
    (void)state;
    assert_int_equal(stock_target(&stock, 0), 1);
    assert_int_equal(stock_target(&stock, 123456789), 1);
    assert_int_equal(stock_falls(&stock, 123456789), 0);
}

static void as_many_as_started_within_a_window(void **state) {
    struct stock stock = { 0 };
    (void)state;
    for (int n = 1; n <= 3; n++) {
        stock_start(&stock, 50000 + n);
        assert_int_equal(stock_target(&stock, 50000 + n), n);
    }
    /* What started in the last window counts as well, then no more. */
    assert_int_equal(stock_target(&stock, 50000 + STOCK_WINDOW_MS), 3);
    assert_int_equal(stock_target(&stock, 50000 + 2 * STOCK_WINDOW_MS), 1);
}

static void never_more_than_the_most(void **state) {
    struct stock stock = { 0 };
    (void)state;
    for (int n = 0; n < 1000; n++) {
        stock_start(&stock, 7);
    }
    assert_int_equal(stock_target(&stock, 7), STOCK_MAX);
}

static void says_when_it_may_fall(void **state) {
    struct stock stock = { 0 };
    (void)state;
    stock_start(&stock, 20001);
    stock_start(&stock, 20002);
    msec at = 20002;
    int steps = 0;
    for (msec next; (next = stock_falls(&stock, at)); at = next) {
        assert_true(next > at);
        assert_true(++steps <= 3);
    }
    assert_int_equal(stock_target(&stock, at), 1);
}

static void a_clock_that_goes_back_changes_nothing(void **state) {
    struct stock stock = { 0 };
    (void)state;
    stock_start(&stock, 90000);
    stock_start(&stock, 90000);
    assert_int_equal(stock_target(&stock, 10), 2);
    stock_start(&stock, 10);
    assert_int_equal(stock_target(&stock, 90000), 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_is_ready_before_anything_started),
        cmocka_unit_test(as_many_as_started_within_a_window),
        cmocka_unit_test(never_more_than_the_most),
        cmocka_unit_test(says_when_it_may_fall),
        cmocka_unit_test(a_clock_that_goes_back_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
