/* The checker alone, without a parser before it that might refuse first.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include <paas/http_check.h>

enum { HEADERS_MAX = 4 };

struct row {
    int status;
    const char *headers[HEADERS_MAX]; /* "Name: value" after a Host */
};

static const struct row requests[] = {
    { 0, { NULL } },
    { 0, { "Content-Length: 5" } },
    { 0, { "Transfer-Encoding: chunked" } },
    { 400, { "Content-Length: 5", "Content-Length: 5" } },
    { 400, { "Transfer-Encoding: chunked", "Transfer-Encoding: chunked" } },
    { 400, { "Content-Length: 5", "Transfer-Encoding: chunked" } },
    { 400, { "Transfer-Encoding: chunked, chunked" } },
    { 501, { "Transfer-Encoding: gzip, chunked" } },
    { 400, { "Transfer-Encoding: chunked, gzip" } },
    { 400, { "Transfer-Encoding: ,chunked" } },
    { 400, { "Transfer-Encoding: gzip;q=1, chunked" } },
    { 400, { "Host: a" } },
    { 417, { "Expect: 100-continue, x" } },
    { 417, { "Expect: 100-continue", "Expect: x" } },
};

static struct http_header header_of(const char *line) {
    struct http_text text = http_text_of(line);
    size_t colon = strcspn(line, ":");
    return (struct http_header){ .name = http_slice(text, 0, colon),
        .value = http_trim(http_slice(text, colon + 1, text.len)) };
}

static void test_requests(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        struct http_header headers[HEADERS_MAX + 1] = { header_of("Host: a") };
        size_t count = 1;
        for (; requests[i].headers[count - 1]; count++) {
            headers[count] = header_of(requests[i].headers[count - 1]);
        }
        struct http_target target = { .form = FORM_ORIGIN };
        struct http_facts facts;
        int got = http_check_request(METHOD_GET, &target, 1, headers, count, &facts).status;
        if (got != requests[i].status) {
            fail_msg("%s: %d", requests[i].headers[0], got);
        }
    }
}

static void test_lines(void **state) {
    (void)state;
    static const struct {
        const char *line;
        int status;
    } rows[] = { { "GET / HTTP/1.1", 0 }, { "GET  HTTP/1.1", 400 }, { "GET / HTTP/1.1 ", 400 },
        { "GET / HTTP/1.1\t", 400 }, { " / HTTP/1.1", 400 }, { "", 400 }, { "GET", 400 },
        { "GET /", 400 }, { "GET / HTTP/3.0", 505 }, { "GET / HTTP/0.9", 505 },
        { "BREW / HTTP/1.1", 501 }, { "CONNECT a:1 HTTP/1.1", 501 } };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        enum http_method method;
        struct http_text target;
        int minor;
        assert_int_equal(
            http_check_request_line(http_text_of(rows[i].line), &method, &target, &minor).status,
            rows[i].status);
    }
}

/* Every row of a table is found by its own name, and by no other case for methods. */
static void test_words(void **state) {
    (void)state;
    for (int m = METHOD_NONE + 1; m < METHOD_COUNT; m++) {
        assert_int_equal(http_method_of(http_text_of(http_method_name(m))), m);
    }
    assert_int_equal(http_method_of(http_text_of("get")), METHOD_NONE);
#define X(id, name, hop) assert_int_equal(http_field_of(http_text_of(name)), FIELD_##id);
    HTTP_FIELDS(X)
#undef X
    assert_int_equal(http_field_of(http_text_of("TRANSFER-encoding")), FIELD_TRANSFER_ENCODING);
    assert_int_equal(http_field_of(http_text_of("transfer_encoding")), FIELD_OTHER);
    assert_true(http_method_idempotent(METHOD_DELETE) && !http_method_idempotent(METHOD_POST) &&
                !http_method_idempotent(METHOD_PATCH));
    struct http_text list = http_text_of(" a,, b\t,"), one;
    assert_true(http_list_next(&list, &one) && http_is(one, "a"));
    assert_true(http_list_next(&list, &one) && http_is(one, "B"));
    assert_false(http_list_next(&list, &one));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
