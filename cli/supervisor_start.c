/* Starts one daemon, or the pair. SPDX-License-Identifier: Apache-2.0 */
#include "supervisor_parts.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <paas/file.h>
#include <paas/limits.h>
#include <paas/str.h>

#include "listeners.h"
#include "part.h"
#include "programs.h"

const char *const part_programs[PART_COUNT] = {
#define X(id, name, program, user) [PART_##id] = program,
    PARTS(X)
#undef X
};
const uint32_t part_users[PART_COUNT] = {
#define X(id, name, program, user) [PART_##id] = user,
    PARTS(X)
#undef X
};

struct starting {
    struct supervisor *supervisor;
    enum part_id id;
};

static int on_started(void *data, const struct process *process, struct err *err) {
    const struct starting *starting = data;
    struct part *part = &starting->supervisor->parts[starting->id];
    part->process = *process;
    part->started = clock_msec();
    part->kill_at = 0;
    return supervisor_write(starting->supervisor, err);
}

/* The daemon's own arguments; `number` and `data` are the caller's memory. */
static void fill_args(const struct supervisor *s, enum part_id id, const char *data,
    const char *number, struct part_start *start) {
    size_t n = 0;
    if (id == PART_SPAWNER) {
        start->args[n++] = "--spawner";
    }
    start->args[n++] = "--data";
    start->args[n++] = data;
    start->args[n++] = "--run";
    start->args[n++] = s->places.run;
    start->args[n++] = "--platform";
    start->args[n++] = number;
    if (id != PART_SPAWNER) {
        start->args[n++] = "--node";
        start->args[n++] = s->node;
    }
    if (id == PART_SCHEDULER) {
        start->args[n++] = "--http-address";
        start->args[n++] = s->state.http;
    }
}

static void add_socket(struct part_start *start, const char *name, int fd) {
    if (fd >= 0) {
        start->sockets[start->socket_count++] = (struct part_socket){ name, fd };
    }
}

static void fill_sockets(
    const struct supervisor *s, enum part_id id, int pair, struct part_start *start) {
    switch (id) {
    case PART_SCHEDULER:
        add_socket(start, socket_names[SOCKET_API], s->sockets[SOCKET_API]);
        add_socket(start, socket_names[SOCKET_API_TCP], s->sockets[SOCKET_API_TCP]);
        break;
    case PART_SPAWNER:
    case PART_AGENT:
        add_socket(start, "spawner", pair);
        break;
    case PART_PROXY:
        add_socket(start, socket_names[SOCKET_HTTP], s->sockets[SOCKET_HTTP]);
        break;
    case PART_COUNT:
        break;
    }
}

int supervisor_start_part(struct supervisor *s, enum part_id id, int pair, struct err *err) {
    char program[PATH_MAX], data[PLACES_SIZE + NAME_SIZE], log_path[PLACES_SIZE + NAME_SIZE],
        number[16];
    const char *name = part_names[id];
    snprintf(number, sizeof number, "%d", s->platform.number);
    snprintf(log_path, sizeof log_path, "%s/log/%s.log", s->places.data, name);
    if (id == PART_SPAWNER) {
        str_copy(data, sizeof data, s->places.data);
    } else {
        snprintf(data, sizeof data, "%s/%s", s->places.data, name);
    }
    if (program_find(part_programs[id], program, err) < 0 ||
        groups_fresh(&s->state.groups, name, err) < 0) {
        return -1;
    }
    CLEANUP_FD int log = part_log_open(log_path, err);
    if (log < 0) {
        return -1;
    }
    struct part_start start = {
        .leaf = name,
        .program = program,
        .id = part_users[id] ? s->platform.id_base + part_users[id] : 0,
        .log = log,
        .groups = &s->state.groups,
    };
    fill_args(s, id, data, number, &start);
    fill_sockets(s, id, pair, &start);
    struct process process = PROCESS_NONE;
    struct starting starting = { s, id };
    return part_start(&start, on_started, &starting, &process, err);
}

int supervisor_start_pair(struct supervisor *s, struct err *err) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
        return err_sys(err, errno, "making a socket pair");
    }
    int result = supervisor_start_part(s, PART_SPAWNER, ends[0], err);
    if (result == 0) {
        result = supervisor_start_part(s, PART_AGENT, ends[1], err);
    }
    close(ends[0]);
    close(ends[1]);
    return result;
}
