/* proxy/retry.c. SPDX-License-Identifier: Apache-2.0 */
#include "retry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bounds.h"

static const struct row {
    const char *what;
    struct retry_facts facts;
    bool allowed;
} rows[] = {
    { "a GET that was cut", { .end = ATTEMPT_CLOSED, .method = METHOD_GET, .sent = true }, true },
    { "a PUT that was cut", { .end = ATTEMPT_CLOSED, .method = METHOD_PUT, .sent = true }, true },
    { "a DELETE that was cut", { .end = ATTEMPT_CLOSED, .method = METHOD_DELETE, .sent = true },
        true },
    { "a POST that was cut", { .end = ATTEMPT_CLOSED, .method = METHOD_POST, .sent = true },
        false },
    { "a PATCH that was cut", { .end = ATTEMPT_CLOSED, .method = METHOD_PATCH, .sent = true },
        false },
    { "a POST that was not sent", { .end = ATTEMPT_NOT_CONNECTED, .method = METHOD_POST }, true },
    { "a GET that is silent", { .end = ATTEMPT_SILENT, .method = METHOD_GET, .sent = true },
        false },
    { "a GET answered by nonsense", { .end = ATTEMPT_GARBAGE, .method = METHOD_GET, .sent = true },
        false },
    { "a GET whose answer began",
        { .end = ATTEMPT_CLOSED, .method = METHOD_GET, .sent = true, .answered = true }, false },
    { "a PUT whose body is gone",
        { .end = ATTEMPT_CLOSED, .method = METHOD_PUT, .sent = true, .body_gone = true }, false },
    { "a POST not sent this time, whose body went to another",
        { .end = ATTEMPT_NOT_CONNECTED, .method = METHOD_POST, .body_gone = true }, false },
    { "a GET tried often",
        { .end = ATTEMPT_NOT_CONNECTED, .method = METHOD_GET, .attempts = ATTEMPTS_MAX }, false },
};

static void only_what_is_safe_is_repeated(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct retry_facts facts = rows[i].facts;
        int left;
        facts.tokens = RETRY_TOKENS_MAX;
        if (retry_allowed(&facts, &left) != rows[i].allowed) {
            fail_msg("%s: not %d", rows[i].what, rows[i].allowed);
        }
    }
}

/* An app that breaks every request gets at most a fifth more of them. */
static void the_budget_bounds_what_is_repeated(void **state) {
    (void)state;
    int tokens = RETRY_TOKENS_MAX, repeated = 0;
    for (int i = 0; i < 1000; i++) {
        struct retry_facts facts = { .end = ATTEMPT_CLOSED, .method = METHOD_GET, .sent = true };
        tokens = retry_earn(tokens);
        facts.tokens = tokens;
        repeated += retry_allowed(&facts, &tokens);
    }
    assert_in_range(repeated, 200, 215);
}

static void what_was_never_sent_is_free(void **state) {
    (void)state;
    struct retry_facts facts = { .end = ATTEMPT_NOT_CONNECTED, .method = METHOD_POST };
    int left = 5;
    assert_true(retry_allowed(&facts, &left));
    assert_int_equal(left, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_is_safe_is_repeated),
        cmocka_unit_test(the_budget_bounds_what_is_repeated),
        cmocka_unit_test(what_was_never_sent_is_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
