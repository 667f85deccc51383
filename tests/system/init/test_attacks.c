/* What the app under paas-init is, and what it can do to it. Needs root. SPDX-License-Identifier:
 * Apache-2.0 */
#include "scene.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char *facts(struct scene *scene) {
    scene_start(scene, "facts", NULL);
    struct init_exit exit = scene_finish(scene);
    assert_int_equal(exit.end, INIT_END_EXITED);
    return scene_log(scene, LOG_STREAM_OUT);
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
    text = scene_log(scene, LOG_STREAM_ERR);
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
        scene_start(scene, "exit", NULL);
        struct init_exit exit = scene_finish(scene);
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
        scene_start(scene, "hostile", NULL);
        struct init_exit exit = scene_finish(scene);
        char *text = scene_log(scene, LOG_STREAM_OUT);
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
    scene_start(scene, "control", NULL);
    assert_in_range(scene_finish(scene).code, 15, 100);
}

static void init_survives_freeze_and_kill_of_the_app(void **state) {
    struct scene *scene = *state;
    struct init_state s;
    char path[BOX_PATH_MAX];
    scene_start(scene, "tree", "3", "stay", NULL);
    int fd = box_connect(&scene->box);
    box_await(fd, &s, scene_running, WAIT_MS);
    box_cgroup_file(&scene->box, "cgroup.freeze", path);
    int file = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(write(file, "1", 1), 1);
    close(file);
    box_request(fd, &(struct init_request){ .kind = INIT_REQUEST_STATE, .sequence = 9 });
    box_await(fd, &s, scene_any, WAIT_MS);
    assert_int_equal(s.phase, INIT_PHASE_RUNNING);
    box_cgroup_file(&scene->box, "cgroup.kill", path);
    file = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(write(file, "1", 1), 1);
    close(file);
    box_await(fd, &s, scene_ended, WAIT_MS);
    close(fd);
    struct init_exit exit = scene_finish(scene);
    assert_int_equal(exit.end, INIT_END_SIGNALED);
    assert_int_equal(exit.signal, SIGKILL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SCENE_TEST(app_has_no_privilege),
        SCENE_TEST(users_are_resolved),
        SCENE_TEST(bad_users_are_refused),
        SCENE_TEST(app_cannot_touch_init),
        SCENE_TEST(attacks_find_what_is_not_protected),
        SCENE_TEST(init_survives_freeze_and_kill_of_the_app),
    };
    return scene_skip() ? 77 : cmocka_run_group_tests(tests, NULL, NULL);
}
