/* Results of probes to a verdict. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <paas/health.h>

static const struct health_rule rule = { .unhealthy_after = 3, .healthy_after = 2 };

static void first_success_is_healthy(void **state) {
    (void)state;
    struct health_count count = { 0 };
    assert_int_equal(health_judge(&rule, &count, false), HEALTH_UNKNOWN);
    assert_int_equal(health_judge(&rule, &count, true), HEALTH_GOOD);
}

static void failures_in_a_row_are_unhealthy(void **state) {
    (void)state;
    struct health_count count = { .verdict = HEALTH_GOOD };
    assert_int_equal(health_judge(&rule, &count, false), HEALTH_GOOD);
    assert_int_equal(health_judge(&rule, &count, false), HEALTH_GOOD);
    assert_int_equal(health_judge(&rule, &count, true), HEALTH_GOOD);
    assert_int_equal(health_judge(&rule, &count, false), HEALTH_GOOD);
    assert_int_equal(health_judge(&rule, &count, false), HEALTH_GOOD);
    assert_int_equal(health_judge(&rule, &count, false), HEALTH_BAD);
}

static void recovery_takes_its_successes(void **state) {
    (void)state;
    struct health_count count = { .verdict = HEALTH_BAD, .bad_in_row = 3 };
    assert_int_equal(health_judge(&rule, &count, true), HEALTH_BAD);
    assert_int_equal(health_judge(&rule, &count, true), HEALTH_GOOD);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_success_is_healthy),
        cmocka_unit_test(failures_in_a_row_are_unhealthy),
        cmocka_unit_test(recovery_takes_its_successes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
