/* Requests: every verdict, whole and cut into every size of read.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http_trace.h"

#define H "Host: a\r\n"
#define POST_CHUNKED "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
#define CHUNKED_HEAD "POST / @a chunked\n"

struct row {
    const char *name;
    const char *bytes;
    const char *trace; /* what must come out, or its beginning when it is a status */
};

static const struct row rows[] = {
    /* What must pass. */
    { "plain", "GET / HTTP/1.1\r\n" H "\r\n", "GET / @a\n|\n" },
    { "query", "GET /a?b=c?d HTTP/1.1\r\n" H "\r\n", "GET /a?b=c?d @a\n|\n" },
    { "empty query", "GET /a? HTTP/1.1\r\n" H "\r\n", "GET /a? @a\n|\n" },
    { "close", "GET / HTTP/1.1\r\n" H "Connection: close\r\n\r\nGET", "GET / @a close\n|\nleft 3" },
    { "1.0", "GET / HTTP/1.0\r\n\r\n", "GET / close\n|\n" },
    { "1.0 keeps", "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "GET /\n|\n" },
    { "pipelined", "GET /1 HTTP/1.1\r\n" H "\r\nGET /2 HTTP/1.1\r\n" H "\r\n",
        "GET /1 @a\n|\nGET /2 @a\n|\n" },
    { "length", "POST / HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabc",
        "POST / @a length=3\nabc|\n" },
    { "length 0", "POST / HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n", "POST / @a\n|\n" },
    { "length with zeros", "POST / HTTP/1.1\r\n" H "Content-Length: 0003\r\n\r\nabc",
        "POST / @a length=3\nabc|\n" },
    { "length in tabs", "POST / HTTP/1.1\r\n" H "Content-Length:\t3 \t\r\n\r\nabc",
        "POST / @a length=3\nabc|\n" },
    { "host in tabs", "GET / HTTP/1.1\r\nHost:\ta\t \r\n\r\n", "GET / @a\n|\n" },
    { "chunked", POST_CHUNKED "3\r\nabc\r\n0\r\n\r\n", CHUNKED_HEAD "abc|\n" },
    { "chunked in any case",
        "POST / HTTP/1.1\r\n" H "transfer-encoding:\tChUnKeD \t\r\n\r\n1\r\na\r\n0\r\n\r\n",
        CHUNKED_HEAD "a|\n" },
    { "two chunks", POST_CHUNKED "1\r\na\r\n0A\r\n0123456789\r\n000\r\n\r\n",
        CHUNKED_HEAD "a0123456789|\n" },
    { "chunk extension", POST_CHUNKED "1;a=b;c\r\na\r\n0\r\n\r\n", CHUNKED_HEAD "a|\n" },
    { "quoted extension", POST_CHUNKED "1;c=\"d e\"\r\na\r\n0;x=\"\\\"\"\r\n\r\n",
        CHUNKED_HEAD "a|\n" },
    { "spaced extension", POST_CHUNKED "1 ; c = \"d\" ; e\r\na\r\n0\r\n\r\n", CHUNKED_HEAD "a|\n" },
    { "chunked pipelined", POST_CHUNKED "0\r\n\r\nGET /2 HTTP/1.1\r\n" H "\r\n",
        CHUNKED_HEAD "|\nGET /2 @a\n|\n" },
    { "trailers dropped",
        POST_CHUNKED "0\r\nX-A: 1\r\nContent-Length: 5\r\nHost: b\r\nServer-Timing: t\r\n\r\n",
        CHUNKED_HEAD "+Server-Timing=t\n|\n" },
    { "continue", "POST / HTTP/1.1\r\n" H "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\na",
        "POST / @a length=1 continue\na|\n" },
    { "continue of 1.0 ignored",
        "POST / HTTP/1.0\r\n" H "Expect: 100-continue\r\nContent-Length: 1\r\n\r\na",
        "POST / @a length=1 close\na|\n" },
    { "upgrade", "GET / HTTP/1.1\r\n" H "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        "GET / @a upgrade=websocket\n|\n" },
    { "upgrade with a body is plain",
        "GET / HTTP/1.1\r\n" H
        "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\na",
        "GET / @a length=1\na|\n" },
    { "upgrade to h2c is plain",
        "GET / HTTP/1.1\r\n" H "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n",
        "GET / @a\n|\n" },
    { "one empty line first", "\r\nGET / HTTP/1.1\r\n" H "\r\n", "GET / @a\n|\n" },
    { "port", "GET / HTTP/1.1\r\nHost: a.b-c.example:8080\r\n\r\n",
        "GET / @a.b-c.example:8080\n|\n" },
    { "empty port", "GET / HTTP/1.1\r\nHost: a:\r\n\r\n", "GET / @a\n|\n" },
    { "empty host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", "GET / @\n|\n" },
    { "address", "GET / HTTP/1.1\r\nHost: 127.0.0.1:80\r\n\r\n", "GET / @127.0.0.1:80\n|\n" },
    { "ipv6", "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "GET / @[::1]:80\n|\n" },
    { "absolute", "GET http://a/b?c HTTP/1.1\r\n" H "\r\n", "GET /b?c @a\n|\n" },
    { "absolute without a path", "GET http://a HTTP/1.1\r\n" H "\r\n", "GET / @a\n|\n" },
    { "absolute with only a query", "GET http://a?b HTTP/1.1\r\n" H "\r\n", "GET /?b @a\n|\n" },
    { "absolute in any case", "GET HTTP://A:80/ HTTP/1.1\r\n" H "\r\n", "GET / @A:80\n|\n" },
    { "absolute of 1.0", "GET http://a/ HTTP/1.0\r\n\r\n", "GET / @a close\n|\n" },
    { "options of all", "OPTIONS * HTTP/1.1\r\n" H "\r\n", "OPTIONS * @a\n|\n" },
    { "options of all, absolute", "OPTIONS http://a HTTP/1.1\r\n" H "\r\n", "OPTIONS * @a\n|\n" },
    { "header without a value", "GET / HTTP/1.1\r\n" H "X:\r\nY: \t\r\n\r\n", "GET / @a\n|\n" },
    { "8-bit header value", "GET / HTTP/1.1\r\n" H "X: \xc3\xa4\r\n\r\n", "GET / @a\n|\n" },
    { "header name of odd tokens", "GET / HTTP/1.1\r\n" H "!#$%&'*+-.^_`|~: 1\r\n\r\n",
        "GET / @a\n|\n" },
    { "webdav", "PROPFIND / HTTP/1.1\r\n" H "\r\n", "PROPFIND / @a\n|\n" },
    { "m-search", "M-SEARCH / HTTP/1.1\r\n" H "\r\n", "M-SEARCH / @a\n|\n" },

    /* What must not. */
    { "folded", "GET / HTTP/1.1\r\n" H "X: a\r\n b\r\n\r\n", "400 " },
    { "folded by a tab", "GET / HTTP/1.1\r\n" H "X: a\r\n\tb\r\n\r\n", "400 " },
    { "folded coding", "POST / HTTP/1.1\r\n" H "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
        "400 " },
    { "first header folded", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", "400 " },
    { "coding in 1.0", "POST / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "400 " },
    { "coding with an empty element",
        "POST / HTTP/1.1\r\n" H "Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n", "400 " },
    { "coding with a comma after",
        "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n", "400 " },
    { "unknown coding", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "501 " },
    { "chunked not last",
        "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", "400 " },
    { "chunked twice",
        "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", "400 " },
    { "identity", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: identity\r\n\r\n", "400 " },
    { "coding without a value", "POST / HTTP/1.1\r\n" H "Transfer-Encoding:\r\n\r\n", "400 " },
    { "xchunked", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n\r\n", "400 " },
    { "chunked with a vertical tab",
        "POST / HTTP/1.1\r\n" H "Transfer-Encoding: \x0b"
        "chunked\r\n\r\n",
        "400 " },
    { "quoted chunked", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: \"chunked\"\r\n\r\n", "400 " },
    { "two codings",
        "POST / HTTP/1.1\r\n" H
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "400 " },
    { "length and coding",
        "POST / HTTP/1.1\r\n" H "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "400 " },
    { "coding and length",
        "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        "400 " },
    { "two lengths", "POST / HTTP/1.1\r\n" H "Content-Length: 1\r\nContent-Length: 1\r\n\r\na",
        "400 " },
    { "two lengths in one", "POST / HTTP/1.1\r\n" H "Content-Length: 1, 1\r\n\r\na", "400 " },
    { "negative length", "POST / HTTP/1.1\r\n" H "Content-Length: -1\r\n\r\n", "400 " },
    { "signed length", "POST / HTTP/1.1\r\n" H "Content-Length: +1\r\n\r\na", "400 " },
    { "hex length", "POST / HTTP/1.1\r\n" H "Content-Length: 0x1\r\n\r\na", "400 " },
    { "length in two words", "POST / HTTP/1.1\r\n" H "Content-Length: 1 2\r\n\r\na", "400 " },
    { "length without digits", "POST / HTTP/1.1\r\n" H "Content-Length:\r\n\r\n", "400 " },
    { "length of 2^63", "POST / HTTP/1.1\r\n" H "Content-Length: 9223372036854775808\r\n\r\n",
        "400 " },
    { "length of 2^64", "POST / HTTP/1.1\r\n" H "Content-Length: 18446744073709551616\r\n\r\n",
        "400 " },
    { "length over the limit",
        "POST / HTTP/1.1\r\n" H "Content-Length: 9223372036854775807\r\n\r\n", "413 " },
    { "no host", "GET / HTTP/1.1\r\n\r\n", "400 " },
    { "two hosts", "GET / HTTP/1.1\r\n" H H "\r\n", "400 " },
    { "two hosts in 1.0", "GET / HTTP/1.0\r\n" H H "\r\n", "400 " },
    { "host with a space", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "400 " },
    { "host with a slash", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "400 " },
    { "host list", "GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", "400 " },
    { "host with a user", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", "400 " },
    { "host with a word for a port", "GET / HTTP/1.1\r\nHost: a:http\r\n\r\n", "400 " },
    { "host with a big port", "GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", "400 " },
    { "host with two ports", "GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n", "400 " },
    { "host of a port", "GET / HTTP/1.1\r\nHost: :80\r\n\r\n", "400 " },
    { "host with a half ipv6", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", "400 " },
    { "host with a bad ipv6", "GET / HTTP/1.1\r\nHost: [::g]\r\n\r\n", "400 " },
    { "bare ipv6", "GET / HTTP/1.1\r\nHost: ::1\r\n\r\n", "400 " },
    { "host with 8 bits", "GET / HTTP/1.1\r\nHost: \xe4\r\n\r\n", "400 " },
    { "host with half an escape", "GET / HTTP/1.1\r\nHost: a%2\r\n\r\n", "400 " },
    { "absolute with another host", "GET http://b/ HTTP/1.1\r\n" H "\r\n", "400 " },
    { "absolute with another port", "GET http://a:81/ HTTP/1.1\r\n" H "\r\n", "400 " },
    { "absolute with a user", "GET http://u@a/ HTTP/1.1\r\n" H "\r\n", "400 " },
    { "absolute without a host", "GET http:/// HTTP/1.1\r\nHost:\r\n\r\n", "400 " },
    { "absolute without Host", "GET http://a/ HTTP/1.1\r\n\r\n", "400 " },
    { "another scheme", "GET ftp://a/ HTTP/1.1\r\n" H "\r\n", "400 " },
    { "version 0.9", "GET / HTTP/0.9\r\n" H "\r\n", "505 " },
    { "version 2.0", "GET / HTTP/2.0\r\n" H "\r\n", "505 " },
    { "version 1.2", "GET / HTTP/1.2\r\n" H "\r\n", "505 " },
    { "preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505 " },
    { "version in small letters", "GET / http/1.1\r\n" H "\r\n", "400 " },
    { "version cut", "GET / HTTP/1\r\n" H "\r\n", "400 " },
    { "version 1.10", "GET / HTTP/1.10\r\n" H "\r\n", "400 " },
    { "rtsp", "OPTIONS * RTSP/1.0\r\n" H "\r\n", "400 " },
    { "ice", "SOURCE / ICE/1.0\r\n" H "\r\n", "400 " },
    { "empty header name", "GET / HTTP/1.1\r\n" H ": a\r\n\r\n", "400 " },
    { "space before the colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", "400 " },
    { "space in a name", "GET / HTTP/1.1\r\n" H "X Y: a\r\n\r\n", "400 " },
    { "8 bits in a name", "GET / HTTP/1.1\r\n" H "X\xe4: a\r\n\r\n", "400 " },
    { "header without a colon", "GET / HTTP/1.1\r\n" H "X\r\n\r\n", "400 " },
    { "control byte in a value", "GET / HTTP/1.1\r\n" H "X: a\x01\r\n\r\n", "400 " },
    { "delete in a value", "GET / HTTP/1.1\r\n" H "X: a\x7f\r\n\r\n", "400 " },
    { "carriage return in a value", "GET / HTTP/1.1\r\n" H "X: a\rb\r\n\r\n", "400 " },
    { "bare line feed in a header", "GET / HTTP/1.1\r\n" H "X: a\nY: b\r\n\r\n", "400 " },
    { "bare line feed after the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n", "400 " },
    { "bare line feed at the end", "GET / HTTP/1.1\r\n" H "\n", "400 " },
    { "fragment", "GET /a#b HTTP/1.1\r\n" H "\r\n", "400 " },
    { "8 bits in the target", "GET /\xe4 HTTP/1.1\r\n" H "\r\n", "400 " },
    { "delete in the target", "GET /\x7f HTTP/1.1\r\n" H "\r\n", "400 " },
    { "tab in the target", "GET /a\tb HTTP/1.1\r\n" H "\r\n", "400 " },
    { "star with get", "GET * HTTP/1.1\r\n" H "\r\n", "400 " },
    { "relative target", "GET a HTTP/1.1\r\n" H "\r\n", "400 " },
    { "two spaces before the target", "GET  / HTTP/1.1\r\n" H "\r\n", "400 " },
    { "two spaces before the version", "GET /  HTTP/1.1\r\n" H "\r\n", "400 " },
    { "space after the version", "GET / HTTP/1.1 \r\n" H "\r\n", "400 " },
    { "space first", " GET / HTTP/1.1\r\n" H "\r\n", "400 " },
    { "tab for a space", "GET\t/ HTTP/1.1\r\n" H "\r\n", "400 " },
    { "no version", "GET /a\r\n\r\n", "400 " },
    { "no version, headers", "GET /x\n" H "\r\n", "400 " },
    { "no target", "GET HTTP/1.1\r\n\r\n", "400 " },
    { "two empty lines first", "\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n", "400 " },
    { "an empty bare line first", "\nGET / HTTP/1.1\r\n" H "\r\n", "400 " },
    { "tls", "\x16\x03\x01\x02", "400 " },
    { "unknown method", "FOO / HTTP/1.1\r\n" H "\r\n", "501 " },
    { "query", "QUERY / HTTP/1.1\r\n" H "\r\n", "501 " },
    { "connect", "CONNECT a:443 HTTP/1.1\r\n" H "\r\n", "501 " },
    { "method in small letters", "get / HTTP/1.1\r\n" H "\r\n", "501 " },
    { "method of no token", "G(T / HTTP/1.1\r\n" H "\r\n", "400 " },
    { "expectation", "POST / HTTP/1.1\r\n" H "Expect: more\r\n\r\n", "417 " },
    { "chunk of no digits", POST_CHUNKED "\r\na", CHUNKED_HEAD "400 " },
    { "chunk of bad digits", POST_CHUNKED "g\r\n", CHUNKED_HEAD "400 " },
    { "chunk with 0x", POST_CHUNKED "0x1\r\na\r\n", CHUNKED_HEAD "400 " },
    { "signed chunk", POST_CHUNKED "-1\r\n", CHUNKED_HEAD "400 " },
    { "chunk of 2^64", POST_CHUNKED "10000000000000001\r\na\r\n", CHUNKED_HEAD "400 " },
    { "chunk of 2^63 - 1", POST_CHUNKED "7fffffffffffffff\r\na\r\n", CHUNKED_HEAD "413 " },
    { "chunk over the limit", POST_CHUNKED "401\r\na\r\n", CHUNKED_HEAD "413 " },
    { "chunks over the limit", POST_CHUNKED "1\r\na\r\n400\r\nb", CHUNKED_HEAD "a413 " },
    { "chunk too short", POST_CHUNKED "1\r\nab\r\n", CHUNKED_HEAD "a400 " },
    { "chunk ended by a bare line feed", POST_CHUNKED "1\r\na\n0\r\n\r\n", CHUNKED_HEAD "a400 " },
    { "chunk size ended by a bare line feed", POST_CHUNKED "1\na\r\n", CHUNKED_HEAD "400 " },
    { "chunk size ended by a bare return", POST_CHUNKED "1\ra", CHUNKED_HEAD "400 " },
    { "space after a chunk size", POST_CHUNKED "1 \r\na\r\n", CHUNKED_HEAD "400 " },
    { "extension without a name", POST_CHUNKED "1;\r\na\r\n", CHUNKED_HEAD "400 " },
    { "extension without a value", POST_CHUNKED "1;a=\r\na\r\n", CHUNKED_HEAD "400 " },
    { "extension with a control byte", POST_CHUNKED "1;a=\x01\r\na\r\n", CHUNKED_HEAD "400 " },
    { "quoted extension with a line feed", POST_CHUNKED "1;a=\"\n\"\r\na\r\n",
        CHUNKED_HEAD "400 " },
    { "quoted extension that goes on", POST_CHUNKED "1;a=\"b\"c\r\na\r\n", CHUNKED_HEAD "400 " },
    { "folded trailer", POST_CHUNKED "0\r\nX: a\r\n b\r\n\r\n", CHUNKED_HEAD "400 " },
    { "trailer with a bare line feed", POST_CHUNKED "0\r\nX: a\n\r\n", CHUNKED_HEAD "400 " },
    { "trailer of no name", POST_CHUNKED "0\r\n: a\r\n\r\n", CHUNKED_HEAD "400 " },
    { "trailer with a bad length", POST_CHUNKED "0\r\nContent-Length: x\r\n\r\n",
        CHUNKED_HEAD "400 " },
};

static const struct http_limits limits = {
    .uri = 300,
    .header_bytes = 400,
    .header_count = 10,
    .chunk_line = 64,
    .trailer_bytes = 100,
    .body_max = 1024,
};

/* The story is the same however the bytes are cut; returns it. */
static struct buf same_for_all_cuts(
    const struct http_limits *with, const char *name, const char *bytes, size_t len) {
    struct trace_run run = { .kind = HTTP_PARSE_REQUESTS, .limits = with };
    struct buf whole = trace(&run, bytes, len);
    for (run.cut = 1; run.cut < 9; run.cut++) {
        struct buf cut = trace(&run, bytes, len);
        if (strcmp(buf_str(&cut), buf_str(&whole)) != 0) {
            print_error(
                "%s, reads of %zu: %s, whole: %s\n", name, run.cut, buf_str(&cut), buf_str(&whole));
            fail();
        }
        buf_free(&cut);
    }
    return whole;
}

static void test_rows(void **state) {
    (void)state;
    int wrong = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *row = &rows[i];
        struct buf got = same_for_all_cuts(&limits, row->name, row->bytes, strlen(row->bytes));
        size_t len = strlen(row->trace);
        bool prefix = row->trace[len - 1] == ' ';
        if (prefix ? strncmp(buf_str(&got), row->trace, len) != 0
                   : strcmp(buf_str(&got), row->trace) != 0) {
            print_error("%s: got %s, want %s\n", row->name, buf_str(&got), row->trace);
            wrong++;
        }
        buf_free(&got);
    }
    assert_int_equal(wrong, 0);
}

/* Each bound holds to the byte: at the bound it passes, past it is refused with this status. */
static void expect_bound(struct buf *at, struct buf *past, int status) {
    struct buf fits = same_for_all_cuts(&limits, "at the bound", at->data, at->len);
    assert_non_null(strstr(buf_str(&fits), "|\n"));
    struct buf refused = same_for_all_cuts(&limits, "past the bound", past->data, past->len);
    char words[8];
    snprintf(words, sizeof words, "%d ", status);
    assert_non_null(strstr(buf_str(&refused), words));
    buf_free(&fits);
    buf_free(&refused);
    buf_free(at);
    buf_free(past);
}

static struct buf text(const char *before, char c, size_t times, const char *after) {
    struct buf b;
    buf_init(&b, 1 << 20);
    buf_puts(&b, before);
    for (size_t i = 0; i < times; i++) {
        buf_putc(&b, c);
    }
    buf_puts(&b, after);
    return b;
}

static void test_bounds(void **state) {
    (void)state;
    const char *end = " HTTP/1.1\r\n" H "\r\n";
    struct buf at = text("GET /", 'a', 299, end), past = text("GET /", 'a', 300, end);
    expect_bound(&at, &past, 414);
    at = text("GET / HTTP/1.1\r\n" H "X: ", 'a', 400 - 9 - 3 - 4, "\r\n\r\n");
    past = text("GET / HTTP/1.1\r\n" H "X: ", 'a', 400 - 9 - 3 - 3, "\r\n\r\n");
    expect_bound(&at, &past, 431);
    at = text(POST_CHUNKED "1;", 'a', 60, "\r\na\r\n0\r\n\r\n");
    past = text(POST_CHUNKED "1;", 'a', 61, "\r\na\r\n0\r\n\r\n");
    expect_bound(&at, &past, 400);
    at = text(POST_CHUNKED "", '0', 62, "\r\n\r\n");
    past = text(POST_CHUNKED "", '0', 63, "\r\n\r\n");
    expect_bound(&at, &past, 400);
    at = text(POST_CHUNKED "0\r\nX: ", 'a', 100 - 3 - 4, "\r\n\r\n");
    past = text(POST_CHUNKED "0\r\nX: ", 'a', 100 - 3 - 3, "\r\n\r\n");
    expect_bound(&at, &past, 431);
}

static void test_header_count(void **state) {
    (void)state;
    struct buf at = text("GET / HTTP/1.1\r\n" H, ' ', 0, ""), past = text("", ' ', 0, "");
    for (int i = 0; i < 9; i++) {
        buf_puts(&at, "X: 1\r\n");
    }
    buf_append(&past, at.data, at.len);
    buf_puts(&at, "\r\n");
    buf_puts(&past, "X: 1\r\n\r\n");
    expect_bound(&at, &past, 431);
}

/* An endless line is refused as soon as it is too long, and never read past that. */
static void test_endless(void **state) {
    (void)state;
    static const char *const begins[] = { "", "GET /", "GET / HTTP/1.1\r\nX",
        "GET / HTTP/1.1\r\nX: ", POST_CHUNKED "1;", POST_CHUNKED "0\r\nX: " };
    for (size_t i = 0; i < sizeof begins / sizeof *begins; i++) {
        struct buf b = text(begins[i], 'a', 100000, "");
        struct buf got = same_for_all_cuts(&limits, begins[i], b.data, b.len);
        assert_non_null(strstr(buf_str(&got), "4"));
        buf_free(&got);
        buf_free(&b);
    }
}

/* A NUL anywhere in a head is refused. */
static void test_nul(void **state) {
    (void)state;
    const char head[] = "GET /a HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n";
    for (size_t i = 0; i < sizeof head - 1; i++) {
        char bytes[sizeof head];
        memcpy(bytes, head, sizeof head);
        bytes[i] = '\0';
        struct buf got = same_for_all_cuts(&limits, "nul", bytes, sizeof head - 1);
        /* In place of a line's end it makes the line longer, which still is no header. */
        assert_null(strstr(buf_str(&got), "GET"));
        buf_free(&got);
    }
}

/* Connection takes the headers that it names out of what may be forwarded. */
static void test_hop_by_hop(void **state) {
    (void)state;
    static const char bytes[] = "GET / HTTP/1.1\r\nHost: a\r\nConnection: X-Own, close\r\n"
                                "x-own: 1\r\nX-Other: 2\r\nTE: trailers\r\nKeep-Alive: 5\r\n\r\n";
    static const bool hop[] = { false, true, true, false, true, true };
    struct http_parser p;
    struct http_result r;
    char *arena = malloc(http_arena_size(&limits));
    http_parse_init(&p, HTTP_PARSE_REQUESTS, &limits);
    http_parse_next(&p, arena);
    assert_true(http_parse_idle(&p));
    assert_int_equal(http_parse_feed(&p, bytes, sizeof bytes - 1, &r), HTTP_HEAD);
    assert_int_equal(r.consumed, sizeof bytes - 1);
    assert_false(http_parse_idle(&p));
    for (size_t i = 0; i < p.head.header_count; i++) {
        assert_int_equal(p.head.headers[i].hop, hop[i]);
    }
    assert_int_equal(p.head.headers[5].field, FIELD_KEEP_ALIVE);
    assert_int_equal(http_head_get(&p.head, "x-other").len, 1);
    assert_null(http_head_get(&p.head, "x-none").at);
    free(arena);
}

/* The end of the stream: clean between messages, a cut inside one. */
static void test_end_of_stream(void **state) {
    (void)state;
    static const char bytes[] = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab";
    for (size_t len = 0; len < sizeof bytes; len++) {
        struct trace_run run = { .kind = HTTP_PARSE_REQUESTS, .limits = &limits, .eof = true };
        struct buf got = trace(&run, bytes, len);
        bool clean = len == 0 || len == sizeof bytes - 1;
        assert_int_equal(strstr(buf_str(&got), "400 the message was cut") == NULL, clean);
        buf_free(&got);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_header_count),
        cmocka_unit_test(test_endless),
        cmocka_unit_test(test_nul),
        cmocka_unit_test(test_hop_by_hop),
        cmocka_unit_test(test_end_of_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
