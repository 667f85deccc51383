/* Options by table, and the table of commands itself. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "commands.h"
#include "options.h"

static const struct option_row own[] = {
    { "path", 'p', "DIR", "" },
    { "env", 'e', "K=V", "" },
    { "follow", 'f', NULL, "" },
    { "all", 'a', NULL, "" },
    { "api", 0, "ADDRESS:PORT", "own" },
    { 0 },
};

static int parse(struct options *out, struct err *err, int argc, const char *const *argv) {
    *err = (struct err){ 0 };
    return options_parse(own, common_options, argc, (char *const *)argv, out, err);
}
#define PARSE(out, err, ...)                                                                       \
    parse(out, err, sizeof((const char *[]){ __VA_ARGS__ }) / sizeof(char *),                      \
        (const char *[]){ __VA_ARGS__ })

static void every_form_of_a_value_is_read(void **state) {
    (void)state;
    struct options o;
    struct err err;
    assert_int_equal(
        PARSE(&o, &err, "--path", "a", "--path=b", "-p", "c", "-pd", "-fap", "e", "x", "-"), 0);
    static const char *const values[] = { "a", "b", "c", "d", "e", NULL };
    size_t cursor = 0;
    for (size_t i = 0; values[i]; i++) {
        assert_string_equal(options_next(&o, "path", &cursor), values[i]);
    }
    assert_null(options_next(&o, "path", &cursor));
    assert_string_equal(options_value(&o, "path"), "e");
    assert_true(options_flag(&o, "follow"));
    assert_true(options_flag(&o, "all"));
    assert_int_equal(o.arg_count, 2);
    assert_string_equal(o.args[1], "-");
    assert_null(o.rest);
    options_free(&o);
}

static void two_dashes_end_the_options(void **state) {
    (void)state;
    struct options o;
    struct err err;
    assert_int_equal(PARSE(&o, &err, "app", "--", "ls", "--path", "-f"), 0);
    assert_int_equal(o.arg_count, 1);
    assert_int_equal(o.rest_count, 3);
    assert_string_equal(o.rest[1], "--path");
    assert_false(options_flag(&o, "follow"));
    options_free(&o);
}

static void an_own_option_hides_the_common_one(void **state) {
    (void)state;
    struct options o;
    struct err err;
    assert_int_equal(PARSE(&o, &err, "--api", "127.0.0.1:1"), 0);
    assert_string_equal(o.given[0].row->doc, "own");
    options_free(&o);
}

static void wrong_usage_is_told(void **state) {
    (void)state;
    struct options o;
    struct err err;
    assert_int_equal(PARSE(&o, &err, "--paht", "x"), -1);
    assert_int_equal(err.code, ERR_USAGE);
    assert_string_equal(err.hint, "did you mean --path?");
    assert_int_equal(PARSE(&o, &err, "--pat", "x"), -1); /* no abbreviations */
    assert_int_equal(PARSE(&o, &err, "--path"), -1);
    assert_string_equal(err.text, "--path needs DIR");
    assert_int_equal(PARSE(&o, &err, "--follow=yes"), -1);
    assert_int_equal(PARSE(&o, &err, "-fz"), -1);
    assert_string_equal(err.text, "there is no option -z");
}

static void every_command_has_what_help_needs(void **state) {
    (void)state;
    for (const struct command *c = commands; c->name; c++) {
        assert_non_null(c->args);
        assert_non_null(c->doc);
        assert_int_equal(strncmp(c->example, "paas ", 5) == 0 ||
                             strncmp(c->example, "sudo paas ", 10) == 0 ||
                             strncmp(c->example, "source <(paas", 13) == 0,
            1);
        assert_non_null(strstr(c->example, c->name));
        assert_true(c->args_min <= c->args_max);
        assert_true(c->run || (c->path && c->method));
        assert_true(c->run || c->said);
        assert_true(!c->columns || c->type);
    }
}

static void commands_of_two_words_are_found(void **state) {
    (void)state;
    int words;
    const char *const argv[] = { "config", "check", "dir" };
    assert_string_equal(command_find(3, (char *const *)argv, &words)->name, "config check");
    assert_int_equal(words, 2);
    const char *const one[] = { "apps" };
    assert_string_equal(command_find(1, (char *const *)one, &words)->name, "apps");
    assert_int_equal(words, 1);
    const char *const none[] = { "config" };
    assert_null(command_find(1, (char *const *)none, &words));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_of_a_value_is_read),
        cmocka_unit_test(two_dashes_end_the_options),
        cmocka_unit_test(an_own_option_hides_the_common_one),
        cmocka_unit_test(wrong_usage_is_told),
        cmocka_unit_test(every_command_has_what_help_needs),
        cmocka_unit_test(commands_of_two_words_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
