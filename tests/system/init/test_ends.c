/* How an app is born under paas-init, and how its end is recorded. Needs root.
 * SPDX-License-Identifier: Apache-2.0 */
#include "scene.h"

#include "spawner_wire.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <linux/sched.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <paas/clock.h>

/* Starts paas-init without a start block, which is to come over the socket that is returned. */
static int start_ahead(struct scene *scene) {
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    scene->options.start_fd = ends[1];
    box_start(&scene->box, &scene->options);
    close(ends[1]);
    return ends[0];
}

static void block_may_come_later(void **state) {
    struct scene *scene = *state;
    int socket = start_ahead(scene);
    assert_false(box_wait(&scene->box, 100));
    assert_int_equal(box_app_processes(&scene->box), 0);
    scene->argv[0] = "/app/init_app";
    scene->argv[1] = "exit";
    scene->argv[2] = "7";
    scene_make_block(scene);
    assert_int_equal(spawner_send(socket, "", 1, &scene->options.start_fd, 1), 0);
    close(scene->options.start_fd);
    close(socket);
    struct init_exit end = scene_finish(scene);
    assert_int_equal(end.end, INIT_END_EXITED);
    assert_int_equal(end.code, 7);
}

static void without_a_block_it_leaves(void **state) {
    struct scene *scene = *state;
    int socket = start_ahead(scene);
    assert_false(box_wait(&scene->box, 100));
    close(socket);
    assert_true(box_wait(&scene->box, WAIT_MS));
    struct init_exit end;
    assert_false(box_exit(&scene->box, &end) && end.end != INIT_END_NONE);
}

static void message_without_a_block_is_refused(void **state) {
    struct scene *scene = *state;
    int socket = start_ahead(scene);
    assert_int_equal(write(socket, "x", 1), 1);
    struct init_exit end = scene_finish(scene);
    assert_int_equal(end.end, INIT_END_INIT_ERROR);
    close(socket);
}

static void exit_code_is_recorded(void **state) {
    struct scene *scene = *state;
    scene_start(scene, "exit", "7", NULL);
    struct init_exit exit = scene_finish(scene);
    assert_int_equal(exit.end, INIT_END_EXITED);
    assert_int_equal(exit.code, 7);
    assert_true(exit.started_boot_ms > 0 && exit.ended_boot_ms >= exit.started_boot_ms);
    assert_true(llabs(exit.ended_wall_ms - clock_wall_msec()) < WAIT_MS);
}

static void signal_is_recorded(void **state) {
    struct scene *scene = *state;
    struct init_state s;
    scene_start(scene, "sleep", NULL);
    int fd = box_connect(&scene->box);
    box_await(fd, &s, scene_running, WAIT_MS);
    assert_true(s.app_pid > 1);
    box_request(fd,
        &(struct init_request){ .kind = INIT_REQUEST_SIGNAL, .sequence = 5, .signal = SIGABRT });
    box_await(fd, &s, scene_ended, WAIT_MS);
    assert_int_equal(s.exit.end, INIT_END_SIGNALED);
    close(fd);
    struct init_exit exit = scene_finish(scene);
    assert_int_equal(exit.signal, SIGABRT);
    assert_memory_equal(&exit, &s.exit, sizeof exit);
}

static void missing_command_is_named(void **state) {
    struct scene *scene = *state;
    scene->argv[0] = "no-such-thing";
    scene_start(scene, NULL, NULL);
    struct init_exit exit = scene_finish(scene);
    assert_int_equal(exit.end, INIT_END_EXEC_FAILED);
    assert_int_equal(exit.stage, INIT_STAGE_EXEC);
    assert_int_equal(exit.sys, ENOENT);
    assert_string_equal(exit.text, "no-such-thing");
    assert_int_equal(exit.started_boot_ms, 0);
}

static void command_without_permission_is_named(void **state) {
    struct scene *scene = *state;
    scene->argv[0] = "text";
    scene_start(scene, NULL, NULL);
    struct init_exit exit = scene_finish(scene);
    assert_int_equal(exit.stage, INIT_STAGE_EXEC);
    assert_int_equal(exit.sys, EACCES);
    assert_string_equal(exit.text, "/app/text");
}

static void missing_interpreter_is_told_apart(void **state) {
    struct scene *scene = *state;
    scene->argv[0] = "/app/broken";
    scene_start(scene, NULL, NULL);
    struct init_exit exit = scene_finish(scene);
    assert_int_equal(exit.end, INIT_END_EXEC_FAILED);
    assert_int_equal(exit.stage, INIT_STAGE_LOADER);
    assert_string_equal(exit.text, "/app/broken");
}

static void command_is_searched_in_path(void **state) {
    struct scene *scene = *state;
    scene->argv[0] = "init_app";
    scene_start(scene, "exit", "4", NULL);
    assert_int_equal(scene_finish(scene).code, 4);
}

static void missing_directory_is_named(void **state) {
    struct scene *scene = *state;
    scene->block.cwd = "/not/there";
    scene_start(scene, "exit", NULL);
    struct init_exit exit = scene_finish(scene);
    assert_int_equal(exit.end, INIT_END_EXEC_FAILED);
    assert_int_equal(exit.stage, INIT_STAGE_DIRECTORY);
    assert_string_equal(exit.text, "/not/there");
}

static void bounding_set_stops_the_start(void **state) {
    struct scene *scene = *state;
    scene->options.keep_bounding_set = true;
    scene_start(scene, "exit", NULL);
    struct init_exit exit = scene_finish(scene);
    assert_int_equal(exit.end, INIT_END_INIT_ERROR);
    assert_int_equal(exit.stage, INIT_STAGE_PRIVILEGES);
}

static void what_the_app_leaves_is_killed(void **state) {
    struct scene *scene = *state;
    scene_start(scene, "tree", "20", NULL);
    struct init_exit exit = scene_finish(scene);
    assert_int_equal(exit.code, 3);
    char *text = scene_log(scene, LOG_STREAM_OUT);
    assert_contains(text, "orphans made");
    free(text);
}

static void out_of_memory_is_recorded_and_kills_all(void **state) {
    struct scene *scene = *state;
    scene->options.memory_bytes = 16 << 20;
    scene_start(scene, "oom", NULL);
    struct init_exit exit = scene_finish(scene);
    assert_int_equal(exit.end, INIT_END_OOM);
    assert_true(exit.oom_kills > 0 && exit.oom_boot_ms > 0);
    assert_in_range(exit.max_rss_kib, 1 << 10, 17 << 10);
}

static void cgroup_procs_works_where_cloning_into_does_not(void **state) {
    struct scene *scene = *state;
    struct init_state s;
    scene->options.procs_only = true;
    scene_start(scene, "sleep", NULL);
    int fd = box_connect(&scene->box);
    box_await(fd, &s, scene_running, WAIT_MS);
    assert_int_equal(box_app_processes(&scene->box), 1);
    close(fd);
}

static void agent_hears_of_the_end_at_once(void **state) {
    struct scene *scene = *state;
    struct init_state s;
    usec sum = 0;
    enum { ROUNDS = 20 };
    for (int i = 0; i < ROUNDS; i++) {
        scene_start(scene, "listen", "8080", NULL);
        int fd = box_connect(&scene->box);
        box_await(fd, &s, scene_listening, WAIT_MS);
        usec before = clock_usec();
        box_request(fd, &(struct init_request){ .kind = INIT_REQUEST_SIGNAL, .signal = SIGKILL });
        box_await(fd, &s, scene_ended, WAIT_MS);
        sum += clock_usec() - before;
        close(fd);
        scene_finish(scene);
        box_destroy(&scene->box);
    }
    print_message("          signal to told: %ld us\n", (long)(sum / ROUNDS));
}

/* By hand it must do nothing: what it kills as PID 1, it would kill of the whole machine. It is
 * tried in a pid namespace of its own, where that would be the test alone. */
static void refuses_to_run_by_hand(void **state) {
    (void)state;
    struct clone_args args = { .flags = CLONE_NEWPID, .exit_signal = SIGCHLD };
    pid_t first = (pid_t)syscall(SYS_clone3, &args, sizeof args);
    if (first == 0) {
        pid_t second = fork();
        if (second == 0) {
            const char *program = getenv("PAAS_INIT");
            execl(program, program, (char *)NULL);
            _exit(99);
        }
        int status = 0;
        waitpid(second, &status, 0);
        _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 98);
    }
    int status;
    assert_int_equal(waitpid(first, &status, 0), first);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SCENE_TEST(block_may_come_later),
        SCENE_TEST(without_a_block_it_leaves),
        SCENE_TEST(message_without_a_block_is_refused),
        SCENE_TEST(exit_code_is_recorded),
        SCENE_TEST(signal_is_recorded),
        SCENE_TEST(missing_command_is_named),
        SCENE_TEST(command_without_permission_is_named),
        SCENE_TEST(missing_interpreter_is_told_apart),
        SCENE_TEST(command_is_searched_in_path),
        SCENE_TEST(missing_directory_is_named),
        SCENE_TEST(bounding_set_stops_the_start),
        SCENE_TEST(what_the_app_leaves_is_killed),
        SCENE_TEST(out_of_memory_is_recorded_and_kills_all),
        SCENE_TEST(cgroup_procs_works_where_cloning_into_does_not),
        SCENE_TEST(agent_hears_of_the_end_at_once),
        SCENE_TEST(refuses_to_run_by_hand),
    };
    return scene_skip() ? 77 : cmocka_run_group_tests(tests, NULL, NULL);
}
