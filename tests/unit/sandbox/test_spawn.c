/* Children that share our memory until they execute a program. SPDX-License-Identifier: Apache-2.0
 */
#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <paas/file.h>

enum { ANSWER = 42 };

static int make(void **state) {
    static struct spawn_place place;
    *state = &place;
    return spawn_place_make(&place, NULL);
}

static int unmake(void **state) {
    spawn_place_free(*state);
    return 0;
}

/* Fills much of its stack, as paths and mount options do. */
static void fill_stack(void) {
    volatile unsigned char bytes[32 << 10];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (unsigned char)i;
    }
}

static int be_ready(const void *arg, struct err *err) {
    (void)arg;
    (void)err;
    fill_stack();
    return 0;
}

static int find_too_many(const void *arg, struct err *err) {
    return err_set(err, ERR_TOO_LARGE, "%s", (const char *)arg);
}

static int be_killed(const void *arg, struct err *err) {
    (void)arg;
    (void)err;
    return kill(getpid(), SIGKILL);
}

/* Neither its signals nor its files nor its directory are ours. */
static int change_its_own(const void *arg, struct err *err) {
    sigset_t all;
    (void)arg;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    close(0);
    return chdir("/proc") < 0 ? err_sys(err, errno, "chdir") : 0;
}

/* A child that becomes a shell, which exits with ANSWER. */
static struct spawn shell(int (*prepare)(const void *arg, struct err *err), const void *arg) {
    static char *const argv[] = { (char *)"sh", (char *)"-c", (char *)"exit 42", NULL };
    static int program = -1;
    if (program < 0) {
        program = open("/bin/sh", O_RDONLY | O_CLOEXEC);
        assert_true(program >= 0);
    }
    return (struct spawn){
        .cgroup = -1, .prepare = prepare, .arg = arg, .program = program, .argv = argv
    };
}

static int status_of(int pidfd) {
    siginfo_t info = { 0 };
    assert_int_equal(waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED), 0);
    assert_int_equal(info.si_code, CLD_EXITED);
    return info.si_status;
}

static void a_program_runs(void **state) {
    struct spawn how = shell(be_ready, NULL);
    for (int copies = 0; copies <= 1; copies++) {
        CLEANUP_FD int pidfd = -1;
        how.copies = copies == 1;
        assert_true(spawn_child(*state, &how, &pidfd, NULL) > 0);
        assert_int_equal(status_of(pidfd), ANSWER);
    }
}

static void what_failed_is_told(void **state) {
    struct spawn how = shell(find_too_many, "too many layers");
    for (int copies = 0; copies <= 1; copies++) {
        int pidfd = -1;
        struct err err;
        how.copies = copies == 1;
        assert_int_equal(spawn_child(*state, &how, &pidfd, &err), -1);
        assert_int_equal(err.code, ERR_TOO_LARGE);
        assert_string_equal(err.text, "too many layers");
        assert_int_equal(pidfd, -1);
    }
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* both are reaped */
}

static void what_is_no_program_is_told(void **state) {
    CLEANUP_FD int directory = open("/", O_RDONLY | O_CLOEXEC);
    struct spawn how = shell(be_ready, NULL);
    how.program = directory;
    int pidfd = -1;
    struct err err;
    assert_int_equal(spawn_child(*state, &how, &pidfd, &err), -1);
    assert_int_equal(err.sys, EACCES);
}

static void one_that_is_killed_is_reaped(void **state) {
    struct spawn how = shell(be_killed, NULL);
    int pidfd = -1;
    struct err err;
    assert_int_equal(spawn_child(*state, &how, &pidfd, &err), -1);
    assert_non_null(strstr(err.text, "died on its way"));
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void an_error_of_before_is_forgotten(void **state) {
    what_failed_is_told(state);
    a_program_runs(state);
}

static void what_is_its_own_stays_so(void **state) {
    char before[4096], after[4096];
    sigset_t mask;
    assert_non_null(getcwd(before, sizeof before));
    struct spawn how = shell(change_its_own, NULL);
    CLEANUP_FD int pidfd = -1;
    assert_true(spawn_child(*state, &how, &pidfd, NULL) > 0);
    assert_int_equal(status_of(pidfd), ANSWER);
    assert_non_null(getcwd(after, sizeof after));
    assert_string_equal(before, after);
    assert_int_equal(sigprocmask(SIG_SETMASK, NULL, &mask), 0);
    assert_int_equal(sigismember(&mask, SIGTERM), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_program_runs),
        cmocka_unit_test(what_failed_is_told),
        cmocka_unit_test(what_is_no_program_is_told),
        cmocka_unit_test(one_that_is_killed_is_reaped),
        cmocka_unit_test(an_error_of_before_is_forgotten),
        cmocka_unit_test(what_is_its_own_stays_so),
    };
    return cmocka_run_group_tests(tests, make, unmake);
}
