/* The app's process, from clone to execve. SPDX-License-Identifier: Apache-2.0
 *
 * Story: the child is cloned into the cgroup leaf `app`, joins the v1 groups, gets a session and
 * its streams, becomes the user, loses every capability, enters the working directory, installs the
 * filter, hands the filter's notifier to paas-init over the launch socket, and executes the
 * command. Whatever fails is told on the same socket; when execve succeeds the socket closes by
 * itself.
 */
#include "app.h"

#include "become.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    PIPE_BYTES = 256 << 10, /* how far paas-init may lag before the app waits */
};

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
        become_resident(child->plan->start->cwd, failure) < 0) {
        return;
    }
    if (syscall(SYS_close_range, 3, ~0u, CLOSE_RANGE_CLOEXEC) < 0) {
        failure_set(failure, INIT_STAGE_STDIO, errno, "close_range");
        return;
    }
    int notifier = become_filtered(child->filter, SECCOMP_FILTER_FLAG_NEW_LISTENER, failure);
    if (notifier < 0) {
        return;
    }
    if (tell_listener(child->launch_fd, notifier) < 0) {
        failure_set(failure, INIT_STAGE_SECCOMP, errno, "notifier");
        return;
    }
    become_command(child->plan->start, failure);
}

/* ---- in paas-init ------------------------------------------------------------------------- */

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
    if (become_map_filter(&filter, failure) < 0) {
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
