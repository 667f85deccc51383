/* Starts one daemon: in its cgroup leaf, with its sockets and with no more privilege than it needs.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_PART_H
#define CLI_PART_H

#include <stddef.h>
#include <sys/types.h>

#include <paas/err.h>

#include "groups.h"
#include "process.h"

enum {
    PART_SOCKETS_MAX = 4, /* the scheduler has two, the others one */
    PART_ARGS_MAX = 24,
};

struct part_socket {
    const char *name; /* in LISTEN_FDNAMES */
    int fd;           /* borrowed */
};

struct part_start {
    const char *leaf;                /* its cgroup, and its name in the log */
    const char *program;             /* path */
    const char *args[PART_ARGS_MAX]; /* after the program's name, ended by NULL */
    uid_t id;                        /* user and group; 0 stays root, with its capabilities */
    int log;                         /* standard output and error; borrowed */
    struct part_socket sockets[PART_SOCKETS_MAX]; /* from descriptor 3 on */
    size_t socket_count;
    const struct groups *groups;
};

/* The started process waits, before it runs the program, until `started(data, process)` returned 0:
 * a supervisor writes down who runs before it does. -1 when the process could not be made, entered
 * or run (the error says which), or `started` failed. */
int part_start(const struct part_start *start,
    int (*started)(void *data, const struct process *process, struct err *err), void *data,
    struct process *out, struct err *err);

/* Opens `path` for appending as a daemon's log; one over PART_LOG_MAX is renamed to `path`.1
 * first. */
enum { PART_LOG_MAX = 8 << 20 /* bytes: weeks of a healthy platform */ };
int part_log_open(const char *path, struct err *err);

#endif
