/* The agent's link against a paas-init that comes, goes, and sends nonsense.
 * SPDX-License-Identifier: Apache-2.0 */
#include "init_link.h"

#include <paas/clock.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

enum { WAIT_MS = 5000 };

struct scene {
    uv_loop_t loop;
    char dir[64];
    char path[80];
    int listener;
    int server; /* the accepted end, or -1 */
    struct init_link *link;
    int states;
    uint64_t revision;
    bool close_on_state;
};

static void on_state(void *data, const struct init_state *state) {
    struct scene *scene = data;
    scene->states++;
    scene->revision = state->revision;
    if (scene->close_on_state) {
        init_link_close(scene->link);
        scene->link = NULL;
    }
}

static const struct init_link_events events = { .state = on_state };

static void serve(struct scene *scene) {
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    strcpy(address.sun_path, scene->path);
    unlink(scene->path);
    scene->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(scene->listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(scene->listener, 4), 0);
}

static int set_up(void **state) {
    struct scene *scene = calloc(1, sizeof *scene);
    strcpy(scene->dir, "/tmp/paas-test-link-XXXXXX");
    assert_non_null(mkdtemp(scene->dir));
    snprintf(scene->path, sizeof scene->path, "%s/s", scene->dir);
    uv_loop_init(&scene->loop);
    scene->server = scene->listener = -1;
    *state = scene;
    return 0;
}

static int tear_down(void **state) {
    struct scene *scene = *state;
    init_link_close(scene->link);
    uv_run(&scene->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&scene->loop), 0);
    close(scene->server);
    close(scene->listener);
    unlink(scene->path);
    rmdir(scene->dir);
    free(scene);
    return 0;
}

static void open_link(struct scene *scene) {
    struct err err;
    scene->link = init_link_open(&scene->loop, scene->path, &events, scene, &err);
    assert_non_null(scene->link);
}

/* Runs the loop until `done` or the deadline. */
static bool run_until(struct scene *scene, bool (*done)(struct scene *)) {
    msec end = clock_msec() + WAIT_MS;
    while (!done(scene)) {
        if (clock_msec() > end) {
            return false;
        }
        uv_run(&scene->loop, UV_RUN_NOWAIT);
    }
    return true;
}

static bool accepted(struct scene *scene) {
    if (scene->server < 0) {
        scene->server = accept4(scene->listener, NULL, NULL, SOCK_CLOEXEC);
    }
    return scene->server >= 0;
}

static bool has_state(struct scene *scene) {
    return scene->states > 0;
}

static struct init_request receive(struct scene *scene) {
    struct init_request request = { 0 };
    struct pollfd p = { .fd = scene->server, .events = POLLIN };
    assert_int_equal(poll(&p, 1, WAIT_MS), 1);
    assert_int_equal(recv(scene->server, &request, sizeof request, 0), sizeof request);
    assert_int_equal(request.magic, INIT_MESSAGE_MAGIC);
    return request;
}

static void send_state(struct scene *scene, uint64_t revision) {
    struct init_state state = { .magic = INIT_MESSAGE_MAGIC,
        .version = INIT_VERSION,
        .bytes = sizeof state,
        .revision = revision };
    assert_int_equal(send(scene->server, &state, sizeof state, MSG_NOSIGNAL), sizeof state);
}

static void states_arrive_and_signals_leave(void **state) {
    struct scene *scene = *state;
    struct err err;
    serve(scene);
    open_link(scene);
    assert_true(run_until(scene, accepted));
    send_state(scene, 7);
    assert_true(run_until(scene, has_state));
    assert_int_equal(scene->revision, 7);
    assert_int_equal(init_link_signal(scene->link, SIGHUP, &err), 0);
    struct init_request request = receive(scene);
    assert_int_equal(request.kind, INIT_REQUEST_SIGNAL);
    assert_int_equal(request.signal, SIGHUP);
    assert_int_equal(init_link_signal(scene->link, 65, &err), -1);
    assert_int_equal(err.code, ERR_BAD_VALUE);
}

static void link_waits_for_a_socket_that_comes_later(void **state) {
    struct scene *scene = *state;
    struct err err;
    open_link(scene);
    assert_int_equal(init_link_signal(scene->link, SIGHUP, &err), -1);
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    for (int i = 0; i < 100; i++) {
        uv_run(&scene->loop, UV_RUN_NOWAIT);
    }
    serve(scene);
    assert_true(run_until(scene, accepted));
}

static void wishes_are_said_again_on_every_connection(void **state) {
    struct scene *scene = *state;
    struct err err;
    open_link(scene);
    init_link_deadline(scene->link, 1000);
    init_link_deadline(scene->link, 900);
    assert_int_equal(init_link_stop(scene->link, SIGINT, 60000, &err), 0);
    assert_int_equal(init_link_stop(scene->link, 0, 30000, &err), 0);
    assert_int_equal(init_link_stop(scene->link, 0, 50000, &err), 0);
    serve(scene);
    for (int round = 0; round < 3; round++) {
        assert_true(run_until(scene, accepted));
        struct init_request request = receive(scene);
        assert_int_equal(request.kind, INIT_REQUEST_DEADLINE);
        assert_int_equal(request.deadline_boot_ms, 1000);
        request = receive(scene);
        assert_int_equal(request.kind, INIT_REQUEST_STOP);
        assert_int_equal(request.signal, SIGINT);
        assert_in_range(request.grace_ms, 20000, 30000);
        close(scene->server);
        scene->server = -1;
    }
}

static void nonsense_ends_the_connection_and_a_new_one_is_made(void **state) {
    struct scene *scene = *state;
    serve(scene);
    open_link(scene);
    assert_true(run_until(scene, accepted));
    assert_int_equal(send(scene->server, "what", 4, 0), 4);
    int first = scene->server;
    scene->server = -1;
    assert_true(run_until(scene, accepted));
    close(first);
    send_state(scene, 2);
    assert_true(run_until(scene, has_state));
    assert_int_equal(scene->states, 1);
}

static void last_state_is_read_although_the_peer_left_unread_requests(void **state) {
    struct scene *scene = *state;
    struct err err;
    serve(scene);
    open_link(scene);
    assert_true(run_until(scene, accepted));
    assert_int_equal(init_link_signal(scene->link, SIGHUP, &err), 0);
    send_state(scene, 9);
    close(scene->server); /* a reset, as the signal was not read */
    close(scene->listener);
    scene->server = scene->listener = -1;
    assert_true(run_until(scene, has_state));
    assert_int_equal(scene->revision, 9);
}

static void owner_may_close_in_the_callback(void **state) {
    struct scene *scene = *state;
    scene->close_on_state = true;
    serve(scene);
    open_link(scene);
    assert_true(run_until(scene, accepted));
    send_state(scene, 1);
    send_state(scene, 2);
    assert_true(run_until(scene, has_state));
    uv_run(&scene->loop, UV_RUN_DEFAULT);
    assert_int_equal(scene->states, 1);
}

static void long_path_is_refused(void **state) {
    struct scene *scene = *state;
    char path[200];
    struct err err;
    memset(path, 'p', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    assert_null(init_link_open(&scene->loop, path, &events, scene, &err));
    assert_int_equal(err.code, ERR_BAD_VALUE);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(states_arrive_and_signals_leave),
        TEST(link_waits_for_a_socket_that_comes_later),
        TEST(wishes_are_said_again_on_every_connection),
        TEST(nonsense_ends_the_connection_and_a_new_one_is_made),
        TEST(last_state_is_read_although_the_peer_left_unread_requests),
        TEST(owner_may_close_in_the_callback),
        TEST(long_path_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
