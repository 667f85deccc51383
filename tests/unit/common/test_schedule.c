/* Schedules: read, refused, in force. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include <paas/schedule.h>

enum { SUN, MON, TUE, WED, THU, FRI, SAT };
#define AT(H, M) ((H)*60 + (M))

static struct schedule parsed(const char *text) {
    struct schedule s;
    struct err err;
    if (schedule_parse(text, &s, &err) < 0) {
        fail_msg("%s: %s", text, err.text);
    }
    return s;
}

static void days_and_hours_are_kept_to(void **state) {
    (void)state;
    struct schedule s = parsed("mon-fri 08:00-18:00 4; sat,sun 10:30-14:00 2");
    assert_int_equal(s.count, 2);
    assert_int_equal(schedule_min(&s, MON, AT(7, 59)), 0);
    assert_int_equal(schedule_min(&s, MON, AT(8, 0)), 4);
    assert_int_equal(schedule_min(&s, FRI, AT(17, 59)), 4);
    assert_int_equal(schedule_min(&s, FRI, AT(18, 0)), 0);
    assert_int_equal(schedule_min(&s, SAT, AT(10, 29)), 0);
    assert_int_equal(schedule_min(&s, SUN, AT(13, 59)), 2);
    assert_int_equal(schedule_most(&s), 4);
}

static void a_night_goes_over_midnight(void **state) {
    (void)state;
    struct schedule s = parsed("fri 22:00-06:00 3");
    assert_int_equal(schedule_min(&s, FRI, AT(5, 0)), 0);
    assert_int_equal(schedule_min(&s, FRI, AT(23, 0)), 3);
    assert_int_equal(schedule_min(&s, SAT, AT(5, 59)), 3);
    assert_int_equal(schedule_min(&s, SAT, AT(6, 0)), 0);
    assert_int_equal(schedule_min(&s, SAT, AT(23, 0)), 0);
}

static void a_range_goes_over_the_end_of_the_week(void **state) {
    (void)state;
    struct schedule s = parsed("Sat-mon 00:00-24:00 1");
    assert_int_equal(schedule_min(&s, SAT, AT(0, 0)), 1);
    assert_int_equal(schedule_min(&s, SUN, AT(23, 59)), 1);
    assert_int_equal(schedule_min(&s, MON, AT(12, 0)), 1);
    assert_int_equal(schedule_min(&s, TUE, AT(0, 0)), 0);
    assert_int_equal(schedule_min(&s, FRI, AT(23, 59)), 0);
}

static void the_largest_of_several_counts(void **state) {
    (void)state;
    struct schedule s = parsed("daily 00:00-24:00 1; wed 12:00-13:00 7; wed 12:30-12:40 3;");
    assert_int_equal(schedule_min(&s, WED, AT(12, 35)), 7);
    assert_int_equal(schedule_min(&s, WED, AT(13, 0)), 1);
    assert_int_equal(schedule_min(&s, THU, AT(12, 35)), 1);
}

static void none_asks_for_nothing(void **state) {
    (void)state;
    struct schedule s = parsed("");
    assert_int_equal(s.count, 0);
    assert_int_equal(schedule_min(&s, SUN, 0), 0);
}

static void nonsense_is_refused(void **state) {
    static const char *const wrong[] = {
        "x", "mon", "mon 08:00-18:00", "mon 8:00-18:00 4", "mon 08:00-18:60 4", "mon 08:00-24:01 4",
        "mon 24:00-08:00 4", "mon 08:00-08:00 4", "mon 08:00-18:00 -1", "mon 08:00-18:00 4 5",
        "mon 08:00-18:00 1025", "funday 08:00-18:00 4", "mon- 08:00-18:00 4", "mon, 08:00-18:00 4",
        "mon,,tue 08:00-18:00 4", "mon-tue-wed 08:00-18:00 4", ";", "mon 08:00-18:00 4;;",
        "mon 08.00-18:00 4", "mon 08:00 18:00 4", "mon +8:00-18:00 4",
        "mon,mon,mon,mon,mon,mon,mon,mon,mon,mon,mon,mon,mon,mon,mon,mon,mon,mon,mon,mon,mon 08:00"
    };
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct schedule s;
        struct err err = { 0 };
        if (schedule_parse(wrong[i], &s, &err) == 0) {
            fail_msg("\"%s\" was taken", wrong[i]);
        }
        assert_int_equal(err.code, ERR_BAD_VALUE);
    }
}

static void too_many_lines_are_refused(void **state) {
    char text[1024] = "";
    struct schedule s;
    struct err err;
    (void)state;
    for (int i = 0; i < SCHEDULE_LINES; i++) {
        strcat(text, "mon 08:00-18:00 4;");
    }
    assert_int_equal(schedule_parse(text, &s, &err), 0);
    strcat(text, "mon 08:00-18:00 4");
    assert_int_equal(schedule_parse(text, &s, &err), -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(days_and_hours_are_kept_to),
        cmocka_unit_test(a_night_goes_over_midnight),
        cmocka_unit_test(a_range_goes_over_the_end_of_the_week),
        cmocka_unit_test(the_largest_of_several_counts),
        cmocka_unit_test(none_asks_for_nothing),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(too_many_lines_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
