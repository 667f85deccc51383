/* How long a slot waits before its next start. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "respawn.h"

static void the_first_restart_is_at_once(void **state) {
    (void)state;
    assert_int_equal(respawn_delay(0, 7), 0);
    assert_int_equal(respawn_delay(1, 7), 0);
}

static void the_pause_doubles_up_to_its_bound(void **state) {
    (void)state;
    assert_int_equal(respawn_delay(2, 0), RESPAWN_FIRST_MS);
    assert_int_equal(respawn_delay(3, 0), 2 * RESPAWN_FIRST_MS);
    assert_int_equal(respawn_delay(5, 0), 8 * RESPAWN_FIRST_MS);
    assert_int_equal(respawn_delay(100, 0), RESPAWN_LONGEST_MS);
    assert_int_equal(respawn_delay(INT64_MAX, 0), RESPAWN_LONGEST_MS);
}

static void chance_shortens_it_by_a_quarter_at_most(void **state) {
    (void)state;
    msec shortest = RESPAWN_LONGEST_MS;
    for (uint32_t random = 0; random < 1000; random++) {
        msec pause = respawn_delay(20, random);
        assert_in_range(pause, RESPAWN_LONGEST_MS * 3 / 4, RESPAWN_LONGEST_MS);
        shortest = pause < shortest ? pause : shortest;
    }
    assert_true(shortest < RESPAWN_LONGEST_MS * 4 / 5);
}

static void a_healthy_while_forgives(void **state) {
    (void)state;
    assert_int_equal(respawn_count(6, 0), 7);
    assert_int_equal(respawn_count(6, RESPAWN_FORGIVEN_MS - 1), 7);
    assert_int_equal(respawn_count(6, RESPAWN_FORGIVEN_MS), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_restart_is_at_once),
        cmocka_unit_test(the_pause_doubles_up_to_its_bound),
        cmocka_unit_test(chance_shortens_it_by_a_quarter_at_most),
        cmocka_unit_test(a_healthy_while_forgives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
