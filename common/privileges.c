/* What a daemon gives up. SPDX-License-Identifier: Apache-2.0 */
#include <paas/privileges.h>

#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *const daemon_calls[] = {
#define X(name) #name,
#include "daemon_calls.def"
#undef X
    NULL,
};

static const char *const root_refused[] = {
#define X(name) #name,
#include "root_refused.def"
#undef X
    NULL,
};

static const int socket_families[] = { AF_UNIX, AF_INET, AF_INET6 };

#ifdef __SANITIZE_ADDRESS__
enum { DUMPABLE = 1 };
#else
enum { DUMPABLE = 0 };
#endif

/* ---- System calls ---- */

static int add_all(
    scmp_filter_ctx filter, uint32_t action, const char *const *calls, struct err *err) {
    for (size_t i = 0; calls && calls[i]; i++) {
        int number = seccomp_syscall_resolve_name(calls[i]);
        /* An older library does not know each name; a machine does not have each call. */
        int failed = number == __NR_SCMP_ERROR ? 0 : seccomp_rule_add(filter, action, number, 0);
        if (failed) {
            return err_sys(err, -failed, "filtering the system call %s", calls[i]);
        }
    }
    return 0;
}

static int allow_sockets(scmp_filter_ctx filter, struct err *err) {
    for (size_t i = 0; i < sizeof socket_families / sizeof socket_families[0]; i++) {
        int failed = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
            SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)socket_families[i], 0));
        if (failed) {
            return err_sys(err, -failed, "allowing sockets of family %d", socket_families[i]);
        }
    }
    return 0;
}

static int allow_threads(scmp_filter_ctx filter, struct err *err) {
    int failed = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
#ifndef __SANITIZE_ADDRESS__
    if (!failed) {
        failed = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
            SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
    }
#endif
    return failed ? err_sys(err, -failed, "allowing threads") : 0;
}

static int install(scmp_filter_ctx filter, struct err *err) {
    /* Hot calls are found by a binary search, not at the end of a list. */
    seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    int failed = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    if (!failed) {
        failed = seccomp_load(filter);
    }
    return failed ? err_sys(err, -failed, "installing the filter of system calls") : 0;
}

static int allow_only(const char *const *more, struct err *err) {
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (!filter) {
        return err_no_memory(err);
    }
    bool made = add_all(filter, SCMP_ACT_ALLOW, daemon_calls, err) == 0 &&
                add_all(filter, SCMP_ACT_ALLOW, more, err) == 0 &&
                allow_sockets(filter, err) == 0 && allow_threads(filter, err) == 0;
    int result = made ? install(filter, err) : -1;
    seccomp_release(filter);
    return result;
}

static int refuse(const char *const *calls, struct err *err) {
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    if (!filter) {
        return err_no_memory(err);
    }
    bool made = add_all(filter, SCMP_ACT_ERRNO(EPERM), calls, err) == 0;
    int result = made ? install(filter, err) : -1;
    seccomp_release(filter);
    return result;
}

/* ---- Capabilities ---- */

/* The kernel has more or fewer capabilities than this was built with. Only who may set them can
 * take one from the bounding set; who may not has nothing to gain from it either. */
static int drop_bounding(uint64_t keep, struct err *err) {
    for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++) {
        bool kept = cap < 64 && keep >> cap & 1;
        if (!kept && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0 && errno != EPERM) {
            return err_sys(err, errno, "dropping capability %d", cap);
        }
    }
    return 0;
}

static int keep_capabilities(uint64_t keep, struct err *err) {
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 ||
        syscall(SYS_capget, &header, sets) < 0) {
        return err_sys(err, errno, "giving up privileges");
    }
    if (drop_bounding(keep, err) < 0) {
        return -1;
    }
    for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
        sets[i].permitted &= (uint32_t)(keep >> (32 * i));
        sets[i].effective = sets[i].permitted;
        sets[i].inheritable = 0;
    }
    return syscall(SYS_capset, &header, sets) < 0 ? err_sys(err, errno, "dropping capabilities")
                                                  : 0;
}

int privileges_keep(uint64_t keep, struct err *err) {
    return keep_capabilities(keep, err) < 0 ? -1 : refuse(root_refused, err);
}

int privileges_drop(const char *const *more, struct err *err) {
    if (prctl(PR_SET_DUMPABLE, DUMPABLE, 0, 0, 0) < 0) {
        return err_sys(err, errno, "becoming undumpable");
    }
    return keep_capabilities(0, err) < 0 ? -1 : allow_only(more, err);
}
