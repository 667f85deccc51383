/* Finds the daemons and sockets that outlived a supervisor. SPDX-License-Identifier: Apache-2.0 */
#include "supervisor_parts.h"

#include <paas/limits.h>
#include <paas/log.h>

#include "groups.h"
#include "listeners.h"

void supervisor_adopt_parts(struct supervisor *s) {
    for (int i = 0; i < PART_COUNT; i++) {
        const struct run_part *known = &s->state.parts[i];
        struct process *process = &s->parts[i].process;
        if (process_adopt(process, known->pid, known->start, NULL) < 0) {
            continue;
        }
        if (!groups_holds(&s->state.groups, part_names[i], known->pid)) {
            process_close(process);
            continue;
        }
        s->parts[i].started = clock_msec();
        log_info("adopted %s (process %d)", part_names[i], (int)known->pid);
    }
}

void supervisor_end_lone_half(struct supervisor *s) {
    if (part_runs(s, PART_AGENT) == part_runs(s, PART_SPAWNER)) {
        return;
    }
    struct process *lone = &s->parts[part_runs(s, PART_AGENT) ? PART_AGENT : PART_SPAWNER].process;
    process_end(lone, SUPERVISOR_PAIR_WAIT);
    process_close(lone);
}

static int take_socket(struct supervisor *s, enum socket_id id) {
    enum part_id holder = id == SOCKET_HTTP ? PART_PROXY : PART_SCHEDULER;
    return s->state.sockets[id] && part_runs(s, holder)
               ? listener_take(&s->parts[holder].process, s->state.sockets[id], NULL)
               : -1;
}

int supervisor_open_sockets(
    struct supervisor *s, const struct supervisor_options *options, struct err *err) {
    int *fds = s->sockets;
    for (int i = 0; i < SOCKET_COUNT; i++) {
        fds[i] = take_socket(s, i);
    }
    if (fds[SOCKET_API] < 0) {
        fds[SOCKET_API] = listener_open_unix(s->places.api, err);
    }
    const char *http = options->http      ? options->http
                       : s->state.http[0] ? s->state.http
                                          : SUPERVISOR_HTTP_DEFAULT;
    if (fds[SOCKET_API] >= 0 && fds[SOCKET_HTTP] < 0) {
        fds[SOCKET_HTTP] = listener_open_tcp(http, err);
    }
    if (fds[SOCKET_API] < 0 || fds[SOCKET_HTTP] < 0 ||
        listener_address(fds[SOCKET_HTTP], s->state.http, sizeof s->state.http, err) < 0) {
        return -1;
    }
    const char *api = options->api ? options->api : s->state.api_tcp;
    if (fds[SOCKET_API_TCP] < 0 && api[0] &&
        (fds[SOCKET_API_TCP] = listener_open_tcp(api, err)) < 0) {
        return -1;
    }
    return fds[SOCKET_API_TCP] < 0 ? 0
                                   : listener_address(fds[SOCKET_API_TCP], s->state.api_tcp,
                                         sizeof s->state.api_tcp, err);
}
