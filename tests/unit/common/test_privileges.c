/* What is left after giving up privileges; each in a process of its own, as nobody gets them back.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <linux/capability.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <paas/privileges.h>

#define check(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(                                                                               \
                stderr, "%s:%d: not so: %s (errno %d)\n", __FILE__, __LINE__, #condition, errno);  \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

static void in_a_child(void (*test)(void)) {
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        test();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static bool refused(long number) {
    return syscall(number, 0, 0, 0, 0, 0, 0) == -1 && errno == EPERM;
}

static bool has_any(uint64_t *permitted) {
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];
    check(syscall(SYS_capget, &header, sets) == 0);
    *permitted = sets[0].permitted | (uint64_t)sets[1].permitted << 32;
    check(sets[0].effective == sets[0].permitted && sets[1].effective == sets[1].permitted);
    return *permitted || sets[0].inheritable || sets[1].inheritable;
}

/* ---- A daemon ---- */

static void *work(void *data) {
    return data;
}

static void drop_all(void) {
    struct err err;
    pthread_t thread;
    check(privileges_drop(NULL, &err) == 0);
    check(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
    check(prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == 2);
    check(socket(AF_INET, SOCK_STREAM, 0) >= 0 && socket(AF_UNIX, SOCK_STREAM, 0) >= 0);
    check(socket(AF_NETLINK, SOCK_RAW, 0) < 0 && errno == EPERM);
    check(socket(AF_PACKET, SOCK_RAW, 0) < 0 && errno == EPERM);
    check(refused(SYS_execve) && refused(SYS_unshare) && refused(SYS_setns) && refused(SYS_mount));
    check(refused(SYS_io_uring_setup) && refused(SYS_bpf) && refused(SYS_keyctl));
    check(refused(SYS_pidfd_open) && refused(SYS_pidfd_getfd) && refused(SYS_memfd_create));
    check(syscall(SYS_clone3, NULL, 0) == -1 && errno == ENOSYS);
    check(pthread_create(&thread, NULL, work, NULL) == 0 && pthread_join(thread, NULL) == 0);
#ifndef __SANITIZE_ADDRESS__
    check(fork() < 0 && errno == EPERM);
    check(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0);
#endif
}

static void a_daemon_has_its_list_and_nothing_more(void **state) {
    (void)state;
    in_a_child(drop_all);
}

static void drop_but_one(void) {
    static const char *const more[] = { "pidfd_open", "no_such_call", NULL };
    struct err err;
    check(privileges_drop(more, &err) == 0);
    check(syscall(SYS_pidfd_open, getpid(), 0) >= 0);
    check(refused(SYS_memfd_create));
}

static void a_daemon_asks_for_more_by_name(void **state) {
    (void)state;
    in_a_child(drop_but_one);
}

static void drop_capabilities(void) {
    struct err err;
    uint64_t permitted;
    check(has_any(&permitted) || geteuid() != 0);
    check(privileges_drop(NULL, &err) == 0);
    check(prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN, 0, 0, 0) == 0 || geteuid() != 0);
    for (int cap = 0; geteuid() == 0 && prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++) {
        check(prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 0);
    }
}

static void a_daemon_has_no_capability(void **state) {
    (void)state;
    in_a_child(drop_capabilities);
}

struct early {
    sem_t dropped;
    bool was_refused;
};

static void *wait_and_try(void *data) {
    struct early *early = data;
    sem_wait(&early->dropped);
    early->was_refused = refused(SYS_unshare);
    return NULL;
}

static void drop_with_a_thread(void) {
    struct err err;
    struct early early = { .was_refused = false };
    pthread_t thread;
    sem_init(&early.dropped, 0, 0);
    check(pthread_create(&thread, NULL, wait_and_try, &early) == 0);
    check(privileges_drop(NULL, &err) == 0);
    sem_post(&early.dropped);
    check(pthread_join(thread, NULL) == 0);
    check(early.was_refused);
}

static void threads_of_before_are_filtered_too(void **state) {
    (void)state;
    in_a_child(drop_with_a_thread);
}

/* ---- Root ---- */

static void keep_two(void) {
    const uint64_t two = UINT64_C(1) << CAP_CHOWN | UINT64_C(1) << CAP_KILL;
    struct err err;
    uint64_t before, after;
    has_any(&before);
    check(privileges_keep(two, &err) == 0);
    has_any(&after);
    check(after == (before & two));
    check(prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN, 0, 0, 0) == 0 || geteuid() != 0);
    check(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
    check(prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == 2);
    check(refused(SYS_perf_event_open) && refused(SYS_keyctl) && refused(SYS_kexec_load));
    check(syscall(SYS_unshare, 0) == 0);
}

static void root_keeps_what_it_names(void **state) {
    (void)state;
    in_a_child(keep_two);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_daemon_has_its_list_and_nothing_more),
        cmocka_unit_test(a_daemon_asks_for_more_by_name),
        cmocka_unit_test(a_daemon_has_no_capability),
        cmocka_unit_test(threads_of_before_are_filtered_too),
        cmocka_unit_test(root_keeps_what_it_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
