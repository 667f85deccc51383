/* PID 1 of an instance: starts the app, reaps, records the end, spools logs, answers the notifier.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Story: take stock of the descriptors, write an exit record that says "running", read the start
 * block, find the user, make the app's process, give up what privilege is left, and loop. The app's
 * end kills what is left of it, takes what lies in its pipes, writes the record, tells the agent,
 * and waits a moment for stragglers; then paas-init ends, and the instance with it. A failure
 * before the loop is an end like any other. It allocates nothing after the start, opens nothing,
 * and trusts neither app nor start block.
 */
#include "context.h"
#include "exec.h"
#include "guard.h"
#include "user.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { STATUS_USAGE = 2 };

static int take_descriptors(struct init *init, struct failure *failure) {
    for (int fd = 0; fd < INIT_FD_JOIN; fd++) {
        if (fcntl(fd, F_SETFD, fd < INIT_FD_START ? 0 : FD_CLOEXEC) < 0) {
            return failure_set(failure, INIT_STAGE_DESCRIPTORS, errno, "fixed numbers");
        }
    }
    for (int fd = INIT_FD_JOIN; fd < INIT_FD_END && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0; fd++) {
        init->joins++; /* before anything is opened that could fill the first hole */
    }
    syscall(SYS_close_range, INIT_FD_END, ~0u, 0);
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    sigemptyset(&all);
    sigaddset(&all, SIGCHLD);
    init->signal_fd = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
    init->timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (init->signal_fd < 0 || init->timer_fd < 0) {
        return failure_set(failure, INIT_STAGE_DESCRIPTORS, errno, "signals and timer");
    }
    link_init(&init->link, INIT_FD_SOCKET);
    oom_init(&init->oom, INIT_FD_OOM);
    return 0;
}

/* Keeps what is needed of the start block after it is gone. */
static void remember(struct init *init) {
    const struct init_start *header = init->start.header;
    init->start_flags = header->flags;
    init->port = header->port;
    init->stop_signal = header->stop_signal ? (int)header->stop_signal : SIGTERM;
    init->grace_ms = header->grace_ms;
    if (header->flags & INIT_START_EXCLUSIVE) {
        init->deadline_boot_ms = header->deadline_boot_ms > 0 ? header->deadline_boot_ms : 1;
        request_arm_timer(init);
    }
    spool_init(&init->spool, INIT_FD_LOG0, INIT_FD_LOG1, header->segment_bytes, header->log_rate);
}

static int start_app(struct init *init, struct failure *failure) {
    struct user user;
    if (guard_early(failure) < 0 || take_descriptors(init, failure) < 0 ||
        start_await(INIT_FD_START, failure) < 0 ||
        start_read(&init->start, INIT_FD_START, failure) < 0) {
        return -1;
    }
    remember(init);
    struct app_plan plan = { .start = &init->start, .user = &user, .joins = init->joins };
    if (start_home(&init->start, &user, failure) < 0 ||
        app_launch(&init->app, &plan, failure) < 0) {
        return -1;
    }
    init->alive = true;
    init->children = true;
    start_close(&init->start);
    listeners_init(&init->listeners);
    return guard_late(failure);
}

/* The context is far larger than a stack frame should be, and all zero in the file. */
static void prepare(struct init *init) {
    init->app = (struct app){ .output = { -1, -1 }, .launch_fd = -1 };
    init->signal_fd = init->timer_fd = init->oom.fd = -1;
    init->revision = 1;
    init->exit.code = -1;
    notifier_init(&init->notifier);
    link_init(&init->link, -1);
    spool_init(&init->spool, INIT_FD_LOG0, INIT_FD_LOG1, 0, 0);
}

int main(int argc, char **argv) {
    static struct init init;
    if (argc == 2 && strcmp(argv[1], "exec") == 0) {
        return exec_command();
    }
    if (getpid() != 1) { /* what it kills as PID 1 of an instance, it would kill of a whole host */
        static const char words[] = "paas-init: started by the platform alone, as PID 1\n";
        ssize_t n = write(STDERR_FILENO, words, sizeof words - 1);
        return n > 0 ? STATUS_USAGE : 1;
    }
    umask(022);
    prctl(PR_SET_NAME, "paas-init", 0, 0, 0);
    prepare(&init);
    life_write_record(&init);
    if (start_app(&init, &init.failure) < 0) {
        struct rusage none = { 0 };
        life_kill(&init);
        life_end(&init, 0, &none);
    }
    loop_run(&init);
    return 0;
}
