/* proxy/headers.c. SPDX-License-Identifier: Apache-2.0 */
#include "headers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A parsed head and its memory. */
struct parsed {
    struct http_parser parser;
    void *arena;
};

static const struct http_head *parse(
    struct parsed *p, enum http_parser_kind kind, const char *text) {
    struct http_result r;
    p->arena = malloc(http_arena_size(&http_limits_default));
    http_parse_init(&p->parser, kind, &http_limits_default);
    http_parse_next(&p->parser, p->arena);
    assert_int_equal(http_parse_feed(&p->parser, text, strlen(text), &r), HTTP_HEAD);
    return &p->parser.head;
}

static char *request(const char *text) {
    struct parsed p;
    const struct http_head *head = parse(&p, HTTP_PARSE_REQUESTS, text);
    struct request_facts facts = { { "1.2.3.4", 7 }, { "id-1", 4 }, false };
    size_t max = head_size_max(head);
    char *out = malloc(max + 1); /* exactly, so that a sanitizer sees one byte more */
    size_t len = head_write_request(out, head, &facts);
    assert_true(len <= max);
    out[len] = '\0';
    free(p.arena);
    return out;
}

static char *answer(const char *text, struct answer_facts facts) {
    struct parsed p;
    const struct http_head *head = parse(&p, HTTP_PARSE_RESPONSES, text);
    facts.id = http_text_of("id-1");
    facts.date = http_text_of("Thu, 01 Jan 1970 00:00:00 GMT");
    size_t max = head_size_max(head);
    char *out = malloc(max + 1);
    size_t len = head_write_answer(out, head, &facts);
    assert_true(len <= max);
    out[len] = '\0';
    free(p.arena);
    return out;
}

#define FORWARDED                                                                                  \
    "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a.test\r\n"          \
    "X-Request-Id: id-1\r\n"

static void requests_are_written_anew(void **state) {
    (void)state;
    static const struct {
        const char *in, *out;
    } rows[] = {
        { "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a.test\r\n" FORWARDED "\r\n" },
        { "GET http://a.test/x?y HTTP/1.1\r\nHost: a.test\r\n\r\n",
            "GET /x?y HTTP/1.1\r\nHost: a.test\r\n" FORWARDED "\r\n" },
        { "GET /? HTTP/1.1\r\nHost: a.test\r\n\r\n",
            "GET /? HTTP/1.1\r\nHost: a.test\r\n" FORWARDED "\r\n" },
        { "OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n",
            "OPTIONS * HTTP/1.1\r\nHost: a.test\r\n" FORWARDED "\r\n" },
        { "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0005\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a.test\r\n" FORWARDED "Content-Length: 5\r\n\r\n" },
        { "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a.test\r\n" FORWARDED "Content-Length: 0\r\n\r\n" },
        { "POST / HTTP/1.1\r\nHost: a.test\r\ntransfer-encoding: CHUNKED\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a.test\r\n" FORWARDED "Transfer-Encoding: chunked\r\n\r\n" },
        { "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close, x-a, te\r\nX-A: 1\r\nTE: trailers\r\n"
          "X-B: 2\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a.test\r\nX-B: 2\r\n" FORWARDED "\r\n" },
        { "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a.test\r\n" FORWARDED
            "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char *out = request(rows[i].in);
        assert_string_equal(out, rows[i].out);
        free(out);
    }
}

static void answers_are_written_anew(void **state) {
    (void)state;
    char *out =
        answer("HTTP/1.0 200 Fine\r\nContent-Length: 007\r\nConnection: x\r\nX: 1\r\nY:2\r\n\r\n",
            (struct answer_facts){ .client_is_1_1 = true, .keep_alive = true });
    assert_string_equal(out, "HTTP/1.1 200 Fine\r\nY: 2\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
                             "X-Request-Id: id-1\r\nContent-Length: 7\r\n\r\n");
    free(out);
    out = answer(
        "HTTP/1.1 200 \r\nDate: now\r\nX-Request-Id: its\r\nTransfer-Encoding: chunked\r\n\r\n",
        (struct answer_facts){ .client_is_1_1 = true, .chunked = true });
    assert_string_equal(out, "HTTP/1.1 200 \r\nDate: now\r\nX-Request-Id: its\r\n"
                             "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n");
    free(out);
    out = answer("HTTP/1.1 204 No Content\r\nDate: now\r\nX-Request-Id: its\r\n\r\n",
        (struct answer_facts){ .keep_alive = true });
    assert_string_equal(out, "HTTP/1.1 204 No Content\r\nDate: now\r\nX-Request-Id: its\r\n"
                             "Connection: keep-alive\r\n\r\n");
    free(out);
}

static void chunk_lines_are_hexadecimal(void **state) {
    (void)state;
    char line[CHUNK_LINE_MAX + 1];
    line[chunk_line_write(line, 1)] = '\0';
    assert_string_equal(line, "1\r\n");
    line[chunk_line_write(line, 0xfedcba9876543210)] = '\0';
    assert_string_equal(line, "fedcba9876543210\r\n");
}

static void request_ids_are_short_and_harmless(void **state) {
    (void)state;
    assert_true(request_id_is_valid(http_text_of("aZ0-_.")));
    assert_false(request_id_is_valid(http_text_of("")));
    assert_false(request_id_is_valid(http_text_of("a b")));
    assert_false(request_id_is_valid(http_text_of("a\"b")));
    assert_false(request_id_is_valid(
        http_text_of("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_written_anew),
        cmocka_unit_test(answers_are_written_anew),
        cmocka_unit_test(chunk_lines_are_hexadecimal),
        cmocka_unit_test(request_ids_are_short_and_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
