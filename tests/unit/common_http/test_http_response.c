/* Responses: what an app may answer, and what becomes 502. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http_trace.h"

struct row {
    const char *name;
    const char *bytes;
    const char *trace; /* what must come out, or its beginning when it is a status */
    enum http_method answer_to;
    const char *upgrade;
    bool eof;
};

#define OK "HTTP/1.1 200 OK\r\n"
#define EARLY "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"

static const struct row rows[] = {
    { "length", OK "Content-Length: 2\r\n\r\nab", "200 length=2\nab|\n" },
    { "no phrase", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "200\n|\n" },
    { "empty phrase", "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", "200\n|\n" },
    { "8-bit phrase", "HTTP/1.1 200 \xe4\r\nContent-Length: 0\r\n\r\n", "200\n|\n" },
    { "chunked", OK "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nGrpc-Status: 0\r\n\r\n",
        "200 chunked\na+Grpc-Status=0\n|\n" },
    { "until close", OK "\r\nabc", "200 until-close close\nabc|\n", .eof = true },
    { "1.0", "HTTP/1.0 200 OK\r\n\r\nabc", "200 until-close close\nabc|\n", .eof = true },
    { "1.0 that keeps", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\na",
        "200 length=1\na|\n" },
    { "close", OK "Connection: close\r\nContent-Length: 1\r\n\r\na", "200 length=1 close\na|\n" },
    { "head", OK "Content-Length: 2\r\n\r\n", "200\n|\n", .answer_to = METHOD_HEAD },
    { "head of chunks", OK "Transfer-Encoding: chunked\r\n\r\n", "200\n|\n",
        .answer_to = METHOD_HEAD },
    { "no content", "HTTP/1.1 204 No Content\r\n\r\n", "204\n|\n" },
    { "not modified", "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", "304\n|\n" },
    { "bytes after the end", OK "Content-Length: 1\r\n\r\nabc", "200 length=1\na|\nleft 2" },
    { "body after head", OK "Content-Length: 1\r\n\r\na", "200\n|\nleft 1",
        .answer_to = METHOD_HEAD },
    { "interim", EARLY OK "Content-Length: 0\r\n\r\n", "103\n|\n200\n|\n" },
    { "continue", "HTTP/1.1 100 Continue\r\n\r\n" OK "Content-Length: 0\r\n\r\n",
        "100\n|\n200\n|\n" },
    { "upgrade", "HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: WebSocket\r\n\r\nxyz",
        "101 upgrade=WebSocket\n|\nleft 3", .upgrade = "foo, websocket" },

    { "upgrade not asked", "HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        "502 " },
    { "upgrade to something else",
        "HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: websocket, h2c\r\n\r\n", "502 ",
        .upgrade = "websocket" },
    { "upgrade without saying to what", "HTTP/1.1 101 X\r\nConnection: upgrade\r\n\r\n", "502 ",
        .upgrade = "websocket" },
    { "not http", "SSH-2.0-OpenSSH_9.2\r\n", "502 " },
    { "not http at all", "\x01\x02", "502 " },
    { "a body alone", "hello\n", "502 " },
    { "version 2", "HTTP/2.0 200 OK\r\n\r\n", "502 " },
    { "version 0.9", "HTTP/0.9 200 OK\r\n\r\n", "502 " },
    { "status of two digits", "HTTP/1.1 20 OK\r\n\r\n", "502 " },
    { "status of four digits", "HTTP/1.1 2000 OK\r\n\r\n", "502 " },
    { "status of 099", "HTTP/1.1 099 OK\r\n\r\n", "502 " },
    { "status of 600", "HTTP/1.1 600 OK\r\n\r\n", "502 " },
    { "control byte in the phrase", "HTTP/1.1 200 O\x01\r\n\r\n", "502 " },
    { "bare line feed", "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n", "502 " },
    { "empty line first", "\r\n" OK "\r\n", "502 " },
    { "folded", OK "X: a\r\n b\r\n\r\n", "502 " },
    { "space before the colon", OK "Content-Length : 1\r\n\r\na", "502 " },
    { "length and coding", OK "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "502 " },
    { "two lengths", OK "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", "502 " },
    { "bad length", OK "Content-Length: 1x\r\n\r\n", "502 " },
    { "unknown coding", OK "Transfer-Encoding: gzip\r\n\r\n", "502 " },
    { "coding in 1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "502 " },
    { "bad chunk", OK "Transfer-Encoding: chunked\r\n\r\nz\r\n", "200 chunked\n502 " },
    { "cut head", "HTTP/1.1 200 OK\r\nX: a", "502 ", .eof = true },
    { "cut body", OK "Content-Length: 5\r\n\r\nab", "200 length=5\nab502 ", .eof = true },
    { "cut chunks", OK "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n", "200 chunked\na502 ",
        .eof = true },
    { "cut after an interim", EARLY "HTTP/1", "103\n|\n502 ", .eof = true },
};

static struct buf run_row(const struct row *row, size_t cut) {
    struct trace_run run = {
        .kind = HTTP_PARSE_RESPONSES,
        .limits = &http_limits_default,
        .answer_to = row->answer_to ? row->answer_to : METHOD_GET,
        .upgrade = row->upgrade,
        .cut = cut,
        .eof = row->eof,
    };
    return trace(&run, row->bytes, strlen(row->bytes));
}

static void test_rows(void **state) {
    (void)state;
    int wrong = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (size_t cut = 0; cut < 9; cut++) {
            const struct row *row = &rows[i];
            struct buf got = run_row(row, cut);
            size_t len = strlen(row->trace);
            bool prefix = row->trace[len - 1] == ' ';
            if (prefix ? strncmp(buf_str(&got), row->trace, len) != 0
                       : strcmp(buf_str(&got), row->trace) != 0) {
                print_error("%s in reads of %zu: got %s, want %s\n", row->name, cut, buf_str(&got),
                    row->trace);
                wrong++;
            }
            buf_free(&got);
        }
    }
    assert_int_equal(wrong, 0);
}

/* A body until close is handed out up to its bound, however it comes, and refused behind it. */
static void test_bound_of_a_body_until_close(void **state) {
    (void)state;
    struct http_limits limits = http_limits_default;
    limits.body_max = 4;
    for (size_t cut = 0; cut < 9; cut++) {
        struct trace_run run = { .kind = HTTP_PARSE_RESPONSES,
            .limits = &limits,
            .answer_to = METHOD_GET,
            .cut = cut,
            .eof = true };
        struct buf fits = trace(&run, OK "\r\nabcd", strlen(OK "\r\nabcd"));
        assert_string_equal(buf_str(&fits), "200 until-close close\nabcd|\n");
        struct buf past = trace(&run, OK "\r\nabcde", strlen(OK "\r\nabcde"));
        assert_string_equal(buf_str(&past), "200 until-close close\nabcd502 the body is too large");
        buf_free(&fits);
        buf_free(&past);
    }
}

static void test_interim_answers_are_counted(void **state) {
    (void)state;
    for (int extra = 0; extra < 2; extra++) {
        struct buf b;
        buf_init(&b, 1 << 20);
        for (int i = 0; i < HTTP_INFORMATIONAL_MAX + extra; i++) {
            buf_puts(&b, EARLY);
        }
        buf_puts(&b, OK "Content-Length: 0\r\n\r\n");
        struct row row = { "many", b.data, "", METHOD_GET, NULL, false };
        struct buf got = run_row(&row, 0);
        assert_int_equal(strstr(buf_str(&got), "502") != NULL, extra);
        buf_free(&got);
        buf_free(&b);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_bound_of_a_body_until_close),
        cmocka_unit_test(test_interim_answers_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
