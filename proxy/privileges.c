/* What the proxy gives up. SPDX-License-Identifier: Apache-2.0 */
#include "privileges.h"

#include <errno.h>
#include <seccomp.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <unistd.h>

static const char *const allowed[] = {
#define X(name) #name,
#include "seccomp.def"
#undef X
};

static int allow_all(scmp_filter_ctx filter, struct err *err) {
    for (size_t i = 0; i < sizeof allowed / sizeof allowed[0]; i++) {
        int number = seccomp_syscall_resolve_name(allowed[i]);
        int failed =
            number == __NR_SCMP_ERROR ? 0 : seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);
        if (failed) {
            return err_sys(err, -failed, "allowing the system call %s", allowed[i]);
        }
    }
    /* Its flags lie in memory that a filter can't read: libc falls back to clone. */
    int failed = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    return failed ? err_sys(err, -failed, "refusing clone3") : 0;
}

static int filter_calls(struct err *err) {
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (!filter) {
        return err_no_memory(err);
    }
    /* Hot calls are found by a binary search, not at the end of a list. */
    seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    int result = allow_all(filter, err);
    if (result == 0) {
        int failed = seccomp_load(filter);
        result = failed ? err_sys(err, -failed, "installing the system call filter") : 0;
    }
    seccomp_release(filter);
    return result;
}

static int drop_capabilities(struct err *err) {
    cap_t none = cap_init();
    int failed = !none || cap_set_proc(none) != 0;
    int saved = errno;
    cap_free(none);
    return failed ? err_sys(err, saved, "dropping capabilities") : 0;
}

int privileges_drop(struct err *err) {
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return err_sys(err, errno, "giving up privileges");
    }
#ifndef __SANITIZE_ADDRESS__ /* whose leak check traces this process at its end */
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) {
        return err_sys(err, errno, "becoming undumpable");
    }
#endif
    for (int cap = 0; cap <= cap_max_bits() - 1; cap++) {
        prctl(PR_CAPBSET_DROP, cap, 0, 0, 0); /* only root may, and only root needs to */
    }
    if (drop_capabilities(err) < 0) {
        return -1;
    }
    return filter_calls(err);
}
