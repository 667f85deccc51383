/* A process that may be somebody else's child. SPDX-License-Identifier: Apache-2.0 */
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <paas/buf.h>
#include <paas/file.h>

enum {
    STAT_BYTES = 4096,    /* of /proc/PID/stat: 52 numbers and a name of 15 bytes */
    START_FIELD = 22,     /* proc(5) */
    KILL_WAIT_MS = 10000, /* a killed process that is still there then hangs in the kernel */
};

/* State and start time from /proc/PID/stat; the name in it may hold spaces and brackets. */
static int read_stat(pid_t pid, char *state, uint64_t *start, struct err *err) {
    char path[32];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    struct buf text;
    buf_init(&text, STAT_BYTES);
    int result = file_read_whole(AT_FDCWD, path, &text, err);
    char *field = result == 0 ? strrchr(buf_str(&text), ')') : NULL;
    if (field && field[1] == ' ') {
        field += 2;
        *state = *field;
        for (int i = 3; field && i < START_FIELD; i++) {
            field = strchr(field, ' ');
            field = field ? field + 1 : NULL;
        }
    }
    if (field) {
        *start = strtoull(field, NULL, 10);
    } else if (result == 0) {
        result = err_set(err, ERR_SYSTEM, "%s reads strangely", path);
    }
    buf_free(&text);
    return result;
}

int process_open(struct process *process, pid_t pid, struct err *err) {
    *process = PROCESS_NONE;
    int pidfd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
    if (pidfd < 0) {
        return err_set(err, ERR_NOT_FOUND, "no process %d", (int)pid);
    }
    char state = 0;
    uint64_t start = 0;
    if (read_stat(pid, &state, &start, err) < 0 || state == 'Z' || state == 'X') {
        close(pidfd);
        return err_set(err, ERR_NOT_FOUND, "no process %d", (int)pid);
    }
    *process = (struct process){ .pid = pid, .start = start, .pidfd = pidfd };
    return 0;
}

int process_adopt(struct process *process, pid_t pid, uint64_t start, struct err *err) {
    if (process_open(process, pid, err) < 0) {
        return -1;
    }
    if (process->start != start) {
        process_close(process);
        return err_set(err, ERR_NOT_FOUND, "process %d is another one now", (int)pid);
    }
    return 0;
}

void process_close(struct process *process) {
    file_close(&process->pidfd);
    *process = PROCESS_NONE;
}

void process_signal(const struct process *process, int number) {
    if (process->pidfd >= 0) {
        syscall(SYS_pidfd_send_signal, process->pidfd, number, NULL, 0);
    }
}

bool process_wait(const struct process *process, msec ms) {
    if (process->pidfd < 0) {
        return true;
    }
    msec deadline = clock_msec() + ms;
    for (;;) {
        struct pollfd wait = { .fd = process->pidfd, .events = POLLIN };
        msec left = deadline - clock_msec();
        int n = poll(&wait, 1, left > 0 ? (int)left : 0);
        if (n > 0) {
            return true;
        }
        if (n == 0 || errno != EINTR) {
            return false;
        }
    }
}

void process_end(const struct process *process, msec grace) {
    process_signal(process, SIGTERM);
    if (!process_wait(process, grace)) {
        process_signal(process, SIGKILL);
        process_wait(process, KILL_WAIT_MS);
    }
}
