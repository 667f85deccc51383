/* One instance of this host. SPDX-License-Identifier: Apache-2.0
 *
 * The happy path: instance_create() sets a zero timer; instance_begin() leads to a process, which
 * is watched until it listens and its probes are good: it serves. instance_stop() takes it out of
 * rotation, the proxy acknowledges and drains, paas-init is told to stop the app and says how it
 * ended; instance_on_end() tells, and destroys what is left.
 *
 * The ways to fail all lead to instance_give_up() before a process exists, and to
 * instance_on_end() after.
 */
#include "instance_parts.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <paas/file.h>
#include <paas/log.h>
#include <paas/str.h>
#include <paas/wire.h>

#include "launch.h"
#include "proc.h"
#include "record.h"

static void on_timer(uv_timer_t *timer);

void instance_set_timer(struct agent_instance *i, msec ms) {
    uv_timer_start(&i->timer, on_timer, ms > 0 ? (uint64_t)ms : 0, 0);
}

void instance_tell(struct agent_instance *i) {
    i->host->changed(i->host->ctx, i);
}

void instance_record_later(struct agent_instance *i) {
    i->unrecorded = true;
}

void instance_record(struct agent_instance *i) {
    i->unrecorded = false;
    struct record record = {
        .row = i->row,
        .number = i->number,
        .failures = i->failures,
        .attempt = i->attempt,
        .healthy_since = i->healthy_since,
        .not_before = i->not_before,
        .init_pid = i->init_pid,
        .start_time = (int64_t)i->start_time,
        .reason = (int)i->reason,
        .acknowledged = i->acknowledged,
    };
    struct err err;
    memcpy(record.config, i->config, sizeof record.config);
    if (record_write(i->host->directory_fd, i->row.id, &record, &err) < 0) {
        log_error("%s: its record: %s", i->row.id, err.text);
    }
}

bool instance_runs(const struct agent_instance *i) {
    return i->phase <= PHASE_SERVE && i->reason == END_NONE;
}

bool instance_sleeps(const struct agent_instance *i) {
    return i->phase == PHASE_FREEZE || i->phase == PHASE_FROZEN;
}

bool instance_in_swap(const struct agent_instance *i) {
    return i->row.swapped_bytes > i->row.memory_bytes;
}

void instance_measure(struct agent_instance *i) {
    struct sandbox_usage usage;
    if (i->phase >= PHASE_START && i->phase <= PHASE_STOP &&
        sandbox_usage(i->host->cgroups, i->row.id, &usage, NULL) == 0) {
        i->row.memory_bytes = (int64_t)usage.memory_bytes;
        i->row.swapped_bytes = (int64_t)usage.swapped_bytes;
        i->row.cpu_seconds = (int64_t)(usage.cpu_usec / 1000);
    }
}

/* The time of a phase is over. */
static void on_timer(uv_timer_t *timer) {
    struct agent_instance *i = timer->data;
    switch (i->phase) {
    case PHASE_IMAGE:
        instance_begin(i);
        return;
    case PHASE_START:
        instance_start_time_up(i);
        return;
    case PHASE_DRAIN:
    case PHASE_FREEZE:
        if (i->rotation) {
            instance_acknowledged(i, INT64_MAX);
        } else {
            instance_drained(i); /* what has not ended by now is cut */
        }
        return;
    case PHASE_STOP:
        instance_end_hard(i);
        return;
    case PHASE_DESTROY:
        instance_destroy(i);
        return;
    case PHASE_SPAWN:
        instance_launch_ahead(i);
        return;
    case PHASE_SERVE:
    case PHASE_FROZEN:
    case PHASE_ENDED:
        return;
    }
}

static struct agent_instance *instance_new(
    const struct instance_host *host, const struct instance_spec *spec, struct err *err) {
    struct agent_instance *i = calloc(1, sizeof *i);
    if (!i) {
        err_no_memory(err);
        return NULL;
    }
    i->host = host;
    i->group = spec->group;
    i->lane = spec->lane;
    i->number = spec->number;
    i->failures = spec->failures;
    i->attempt = spec->attempt;
    i->spec = spec->process;
    i->release = spec->release;
    i->pidfd = i->ahead.pidfd = i->ahead.start = -1;
    str_copy(i->config, sizeof i->config, spec->config);
    i->listens = spec->process && process_listens(spec->process);
    i->port = spec->process ? launch_port(spec->process) : 0;
    list_init(&i->link);
    turn_init(&i->turn);
    i->timer.data = i;
    uv_timer_init(host->loop, &i->timer);
    i->handles = 1;
    return i;
}

struct agent_instance *instance_create(
    const struct instance_host *host, const struct instance_spec *spec, struct err *err) {
    char id[ID_SIZE];
    if (id_make(id, err) < 0) {
        return NULL;
    }
    struct agent_instance *i = instance_new(host, spec, err);
    if (!i) {
        return NULL;
    }
    struct instance *row = &i->row;
    bool is_made = pool_take(host->pool, spec->config, spec->process->name, &i->ahead);
    if (is_made) {
        memcpy(id, i->ahead.id, sizeof id); /* as its cgroup and its host name have it */
    }
    json_defaults(&instance_json, row);
    memcpy(row->id, id, sizeof id);
    snprintf(row->slot, sizeof row->slot, "%s.%d", spec->process->name, spec->number);
    memcpy(row->app, spec->release->app, sizeof row->app);
    memcpy(row->process, spec->process->name, sizeof row->process);
    str_copy(row->node, sizeof row->node, host->node);
    row->release = spec->release->release;
    row->created_at = clock_wall_msec();
    row->restarts = spec->restarts;
    if (spec->last_exit) {
        row->last_exit = *spec->last_exit;
    }
    i->decided = clock_msec();
    i->phase = is_made ? PHASE_SPAWN : PHASE_IMAGE;
    instance_set_timer(i, 0);
    return i;
}

/* A process that was there when the record was written and still is: pidfd first, then compare, so
 * that it can't be another one with its number. */
static int open_process(const struct record *record) {
    if (record->init_pid <= 0) {
        return -1;
    }
    int pidfd = (int)syscall(SYS_pidfd_open, (pid_t)record->init_pid, 0);
    uint64_t start_time;
    if (pidfd >= 0 && (proc_start_time((pid_t)record->init_pid, &start_time) < 0 ||
                          start_time != (uint64_t)record->start_time)) {
        file_close(&pidfd);
    }
    return pidfd;
}

/* The adopted instance goes on in its recorded state. */
/* Whether the app sleeps, whatever its record says: one that is woken is in rotation before that is
 * written down, and may have requests. */
static bool is_asleep(const struct agent_instance *i) {
    struct sandbox_usage usage;
    return sandbox_usage(i->host->cgroups, i->row.id, &usage, NULL) < 0 || usage.frozen;
}

static void go_on(struct agent_instance *i) {
    struct err err;
    if (instance_watch(i, &err) < 0) {
        instance_set_end(i, END_START, "%s", err.text);
        i->phase = PHASE_STOP;
        instance_set_timer(i, 0);
        return;
    }
    /* The agent before may have died between what it did and what it wrote. */
    if (i->row.state == INSTANCE_FROZEN && !is_asleep(i)) {
        i->row.state = INSTANCE_HEALTHY;
        instance_record(i);
    }
    sandbox_swap(i->host->cgroups, i->row.id, false, NULL); /* open if it died giving back */
    instance_set_frozen(i, i->row.state == INSTANCE_FROZEN);
    switch ((enum instance_state)i->row.state) {
    case INSTANCE_HEALTHY:
        i->phase = PHASE_SERVE;
        if (i->listens) {
            instance_watch_health(i, HEALTH_GOOD);
        }
        return;
    case INSTANCE_STARTING:
        i->phase = PHASE_START;
        instance_set_timer(i, i->spec->health.start);
        return;
    case INSTANCE_FROZEN:
        i->phase = PHASE_FROZEN;
        i->frozen_since = clock_msec();
        if (i->listens) {
            instance_watch_health(i, HEALTH_GOOD);
            health_pause(i->health);
        }
        return;
    case INSTANCE_UNHEALTHY:
    case INSTANCE_DRAINING:
    case INSTANCE_STOPPED:
    case INSTANCE_FAILED:
        instance_set_end(i, i->reason == END_NONE ? END_STOPPED : i->reason, "was on its way out");
        instance_leave(i); /* the proxy may not have heard */
        return;
    }
}

struct agent_instance *instance_adopt(const struct instance_host *host, const struct record *record,
    const struct instance_spec *spec, struct err *err) {
    struct agent_instance *i = instance_new(host, spec, err);
    if (!i) {
        return NULL;
    }
    i->row = record->row;
    i->number = (int)record->number;
    i->failures = record->failures;
    i->attempt = record->attempt;
    i->healthy_since = record->healthy_since;
    i->not_before = record->not_before;
    i->reason = (enum end_reason)record->reason;
    i->acknowledged = record->acknowledged;
    i->init_pid = (pid_t)record->init_pid;
    i->start_time = (uint64_t)record->start_time;
    i->decided = clock_msec();
    if (record->row.state == INSTANCE_STOPPED || record->row.state == INSTANCE_FAILED) {
        i->phase = PHASE_ENDED;
        return i;
    }
    i->pidfd = spec->process ? open_process(record) : -1;
    if (i->pidfd >= 0) {
        i->phase = PHASE_START;
        go_on(i);
    } else {
        i->phase = PHASE_STOP; /* its end is told from its exit record in a later turn */
        instance_set_timer(i, 0);
    }
    return i;
}

int instance_signal(struct agent_instance *i, int signal, struct err *err) {
    if (!i->init || i->phase < PHASE_START || i->phase > PHASE_STOP) {
        return err_set(err, ERR_CONFLICT, "%s (%s) does not run", i->row.slot, i->row.id);
    }
    if (signal == SIGKILL && i->reason == END_NONE) {
        instance_set_end(i, END_KILLED, "was killed by an operator");
    }
    return init_link_signal(i->init, signal, err);
}

void instance_on_handle_closed(uv_handle_t *handle) {
    struct agent_instance *i = handle->data;
    if (--i->handles == 0) {
        free(i);
    }
}

void instance_release(struct agent_instance *i) {
    if (i && !i->closing) {
        i->closing = true;
        turn_leave(i->host->turns, &i->turn);
        spawner_forget(i->host->spawner, i);
        instance_unwatch(i);
        uv_close((uv_handle_t *)&i->timer, instance_on_handle_closed);
    }
}
