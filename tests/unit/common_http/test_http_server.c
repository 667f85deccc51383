/* The control server against raw sockets: polite, slow, rude and gone clients.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <paas/http_server.h>

#include "must.h"

enum { ROLE_READ = 1, ROLE_WRITE = 2 };
enum { PATIENCE = 10000 /* ms that a test waits for an event */ };

struct thing {
    char name[32];
    int64_t size;
};

static const struct json_field thing_fields[] = {
    F_TEXT(thing, name, JF_REQUIRED, "its name"),
    F_INT(thing, size, 0, 100, 7, 0, "its size"),
    { 0 },
};
static const struct json_type thing_json = { "thing", sizeof(struct thing), thing_fields };

/* One server on a socket of its own, and a client's thread beside its loop. */
struct world {
    uv_loop_t loop;
    struct http_server *server;
    char path[64];
    uv_async_t done;
    void (*client)(struct world *w);
    bool closed;

    /* what handlers leave behind */
    unsigned roles;
    struct call *pending;
    int gone, served, last_status;
    size_t streamed, body_bytes;
    bool body_ended, paused;
    uv_timer_t later;
    int tcp_port;
};

/* ---- Handlers ---- */

static enum call_result get_thing(struct call *c) {
    struct thing t = { .size = 3 };
    snprintf(t.name, sizeof t.name, "%s", call_param(c, "name"));
    struct err err;
    if (call_query_int(c, "size", 0, 100, t.size, &t.size, &err) < 0) {
        return call_fail(c, &err);
    }
    return call_reply(c, &t);
}

static enum call_result put_thing(struct call *c) {
    struct thing *in = call_body(c);
    call_status(c, 201);
    call_header_set(c, "Location", "/things/%s", in->name);
    return call_reply(c, in);
}

static enum call_result list_things(struct call *c) {
    struct thing two[] = { { "a", 1 }, { "b", 2 } };
    return call_reply_list(c, two, 2);
}

static enum call_result raw_body(struct call *c) {
    struct http_text body = call_body_bytes(c);
    return call_reply_bytes(c, "text/plain", body.at, body.len);
}

static enum call_result echo_path(struct call *c) {
    const char *name = call_param(c, "name");
    return call_reply_bytes(c, "text/plain", name, strlen(name));
}

static enum call_result public_page(struct call *c) {
    call_header_set(c, "X-Query", "%s", call_query(c, "q") ? call_query(c, "q") : "none");
    return call_reply_bytes(c, "text/plain", "hello!", 6);
}

static void on_later(uv_timer_t *timer) {
    struct world *w = timer->data;
    struct call *c = w->pending;
    w->pending = NULL;
    call_reply_bytes(c, "text/plain", "late", 4);
}

static enum call_result wait_a_little(struct call *c) {
    struct world *w = call_ctx(c);
    w->pending = c;
    uv_timer_start(&w->later, on_later, 30, 0);
    return CALL_PENDING;
}

static void on_gone(struct call *c, void *data) {
    (void)c;
    struct world *w = data;
    w->gone++;
    w->pending = NULL;
    w->paused = false;
    uv_timer_stop(&w->later);
}

static enum call_result wait_for_ever(struct call *c) {
    struct world *w = call_ctx(c);
    w->pending = c;
    call_on_closed(c, on_gone, w);
    return CALL_PENDING;
}

static enum call_result watch(struct call *c) {
    struct world *w = call_ctx(c);
    call_on_closed(c, on_gone, w);
    call_stream_begin(c, "text/plain", -1);
    call_stream_write(c, "one\n", 4);
    call_stream_write(c, "two\n", 4);
    return CALL_PENDING;
}

enum { FLOOD = 4 << 20 };

static void flood(struct call *c, void *data) {
    struct world *w = data;
    static const char block[65536];
    while (w->streamed < FLOOD) {
        w->streamed += sizeof block;
        if (call_stream_write(c, block, sizeof block) > HTTP_STREAM_HIGH) {
            return;
        }
    }
    call_stream_end(c);
}

static enum call_result get_flood(struct call *c) {
    struct world *w = call_ctx(c);
    w->streamed = 0;
    call_on_closed(c, on_gone, w);
    call_on_writable(c, flood, w);
    call_stream_begin(c, "application/octet-stream", -1);
    flood(c, w);
    return CALL_PENDING;
}

static void on_resume(uv_timer_t *timer) {
    struct world *w = timer->data;
    w->paused = false;
    call_body_resume(w->pending);
}

static void on_upload(struct call *c, void *data, const char *bytes, size_t len) {
    struct world *w = data;
    (void)bytes;
    must(!w->paused);
    bool first = w->body_bytes == 0;
    w->body_bytes += len;
    if (first) {
        w->pending = c;
        w->paused = true;
        call_body_pause(c);
        uv_timer_start(&w->later, on_resume, 20, 0);
    }
}

static void on_uploaded(struct call *c, void *data) {
    struct world *w = data;
    char text[32];
    w->body_ended = true;
    int n = snprintf(text, sizeof text, "%zu bytes", w->body_bytes);
    call_reply_bytes(c, "text/plain", text, (size_t)n);
}

static const struct call_body_events upload_events = { on_upload, on_uploaded };

static enum call_result upload(struct call *c) {
    struct world *w = call_ctx(c);
    w->body_bytes = 0;
    call_on_closed(c, on_gone, w);
    call_on_body(c, &upload_events, w);
    return CALL_PENDING;
}

static enum call_result fail_badly(struct call *c) {
    return call_fail_with(c, ERR_CONFLICT, "a \"quoted\" reason");
}

static const struct endpoint endpoints[] = {
    { METHOD_GET, "/things", ROLE_READ, NULL, &thing_json, EP_LIST, list_things, "List", 0 },
    { METHOD_POST, "/things", ROLE_WRITE, &thing_json, &thing_json, 0, put_thing, "Make", 0 },
    { METHOD_GET, "/lines", ROLE_READ, NULL, &thing_json, EP_LINES, list_things, "List", 0 },
    { METHOD_GET, "/things/{name}", ROLE_READ, NULL, &thing_json, 0, get_thing, "Get", 0 },
    { METHOD_PUT, "/raw", ROLE_WRITE, NULL, NULL, EP_BODY_RAW, raw_body, "Echo", 1000 },
    { METHOD_GET, "/v2/{name*}/blobs", ROLE_READ, NULL, NULL, 0, echo_path, "Echo", 0 },
    { METHOD_GET, "/public", 0, NULL, NULL, EP_PUBLIC, public_page, "Anybody", 0 },
    { METHOD_GET, "/nobody", 0, NULL, NULL, 0, public_page, "Nobody", 0 },
    { METHOD_GET, "/later", ROLE_READ, NULL, NULL, 0, wait_a_little, "Wait", 0 },
    { METHOD_GET, "/ever", ROLE_READ, NULL, NULL, EP_WATCH, wait_for_ever, "Wait", 0 },
    { METHOD_GET, "/watch", ROLE_READ, NULL, NULL, EP_WATCH, watch, "Watch", 0 },
    { METHOD_GET, "/flood", ROLE_READ, NULL, NULL, 0, get_flood, "Much", 0 },
    { METHOD_PUT, "/upload", ROLE_WRITE, NULL, NULL, EP_BODY_STREAM, upload, "Send", 0 },
    { METHOD_GET, "/fail", ROLE_READ, NULL, NULL, 0, fail_badly, "Fail", 0 },
    { METHOD_PUT, "/state", ROLE_WRITE, NULL, NULL, EP_IF_MATCH, public_page, "Change", 0 },
    { 0 },
};

static int identify(
    void *ctx, const struct http_peer *peer, struct http_identity *who, struct err *err) {
    struct world *w = ctx;
    if (!peer->is_unix && !peer->token.at) {
        return err_set(err, ERR_UNAUTHENTICATED, "a token is needed");
    }
    if (peer->is_unix) {
        must(peer->uid == getuid());
        must(peer->pid == getpid());
    } else {
        must(http_is(peer->token, "secret"));
    }
    who->roles = w->roles;
    snprintf(who->name, sizeof who->name, "tester");
    return 0;
}

static void on_served(void *ctx, const struct http_served *s) {
    struct world *w = ctx;
    w->served++;
    w->last_status = s->status;
}

/* ---- The world ---- */

static void *client_main(void *arg) {
    struct world *w = arg;
    w->client(w);
    uv_async_send(&w->done);
    return NULL;
}

static void on_server_closed(void *data) {
    ((struct world *)data)->closed = true;
}

static void on_done(uv_async_t *async) {
    struct world *w = async->data;
    http_server_close(w->server, on_server_closed, w);
    uv_close((uv_handle_t *)async, NULL);
    uv_close((uv_handle_t *)&w->later, NULL);
}

/* Runs a client against a fresh server, then closes everything and looks for leftovers. */
static void with_server(
    struct http_server_options options, void (*client)(struct world *w), struct world *w) {
    static int number;
    struct err err = { 0 };
    *w = (struct world){ .client = client, .roles = ROLE_READ | ROLE_WRITE };
    snprintf(w->path, sizeof w->path, "/tmp/test_http_server.%d.%d", getpid(), number++);
    must(uv_loop_init(&w->loop) == 0);
    uv_async_init(&w->loop, &w->done, on_done);
    uv_timer_init(&w->loop, &w->later);
    w->done.data = w->later.data = w;
    options.loop = &w->loop;
    options.endpoints = endpoints;
    options.ctx = w;
    options.identify = identify;
    options.served = on_served;
    must(http_server_create(&options, &w->server, &err) == 0);
    must(http_server_listen_unix(w->server, w->path, 0600, 1, &err) == 0);
    must(http_server_listen_tcp(w->server, "127.0.0.1:0", 2, &w->tcp_port, &err) == 0);
    pthread_t thread;
    must(pthread_create(&thread, NULL, client_main, w) == 0);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    pthread_join(thread, NULL);
    must(w->closed);
    must(uv_loop_close(&w->loop) == 0);
    unlink(w->path);
}

/* ---- The client's side; runs beside the loop ---- */

static int dial(const struct world *w) {
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    snprintf(address.sun_path, sizeof address.sun_path, "%s", w->path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    return fd;
}

static void say(int fd, const char *text) {
    size_t len = strlen(text);
    must(send(fd, text, len, MSG_NOSIGNAL) == (ssize_t)len);
}

/* Reads until `end` appears (NULL: until the peer closes) and returns what came. */
static const char *hear(int fd, const char *end) {
    static char text[1 << 20];
    size_t len = 0;
    text[0] = '\0';
    for (;;) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        must(poll(&p, 1, PATIENCE) == 1);
        ssize_t n = read(fd, text + len, sizeof text - 1 - len);
        if (n <= 0) {
            if (end) {
                must_have(text, end);
            }
            return text;
        }
        len += (size_t)n;
        text[len] = '\0';
        if (end && strstr(text, end)) {
            return text;
        }
    }
}

/* One request on a connection of its own; the whole answer. */
static const char *ask(struct world *w, const char *request) {
    int fd = dial(w);
    say(fd, request);
    shutdown(fd, SHUT_WR);
    const char *answer = hear(fd, NULL);
    close(fd);
    return answer;
}

#define H "Host: x\r\n"

static void client_table(struct world *w) {
    must_have(ask(w, "GET /things/a%20b?size=9 HTTP/1.1\r\n" H "\r\n"),
        "\r\n\r\n{\"name\":\"a b\",\"size\":9}\n");
    must_have(ask(w, "GET /things/a?size=900 HTTP/1.1\r\n" H "\r\n"), "HTTP/1.1 422 ");
    must_have(ask(w, "GET /things/a%0 HTTP/1.1\r\n" H "\r\n"), "HTTP/1.1 400 ");
    must_have(ask(w, "GET /things/a%00 HTTP/1.1\r\n" H "\r\n"), "HTTP/1.1 400 ");
    must_have(ask(w, "GET /things HTTP/1.1\r\n" H "\r\n"),
        "[{\"name\":\"a\",\"size\":1},{\"name\":\"b\",\"size\":2}]");
    must_have(ask(w, "GET /lines HTTP/1.1\r\n" H "\r\n"),
        "{\"name\":\"a\",\"size\":1}\n{\"name\":\"b\",\"size\":2}\n");
    must_have(ask(w, "GET /v2/library/a/b/blobs HTTP/1.1\r\n" H "\r\n"), "\r\n\r\nlibrary/a/b");
    must_have(ask(w, "GET /nothing HTTP/1.1\r\n" H "\r\n"), "HTTP/1.1 404 ");
    must_have(ask(w, "GET /things/ HTTP/1.1\r\n" H "\r\n"), "HTTP/1.1 404 ");
    must_have(ask(w, "GET /things/a/b HTTP/1.1\r\n" H "\r\n"), "HTTP/1.1 404 ");
    must_have(ask(w, "DELETE /things HTTP/1.1\r\n" H "\r\n"), "Allow: GET, HEAD, POST\r\n");
    must_have(ask(w, "FOO /things HTTP/1.1\r\n" H "\r\n"), "HTTP/1.1 501 ");
    must_have(ask(w, "GET /things HTTP/1.1\r\n\r\n"), "HTTP/1.1 400 ");
    must_have(ask(w, "nonsense\r\n\r\n"), "HTTP/1.1 400 ");
    must_have(ask(w, "GET /public?q=a%0d%0ab HTTP/1.1\r\n" H "\r\n"), "X-Query: a??b\r\n");
    must_have(ask(w, "GET /fail HTTP/1.1\r\n" H "\r\n"),
        "\"detail\":\"a \\\"quoted\\\" reason\",\"code\":\"conflict\"");
    const char *head = ask(w, "HEAD /things HTTP/1.1\r\n" H "\r\n");
    must_have(head, "Content-Length: 46\r\n");
    must(strcmp(strstr(head, "\r\n\r\n"), "\r\n\r\n") == 0);
    must_have(ask(w, "GET /public HTTP/1.0\r\n\r\n"), "Connection: close\r\n");
}

static void client_roles(struct world *w) {
    must_have(ask(w, "GET /nobody HTTP/1.1\r\n" H "\r\n"), "HTTP/1.1 403 ");
    w->roles = ROLE_READ;
    must_have(ask(w, "GET /things HTTP/1.1\r\n" H "\r\n"), "HTTP/1.1 200 ");
    must_have(ask(w, "POST /things HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\n{}"), "HTTP/1.1 403 ");
    w->roles = 0;
    must_have(ask(w, "GET /things HTTP/1.1\r\n" H "\r\n"), "HTTP/1.1 403 ");
    must_have(ask(w, "GET /public HTTP/1.1\r\n" H "\r\n"), "HTTP/1.1 200 ");
    must_have(ask(w, "PUT /state HTTP/1.1\r\n" H "\r\n"), "HTTP/1.1 403 ");
    w->roles = ROLE_WRITE;
    must_have(ask(w, "PUT /state HTTP/1.1\r\n" H "\r\n"), "HTTP/1.1 428 ");
    must_have(ask(w, "PUT /state HTTP/1.1\r\n" H "If-Match: \"1\"\r\n\r\n"), "HTTP/1.1 200 ");
}

static void client_bodies(struct world *w) {
    must_have(ask(w, "POST /things HTTP/1.1\r\n" H "Content-Length: 12\r\n\r\n{\"name\":\"a\"}"),
        "HTTP/1.1 201 Created\r\n");
    must_have(
        ask(w, "POST /things HTTP/1.1\r\n" H
               "Transfer-Encoding: chunked\r\n\r\n5\r\n{\"nam\r\n7\r\ne\":\"a\"}\r\n0\r\n\r\n"),
        "\r\nLocation: /things/a\r\n");
    must_have(
        ask(w, "POST /things HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\n{x}"), "HTTP/1.1 400 ");
    must_have(ask(w, "POST /things HTTP/1.1\r\n" H "\r\n"), "HTTP/1.1 400 ");
    must_have(ask(w, "POST /things HTTP/1.1\r\n" H "Content-Length: 9\r\n\r\n{\"nam\":1}"),
        "HTTP/1.1 422 ");
    must_have(ask(w, "PUT /raw HTTP/1.1\r\n" H "Content-Length: 1001\r\n\r\n"), "HTTP/1.1 413 ");
    must_have(ask(w, "PUT /raw HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabc"), "\r\n\r\nabc");
    char big[1200] = "PUT /raw HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n3e9\r\n";
    memset(big + strlen(big), 'a', 1001);
    const char *too_big = ask(w, big);
    must_have(too_big, "HTTP/1.1 413 ");
    must_have(too_big, "Connection: close\r\n");
    /* A refusal of a body that waits for permission comes instead of the permission. */
    int fd = dial(w);
    say(fd, "PUT /raw HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 2000\r\n\r\n");
    must_have(hear(fd, NULL), "HTTP/1.1 413 ");
    close(fd);
    fd = dial(w);
    say(fd, "PUT /raw HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    must_have(hear(fd, "\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    say(fd, "ok");
    must_have(hear(fd, "\r\n\r\nok"), "HTTP/1.1 200 ");
    close(fd);
}

static void client_order(struct world *w) {
    int fd = dial(w);
    say(fd, "GET /later HTTP/1.1\r\n" H "\r\nGET /things/2 HTTP/1.1\r\n" H "\r\n"
            "POST /things HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\n{}"
            "DELETE /things HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabc"
            "GET /public HTTP/1.1\r\n" H "Connection: close\r\n\r\n");
    const char *all = hear(fd, NULL);
    const char *late = strstr(all, "late"), *two = strstr(all, "\"name\":\"2\"");
    const char *bad = strstr(all, "422"), *method = strstr(all, "405"),
               *hello = strstr(all, "hello");
    must(late && two && bad && method && hello);
    must(late < two && two < bad && bad < method && method < hello);
    close(fd);
    /* Byte by byte is the same. */
    fd = dial(w);
    for (const char *c = "GET /things/slow HTTP/1.1\r\n" H "\r\n"; *c; c++) {
        must(send(fd, c, 1, MSG_NOSIGNAL) == 1);
    }
    must_have(hear(fd, "slow"), "HTTP/1.1 200 ");
    close(fd);
}

static void client_half_close(struct world *w) {
    must_have(ask(w, "GET /later HTTP/1.1\r\n" H "\r\n"), "late");
    int fd = dial(w);
    say(fd, "GET /later HTTP/1.1\r\n" H "\r\nGET /things/2 HTTP/1.1\r\n" H "\r\n");
    shutdown(fd, SHUT_WR);
    const char *all = hear(fd, NULL);
    must_have(all, "late");
    must_have(all, "\"name\":\"2\"");
    close(fd);
}

static void client_times(struct world *w) {
    int fd = dial(w); /* says nothing */
    must(strcmp(hear(fd, NULL), "") == 0);
    close(fd);
    fd = dial(w);
    say(fd, "GET /things HTT");
    must_have(hear(fd, NULL), "HTTP/1.1 408 ");
    close(fd);
    fd = dial(w);
    say(fd, "PUT /raw HTTP/1.1\r\n" H "Content-Length: 20\r\n\r\nabc");
    must_have(hear(fd, NULL), "HTTP/1.1 408 ");
    close(fd);
    fd = dial(w); /* wants much and reads nothing */
    say(fd, "GET /flood HTTP/1.1\r\n" H "\r\n");
    for (int waited = 0; w->gone == 0; waited++) {
        must(waited < PATIENCE / 10);
        usleep(10000);
    }
    close(fd);
}

static void wait_for(const int *counter, int value) {
    for (int waited = 0; __atomic_load_n(counter, __ATOMIC_RELAXED) != value; waited++) {
        must(waited < PATIENCE / 5);
        usleep(5000);
    }
}

static void client_streams(struct world *w) {
    int fd = dial(w);
    say(fd, "GET /watch HTTP/1.1\r\n" H "\r\n");
    must_have(hear(fd, "4\r\none\n\r\n4\r\ntwo\n\r\n"), "Transfer-Encoding: chunked\r\n");
    close(fd);
    wait_for(&w->gone, 1);
    fd = dial(w);
    say(fd, "GET /ever HTTP/1.1\r\n" H "\r\n");
    close(fd);
    wait_for(&w->gone, 2);
    fd = dial(w);
    say(fd, "GET /flood HTTP/1.1\r\n" H "\r\n");
    size_t got = 0;
    char block[65536];
    for (bool end = false; !end;) {
        ssize_t n = read(fd, block, sizeof block);
        must(n > 0);
        got += (size_t)n;
        end = n >= 5 && memcmp(block + n - 5, "0\r\n\r\n", 5) == 0;
    }
    must(got > FLOOD);
    say(fd, "GET /public HTTP/1.1\r\n" H "\r\n");
    must_have(hear(fd, "hello"), "HTTP/1.1 200 ");
    close(fd);
}

static void client_uploads(struct world *w) {
    static char block[1 << 20];
    int fd = dial(w);
    say(fd, "PUT /upload HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 4194304\r\n\r\n");
    must_have(hear(fd, "\r\n\r\n"), "HTTP/1.1 100 ");
    for (int i = 0; i < 4; i++) {
        for (size_t sent = 0; sent < sizeof block;) {
            ssize_t n = send(fd, block + sent, sizeof block - sent, MSG_NOSIGNAL);
            must(n > 0);
            sent += (size_t)n;
        }
    }
    must_have(hear(fd, "bytes"), "\r\n\r\n4194304 bytes");
    /* What came in the same read waits as well while the body is paused. */
    say(fd, "PUT /upload HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
            "3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n");
    must_have(hear(fd, "bytes"), "\r\n\r\n6 bytes");
    /* One that is cut is never said to be whole. */
    w->body_ended = false;
    say(fd, "PUT /upload HTTP/1.1\r\n" H "Content-Length: 100\r\n\r\nabc");
    close(fd);
    wait_for(&w->gone, 1);
    must(!w->body_ended);
    fd = dial(w);
    say(fd, "PUT /upload HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n3\r\nabcX");
    must(strcmp(hear(fd, NULL), "") == 0);
    wait_for(&w->gone, 2);
    close(fd);
}

/* A client that asks and asks and reads nothing is not served on for ever, and loses nothing. */
static void client_greedy(struct world *w) {
    enum { ASKED = 20000 };
    static const char request[] = "GET /public HTTP/1.1\r\n" H "\r\n";
    int fd = dial(w);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    size_t sent = 0, heard = 0, all = ASKED * (sizeof request - 1);
    int served_when_stuck = 0;
    for (bool reads = false; heard < ASKED;) {
        const char *from = request + sent % (sizeof request - 1);
        ssize_t n = sent < all ? send(fd, from, strlen(from), MSG_NOSIGNAL) : 0;
        sent += n > 0 ? (size_t)n : 0;
        if (!reads && n < 0) {
            struct pollfd p = { .fd = fd, .events = POLLOUT };
            reads = poll(&p, 1, 300) == 0; /* stuck */
            served_when_stuck = __atomic_load_n(&w->served, __ATOMIC_RELAXED);
        }
        must(reads || sent < all);
        static char text[65536];
        while (reads && (n = read(fd, text, sizeof text)) > 0) {
            for (char *at = text; (at = memchr(at, '!', (size_t)(text + n - at))); at++) {
                heard++;
            }
        }
    }
    must(served_when_stuck < ASKED / 2);
    close(fd);
}

static void client_crowd(struct world *w) {
    int fds[4];
    for (int i = 0; i < 4; i++) {
        fds[i] = dial(w);
        say(fds[i], "GET /public HTTP/1.1\r\n" H "\r\n");
        must_have(hear(fds[i], "\r\n\r\n"), "HTTP/1.1 200 ");
    }
    int extra = dial(w);
    must_have(hear(extra, NULL), "HTTP/1.1 503 ");
    close(extra);
    for (int i = 0; i < 4; i++) {
        close(fds[i]);
    }
}

static void client_tcp(struct world *w) {
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)w->tcp_port) };
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(connect(fd, (struct sockaddr *)&at, sizeof at) == 0);
    say(fd, "GET /things HTTP/1.1\r\n" H "\r\n");
    must_have(hear(fd, "}\n"), "WWW-Authenticate: Bearer\r\n");
    say(fd, "GET /things HTTP/1.1\r\n" H "Authorization: bearer secret\r\n\r\n");
    must_have(hear(fd, "]\n"), "HTTP/1.1 200 ");
    close(fd);
}

static void test_table(void **state) {
    (void)state;
    struct world w;
    with_server((struct http_server_options){ 0 }, client_table, &w);
    assert_int_equal(w.served, 18);
}

#define PLAIN_TEST(name)                                                                           \
    static void test_##name(void **state) {                                                        \
        (void)state;                                                                               \
        struct world w;                                                                            \
        with_server((struct http_server_options){ 0 }, client_##name, &w);                         \
    }
PLAIN_TEST(roles)
PLAIN_TEST(bodies)
PLAIN_TEST(order)
PLAIN_TEST(half_close)
PLAIN_TEST(uploads)
PLAIN_TEST(tcp)
PLAIN_TEST(greedy)

static void test_streams(void **state) {
    (void)state;
    struct world w;
    with_server((struct http_server_options){ 0 }, client_streams, &w);
    assert_int_equal(w.gone, 2);
}

static void test_times(void **state) {
    (void)state;
    struct world w;
    with_server(
        (struct http_server_options){
            .header_timeout = 150, .idle_timeout = 200, .stall_timeout = 250 },
        client_times, &w);
}

static void test_crowd(void **state) {
    (void)state;
    struct world w;
    with_server((struct http_server_options){ .connections_max = 4 }, client_crowd, &w);
}

static void test_sockets(void **state) {
    (void)state;
    uv_loop_t loop;
    struct err err = { 0 };
    struct http_server *a, *b;
    char path[64];
    snprintf(path, sizeof path, "/tmp/test_http_server.%d.twice", getpid());
    uv_loop_init(&loop);
    struct http_server_options options = { .loop = &loop, .endpoints = endpoints };
    assert_int_equal(http_server_create(&options, &a, &err), 0);
    assert_int_equal(http_server_create(&options, &b, &err), 0);
    assert_int_equal(http_server_listen_unix(a, path, 0600, 0, &err), 0);
    assert_int_equal(http_server_listen_unix(b, path, 0600, 0, &err), -1);
    assert_int_equal(err.code, ERR_RUNNING);
    http_server_close(a, NULL, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    /* What a dead server left behind is replaced. */
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(http_server_listen_unix(b, path, 0600, 0, &err), 0);
    assert_int_equal(http_server_listen_tcp(b, "localhost:1", 0, NULL, &err), -1);
    assert_int_equal(http_server_listen_tcp(b, "127.0.0.1", 0, NULL, &err), -1);
    http_server_close(b, NULL, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    unlink(path);
}

static void test_openapi(void **state) {
    (void)state;
    struct buf b;
    buf_init(&b, 1 << 20);
    http_server_openapi(endpoints, "test", "1", &b);
    assert_non_null(strstr(b.data, "\"/v2/{name}/blobs\":{\"get\":"));
    assert_non_null(strstr(b.data, "\"thing\":{\"type\":\"object\",\"properties\":{\"name\":"));
    json_t *json = json_loadb(b.data, b.len, JSON_REJECT_DUPLICATES, NULL);
    assert_true(json_is_object(json));
    json_decref(json);
    buf_free(&b);
}

int main(void) {
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_roles),
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_half_close),
        cmocka_unit_test(test_streams),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_uploads),
        cmocka_unit_test(test_crowd),
        cmocka_unit_test(test_tcp),
        cmocka_unit_test(test_greedy),
        cmocka_unit_test(test_sockets),
        cmocka_unit_test(test_openapi),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
