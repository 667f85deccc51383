/* Gives up what a scheduler does not need. SPDX-License-Identifier: Apache-2.0 */
#include "privileges.h"

#include <errno.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/capability.h>
#include <sys/prctl.h>

static const char *const calls[] = {
#define CALL(name) #name,
#include "seccomp.def"
#undef CALL
};

/* The bounding set can only be emptied by who may set capabilities; then nothing else is left. */
static int drop_capabilities(struct err *err) {
    for (int cap = 0; cap <= CAP_LAST_CAP; cap++) {
        if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0 && errno != EPERM && errno != EINVAL) {
            return err_sys(err, errno, "dropping capability %d", cap);
        }
    }
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    cap_t none = cap_init();
    int rc = none ? cap_set_proc(none) : -1;
    int error = errno;
    cap_free(none);
    return rc < 0 ? err_sys(err, error, "dropping all capabilities") : 0;
}

static int load_filter(struct err *err) {
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (!filter) {
        return err_no_memory(err);
    }
    int rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    for (size_t i = 0; rc == 0 && i < sizeof(calls) / sizeof(calls[0]); i++) {
        int number = seccomp_syscall_resolve_name(calls[i]);
        if (number >= 0) { /* some are not of every machine */
            rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);
        }
    }
    if (rc == 0) {
        rc = seccomp_load(filter);
    }
    seccomp_release(filter);
    return rc < 0 ? err_sys(err, -rc, "installing the filter of system calls") : 0;
}

#ifdef __SANITIZE_ADDRESS__
enum { DUMPABLE = 1 /* the leak check reads the process from outside */ };
#else
enum { DUMPABLE = 0 };
#endif

int privileges_drop(struct err *err) {
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0
        || prctl(PR_SET_DUMPABLE, DUMPABLE, 0, 0, 0) < 0) {
        return err_sys(err, errno, "giving up privileges");
    }
    return drop_capabilities(err) < 0 ? -1 : load_filter(err);
}
