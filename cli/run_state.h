/* What a supervisor leaves for the next one, and for whoever asks: R/supervisor.
 * SPDX-License-Identifier: Apache-2.0
 *
 * key=value lines, written whole, readable by all. Valid only in the boot that it names.
 */
#ifndef CLI_RUN_STATE_H
#define CLI_RUN_STATE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <paas/err.h>
#include <paas/file.h>

#include "groups.h"
#include "places.h"

/* name, program, slot-0 id that it runs as (0: root) */
#define PARTS(X)                                                                                   \
    X(SCHEDULER, "scheduler", "paas-scheduler", 1)                                                 \
    X(SPAWNER, "spawner", "paas-agent", 0)                                                         \
    X(AGENT, "agent", "paas-agent", 2)                                                             \
    X(PROXY, "proxy", "paas-proxy", 3)
enum part_id {
#define X(id, name, program, user) PART_##id,
    PARTS(X)
#undef X
        PART_COUNT
};

/* name */
#define SOCKETS(X)                                                                                 \
    X(API, "api")                                                                                  \
    X(API_TCP, "api-tcp")                                                                          \
    X(HTTP, "http")
enum socket_id {
#define X(id, name) SOCKET_##id,
    SOCKETS(X)
#undef X
        SOCKET_COUNT
};

extern const char *const part_names[PART_COUNT];
extern const char *const socket_names[SOCKET_COUNT];

enum { RUN_ADDRESS_SIZE = 64 /* "[address]:port" */ };

struct run_part {
    pid_t pid;      /* 0: does not run */
    uint64_t start; /* clock ticks after boot */
    uint64_t restarts;
};

struct run_state {
    char boot_id[BOOT_ID_SIZE];
    char data[PLACES_SIZE];
    int platform;
    uint32_t id_base;
    char http[RUN_ADDRESS_SIZE];    /* "127.0.0.1:8080" */
    char api_tcp[RUN_ADDRESS_SIZE]; /* "" when there is none */
    struct run_part supervisor;
    struct run_part parts[PART_COUNT];
    uint64_t sockets[SOCKET_COUNT]; /* inode numbers, 0: none */
    struct groups groups;
};

/* Writes R/supervisor. */
int run_state_write(const struct run_state *state, const char *run, struct err *err);
/* Reads it. ERR_NOT_FOUND when there is none, or it is of another boot or version. */
int run_state_read(struct run_state *state, const char *run, struct err *err);

#endif
