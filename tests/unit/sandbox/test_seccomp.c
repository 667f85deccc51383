/* What the compiled filter answers, for every system call number. SPDX-License-Identifier:
 * Apache-2.0
 *
 * The program is run in a small interpreter of classic BPF. Expectations stand here once more, by
 * name, so that a slip in seccomp.def does not pass by agreeing with itself.
 */
#include "seccomp_filter.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cmocka.h>

enum { STEPS_MAX = 1000, X32 = 0x40000000 };

struct programs {
    struct seccomp_program app, exec;
};

/* Runs the instructions that our compiler emits; any other one fails the test. */
static uint32_t run(const struct seccomp_program *p, const struct seccomp_data *data) {
    uint32_t a = 0;
    size_t pc = 0;
    for (int steps = 0; steps < STEPS_MAX; steps++) {
        assert_true(pc < p->count);
        const struct sock_filter *i = &p->insns[pc++];
        switch (i->code) {
        case BPF_LD | BPF_W | BPF_ABS:
            assert_true(i->k + sizeof a <= sizeof *data && i->k % 4 == 0);
            memcpy(&a, (const char *)data + i->k, sizeof a);
            break;
        case BPF_JMP | BPF_JEQ | BPF_K:
            pc += a == i->k ? i->jt : i->jf;
            break;
        case BPF_JMP | BPF_JGE | BPF_K:
            pc += a >= i->k ? i->jt : i->jf;
            break;
        case BPF_JMP | BPF_JSET | BPF_K:
            pc += a & i->k ? i->jt : i->jf;
            break;
        case BPF_RET | BPF_K:
            return i->k;
        default:
            fail_msg("instruction %#x", i->code);
        }
    }
    fail_msg("no end");
    return 0;
}

static uint32_t ask(
    const struct seccomp_program *p, int number, uint64_t a0, uint64_t a1, uint64_t a2) {
    struct seccomp_data data = {
        .nr = number, .arch = seccomp_arch_native(), .args = { a0, a1, a2 }
    };
    return run(p, &data);
}

static int number_of(const char *name) {
    return seccomp_syscall_resolve_name(name);
}

static uint32_t ask_name(
    const struct seccomp_program *p, const char *name, uint64_t a0, uint64_t a1, uint64_t a2) {
    int number = number_of(name);
    assert_true(number >= 0);
    return ask(p, number, a0, a1, a2);
}

static const uint32_t allow = SECCOMP_RET_ALLOW, eperm = SECCOMP_RET_ERRNO | EPERM,
                      enosys = SECCOMP_RET_ERRNO | ENOSYS,
                      eafnosupport = SECCOMP_RET_ERRNO | EAFNOSUPPORT;

/* Whatever reaches the machine, its clock, its keys or other tenants. */
static const char *const refused[] = { "acct", "add_key", "adjtimex", "bpf", "chroot",
    "clock_adjtime", "clock_settime", "delete_module", "fanotify_init", "finit_module", "fsconfig",
    "fsmount", "fsopen", "fspick", "get_mempolicy", "init_module", "ioperm", "iopl", "kcmp",
    "kexec_file_load", "kexec_load", "keyctl", "lookup_dcookie", "mbind", "migrate_pages",
    "modify_ldt", "mount", "mount_setattr", "move_mount", "move_pages", "open_by_handle_at",
    "open_tree", "perf_event_open", "pivot_root", "process_madvise", "quotactl", "quotactl_fd",
    "reboot", "request_key", "set_mempolicy", "setdomainname", "sethostname", "setns",
    "settimeofday", "swapoff", "swapon", "syslog", "umount2", "unshare", "uselib", "userfaultfd",
    "vhangup" };

static const char *const absent[] = { "clone3", "io_uring_setup", "io_uring_enter",
    "io_uring_register" };

/* Without these few programs run. */
static const char *const allowed[] = { "read", "write", "openat", "close", "mmap", "munmap",
    "mprotect", "brk", "rt_sigaction", "rt_sigprocmask", "execve", "exit_group", "wait4", "futex",
    "epoll_create1", "epoll_ctl", "epoll_pwait", "bind", "connect", "accept4", "sendmsg", "recvmsg",
    "clock_gettime", "nanosleep", "getrandom", "prctl", "seccomp", "statx", "openat2",
    "close_range", "rseq", "set_robust_list", "set_tid_address", "arch_prctl", "prlimit64",
    "landlock_create_ruleset", "memfd_create", "pidfd_open", "setuid", "setgid", "setgroups" };

static void refused_calls(void **state) {
    const struct programs *p = *state;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        if (number_of(refused[i]) >= 0 && ask_name(&p->app, refused[i], 0, 0, 0) != eperm) {
            fail_msg("%s", refused[i]);
        }
    }
    for (size_t i = 0; i < sizeof absent / sizeof absent[0]; i++) {
        if (ask_name(&p->app, absent[i], 0, 0, 0) != enosys) {
            fail_msg("%s", absent[i]);
        }
    }
}

static void allowed_calls(void **state) {
    const struct programs *p = *state;
    for (size_t i = 0; i < sizeof allowed / sizeof allowed[0]; i++) {
        if (number_of(allowed[i]) >= 0 && ask_name(&p->app, allowed[i], 0, 0, 0) != allow) {
            fail_msg("%s", allowed[i]);
        }
    }
}

/* Every number gets one of the known answers, and one without a name is as good as not there. */
static void every_number(void **state) {
    const struct programs *p = *state;
    for (int number = 0; number < 2 * SECCOMP_NUMBERS; number++) {
        uint32_t answer = ask(&p->app, number, AF_INET, 0, 0);
        char *name = seccomp_syscall_resolve_num_arch(seccomp_arch_native(), number);
        if (!name) {
            assert_int_equal(answer, enosys);
        } else if (strcmp(name, "listen") == 0) {
            assert_int_equal(answer, SECCOMP_RET_USER_NOTIF);
        } else {
            assert_true(answer == allow || answer == eperm || answer == enosys);
        }
        free(name);
        /* Nothing differs without a listener but the notification. */
        uint32_t beside = ask(&p->exec, number, AF_INET, 0, 0);
        assert_int_equal(beside, answer == SECCOMP_RET_USER_NOTIF ? allow : answer);
    }
    static const int far[] = { 0x3fffffff, -1, INT32_MIN };
    for (size_t i = 0; i < sizeof far / sizeof far[0]; i++) {
        assert_true(ask(&p->app, far[i], 0, 0, 0) != allow);
    }
}

static void other_architectures(void **state) {
    const struct programs *p = *state;
    struct seccomp_data data = { .nr = 1, .arch = AUDIT_ARCH_I386 };
    assert_int_equal(run(&p->app, &data), SECCOMP_RET_KILL_PROCESS);
    if (seccomp_arch_native() == SCMP_ARCH_X86_64) {
        assert_int_equal(ask(&p->app, X32, 0, 0, 0), SECCOMP_RET_KILL_PROCESS);
        assert_int_equal(ask(&p->app, X32 | 512, 0, 0, 0), SECCOMP_RET_KILL_PROCESS);
    }
}

static void clone_makes_no_namespace(void **state) {
    const struct programs *p = *state;
    static const uint64_t flags[] = { CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC,
        CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET, 0x80 /* NEWTIME */ };
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        assert_int_equal(ask_name(&p->app, "clone", flags[i] | 17, 0, 0), eperm);
        /* The kernel reads the low half: rubbish above must not help. */
        assert_int_equal(ask_name(&p->app, "clone", flags[i] | 1ULL << 40, 0, 0), eperm);
    }
    uint64_t thread = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
                      CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;
    assert_int_equal(ask_name(&p->app, "clone", thread, 0, 0), allow);
    assert_int_equal(ask_name(&p->app, "clone", 17, 0, 0), allow);
}

static void socket_families(void **state) {
    const struct programs *p = *state;
    static const char *const calls[] = { "socket", "socketpair" };
    for (int c = 0; c < 2; c++) {
        for (uint64_t family = 0; family < 64; family++) {
            bool good = family == AF_UNIX || family == AF_INET || family == AF_INET6 ||
                        family == AF_NETLINK;
            assert_int_equal(
                ask_name(&p->app, calls[c], family, SOCK_RAW, 0), good ? allow : eafnosupport);
        }
        for (uint64_t protocol = 1; protocol < 32; protocol++) {
            assert_int_equal(
                ask_name(&p->app, calls[c], AF_NETLINK, SOCK_RAW, protocol), eafnosupport);
        }
        assert_int_equal(ask_name(&p->app, calls[c], 1ULL << 32 | 38, 0, 0), eafnosupport);
    }
}

static void terminals_are_not_typed_into(void **state) {
    const struct programs *p = *state;
    assert_int_equal(ask_name(&p->app, "ioctl", 0, TIOCSTI, 0), eperm);
    assert_int_equal(ask_name(&p->app, "ioctl", 0, 1ULL << 32 | TIOCSTI, 0), eperm);
    assert_int_equal(ask_name(&p->app, "ioctl", 0, TIOCLINUX, 0), eperm);
    assert_int_equal(ask_name(&p->app, "ioctl", 0, TIOCSETD, 0), eperm);
    assert_int_equal(ask_name(&p->app, "ioctl", 0, TIOCGWINSZ, 0), allow);
}

static void personalities(void **state) {
    const struct programs *p = *state;
    static const uint64_t good[] = { 0, 0x8, 0x20000, 0x20008, 0xffffffff };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(ask_name(&p->app, "personality", good[i], 0, 0), allow);
    }
    assert_int_equal(ask_name(&p->app, "personality", 0x40000 /* no ASLR */, 0, 0), eperm);
    assert_int_equal(
        ask_name(&p->app, "personality", 0x400000 /* READ_IMPLIES_EXEC */, 0, 0), eperm);
}

static int compile(void **state) {
    static struct programs programs;
    struct err err;
    *state = &programs;
    return seccomp_compile(SECCOMP_WITH_LISTENER, &programs.app, &err) < 0 ||
           seccomp_compile(SECCOMP_WITHOUT_LISTENER, &programs.exec, &err) < 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused_calls),
        cmocka_unit_test(allowed_calls),
        cmocka_unit_test(every_number),
        cmocka_unit_test(other_architectures),
        cmocka_unit_test(clone_makes_no_namespace),
        cmocka_unit_test(socket_families),
        cmocka_unit_test(terminals_are_not_typed_into),
        cmocka_unit_test(personalities),
    };
    return cmocka_run_group_tests(tests, compile, NULL);
}
