/* The app's process, from clone to execve. SPDX-License-Identifier: Apache-2.0
 *
 * Story: the child is cloned into the cgroup leaf `app`, joins the v1 groups, gets a session and
 * its streams, becomes the user, loses every capability, enters the working directory, installs the
 * filter, hands the filter's notifier to paas-init over the launch socket, and executes the
 * command. Whatever fails is told on the same socket; when execve succeeds the socket closes by
 * itself.
 */
#include "app.h"

#include "guard.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    PIPE_BYTES = 256 << 10, /* how far paas-init may lag before the app waits */
    PATH_BYTES = 4096,
    FILTER_MAX = 4096, /* instructions, the kernel's own bound */
};

static const char default_path[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/* ---- in the child ------------------------------------------------------------------------- */

static void tell_failure(int launch_fd, const struct failure *failure) {
    send(launch_fd, failure, sizeof *failure, MSG_NOSIGNAL);
}

static int tell_listener(int launch_fd, int listener_fd) {
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = { 0 };
    char byte = 0;
    struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
    struct msghdr message = { .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = sizeof control.bytes };
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(head), &listener_fd, sizeof(int));
    return sendmsg(launch_fd, &message, MSG_NOSIGNAL) == 1 ? 0 : -1;
}

static int join_cgroups(bool cloned_into, int joins, struct failure *failure) {
    if (!cloned_into && write(INIT_FD_PROCS, "0", 1) != 1) {
        return failure_set(failure, INIT_STAGE_CGROUP, errno, "cgroup.procs");
    }
    for (int i = 0; i < joins; i++) {
        if (write(INIT_FD_JOIN + i, "0", 1) != 1) {
            return failure_set(failure, INIT_STAGE_CGROUP, errno, "tasks");
        }
    }
    return 0;
}

static int set_streams(const int output[2], struct failure *failure) {
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0) {
        return failure_set(failure, INIT_STAGE_STDIO, errno, "/dev/null");
    }
    if (dup2(null, 0) < 0 || dup2(output[0], 1) < 0 || dup2(output[1], 2) < 0) {
        return failure_set(failure, INIT_STAGE_STDIO, errno, "dup2");
    }
    return 0;
}

static int become_user(const struct user *user, struct failure *failure) {
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

static int enter_directory(const char *cwd, struct failure *failure) {
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

/* The filter's memory was mapped before the privileges went; its seals keep it as it was. */
static int install_filter(
    const struct sock_fprog *program, int launch_fd, struct failure *failure) {
    long fd =
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, program);
    if (fd < 0) {
        return failure_set(failure, INIT_STAGE_SECCOMP, errno, "filter");
    }
    if (tell_listener(launch_fd, (int)fd) < 0) {
        return failure_set(failure, INIT_STAGE_SECCOMP, errno, "notifier");
    }
    close((int)fd);
    return 0;
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

static void run_command(const struct start *start, struct failure *failure) {
    const char *name = start->argv[0];
    memset(failure, 0, sizeof *failure);
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

static void reset_signals(void) {
    struct sigaction standard = { .sa_handler = SIG_DFL };
    for (int signal = 1; signal < NSIG; signal++) {
        sigaction(signal, &standard, NULL);
    }
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

struct child {
    const struct app_plan *plan;
    const struct sock_fprog *filter;
    int output[2]; /* write ends */
    int launch_fd;
    bool cloned_into; /* it was born in the app's cgroup */
};

static void run_child(const struct child *child, struct failure *failure) {
    if (join_cgroups(child->cloned_into, child->plan->joins, failure) < 0) {
        return;
    }
    setsid();
    if (set_streams(child->output, failure) < 0 || become_user(child->plan->user, failure) < 0 ||
        enter_directory(child->plan->start->cwd, failure) < 0) {
        return;
    }
    if (syscall(SYS_close_range, 3, ~0u, CLOSE_RANGE_CLOEXEC) < 0) {
        failure_set(failure, INIT_STAGE_STDIO, errno, "close_range");
        return;
    }
    if (install_filter(child->filter, child->launch_fd, failure) < 0) {
        return;
    }
    reset_signals();
    run_command(child->plan->start, failure);
}

/* ---- in paas-init ------------------------------------------------------------------------- */

static int map_filter(struct sock_fprog *program, struct failure *failure) {
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

/* A pipe for one of the app's streams. Images open /dev/stdout anew under their own user: the pipe
 * belongs to paas-init, so its mode must let them. */
static int make_output(int ends[2]) {
    if (pipe2(ends, O_CLOEXEC) < 0) {
        return -1;
    }
    fcntl(ends[0], F_SETPIPE_SZ, PIPE_BYTES); /* a wish: the user's pipe budget may be spent */
    fchmod(ends[1], 0666);
    return fcntl(ends[0], F_SETFL, O_NONBLOCK);
}

static pid_t clone_into(int cgroup_fd, bool *cloned_into) {
    struct clone_args args = {
        .flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD, .cgroup = (uint64_t)cgroup_fd
    };
    pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);
    *cloned_into = pid >= 0;
    return pid >= 0 ? pid : fork();
}

int app_launch(struct app *app, const struct app_plan *plan, struct failure *failure) {
    int out[2], err[2], launch[2];
    struct sock_fprog filter;
    if (map_filter(&filter, failure) < 0) {
        return -1;
    }
    if (make_output(out) < 0 || make_output(err) < 0) {
        return failure_set(failure, INIT_STAGE_STDIO, errno, "pipe");
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, launch) < 0) {
        return failure_set(failure, INIT_STAGE_FORK, errno, "socketpair");
    }
    struct child child = {
        .plan = plan, .filter = &filter, .output = { out[1], err[1] }, .launch_fd = launch[1]
    };
    pid_t pid = clone_into(INIT_FD_CGROUP, &child.cloned_into);
    if (pid == 0) {
        struct failure told;
        run_child(&child, &told);
        tell_failure(launch[1], &told);
        _exit(127);
    }
    int sys = errno;
    munmap(filter.filter, filter.len * sizeof *filter.filter);
    close(out[1]);
    close(err[1]);
    close(launch[1]);
    if (pid < 0) {
        return failure_set(failure, INIT_STAGE_FORK, sys, "clone");
    }
    *app = (struct app){ .pid = pid, .output = { out[0], err[0] }, .launch_fd = launch[0] };
    return 0;
}

enum app_news app_news(struct app *app, int *listener_fd, struct failure *failure) {
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec iov = { .iov_base = failure, .iov_len = sizeof *failure };
    struct msghdr message = { .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = sizeof control.bytes };
    ssize_t n = recvmsg(app->launch_fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0) {
        return errno == EAGAIN || errno == EINTR ? APP_NEWS_NONE : APP_NEWS_RUNNING;
    }
    struct cmsghdr *head = n > 0 ? CMSG_FIRSTHDR(&message) : NULL;
    if (head && head->cmsg_type == SCM_RIGHTS && head->cmsg_len == CMSG_LEN(sizeof(int))) {
        memcpy(listener_fd, CMSG_DATA(head), sizeof(int));
        return APP_NEWS_LISTENER;
    }
    return n == (ssize_t)sizeof *failure ? APP_NEWS_FAILED : APP_NEWS_RUNNING;
}
