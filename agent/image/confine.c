/* A process gives up what its job does not need. SPDX-License-Identifier: Apache-2.0 */
#include "confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/capability.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    CONFINE_FILES = 400, /* descriptors: one for each directory on the way down, and a few more */
};

/* AddressSanitizer reserves terabytes of addresses. */
#ifdef __SANITIZE_ADDRESS__
enum { LIMITS_MEMORY = 0 };
#else
enum { LIMITS_MEMORY = 1 };
#endif

static int close_others(const int *fds, size_t count, struct err *err) {
    unsigned next = 0;
    for (size_t i = 0; i <= count; i++) {
        unsigned last = i < count ? (unsigned)fds[i] : ~0U;
        if (i < count && last < next) {
            continue;
        }
        if (last > next && close_range(next, i < count ? last - 1 : last, 0) < 0) {
            return err_sys(err, errno, "closing descriptors");
        }
        next = last + 1;
    }
    return 0;
}

static int set_limit(int resource, uint64_t value, struct err *err) {
    struct rlimit limit;
    if (getrlimit(resource, &limit) < 0) {
        return err_sys(err, errno, "getrlimit %d", resource);
    }
    /* Limits may only be lowered here. */
    limit.rlim_max = value < limit.rlim_max ? value : limit.rlim_max;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(resource, &limit) < 0) {
        return err_sys(err, errno, "setrlimit %d", resource);
    }
    return 0;
}

static int set_limits(const struct confine *c, struct err *err) {
    if (set_limit(RLIMIT_CORE, 0, err) < 0 || set_limit(RLIMIT_NOFILE, CONFINE_FILES, err) < 0 ||
        set_limit(RLIMIT_FSIZE, c->file_bytes, err) < 0 ||
        (c->memory && LIMITS_MEMORY && set_limit(RLIMIT_AS, c->memory, err) < 0)) {
        return -1;
    }
    sigset_t none;
    sigemptyset(&none);
    signal(SIGALRM, SIG_DFL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* EFBIG instead */
    if (sigprocmask(SIG_SETMASK, &none, NULL) < 0) {
        return err_sys(err, errno, "sigprocmask");
    }
    umask(0);
    alarm(c->seconds);
    return 0;
}

/* Capabilities over the ids of this user namespace; a process without any keeps none. */
static int keep_capabilities(struct err *err) {
    static const cap_value_t wanted[] = { CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID };
    cap_t have = cap_get_proc(), keep = cap_init();
    int result = have && keep ? 0 : -1;
    for (size_t i = 0; result == 0 && i < sizeof wanted / sizeof wanted[0]; i++) {
        cap_flag_value_t permitted;
        result = cap_get_flag(have, wanted[i], CAP_PERMITTED, &permitted);
        if (result == 0 && permitted == CAP_SET) {
            result = cap_set_flag(keep, CAP_PERMITTED, 1, &wanted[i], CAP_SET) |
                     cap_set_flag(keep, CAP_EFFECTIVE, 1, &wanted[i], CAP_SET);
        }
    }
    if (result == 0) {
        result = cap_set_proc(keep);
    }
    int sys = errno;
    cap_free(have);
    cap_free(keep);
    if (result < 0) {
        return err_sys(err, sys, "dropping capabilities");
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) {
        return err_sys(err, errno, "prctl");
    }
    return 0;
}

/* All that Landlock's second version (Linux 5.19) can forbid. */
#define LANDLOCK_ALL                                                                               \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE |   \
        LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_REMOVE_DIR |                              \
        LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR |                            \
        LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK | \
        LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |                             \
        LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_REFER)
#define LANDLOCK_NEEDED                                                                            \
    (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_REMOVE_DIR | \
        LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR |                            \
        LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_FIFO | \
        LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_REFER)

static int allow_beneath(
    int ruleset, const int *directories, size_t count, uint64_t access, struct err *err) {
    for (size_t i = 0; i < count; i++) {
        struct landlock_path_beneath_attr rule = {
            .allowed_access = access,
            .parent_fd = directories[i],
        };
        if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0) {
            return err_sys(err, errno, "landlock_add_rule");
        }
    }
    return 0;
}

static int apply_ruleset(int ruleset, const struct confine *c, struct err *err) {
    if (allow_beneath(ruleset, c->directories, c->directory_count, LANDLOCK_NEEDED, err) < 0 ||
        allow_beneath(ruleset, c->sources, c->source_count, LANDLOCK_ACCESS_FS_READ_DIR, err) < 0) {
        return -1;
    }
    return syscall(SYS_landlock_restrict_self, ruleset, 0) < 0
               ? err_sys(err, errno, "landlock_restrict_self")
               : 0;
}

static int forbid_paths(const struct confine *c, struct err *err) {
    struct landlock_ruleset_attr all = { .handled_access_fs = LANDLOCK_ALL };
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (version < 2) {
        /* Not in this kernel, or switched off: capabilities and the filter still hold. */
        return 0;
    }
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof all, 0);
    if (ruleset < 0) {
        return err_sys(err, errno, "landlock_create_ruleset");
    }
    int result = apply_ruleset(ruleset, c, err);
    close(ruleset);
    return result;
}

/* What reading a pipe, making files beneath a directory, and the C library's memory need. */
static const int allowed_calls[] = {
    SCMP_SYS(read),
    SCMP_SYS(readv),
    SCMP_SYS(write),
    SCMP_SYS(pwrite64),
    SCMP_SYS(lseek),
    SCMP_SYS(close),
    SCMP_SYS(fstat),
    SCMP_SYS(newfstatat),
    SCMP_SYS(fstatfs),
    SCMP_SYS(openat),
    SCMP_SYS(openat2),
    SCMP_SYS(getdents64),
    SCMP_SYS(fcntl),
    SCMP_SYS(mkdirat),
    SCMP_SYS(mknodat),
    SCMP_SYS(symlinkat),
    SCMP_SYS(linkat),
    SCMP_SYS(unlinkat),
    SCMP_SYS(fchown),
    SCMP_SYS(fchownat),
    SCMP_SYS(fchmod),
    SCMP_SYS(flistxattr),
    SCMP_SYS(fgetxattr),
    SCMP_SYS(fsetxattr),
    SCMP_SYS(utimensat),
    SCMP_SYS(ftruncate),
    SCMP_SYS(syncfs),
    SCMP_SYS(brk),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    SCMP_SYS(futex),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(getpid),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
};

/* Memory, but none that can be executed. */
static int allow_memory(scmp_filter_ctx filter) {
    const struct scmp_arg_cmp plain = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
    int result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, plain);
    return result < 0 ? result
                      : seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, plain);
}

static int forbid_calls(struct err *err) {
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (!filter) {
        return err_no_memory(err);
    }
    int result = allow_memory(filter);
    for (size_t i = 0; result == 0 && i < sizeof allowed_calls / sizeof allowed_calls[0]; i++) {
        result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed_calls[i], 0);
    }
    if (result == 0) {
        result = seccomp_load(filter);
    }
    seccomp_release(filter);
    return result < 0 ? err_sys(err, -result, "installing the filter of system calls") : 0;
}

int confine_self(const struct confine *c, struct err *err) {
    return close_others(c->fds, c->fd_count, err) < 0 || set_limits(c, err) < 0 ||
                   keep_capabilities(err) < 0 || forbid_paths(c, err) < 0 || forbid_calls(err) < 0
               ? -1
               : 0;
}
