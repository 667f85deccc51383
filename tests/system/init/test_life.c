/* Stops, leases, listeners, and the socket of paas-init. Needs root. SPDX-License-Identifier:
 * Apache-2.0 */
#include "scene.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <paas/clock.h>

static bool listening_twice(const struct init_state *s) {
    return s->listener_count == 2;
}

/* ---- stops and leases ---------------------------------------------------------------------- */

static void stop_sends_the_signal(void **state) {
    struct scene *scene = *state;
    struct init_state s;
    scene->block.stop_signal = SIGQUIT;
    scene_start(scene, "sleep", NULL);
    int fd = box_connect(&scene->box);
    box_await(fd, &s, scene_running, WAIT_MS);
    box_request(fd, &(struct init_request){ .kind = INIT_REQUEST_STOP, .grace_ms = WAIT_MS });
    box_await(fd, &s, scene_ended, WAIT_MS);
    close(fd);
    struct init_exit exit = scene_finish(scene);
    assert_int_equal(exit.signal, SIGQUIT);
    assert_int_equal(exit.flags, INIT_EXIT_STOPPED);
}

static void stop_kills_when_the_grace_is_over(void **state) {
    struct scene *scene = *state;
    struct init_state s;
    scene->block.grace_ms = 100;
    scene_start(scene, "ignore", NULL);
    int fd = box_connect(&scene->box);
    scene_await_output(fd, &s);
    msec before = clock_boot_msec();
    box_request(
        fd, &(struct init_request){ .kind = INIT_REQUEST_STOP, .grace_ms = INIT_GRACE_OF_START });
    box_await(fd, &s, scene_ended, WAIT_MS);
    close(fd);
    struct init_exit exit = scene_finish(scene);
    assert_int_equal(exit.signal, SIGKILL);
    assert_int_equal(exit.flags, INIT_EXIT_STOPPED | INIT_EXIT_KILLED);
    assert_in_range(exit.ended_boot_ms - before, 99, WAIT_MS);
}

static void lease_ends_the_app_without_an_agent(void **state) {
    struct scene *scene = *state;
    scene->block.flags = INIT_START_EXCLUSIVE;
    scene->block.deadline_boot_ms = clock_boot_msec() + 200;
    msec deadline = scene->block.deadline_boot_ms;
    scene_start(scene, "ignore", NULL);
    struct init_exit exit = scene_finish(scene);
    assert_int_equal(exit.flags, INIT_EXIT_DEADLINE);
    assert_int_equal(exit.signal, SIGKILL);
    assert_in_range(exit.ended_boot_ms - deadline, 0, WAIT_MS);
}

static void lease_is_renewed_and_never_shortened(void **state) {
    struct scene *scene = *state;
    struct init_state s;
    scene->block.flags = INIT_START_EXCLUSIVE;
    msec first = clock_boot_msec() + 2000; /* long enough to get there on a busy machine */
    scene->block.deadline_boot_ms = first;
    scene_start(scene, "ignore", NULL);
    int fd = box_connect(&scene->box);
    box_await(fd, &s, scene_running, WAIT_MS);
    box_request(fd,
        &(struct init_request){ .kind = INIT_REQUEST_DEADLINE, .deadline_boot_ms = first + 300 });
    box_await(fd, &s, scene_any, WAIT_MS);
    assert_int_equal(s.deadline_boot_ms, first + 300);
    box_request(fd,
        &(struct init_request){ .kind = INIT_REQUEST_DEADLINE, .deadline_boot_ms = first - 200 });
    box_await(fd, &s, scene_any, WAIT_MS);
    assert_int_equal(s.deadline_boot_ms, first + 300);
    box_await(fd, &s, scene_ended, WAIT_MS);
    close(fd);
    struct init_exit exit = scene_finish(scene);
    assert_in_range(exit.ended_boot_ms - first, 300, WAIT_MS);
}

/* ---- listeners ----------------------------------------------------------------------------- */

static void listeners_are_told(void **state) {
    struct scene *scene = *state;
    struct init_state s;
    static const uint8_t none[16];
    scene->block.port = 8080;
    scene->block.flags = INIT_START_LISTENER;
    scene_start(scene, "listen", "8080", "9090", NULL);
    int fd = box_connect(&scene->box);
    box_await(fd, &s, listening_twice, WAIT_MS);
    assert_int_equal(s.port, 8080);
    assert_int_equal(s.listen_calls, 2);
    assert_int_equal(s.listeners[0].family, 4);
    assert_int_equal(s.listeners[0].port, 8080);
    assert_int_equal(s.listeners[1].family, 6);
    assert_int_equal(s.listeners[1].port, 9090);
    assert_memory_equal(s.listeners[0].address, none, sizeof none);
    close(fd);
    fd = box_connect(&scene->box); /* another agent hears it all at once */
    box_await(fd, &s, scene_any, WAIT_MS);
    assert_int_equal(s.listener_count, 2);
    close(fd);
}

static void flood_of_listens_is_slowed_and_init_answers(void **state) {
    struct scene *scene = *state;
    struct init_state s;
    scene_start(scene, "listen-flood", NULL);
    int fd = box_connect(&scene->box);
    box_await(fd, &s, scene_running, WAIT_MS);
    msec before = clock_msec();
    uint32_t sequence = 0;
    while (clock_msec() - before < 1500) {
        box_request(
            fd, &(struct init_request){ .kind = INIT_REQUEST_STATE, .sequence = ++sequence });
        do {
            box_await(fd, &s, scene_any, WAIT_MS);
        } while (s.acknowledged != sequence);
    }
    uint32_t windows = (uint32_t)((clock_msec() - before) / 1000) + 2;
    assert_in_range(s.listen_calls, 1, 256 * windows);
    close(fd);
}

static void other_notified_calls_are_refused_and_counted(void **state) {
    struct scene *scene = *state;
    struct init_state s;
    scene_start(scene, "hostile", NULL);
    int fd = box_connect(&scene->box);
    box_await(fd, &s, scene_ended, WAIT_MS);
    assert_int_equal(s.refused_calls, 1);
    assert_true(s.refused_last > 0);
    close(fd);
}

/* ---- init.sock ----------------------------------------------------------------------------- */

static void connections_are_bounded_and_garbage_is_cut(void **state) {
    struct scene *scene = *state;
    struct init_state s;
    scene_start(scene, "sleep", NULL);
    int fds[INIT_CONNECTIONS_MAX];
    for (int i = 0; i < INIT_CONNECTIONS_MAX; i++) {
        fds[i] = box_connect(&scene->box);
        box_await(fds[i], &s, scene_any, WAIT_MS);
    }
    int more = box_connect(&scene->box);
    assert_int_equal(recv(more, &s, sizeof s, 0), 0);
    close(more);
    assert_int_equal(send(fds[0], "nonsense", 8, MSG_NOSIGNAL), 8);
    while (recv(fds[0], &s, sizeof s, 0) > 0) {
    }
    close(fds[0]);
    fds[0] = box_connect(&scene->box);
    box_await(fds[0], &s, scene_any, WAIT_MS);
    box_request(fds[0], &(struct init_request){ .kind = 77, .sequence = 3 });
    box_await(fds[0], &s, scene_any, WAIT_MS);
    assert_int_equal(s.acknowledged, 3);
    assert_int_equal(s.result, ENOSYS);
    for (int i = 0; i < INIT_CONNECTIONS_MAX; i++) {
        close(fds[i]);
    }
}

static void slow_reader_gets_the_last_state(void **state) {
    struct scene *scene = *state;
    struct init_state s;
    scene_start(scene, "sleep", NULL);
    int fd = box_connect(&scene->box), other = box_connect(&scene->box);
    box_await(other, &s, scene_running, WAIT_MS);
    for (int i = 0; i < 2000; i++) { /* far more than a socket's buffer holds */
        box_request(fd, &(struct init_request){ .kind = INIT_REQUEST_STATE });
        if (i % 50 == 0) {
            box_request(other, &(struct init_request){ .kind = INIT_REQUEST_STATE });
            box_await(other, &s, scene_any, WAIT_MS);
        }
    }
    box_request(other, &(struct init_request){ .kind = INIT_REQUEST_SIGNAL, .signal = SIGKILL });
    box_await(other, &s, scene_ended, WAIT_MS);
    box_await(fd, &s, scene_ended, WAIT_MS);
    close(fd);
    close(other);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SCENE_TEST(stop_sends_the_signal),
        SCENE_TEST(stop_kills_when_the_grace_is_over),
        SCENE_TEST(lease_ends_the_app_without_an_agent),
        SCENE_TEST(lease_is_renewed_and_never_shortened),
        SCENE_TEST(listeners_are_told),
        SCENE_TEST(flood_of_listens_is_slowed_and_init_answers),
        SCENE_TEST(other_notified_calls_are_refused_and_counted),
        SCENE_TEST(connections_are_bounded_and_garbage_is_cut),
        SCENE_TEST(slow_reader_gets_the_last_state),
    };
    return scene_skip() ? 77 : cmocka_run_group_tests(tests, NULL, NULL);
}
