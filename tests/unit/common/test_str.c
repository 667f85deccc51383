/* Checked parsing of what people and peers write. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include <paas/str.h>

static void integers_are_whole_and_in_range(void **state) {
    (void)state;
    int64_t n = -1;
    struct err err;
    assert_int_equal(str_int("0", 0, 10, "n", &n, &err), 0);
    assert_int_equal(n, 0);
    assert_int_equal(str_int("-9223372036854775807", INT64_MIN, 0, "n", &n, &err), 0);
    static const char *const bad[] = { "", "-", "1x", " 1", "1 ", "+1", "0x10", "1.0",
        "9223372036854775808", "99999999999999999999999" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(str_int(bad[i], INT64_MIN, INT64_MAX, "n", &n, &err), -1);
        assert_int_equal(err.code, ERR_BAD_VALUE);
    }
    assert_int_equal(str_int("11", 0, 10, "--instances", &n, &err), -1);
    assert_string_equal(err.text, "--instances: 11 is not in 0..10");
}

static void amounts_have_units(void **state) {
    (void)state;
    int64_t n;
    struct err err;
    assert_int_equal(str_duration("1.5s", 10000, "t", &n, &err), 0);
    assert_int_equal(n, 1500);
    assert_int_equal(str_duration("250ms", 10000, "t", &n, &err), 0);
    assert_int_equal(n, 250);
    assert_int_equal(str_duration("10", 100000, "t", &n, &err), -1);
    assert_int_equal(str_duration("11s", 10000, "t", &n, &err), -1);
    assert_int_equal(str_duration("1.2345s", 10000, "t", &n, &err), -1);
    assert_int_equal(str_duration("99999999999999999h", INT64_MAX, "t", &n, &err), -1);
    assert_int_equal(str_size("128M", 0, INT64_MAX, "m", &n, &err), 0);
    assert_int_equal(n, 128 << 20);
    assert_int_equal(str_size("1.5GiB", 0, INT64_MAX, "m", &n, &err), 0);
    assert_int_equal(n, (int64_t)1536 << 20);
    assert_int_equal(str_size("77", 0, INT64_MAX, "m", &n, &err), 0);
    assert_int_equal(str_size("12Q", 0, INT64_MAX, "m", &n, &err), -1);
    assert_int_equal(str_size("9999999999G", 0, INT64_MAX, "m", &n, &err), -1);
    assert_int_equal(str_milli("0.25", 0, 10000, "c", &n, &err), 0);
    assert_int_equal(n, 250);
    assert_int_equal(str_milli("-1", 0, 10000, "c", &n, &err), -1);
}

static void names_and_hosts_are_what_they_say(void **state) {
    (void)state;
    char longest[65];
    memset(longest, 'a', 64);
    longest[63] = '\0';
    assert_true(str_is_name("a"));
    assert_true(str_is_name("web-1"));
    assert_true(str_is_name(longest));
    longest[63] = 'a';
    longest[64] = '\0';
    assert_false(str_is_name(longest));
    static const char *const bad[] = { "", "1a", "-a", "A", "a/b", "..", "a.b", "a b", "a\n" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(str_is_name(bad[i]));
    }
    assert_true(str_is_host("hello.example.com"));
    assert_true(str_is_host("1.2.3.4"));
    static const char *const no[] = { "", ".", "a..b", "-a.b", "a-.b", "a.", "A.b", "a:80", "a/b" };
    for (size_t i = 0; i < sizeof no / sizeof *no; i++) {
        assert_false(str_is_host(no[i]));
    }
    assert_true(
        str_is_digest("sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"));
    assert_false(
        str_is_digest("sha256:0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef"));
    assert_false(str_is_digest("sha256:../../../../etc/passwd"));
}

static void the_nearest_word_is_guessed_or_none(void **state) {
    (void)state;
    static const char *const words[] = { "instances", "memory", "health" };
    assert_string_equal(str_nearest("memry", words, 3), "memory");
    assert_string_equal(str_nearest("Helth", words, 3), "health");
    assert_null(str_nearest("zzz", words, 3));
    assert_null(str_nearest("", words, 3));
}

static void amounts_are_shown_short(void **state) {
    (void)state;
    char text[STR_AMOUNT_MAX];
    assert_string_equal(str_format_size(128 << 20, text), "128M");
    assert_string_equal(str_format_size(1536, text), "1.5K");
    assert_string_equal(str_format_size(0, text), "0");
    assert_string_equal(str_format_duration(999, text), "999ms");
    assert_string_equal(str_format_duration(61000, text), "1m");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_are_whole_and_in_range),
        cmocka_unit_test(amounts_have_units),
        cmocka_unit_test(names_and_hosts_are_what_they_say),
        cmocka_unit_test(the_nearest_word_is_guessed_or_none),
        cmocka_unit_test(amounts_are_shown_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
