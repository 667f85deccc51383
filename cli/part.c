/* Starts one daemon. SPDX-License-Identifier: Apache-2.0
 *
 * The child reports each failure through a pipe that closes itself at exec: an empty pipe means
 * that the program runs. A second pipe holds the child back until its parent has noted it; when the
 * parent dies in between, the child reads the end of the pipe and exits.
 */
#include "part.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <paas/file.h>
#include <paas/str.h>

enum {
    FIRST_SOCKET = 3,    /* sd_listen_fds(3) */
    OUT_OF_THE_WAY = 64, /* descriptors wait here while 0.. are arranged */
    ENV_MAX = 12,
    ENV_SIZE = 512,
    EXIT_NOT_STARTED = 127,
};
#define OOM_SCORE "-800" /* the kernel takes an app before a daemon */

/* Of the supervisor's environment only these reach a daemon. */
static const char *const passed_variables[] = { "PAAS_LOG", "ASAN_OPTIONS", "UBSAN_OPTIONS",
    "LSAN_OPTIONS" };

struct child {
    const struct part_start *start;
    int fds[PART_SOCKETS_MAX + 1]; /* sockets and the log, out of the way */
    int report, wait;
};

/* Says why and ends the child. */
static void __attribute__((noreturn)) give_up(const struct child *child, const char *what) {
    struct err err;
    err_sys(&err, errno, "%s", what);
    if (write(child->report, err.text, strlen(err.text)) < 0) {
        _exit(EXIT_NOT_STARTED + 1);
    }
    _exit(EXIT_NOT_STARTED);
}

static void reset_signals(void) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (int i = 1; i < NSIG; i++) {
        signal(i, SIG_DFL);
    }
}

/* Every descriptor to its place: 0 is /dev/null, 1 and 2 the log, from 3 on the sockets; the two
 * pipes follow and close at exec. */
static void place_fds(struct child *child) {
    size_t count = child->start->socket_count;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || dup2(null, 0) < 0 || dup2(child->fds[count], 1) < 0 ||
        dup2(child->fds[count], 2) < 0) {
        give_up(child, "placing descriptors");
    }
    for (size_t i = 0; i < count; i++) {
        if (dup2(child->fds[i], FIRST_SOCKET + (int)i) < 0) {
            give_up(child, "placing sockets");
        }
    }
    int report = FIRST_SOCKET + (int)count, wait = report + 1;
    if (dup3(child->report, report, O_CLOEXEC) < 0 || dup3(child->wait, wait, O_CLOEXEC) < 0) {
        give_up(child, "placing pipes");
    }
    child->report = report;
    child->wait = wait;
    close_range((unsigned)wait + 1, ~0U, 0);
}

static void raise_file_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void protect_from_oom(void) {
    CLEANUP_FD int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd >= 0 && write(fd, OOM_SCORE, strlen(OOM_SCORE)) < 0) {
        return; /* without CAP_SYS_RESOURCE it stays as it is */
    }
}

/* For good: no group, no capability now or after any exec. */
static void drop_privileges(const struct child *child) {
    if (setgroups(0, NULL) < 0) {
        give_up(child, "dropping groups");
    }
    if (child->start->id != 0) {
        for (int cap = 0; prctl(PR_CAPBSET_READ, cap) >= 0; cap++) {
            if (prctl(PR_CAPBSET_DROP, cap) < 0) {
                give_up(child, "dropping the bounding set");
            }
        }
        uid_t id = child->start->id;
        if (setresgid(id, id, id) < 0 || setresuid(id, id, id) < 0) {
            give_up(child, "changing the user");
        }
        cap_t none = cap_init();
        if (!none || cap_set_proc(none) < 0) {
            give_up(child, "dropping capabilities");
        }
        cap_free(none);
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
        give_up(child, "setting no_new_privs");
    }
}

static void add_variable(char **environment, size_t *count, const char *name, const char *value) {
    char *text = malloc(ENV_SIZE);
    if (text && value && *count < ENV_MAX) {
        snprintf(text, ENV_SIZE, "%s=%s", name, value);
        environment[(*count)++] = text;
    }
}

static void make_environment(const struct part_start *start, char **environment) {
    char names[ENV_SIZE / 2] = "", number[16];
    size_t count = 0, used = 0;
    add_variable(environment, &count, "PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    for (size_t i = 0; i < start->socket_count && used < sizeof names; i++) {
        used += (size_t)snprintf(
            names + used, sizeof names - used, "%s%s", i ? ":" : "", start->sockets[i].name);
    }
    if (start->socket_count > 0) {
        snprintf(number, sizeof number, "%zu", start->socket_count);
        add_variable(environment, &count, "LISTEN_FDS", number);
        snprintf(number, sizeof number, "%d", (int)getpid());
        add_variable(environment, &count, "LISTEN_PID", number);
        add_variable(environment, &count, "LISTEN_FDNAMES", names);
    }
    for (size_t i = 0; i < sizeof passed_variables / sizeof *passed_variables; i++) {
        add_variable(environment, &count, passed_variables[i], getenv(passed_variables[i]));
    }
    environment[count] = NULL;
}

static void __attribute__((noreturn)) run_child(struct child *child) {
    const struct part_start *start = child->start;
    struct err err = { 0 };
    char go;
    reset_signals();
    setsid();
    umask(022);
    if (groups_enter(start->groups, start->leaf, &err) < 0 || chdir("/") < 0) {
        give_up(child, err.text[0] ? err.text : "going to /");
    }
    place_fds(child);
    raise_file_limit();
    protect_from_oom();
    if (read(child->wait, &go, 1) != 1) {
        _exit(EXIT_NOT_STARTED);
    }
    int program = open(start->program, O_PATH | O_CLOEXEC);
    drop_privileges(child);
    const char *arguments[PART_ARGS_MAX + 1] = { start->program };
    for (size_t i = 0; i + 1 < PART_ARGS_MAX && start->args[i]; i++) {
        arguments[i + 1] = start->args[i];
    }
    char *environment[ENV_MAX + 1];
    make_environment(start, environment);
    execve(start->program, (char *const *)arguments, environment);
    if (errno == EACCES && program >= 0) {
        /* A directory on the way, such as /root, is closed to its user; the program is not. */
        execveat(program, "", (char *const *)arguments, environment, AT_EMPTY_PATH);
    }
    give_up(child, start->program);
}

/* Duplicates what the child needs to numbers that placing does not touch. */
static int move_fds(struct child *child, struct err *err) {
    const struct part_start *start = child->start;
    int *const pipes[] = { &child->report, &child->wait };
    for (size_t i = 0; i <= start->socket_count; i++) {
        int from = i < start->socket_count ? start->sockets[i].fd : start->log;
        child->fds[i] = fcntl(from, F_DUPFD_CLOEXEC, OUT_OF_THE_WAY);
        if (child->fds[i] < 0) {
            return err_sys(err, errno, "duplicating descriptor %d", from);
        }
    }
    for (size_t i = 0; i < 2; i++) {
        int moved = fcntl(*pipes[i], F_DUPFD_CLOEXEC, OUT_OF_THE_WAY);
        if (moved < 0) {
            return err_sys(err, errno, "duplicating a pipe");
        }
        close(*pipes[i]);
        *pipes[i] = moved;
    }
    return 0;
}

static void close_child(struct child *child) {
    for (size_t i = 0; i <= PART_SOCKETS_MAX; i++) {
        file_close(&child->fds[i]);
    }
    file_close(&child->report);
    file_close(&child->wait);
}

/* Waits for the exec: 0 when the pipe closed without a word. */
static int wait_exec(int report, const char *leaf, struct err *err) {
    char text[ERR_TEXT_MAX] = "";
    ssize_t n;
    do {
        n = read(report, text, sizeof text - 1);
    } while (n < 0 && errno == EINTR);
    return n > 0 ? err_set(err, ERR_SYSTEM, "starting %s: %s", leaf, text) : 0;
}

int part_start(const struct part_start *start,
    int (*started)(void *data, const struct process *process, struct err *err), void *data,
    struct process *out, struct err *err) {
    struct child child = { .start = start };
    memset(child.fds, -1, sizeof child.fds);
    int report[2], wait[2];
    if (pipe2(report, O_CLOEXEC) < 0) {
        return err_sys(err, errno, "making a pipe");
    }
    if (pipe2(wait, O_CLOEXEC) < 0) {
        close(report[0]);
        close(report[1]);
        return err_sys(err, errno, "making a pipe");
    }
    child.report = report[1];
    child.wait = wait[0];
    int result = move_fds(&child, err);
    pid_t pid = result == 0 ? fork() : -1;
    if (pid == 0) {
        run_child(&child);
    }
    int sys = errno;
    close_child(&child);
    if (result == 0 && pid < 0) {
        result = err_sys(err, sys, "starting %s", start->leaf);
    }
    if (result == 0 && process_open(out, pid, err) < 0) {
        wait_exec(report[0], start->leaf, err); /* it ended already: its words are better */
        result = -1;
    }
    if (result == 0 && started(data, out, err) == 0 && write(wait[1], "g", 1) == 1) {
        result = wait_exec(report[0], start->leaf, err);
    } else if (result == 0) {
        result = -1;
    }
    close(report[0]);
    close(wait[1]);
    return result;
}

int part_log_open(const char *path, struct err *err) {
    struct stat facts;
    char older[PATH_MAX];
    if (stat(path, &facts) == 0 && facts.st_size > PART_LOG_MAX &&
        snprintf(older, sizeof older, "%s.1", path) < (int)sizeof older) {
        rename(path, older);
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0640);
    return fd < 0 ? err_sys(err, errno, "opening %s", path) : fd;
}
