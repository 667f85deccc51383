/* What is remembered of decisions and load. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "history.h"

static void the_last_decisions_stay_in_order(void **state) {
    (void)state;
    struct history h = { 0 };
    for (int64_t n = 0; n < HISTORY_DECISIONS + 10; n++) {
        history_decided(&h, &(struct history_decision){ .at = n, .from = n });
    }
    assert_int_equal(h.count, HISTORY_DECISIONS);
    for (size_t n = 0; n < h.count; n++) {
        assert_int_equal(h.decisions[(h.first + n) % HISTORY_DECISIONS].at, n + 10);
    }
}

static void requests_are_counted_by_second(void **state) {
    (void)state;
    struct history h = { 0 };
    assert_int_equal(history_requests(&h, 100), -1);
    history_arrived(&h, 100000, 50, 2); /* 48 came before anybody counted */
    history_arrived(&h, 100900, 60, 0);
    history_arrived(&h, 103000, 65, 0);
    assert_int_equal(history_requests(&h, 99), -1);
    assert_int_equal(history_requests(&h, 100), 12);
    assert_int_equal(history_requests(&h, 101), 0);
    assert_int_equal(history_requests(&h, 103), 5);
    assert_int_equal(history_requests(&h, 104), -1);
}

static void a_proxy_that_begins_anew_and_a_clock_that_goes_back_lose_nothing(void **state) {
    (void)state;
    struct history h = { 0 };
    history_arrived(&h, 100000, 10, 10);
    history_arrived(&h, 100000, 3, 0); /* a new proxy */
    assert_int_equal(history_requests(&h, 100), 13);
    history_arrived(&h, 40000, 5, 0); /* the clock went back a minute */
    assert_int_equal(history_requests(&h, 100), 15);
}

static void what_is_too_old_is_forgotten(void **state) {
    (void)state;
    struct history h = { 0 };
    history_arrived(&h, 100000, 10, 10);
    history_arrived(&h, 100000 + (HISTORY_SECONDS - 1) * 1000, 11, 0);
    assert_int_equal(history_requests(&h, 100), 10);
    history_arrived(&h, 100000 + HISTORY_SECONDS * 1000, 12, 0);
    assert_int_equal(history_requests(&h, 100), -1);
    history_arrived(&h, 900000000, 20, 0); /* days later */
    assert_int_equal(history_requests(&h, 900000), 8);
    assert_int_equal(history_requests(&h, 100 + HISTORY_SECONDS), -1);
}

static void a_decision_is_told_in_words(void **state) {
    (void)state;
    const struct history_decision d = {
        .at = 5,
        .from = 2,
        .sample = { .in_flight = 7, .held = 12, .oldest_held = 31, .ready = 2, .starting = 1 },
        .decision = { .running = 5,
            .reason = DEMAND_QUEUE,
            .peak = 7450,
            .service_ms = 50,
            .start_ms = 9,
            .base = 2,
            .queue_target = 5,
            .use_target = 3 },
    };
    struct scaling_decision row = { 0 };
    history_explain(&d, &row);
    assert_int_equal(row.from, 2);
    assert_int_equal(row.to, 5);
    assert_string_equal(row.message,
        "requests wait: 7 under way and 12 held (oldest 31 ms) at 2 ready, 1 starting; at most 7.4 "
        "at once lately; a request takes 50 ms, a start 9 ms; load asks for 2, the queue for 5, use "
        "for 3");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_decisions_stay_in_order),
        cmocka_unit_test(requests_are_counted_by_second),
        cmocka_unit_test(a_proxy_that_begins_anew_and_a_clock_that_goes_back_lose_nothing),
        cmocka_unit_test(what_is_too_old_is_forgotten),
        cmocka_unit_test(a_decision_is_told_in_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
