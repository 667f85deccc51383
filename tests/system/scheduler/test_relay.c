/* What the API passes on to the agent, and back. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sys/stat.h>

#include <paas/http_server.h>
#include <paas/wire.h>

#include "lab.h"

enum { LARGE = 8 << 20, PIECE = 64 << 10 };

static const char *program;

/* The stand-in agent: one server on the lab's own loop. */
struct agent {
    struct lab lab;
    struct http_server *server;
    char asked[256]; /* the last request: "path?query body" */
    size_t sent;     /* bytes of the large answer */
    int gone;        /* clients that went away */
    int closed;
};

static void note(struct call *c, const char *body) {
    struct agent *a = call_ctx(c);
    struct http_text path = call_path(c), query = call_query_text(c);
    snprintf(a->asked, sizeof(a->asked), "%.*s?%.*s %s", (int)path.len, path.at, (int)query.len,
        query.len ? query.at : "", body);
}

/* As much of the large answer as the scheduler takes now. */
static void send_some(struct call *c, void *data) {
    static const char piece[PIECE];
    struct agent *a = data;
    while (a->sent < LARGE && call_stream_queued(c) < HTTP_STREAM_HIGH) {
        call_stream_write(c, piece, sizeof(piece));
        a->sent += sizeof(piece);
    }
    if (a->sent >= LARGE) {
        call_on_closed(c, NULL, NULL);
        call_stream_end(c);
    }
}

static void on_gone(struct call *c, void *data) {
    (void)c;
    ((struct agent *)data)->gone++;
}

static enum call_result get_logs(struct call *c) {
    struct agent *a = call_ctx(c);
    note(c, "");
    call_stream_begin(c, "application/x-ndjson", -1);
    if (call_query(c, "process")) { /* a large answer */
        call_on_writable(c, send_some, a);
        call_on_closed(c, on_gone, a);
        send_some(c, a);
        return CALL_PENDING;
    }
    if (call_query(c, "follow")) {
        call_on_closed(c, on_gone, a);
        call_stream_write(c, "{\"text\":\"one\"}\n", 15);
        return CALL_PENDING;
    }
    call_stream_write(c, "{\"text\":\"one\"}\n", 15);
    return call_stream_end(c);
}

static enum call_result post_kill(struct call *c) {
    const struct kill_request *request = call_body(c);
    note(c, request->signal);
    return call_reply_empty(c);
}

static enum call_result post_exec(struct call *c) {
    const struct exec_request *request = call_body(c);
    note(c, request->command.items[0]);
    if (strcmp(request->command.items[0], "missing") == 0) {
        return call_fail_with(c, ERR_COMMAND_MISSING, "no program \"missing\"");
    }
    return call_reply_bytes(c, "application/x-ndjson", "{\"stream\":\"exit\",\"code\":3}\n", 27);
}

static const struct endpoint endpoints[] = {
    { .method = METHOD_GET,
        .path = "/v1/logs",
        .roles = 1,
        .flags = EP_WATCH,
        .handler = get_logs },
    { .method = METHOD_POST,
        .path = "/v1/instances/{id}/kill",
        .roles = 1,
        .in = &kill_request_json,
        .handler = post_kill },
    { .method = METHOD_POST,
        .path = "/v1/instances/{id}/exec",
        .roles = 1,
        .in = &exec_request_json,
        .handler = post_exec },
    { 0 },
};

static int identify(
    void *ctx, const struct http_peer *peer, struct http_identity *who, struct err *err) {
    (void)ctx;
    (void)peer;
    (void)err;
    who->roles = 1;
    return 0;
}

static void serve_agent(struct agent *a) {
    char path[128];
    struct http_server_options options = {
        .loop = &a->lab.loop, .endpoints = endpoints, .ctx = a, .identify = identify
    };
    snprintf(path, sizeof(path), "%s/run/agent/agent.sock", a->lab.dir);
    assert_int_equal(http_server_create(&options, &a->server, NULL), 0);
    assert_int_equal(http_server_listen_unix(a->server, path, 0666, 0, NULL), 0);
}

static void on_closed(void *data) {
    ((struct agent *)data)->closed = 1;
}

static void close_agent(struct agent *a) {
    if (!a->server) {
        return;
    }
    http_server_close(a->server, on_closed, a);
    a->server = NULL;
    while (!a->closed) {
        uv_run(&a->lab.loop, UV_RUN_ONCE);
    }
}

static int begin(void **state) {
    struct agent *a = calloc(1, sizeof(*a));
    char image[80];
    assert_non_null(a);
    lab_begin(&a->lab, program);
    lab_start(&a->lab);
    lab_upload_image(&a->lab, image);
    lab_report(&a->lab, true, "");
    lab_push(&a->lab, "shop", image, "");
    lab_report(&a->lab, false, "aaaa web.1 shop web 1 healthy\nbbbb web.2 shop web 1 starting");
    lab_wait_event(&a->lab, "shop", "rollout-done", 0, NULL);
    serve_agent(a);
    *state = a;
    return 0;
}

static int end(void **state) {
    struct agent *a = *state;
    close_agent(a);
    lab_end(&a->lab);
    free(a);
    return 0;
}

static void logs_pass_through_with_their_query(void **state) {
    struct agent *a = *state;
    char *text = lab_get_text(&a->lab, LAB_OPERATOR, "/v1/apps/shop/logs?tail=5&instance=web.1");
    assert_string_equal(text, "{\"text\":\"one\"}\n");
    /* What is of an app before it in the name is left out. */
    long long since = 0;
    int rest = 0;
    assert_int_equal(sscanf(a->asked, "/v1/logs?app=shop&since=%lld%n", &since, &rest), 1);
    assert_true(since > 0);
    assert_string_equal(a->asked + rest, "&tail=5&instance=web.1 ");
    free(text);
}

static void kill_and_exec_find_their_instance(void **state) {
    struct agent *a = *state;
    assert_int_equal(lab_call(&a->lab, LAB_OPERATOR, METHOD_POST, "/v1/apps/shop/kill",
                         "{\"instance\":\"web.2\",\"signal\":\"TERM\"}", NULL),
        204);
    assert_string_equal(a->asked, "/v1/instances/bbbb/kill? TERM");
    json_t *answer;
    assert_int_equal(lab_call(&a->lab, LAB_OPERATOR, METHOD_POST, "/v1/apps/shop/exec",
                         "{\"command\":[\"true\"]}", &answer),
        200);
    assert_string_equal(a->asked, "/v1/instances/aaaa/exec? true");
    assert_int_equal(lab_number(answer, "code"), 3);
    json_decref(answer);
}

static void an_error_of_the_agent_keeps_its_code(void **state) {
    struct agent *a = *state;
    json_t *answer;
    assert_int_equal(lab_call(&a->lab, LAB_OPERATOR, METHOD_POST, "/v1/apps/shop/exec",
                         "{\"command\":[\"missing\"]}", &answer),
        422);
    assert_string_equal(lab_text(answer, "code"), "command-missing");
    json_decref(answer);
}

static void without_an_agent_the_answer_says_so(void **state) {
    struct agent *a = *state;
    json_t *answer;
    close_agent(a);
    assert_int_equal(
        lab_call(&a->lab, LAB_OPERATOR, METHOD_GET, "/v1/apps/shop/logs", NULL, &answer), 503);
    assert_non_null(strstr(lab_text(answer, "detail"), "agent"));
    json_decref(answer);
}

/* --- streams ---------------------------------------------------------------------------------- */

struct reader {
    struct http_fetch *fetch;
    size_t got;
    int done;
    bool slow; /* does not read on after the first bytes */
};

static void on_data(void *data, const char *bytes, size_t len) {
    struct reader *r = data;
    (void)bytes;
    if (r->slow && r->got == 0) {
        http_pause(r->fetch);
    }
    r->got += len;
}

static void on_done(void *data, struct http_answer *answer, const struct err *err) {
    (void)answer;
    ((struct reader *)data)->done = err->code == ERR_OK ? 1 : -1;
}

static void start_reading(struct agent *a, struct reader *r, const char *path) {
    char socket[128], url[256];
    snprintf(socket, sizeof(socket), "%s/run/api.sock", a->lab.dir);
    snprintf(url, sizeof(url), "http://paas%s", path);
    struct http_fetch_options options = { .method = METHOD_GET,
        .url = url,
        .unix_path = socket,
        .data = on_data,
        .done = on_done,
        .context = r };
    r->fetch = http_fetch_start(a->lab.clients[LAB_OPERATOR], &options, NULL);
    assert_non_null(r->fetch);
}

static void on_tick(uv_timer_t *timer) {
    (*(int *)timer->data)++;
}

/* Runs the loop until `*flag` is set or nothing has moved for a while. */
static void run_while_it_moves(struct agent *a) {
    int ticks = 0;
    uv_timer_t timer;
    uv_timer_init(&a->lab.loop, &timer);
    timer.data = &ticks;
    uv_timer_start(&timer, on_tick, 100, 100);
    for (size_t last = SIZE_MAX; ticks < 5;) {
        if (a->sent != last) {
            last = a->sent;
            ticks = 0;
        }
        uv_run(&a->lab.loop, UV_RUN_ONCE);
    }
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&a->lab.loop, UV_RUN_NOWAIT);
}

static void a_client_that_does_not_read_holds_the_agent_back(void **state) {
    struct agent *a = *state;
    struct reader r = { .slow = true };
    start_reading(a, &r, "/v1/apps/shop/logs?process=web");
    run_while_it_moves(a);
    assert_true(r.got > 0);
    assert_true(a->sent < LARGE / 2); /* the scheduler did not take it all */
    http_resume(r.fetch);
    while (!r.done) {
        uv_run(&a->lab.loop, UV_RUN_ONCE);
    }
    assert_int_equal(r.done, 1);
    assert_int_equal(r.got, LARGE);
}

static void a_client_that_goes_away_ends_the_agent_s_answer(void **state) {
    struct agent *a = *state;
    struct reader r = { 0 };
    start_reading(a, &r, "/v1/apps/shop/logs?follow");
    while (r.got == 0) {
        uv_run(&a->lab.loop, UV_RUN_ONCE);
    }
    http_cancel(r.fetch);
    while (!a->gone) {
        uv_run(&a->lab.loop, UV_RUN_ONCE);
    }
    assert_int_equal(a->gone, 1);
}

static void an_agent_that_dies_cuts_the_answer(void **state) {
    struct agent *a = *state;
    struct reader r = { 0 };
    start_reading(a, &r, "/v1/apps/shop/logs?follow");
    while (r.got == 0) {
        uv_run(&a->lab.loop, UV_RUN_ONCE);
    }
    close_agent(a);
    while (!r.done) {
        uv_run(&a->lab.loop, UV_RUN_ONCE);
    }
    assert_int_equal(r.done, -1);
}

#define TEST(F) cmocka_unit_test_setup_teardown(F, begin, end)

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        TEST(logs_pass_through_with_their_query),
        TEST(kill_and_exec_find_their_instance),
        TEST(an_error_of_the_agent_keeps_its_code),
        TEST(without_an_agent_the_answer_says_so),
        TEST(a_client_that_does_not_read_holds_the_agent_back),
        TEST(a_client_that_goes_away_ends_the_agent_s_answer),
        TEST(an_agent_that_dies_cuts_the_answer),
    };
    program = argc > 1 ? argv[1] : "bin/paas-scheduler";
    return cmocka_run_group_tests(tests, NULL, NULL);
}
