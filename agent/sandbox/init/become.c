/* The last steps of a process of ours that becomes one of the app's. SPDX-License-Identifier:
 * Apache-2.0
 */
#include "become.h"

#include "guard.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <linux/seccomp.h>
#include <unistd.h>

enum {
    PATH_BYTES = 4096,
    FILTER_MAX = 4096, /* instructions, the kernel's own bound */
};

static const char default_path[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

int become_map_filter(struct sock_fprog *program, struct failure *failure) {
    struct stat st;
    int seals = fcntl(INIT_FD_SECCOMP, F_GET_SEALS);
    if (seals < 0 || !(seals & F_SEAL_WRITE) || fstat(INIT_FD_SECCOMP, &st) < 0) {
        return failure_set(failure, INIT_STAGE_SECCOMP, EPERM, "not sealed");
    }
    size_t bytes = (size_t)st.st_size;
    if (bytes == 0 || bytes % sizeof(struct sock_filter) ||
        bytes / sizeof(struct sock_filter) > FILTER_MAX) {
        return failure_set(failure, INIT_STAGE_SECCOMP, EINVAL, "size");
    }
    void *map = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, INIT_FD_SECCOMP, 0);
    if (map == MAP_FAILED) {
        return failure_set(failure, INIT_STAGE_SECCOMP, errno, "map");
    }
    program->len = (unsigned short)(bytes / sizeof(struct sock_filter));
    program->filter = map;
    return 0;
}

int become_user(const struct user *user, struct failure *failure) {
    if (setgroups(user->group_count, user->groups) < 0 ||
        setresgid(user->gid, user->gid, user->gid) < 0 ||
        setresuid(user->uid, user->uid, user->uid) < 0) {
        return failure_set(failure, INIT_STAGE_IDENTITY, errno, "ids");
    }
    if (guard_capabilities(0) < 0) {
        return failure_set(failure, INIT_STAGE_IDENTITY, errno, "capabilities");
    }
    return 0;
}

int become_resident(const char *cwd, struct failure *failure) {
    char real[PATH_BYTES];
    if (chdir(cwd) < 0) {
        return failure_set(failure, INIT_STAGE_DIRECTORY, errno, cwd);
    }
    /* The kernel's call names a directory outside the root "(unreachable)…". */
    if (syscall(SYS_getcwd, real, sizeof real) < 0 || real[0] != '/') {
        return failure_set(failure, INIT_STAGE_DIRECTORY, EXDEV, cwd);
    }
    return 0;
}

int become_filtered(const struct sock_fprog *program, unsigned flags, struct failure *failure) {
    int fd = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, program);
    return fd < 0 ? failure_set(failure, INIT_STAGE_SECCOMP, errno, "filter") : fd;
}

static void reset_signals(void) {
    struct sigaction standard = { .sa_handler = SIG_DFL };
    for (int signal = 1; signal < NSIG; signal++) {
        sigaction(signal, &standard, NULL);
    }
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* execve of one path. On return *failure holds the reason, if it is worth more than the one that is
 * there already: anything is better than "no such file". */
static void try_path(const char *path, const struct start *start, struct failure *failure) {
    execve(path, start->argv, start->envp);
    int sys = errno;
    bool exists = (sys == ENOENT || sys == ENOTDIR) && access(path, F_OK) == 0;
    if (exists || !failure->stage || failure->sys == ENOENT || failure->sys == ENOTDIR) {
        failure_set(failure, exists ? INIT_STAGE_LOADER : INIT_STAGE_EXEC, sys, path);
    }
}

void become_command(const struct start *start, struct failure *failure) {
    const char *name = start->argv[0];
    memset(failure, 0, sizeof *failure);
    reset_signals();
    if (strchr(name, '/')) {
        try_path(name, start, failure);
        return;
    }
    const char *path = start_env(start, "PATH");
    path = path && *path ? path : default_path;
    while (*path) {
        size_t len = strcspn(path, ":");
        char full[PATH_BYTES];
        int n = snprintf(full, sizeof full, "%.*s%s%s", (int)(len < PATH_BYTES ? len : PATH_BYTES),
            path, len ? "/" : "./", name);
        if (n > 0 && (size_t)n < sizeof full) {
            try_path(full, start, failure);
        }
        path += len + (path[len] == ':');
    }
    if (!failure->stage || (failure->stage == INIT_STAGE_EXEC && failure->sys == ENOENT)) {
        failure_set(failure, INIT_STAGE_EXEC, ENOENT, name); /* nowhere: the name says more */
    }
}
