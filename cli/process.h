/* A process that may be somebody else's child: named so that a reused pid is never mistaken for it.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_PROCESS_H
#define CLI_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <paas/clock.h>
#include <paas/err.h>

struct process {
    pid_t pid;      /* 0: none */
    uint64_t start; /* clock ticks after boot, field 22 of /proc/PID/stat */
    int pidfd;      /* -1: none */
};
#define PROCESS_NONE ((struct process){ .pidfd = -1 })

/* Takes hold of `pid`. -1 with ERR_NOT_FOUND when there is none, or it is a zombie. */
int process_open(struct process *process, pid_t pid, struct err *err);
/* As process_open, and ERR_NOT_FOUND unless it started at `start` in this boot. The descriptor is
 * taken first, then compared: what it stands for cannot change afterwards. */
int process_adopt(struct process *process, pid_t pid, uint64_t start, struct err *err);
/* Lets go; the process runs on. */
void process_close(struct process *process);
/* Sends `number`; nothing happens when it is gone. */
void process_signal(const struct process *process, int number);
/* Waits up to `ms` for its end. True when it ended. */
bool process_wait(const struct process *process, msec ms);
/* Sends SIGTERM, and SIGKILL when it still lives after `grace` ms; returns when it is gone. */
void process_end(const struct process *process, msec grace);

#endif
