/* paas-init for real: births, ends, logs, stops, listeners, and an app that attacks it. Needs root.
 * SPDX-License-Identifier: Apache-2.0 */
#include "box.h"

#include "logs.h"
#include "spawner_wire.h"
#include "start_block.h"

#include <paas/clock.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/sched.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { WAIT_MS = 5000 /* far beyond anything that is asserted about time */ };

static const char *const test_env[] = { "PATH=/nowhere:/app", "COLOUR=blue", NULL };

struct scene {
    struct box box;
    struct start_block block;
    struct box_options options;
    const char *argv[8];
};

static void make_block(struct scene *scene) {
    struct err err;
    scene->block.argv = scene->argv;
    scene->block.env = scene->block.env ? scene->block.env : test_env;
    scene->options.start_fd = start_block_make(&scene->block, &err);
    if (scene->options.start_fd < 0) {
        fail_msg("%s", err.text);
    }
}

static void start(struct scene *scene, const char *command, ...) {
    va_list args;
    va_start(args, command);
    scene->argv[0] = scene->argv[0] ? scene->argv[0] : "/app/init_app";
    scene->argv[1] = command;
    for (int i = 2; i < 7; i++) {
        scene->argv[i] = va_arg(args, const char *);
        if (!scene->argv[i]) {
            break;
        }
    }
    va_end(args);
    make_block(scene);
    box_start(&scene->box, &scene->options);
    close(scene->options.start_fd);
}

static int set_up(void **state) {
    struct scene *scene = calloc(1, sizeof *scene);
    scene->box.dir_fd = -1;
    *state = scene;
    return 0;
}

static int tear_down(void **state) {
    struct scene *scene = *state;
    box_destroy(&scene->box);
    free(scene);
    return 0;
}

static bool running(const struct init_state *s) {
    return s->phase == INIT_PHASE_RUNNING;
}

static bool ended(const struct init_state *s) {
    return s->phase == INIT_PHASE_ENDED;
}

static bool any(const struct init_state *s) {
    (void)s;
    return true;
}

static bool listening(const struct init_state *s) {
    return s->listener_count > 0;
}

static bool listening_twice(const struct init_state *s) {
    return s->listener_count == 2;
}

/* Asks for the state until the app has printed something: now its handlers are in place. */
static void await_output(int fd, struct init_state *s) {
    do {
        box_request(fd, &(struct init_request){ .kind = INIT_REQUEST_STATE });
        box_await(fd, s, any, WAIT_MS);
    } while (s->log_seq == 0);
}

/* Waits for the end and returns the record. */
static struct init_exit finish(struct scene *scene) {
    struct init_exit exit = { 0 };
    assert_true(box_wait(&scene->box, WAIT_MS));
    assert_true(box_exit(&scene->box, &exit));
    if (exit.end == INIT_END_INIT_ERROR) {
        print_message("          stage %u: %s: %s\n", exit.stage, exit.text, strerror(exit.sys));
    }
    assert_int_equal(box_app_processes(&scene->box), 0);
    return exit;
}

/* All text of one stream, lines ended by '\n'. */
static char *log_text(struct scene *scene, int stream) {
    struct err err;
    struct log_piece line;
    char *text = calloc(1, 1 << 20);
    size_t used = 0;
    struct log_reader *reader = log_reader_open(scene->box.dir_fd, &err);
    assert_non_null(reader);
    while (log_reader_next(reader, &line)) {
        if ((int)line.stream == stream && used + line.len + 2 < 1 << 20) {
            memcpy(text + used, line.text, line.len);
            used += line.len;
            if (!(line.flags & LOG_CONTINUED)) {
                text[used++] = '\n';
            }
        }
    }
    log_reader_close(reader);
    return text;
}

static void assert_contains(const char *text, const char *part) {
    if (!strstr(text, part)) {
        fail_msg("\"%s\" is not in:\n%s", part, text);
    }
}

/* ---- ends --------------------------------------------------------------------------------- */

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
    make_block(scene);
    assert_int_equal(spawner_send(socket, "", 1, &scene->options.start_fd, 1), 0);
    close(scene->options.start_fd);
    close(socket);
    struct init_exit end = finish(scene);
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
    struct init_exit end = finish(scene);
    assert_int_equal(end.end, INIT_END_INIT_ERROR);
    close(socket);
}

static void exit_code_is_recorded(void **state) {
    struct scene *scene = *state;
    start(scene, "exit", "7", NULL);
    struct init_exit exit = finish(scene);
    assert_int_equal(exit.end, INIT_END_EXITED);
    assert_int_equal(exit.code, 7);
    assert_true(exit.started_boot_ms > 0 && exit.ended_boot_ms >= exit.started_boot_ms);
    assert_true(llabs(exit.ended_wall_ms - clock_wall_msec()) < WAIT_MS);
}

static void signal_is_recorded(void **state) {
    struct scene *scene = *state;
    struct init_state s;
    start(scene, "sleep", NULL);
    int fd = box_connect(&scene->box);
    box_await(fd, &s, running, WAIT_MS);
    assert_true(s.app_pid > 1);
    box_request(fd,
        &(struct init_request){ .kind = INIT_REQUEST_SIGNAL, .sequence = 5, .signal = SIGABRT });
    box_await(fd, &s, ended, WAIT_MS);
    assert_int_equal(s.exit.end, INIT_END_SIGNALED);
    close(fd);
    struct init_exit exit = finish(scene);
    assert_int_equal(exit.signal, SIGABRT);
    assert_memory_equal(&exit, &s.exit, sizeof exit);
}

static void missing_command_is_named(void **state) {
    struct scene *scene = *state;
    scene->argv[0] = "no-such-thing";
    start(scene, NULL, NULL);
    struct init_exit exit = finish(scene);
    assert_int_equal(exit.end, INIT_END_EXEC_FAILED);
    assert_int_equal(exit.stage, INIT_STAGE_EXEC);
    assert_int_equal(exit.sys, ENOENT);
    assert_string_equal(exit.text, "no-such-thing");
    assert_int_equal(exit.started_boot_ms, 0);
}

static void command_without_permission_is_named(void **state) {
    struct scene *scene = *state;
    scene->argv[0] = "text";
    start(scene, NULL, NULL);
    struct init_exit exit = finish(scene);
    assert_int_equal(exit.stage, INIT_STAGE_EXEC);
    assert_int_equal(exit.sys, EACCES);
    assert_string_equal(exit.text, "/app/text");
}

static void missing_interpreter_is_told_apart(void **state) {
    struct scene *scene = *state;
    scene->argv[0] = "/app/broken";
    start(scene, NULL, NULL);
    struct init_exit exit = finish(scene);
    assert_int_equal(exit.end, INIT_END_EXEC_FAILED);
    assert_int_equal(exit.stage, INIT_STAGE_LOADER);
    assert_string_equal(exit.text, "/app/broken");
}

static void command_is_searched_in_path(void **state) {
    struct scene *scene = *state;
    scene->argv[0] = "init_app";
    start(scene, "exit", "4", NULL);
    assert_int_equal(finish(scene).code, 4);
}

static void missing_directory_is_named(void **state) {
    struct scene *scene = *state;
    scene->block.cwd = "/not/there";
    start(scene, "exit", NULL);
    struct init_exit exit = finish(scene);
    assert_int_equal(exit.end, INIT_END_EXEC_FAILED);
    assert_int_equal(exit.stage, INIT_STAGE_DIRECTORY);
    assert_string_equal(exit.text, "/not/there");
}

static void bounding_set_stops_the_start(void **state) {
    struct scene *scene = *state;
    scene->options.keep_bounding_set = true;
    start(scene, "exit", NULL);
    struct init_exit exit = finish(scene);
    assert_int_equal(exit.end, INIT_END_INIT_ERROR);
    assert_int_equal(exit.stage, INIT_STAGE_PRIVILEGES);
}

static void what_the_app_leaves_is_killed(void **state) {
    struct scene *scene = *state;
    start(scene, "tree", "20", NULL);
    struct init_exit exit = finish(scene);
    assert_int_equal(exit.code, 3);
    char *text = log_text(scene, LOG_STREAM_OUT);
    assert_contains(text, "orphans made");
    free(text);
}

static void out_of_memory_is_recorded_and_kills_all(void **state) {
    struct scene *scene = *state;
    scene->options.memory_bytes = 16 << 20;
    start(scene, "oom", NULL);
    struct init_exit exit = finish(scene);
    assert_int_equal(exit.end, INIT_END_OOM);
    assert_true(exit.oom_kills > 0 && exit.oom_boot_ms > 0);
    assert_in_range(exit.max_rss_kib, 1 << 10, 17 << 10);
}

/* ---- who the app is ------------------------------------------------------------------------ */

static char *facts(struct scene *scene) {
    start(scene, "facts", NULL);
    struct init_exit exit = finish(scene);
    assert_int_equal(exit.end, INIT_END_EXITED);
    return log_text(scene, LOG_STREAM_OUT);
}

static void app_has_no_privilege(void **state) {
    struct scene *scene = *state;
    scene->block.cwd = "/tmp";
    char *text = facts(scene);
    assert_contains(text, "uid 0 gid 0 groups\n");
    assert_contains(text, "cwd /tmp home / pid1 1");
    assert_contains(text, "CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\n"
                          "CapEff:\t0000000000000000\nCapBnd:\t0000000000000000\n"
                          "CapAmb:\t0000000000000000\nNoNewPrivs:\t1\n");
    assert_contains(text, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
    assert_contains(text, "fd 0\nfd 1\nfd 2\n");
    assert_contains(text, "reopen ok");
    free(text);
    text = log_text(scene, LOG_STREAM_ERR);
    assert_string_equal(text, "on stderr\n");
    free(text);
}

static const char test_passwd[] = "root:x:0:0:root:/home:/bin/sh\n"
                                  "web:x:33:34:web:/home/web:/bin/sh\n"
                                  "high:x:65536:0::/:/bin/sh\n"
                                  "huge:x:4294967296:0::/:/bin/sh\n"
                                  "torn:x\n";
static const char test_group[] = "root:x:0:\nweb:x:34:\nlogs:x:44:root,web\nmore:x:45:web\n"
                                 "not:x:46:webby,we\n";

static void expect_user(void **state, const char *user, const char *ids, const char *home) {
    struct scene *scene = *state;
    scene->block.user = user;
    scene->options.passwd = test_passwd;
    scene->options.group = test_group;
    char *text = facts(scene);
    assert_contains(text, ids);
    assert_contains(text, home);
    assert_contains(text, "reopen ok");
    free(text);
    box_destroy(&scene->box);
    memset(scene->argv, 0, sizeof scene->argv);
}

static void users_are_resolved(void **state) {
    expect_user(state, "web", "uid 33 gid 34 groups 44 45\n", "home /home/web ");
    expect_user(state, "33", "uid 33 gid 34 groups 44 45\n", "home /home/web ");
    expect_user(state, "", "uid 0 gid 0 groups 44\n", "home /home ");
    expect_user(state, "web:logs", "uid 33 gid 44 groups\n", "home /home/web ");
    expect_user(state, "1000", "uid 1000 gid 0 groups\n", "home / ");
    expect_user(state, "1000:65535", "uid 1000 gid 65535 groups\n", "home / ");
}

static void bad_users_are_refused(void **state) {
    static const char *const users[] = { "nobody", "high", "huge", "torn", "65536", "0:65536",
        "4294967296", "web:none", "99999999999999999999", "-1" };
    struct scene *scene = *state;
    for (size_t i = 0; i < sizeof users / sizeof *users; i++) {
        scene->block.user = users[i];
        scene->options.passwd = test_passwd;
        scene->options.group = test_group;
        start(scene, "exit", NULL);
        struct init_exit exit = finish(scene);
        assert_int_equal(exit.end, INIT_END_EXEC_FAILED);
        assert_int_equal(exit.stage, INIT_STAGE_USER);
        assert_string_equal(exit.text, users[i]);
        box_destroy(&scene->box);
    }
}

/* ---- the app attacks ----------------------------------------------------------------------- */

static void app_cannot_touch_init(void **state) {
    struct scene *scene = *state;
    static const char *const users[] = { "0:0", "1000:1000", "65535:65535" };
    for (size_t i = 0; i < sizeof users / sizeof *users; i++) {
        scene->block.user = users[i];
        start(scene, "hostile", NULL);
        struct init_exit exit = finish(scene);
        char *text = log_text(scene, LOG_STREAM_OUT);
        if (exit.end != INIT_END_EXITED || exit.code != 0) {
            fail_msg("as %s, end %u code %d:\n%s", users[i], exit.end, exit.code, text);
        }
        assert_contains(text, "leaks 0");
        free(text);
        box_destroy(&scene->box);
    }
}

/* The attacks on /proc work where nothing stands in their way, so the test above can fail. */
static void attacks_find_what_is_not_protected(void **state) {
    struct scene *scene = *state;
    scene->block.user = "0:0";
    start(scene, "control", NULL);
    assert_in_range(finish(scene).code, 15, 100);
}

static void init_survives_freeze_and_kill_of_the_app(void **state) {
    struct scene *scene = *state;
    struct init_state s;
    char path[BOX_PATH_MAX];
    start(scene, "tree", "3", "stay", NULL);
    int fd = box_connect(&scene->box);
    box_await(fd, &s, running, WAIT_MS);
    box_cgroup_file(&scene->box, "cgroup.freeze", path);
    int file = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(write(file, "1", 1), 1);
    close(file);
    box_request(fd, &(struct init_request){ .kind = INIT_REQUEST_STATE, .sequence = 9 });
    box_await(fd, &s, any, WAIT_MS);
    assert_int_equal(s.phase, INIT_PHASE_RUNNING);
    box_cgroup_file(&scene->box, "cgroup.kill", path);
    file = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(write(file, "1", 1), 1);
    close(file);
    box_await(fd, &s, ended, WAIT_MS);
    close(fd);
    struct init_exit exit = finish(scene);
    assert_int_equal(exit.end, INIT_END_SIGNALED);
    assert_int_equal(exit.signal, SIGKILL);
}

/* ---- stops and leases ---------------------------------------------------------------------- */

static void stop_sends_the_signal(void **state) {
    struct scene *scene = *state;
    struct init_state s;
    scene->block.stop_signal = SIGQUIT;
    start(scene, "sleep", NULL);
    int fd = box_connect(&scene->box);
    box_await(fd, &s, running, WAIT_MS);
    box_request(fd, &(struct init_request){ .kind = INIT_REQUEST_STOP, .grace_ms = WAIT_MS });
    box_await(fd, &s, ended, WAIT_MS);
    close(fd);
    struct init_exit exit = finish(scene);
    assert_int_equal(exit.signal, SIGQUIT);
    assert_int_equal(exit.flags, INIT_EXIT_STOPPED);
}

static void stop_kills_when_the_grace_is_over(void **state) {
    struct scene *scene = *state;
    struct init_state s;
    scene->block.grace_ms = 100;
    start(scene, "ignore", NULL);
    int fd = box_connect(&scene->box);
    await_output(fd, &s);
    msec before = clock_boot_msec();
    box_request(
        fd, &(struct init_request){ .kind = INIT_REQUEST_STOP, .grace_ms = INIT_GRACE_OF_START });
    box_await(fd, &s, ended, WAIT_MS);
    close(fd);
    struct init_exit exit = finish(scene);
    assert_int_equal(exit.signal, SIGKILL);
    assert_int_equal(exit.flags, INIT_EXIT_STOPPED | INIT_EXIT_KILLED);
    assert_in_range(exit.ended_boot_ms - before, 99, WAIT_MS);
}

static void lease_ends_the_app_without_an_agent(void **state) {
    struct scene *scene = *state;
    scene->block.flags = INIT_START_EXCLUSIVE;
    scene->block.deadline_boot_ms = clock_boot_msec() + 200;
    msec deadline = scene->block.deadline_boot_ms;
    start(scene, "ignore", NULL);
    struct init_exit exit = finish(scene);
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
    start(scene, "ignore", NULL);
    int fd = box_connect(&scene->box);
    box_await(fd, &s, running, WAIT_MS);
    box_request(fd,
        &(struct init_request){ .kind = INIT_REQUEST_DEADLINE, .deadline_boot_ms = first + 300 });
    box_await(fd, &s, any, WAIT_MS);
    assert_int_equal(s.deadline_boot_ms, first + 300);
    box_request(fd,
        &(struct init_request){ .kind = INIT_REQUEST_DEADLINE, .deadline_boot_ms = first - 200 });
    box_await(fd, &s, any, WAIT_MS);
    assert_int_equal(s.deadline_boot_ms, first + 300);
    box_await(fd, &s, ended, WAIT_MS);
    close(fd);
    struct init_exit exit = finish(scene);
    assert_in_range(exit.ended_boot_ms - first, 300, WAIT_MS);
}

/* ---- listeners ----------------------------------------------------------------------------- */

static void listeners_are_told(void **state) {
    struct scene *scene = *state;
    struct init_state s;
    static const uint8_t none[16];
    scene->block.port = 8080;
    scene->block.flags = INIT_START_LISTENER;
    start(scene, "listen", "8080", "9090", NULL);
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
    box_await(fd, &s, any, WAIT_MS);
    assert_int_equal(s.listener_count, 2);
    close(fd);
}

static void flood_of_listens_is_slowed_and_init_answers(void **state) {
    struct scene *scene = *state;
    struct init_state s;
    start(scene, "listen-flood", NULL);
    int fd = box_connect(&scene->box);
    box_await(fd, &s, running, WAIT_MS);
    msec before = clock_msec();
    uint32_t sequence = 0;
    while (clock_msec() - before < 1500) {
        box_request(
            fd, &(struct init_request){ .kind = INIT_REQUEST_STATE, .sequence = ++sequence });
        do {
            box_await(fd, &s, any, WAIT_MS);
        } while (s.acknowledged != sequence);
    }
    uint32_t windows = (uint32_t)((clock_msec() - before) / 1000) + 2;
    assert_in_range(s.listen_calls, 1, 256 * windows);
    close(fd);
}

static void other_notified_calls_are_refused_and_counted(void **state) {
    struct scene *scene = *state;
    struct init_state s;
    start(scene, "hostile", NULL);
    int fd = box_connect(&scene->box);
    box_await(fd, &s, ended, WAIT_MS);
    assert_int_equal(s.refused_calls, 1);
    assert_true(s.refused_last > 0);
    close(fd);
}

/* ---- init.sock ----------------------------------------------------------------------------- */

static void connections_are_bounded_and_garbage_is_cut(void **state) {
    struct scene *scene = *state;
    struct init_state s;
    start(scene, "sleep", NULL);
    int fds[INIT_CONNECTIONS_MAX];
    for (int i = 0; i < INIT_CONNECTIONS_MAX; i++) {
        fds[i] = box_connect(&scene->box);
        box_await(fds[i], &s, any, WAIT_MS);
    }
    int more = box_connect(&scene->box);
    assert_int_equal(recv(more, &s, sizeof s, 0), 0);
    close(more);
    assert_int_equal(send(fds[0], "nonsense", 8, MSG_NOSIGNAL), 8);
    while (recv(fds[0], &s, sizeof s, 0) > 0) {
    }
    close(fds[0]);
    fds[0] = box_connect(&scene->box);
    box_await(fds[0], &s, any, WAIT_MS);
    box_request(fds[0], &(struct init_request){ .kind = 77, .sequence = 3 });
    box_await(fds[0], &s, any, WAIT_MS);
    assert_int_equal(s.acknowledged, 3);
    assert_int_equal(s.result, ENOSYS);
    for (int i = 0; i < INIT_CONNECTIONS_MAX; i++) {
        close(fds[i]);
    }
}

static void slow_reader_gets_the_last_state(void **state) {
    struct scene *scene = *state;
    struct init_state s;
    start(scene, "sleep", NULL);
    int fd = box_connect(&scene->box), other = box_connect(&scene->box);
    box_await(other, &s, running, WAIT_MS);
    for (int i = 0; i < 2000; i++) { /* far more than a socket's buffer holds */
        box_request(fd, &(struct init_request){ .kind = INIT_REQUEST_STATE });
        if (i % 50 == 0) {
            box_request(other, &(struct init_request){ .kind = INIT_REQUEST_STATE });
            box_await(other, &s, any, WAIT_MS);
        }
    }
    box_request(other, &(struct init_request){ .kind = INIT_REQUEST_SIGNAL, .signal = SIGKILL });
    box_await(other, &s, ended, WAIT_MS);
    box_await(fd, &s, ended, WAIT_MS);
    close(fd);
    close(other);
}

/* ---- logs ---------------------------------------------------------------------------------- */

static void every_line_within_the_caps_is_kept(void **state) {
    struct scene *scene = *state;
    start(scene, "print", "20000", "60", NULL);
    struct init_exit exit = finish(scene);
    assert_int_equal(exit.code, 0);
    struct err err;
    struct log_piece line;
    struct log_reader *reader = log_reader_open(scene->box.dir_fd, &err);
    unsigned long expected = 0;
    while (log_reader_next(reader, &line)) {
        assert_int_equal(line.stream, LOG_STREAM_OUT);
        assert_int_equal(line.len, 60);
        assert_int_equal(strtoul(line.text, NULL, 10), ++expected);
        assert_int_equal(line.seq, expected);
    }
    log_reader_close(reader);
    assert_int_equal(expected, 20000);
    assert_int_equal(exit.log_lines, 20000);
}

static void long_lines_are_cut_and_bytes_kept(void **state) {
    struct scene *scene = *state;
    start(scene, "print", "2", "40000", NULL);
    finish(scene);
    char *text = log_text(scene, LOG_STREAM_OUT);
    assert_int_equal(strlen(text), 2 * 40001);
    free(text);
    box_destroy(&scene->box);
    start(scene, "raw", NULL);
    finish(scene);
    struct err err;
    struct log_piece line;
    struct log_reader *reader = log_reader_open(scene->box.dir_fd, &err);
    assert_int_equal(log_reader_next(reader, &line), 1);
    assert_int_equal(line.len, 8);
    assert_memory_equal(line.text, "a\0b\x1b[31m", 8);
    assert_int_equal(log_reader_next(reader, &line), 1);
    assert_int_equal(line.len, 10);
    assert_memory_equal(line.text, "no newline", 10);
    log_reader_close(reader);
}

/* Lines kept and told as dropped must add up to what the app wrote. */
static void assert_all_accounted(struct scene *scene, unsigned long lines, bool drops) {
    struct init_exit exit = finish(scene);
    assert_int_equal(exit.code, 0);
    struct err err;
    struct log_piece line;
    struct log_reader *reader = log_reader_open(scene->box.dir_fd, &err);
    unsigned long kept = 0, dropped = 0, seen = 0, first = 0;
    while (log_reader_next(reader, &line)) {
        if (line.flags & LOG_DROPPED) {
            dropped += line.dropped;
            seen = 0;
            continue;
        }
        unsigned long n = strtoul(line.text, NULL, 10);
        assert_true(!seen || n == seen + 1);
        seen = n;
        first = first ? first : n;
        kept++;
    }
    log_reader_close(reader);
    if (drops) {
        assert_true(exit.log_dropped > 0);
        assert_true(dropped <= exit.log_dropped);
    } else {
        assert_int_equal(exit.log_dropped, 0);
        assert_int_equal(first + kept - 1, lines);
    }
    print_message("          first %lu kept %lu told as dropped %lu, all drops %lu\n", first, kept,
        dropped, (unsigned long)exit.log_dropped);
}

static void old_segments_are_overwritten(void **state) {
    struct scene *scene = *state;
    scene->block.segment_bytes = LOG_SEGMENT_MIN;
    start(scene, "print", "20000", "100", NULL);
    assert_all_accounted(scene, 20000, false);
}

static void flood_is_dropped_and_counted(void **state) {
    struct scene *scene = *state;
    scene->block.log_rate = 256 << 10;
    start(scene, "print", "50000", "100", NULL);
    msec before = clock_msec();
    assert_all_accounted(scene, 50000, true);
    assert_true(clock_msec() - before < WAIT_MS);
}

static void full_disk_drops_and_the_record_stays(void **state) {
    struct scene *scene = *state;
    scene->options.small_logs = true;
    start(scene, "print", "5000", "100", NULL);
    assert_all_accounted(scene, 5000, true);
}

static void cgroup_procs_works_where_cloning_into_does_not(void **state) {
    struct scene *scene = *state;
    struct init_state s;
    scene->options.procs_only = true;
    start(scene, "sleep", NULL);
    int fd = box_connect(&scene->box);
    box_await(fd, &s, running, WAIT_MS);
    assert_int_equal(box_app_processes(&scene->box), 1);
    close(fd);
}

static void agent_hears_of_the_end_at_once(void **state) {
    struct scene *scene = *state;
    struct init_state s;
    usec sum = 0;
    enum { ROUNDS = 20 };
    for (int i = 0; i < ROUNDS; i++) {
        start(scene, "listen", "8080", NULL);
        int fd = box_connect(&scene->box);
        box_await(fd, &s, listening, WAIT_MS);
        usec before = clock_usec();
        box_request(fd, &(struct init_request){ .kind = INIT_REQUEST_SIGNAL, .signal = SIGKILL });
        box_await(fd, &s, ended, WAIT_MS);
        sum += clock_usec() - before;
        close(fd);
        finish(scene);
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
    if (geteuid() != 0) {
        puts("needs root");
        return 77;
    }
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(block_may_come_later),
        TEST(without_a_block_it_leaves),
        TEST(message_without_a_block_is_refused),
        TEST(exit_code_is_recorded),
        TEST(signal_is_recorded),
        TEST(missing_command_is_named),
        TEST(command_without_permission_is_named),
        TEST(missing_interpreter_is_told_apart),
        TEST(command_is_searched_in_path),
        TEST(missing_directory_is_named),
        TEST(bounding_set_stops_the_start),
        TEST(what_the_app_leaves_is_killed),
        TEST(out_of_memory_is_recorded_and_kills_all),
        TEST(app_has_no_privilege),
        TEST(users_are_resolved),
        TEST(bad_users_are_refused),
        TEST(app_cannot_touch_init),
        TEST(attacks_find_what_is_not_protected),
        TEST(init_survives_freeze_and_kill_of_the_app),
        TEST(stop_sends_the_signal),
        TEST(stop_kills_when_the_grace_is_over),
        TEST(lease_ends_the_app_without_an_agent),
        TEST(lease_is_renewed_and_never_shortened),
        TEST(listeners_are_told),
        TEST(flood_of_listens_is_slowed_and_init_answers),
        TEST(other_notified_calls_are_refused_and_counted),
        TEST(connections_are_bounded_and_garbage_is_cut),
        TEST(slow_reader_gets_the_last_state),
        TEST(every_line_within_the_caps_is_kept),
        TEST(long_lines_are_cut_and_bytes_kept),
        TEST(old_segments_are_overwritten),
        TEST(flood_is_dropped_and_counted),
        TEST(full_disk_drops_and_the_record_stays),
        TEST(cgroup_procs_works_where_cloning_into_does_not),
        TEST(agent_hears_of_the_end_at_once),
        TEST(refuses_to_run_by_hand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
