/* Ends of an instance, asked for and not. SPDX-License-Identifier: Apache-2.0
 *
 * instance_stop() takes it out of rotation; once it has drained, instance_ask_to_end() has
 * paas-init stop the app. Ends that were asked for and others meet in instance_conclude(), which
 * tells, and clears away what is left.
 */
#include "instance_parts.h"

#include <stdio.h>
#include <string.h>

#include <paas/log.h>
#include <paas/str.h>
#include <paas/wire.h>

#include "record.h"

enum {
    UNHEALTHY_GRACE_MS = 1000, /* it does not answer: its successor waits for nobody's manners */
    STOP_MARGIN_MS = 2000,     /* paas-init kills at the deadline; past it the cgroup is killed */
    DESTROY_PAUSE_MS = 20,     /* from an end to clearing away what is left */
    INIT_END_MS = 2000,        /* from the app's end to that of paas-init */
};

void instance_set_end(struct agent_instance *i, enum end_reason reason, const char *format, ...) {
    va_list args;
    va_start(args, format);
    i->reason = reason;
    vsnprintf(i->why, sizeof i->why, format, args);
    va_end(args);
}

static bool was_asked(enum end_reason reason) {
    return reason == END_STOPPED || reason == END_KILLED;
}

static void set_gone(struct agent_instance *i) {
    i->phase = PHASE_ENDED;
    instance_record(i);
    i->host->gone(i->host->ctx, i);
}

static void on_destroyed(
    void *data, const struct spawner_answer *answer, int *fds, const struct err *err) {
    struct agent_instance *i = data;
    (void)answer;
    (void)fds;
    if (err->code != ERR_OK) {
        log_error("%s: destroying what is left: %s", i->row.id, err->text);
    }
    set_gone(i);
}

void instance_destroy(struct agent_instance *i) {
    struct spawner_request request = { .operation = SPAWNER_DESTROY };
    struct err err;
    str_copy(request.id, sizeof request.id, i->row.id);
    if (spawner_ask(i->host->spawner, &request, NULL, on_destroyed, i, &err) < 0) {
        log_error("%s: %s", i->row.id, err.text);
        instance_set_timer(i, INIT_END_MS);
    }
}

void instance_conclude(struct agent_instance *i, bool has_process) {
    bool asked = was_asked(i->reason);
    i->phase = PHASE_DESTROY;
    i->row.state = asked ? INSTANCE_STOPPED : INSTANCE_FAILED;
    i->row.last_exit.reason = (int)i->reason;
    memcpy(i->row.last_exit.detail, i->why, sizeof i->why);
    i->row.pid = 0;
    uv_timer_stop(&i->timer);
    instance_unwatch(i);
    log_info("instance %s app=%s slot=%s ended reason=%s: %s", i->row.id, i->row.app, i->row.slot,
        end_reason_names[i->reason], i->why);
    i->host->ended(i->host->ctx, i, asked); /* says how its slot goes on */
    instance_record(i);
    if (has_process) {
        /* Its successor starts first, and paas-init has a moment to leave by itself. */
        instance_set_timer(i, DESTROY_PAUSE_MS);
    } else {
        set_gone(i);
    }
}

void instance_give_up(struct agent_instance *i, enum end_reason reason, const char *why) {
    if (!was_asked(i->reason)) {
        instance_set_end(i, reason, "%s", why);
    }
    i->row.last_exit = (struct last_exit){ .code = -1 };
    instance_conclude(i, false);
}

/* Says in the row how the app ended, and, unless somebody asked for it, why. */
static void read_end(struct agent_instance *i, const struct init_exit *end) {
    struct last_exit *last = &i->row.last_exit;
    char words[sizeof i->why];
    enum end_reason reason;
    *last = (struct last_exit){ .code = -1 };
    last->code = end->end == INIT_END_EXITED ? end->code : -1;
    if (end->signal) {
        signal_name((int)end->signal, last->signal);
    }
    reason = record_end_reason(end, i->spec ? i->spec->memory : 0, words, sizeof words);
    if (i->reason == END_NONE || (reason == END_OOM && !was_asked(i->reason))) {
        instance_set_end(i, reason, "%s", words);
    }
}

void instance_on_end(struct agent_instance *i, const struct init_exit *end) {
    if (i->phase >= PHASE_DESTROY) {
        return;
    }
    if (end) {
        read_end(i, end);
    } else {
        i->row.last_exit = (struct last_exit){ .code = -1 };
        if (i->reason == END_NONE) {
            instance_set_end(i, END_UNKNOWN, "%s",
                i->init_pid > 0 ? "ended without leaving an exit record"
                                : "was cut short in its start: a part of the platform ended");
        }
    }
    instance_conclude(i, true);
}

void instance_on_init_end(struct agent_instance *i) {
    struct init_exit end;
    struct err err;
    bool known = record_read_exit(i->host->directory_fd, i->row.id, &end, &err) == 0 &&
                 end.end != INIT_END_NONE;
    instance_on_end(i, known ? &end : NULL);
}

/* What is left of it dies now. */
static void kill_hard(struct agent_instance *i) {
    struct err err;
    if (sandbox_kill(i->host->cgroups, i->row.id, &err) < 0) {
        log_warn("%s: %s", i->row.id, err.text);
    }
}

void instance_end_hard(struct agent_instance *i) {
    kill_hard(i); /* destroying does it, too */
    instance_on_init_end(i);
}

void instance_ask_to_end(struct agent_instance *i) {
    struct err err;
    i->phase = PHASE_STOP;
    health_stop(i->health);
    i->health = NULL;
    msec grace = i->spec ? i->spec->stop.grace : 0;
    if (i->reason == END_HEALTH && grace > UNHEALTHY_GRACE_MS) {
        grace = UNHEALTHY_GRACE_MS;
    }
    if (!i->init || init_link_stop(i->init, 0, (uint32_t)grace, &err) < 0) {
        /* Without paas-init's ear there is only the hard way. */
        kill_hard(i);
        grace = 0;
    }
    instance_set_timer(i, grace + STOP_MARGIN_MS);
}

void instance_leave(struct agent_instance *i) {
    i->phase = PHASE_DRAIN;
    i->rotation = INT64_MAX; /* the owner sets it to the sync that tells of it */
    instance_tell(i);
    instance_record(i);
    if (i->listens) {
        instance_set_timer(i, ROTATION_MS);
    } else {
        instance_ask_to_end(i);
    }
}

void instance_stop(struct agent_instance *i, enum end_reason reason, const char *why) {
    switch (i->phase) {
    case PHASE_IMAGE:
        instance_set_end(i, reason, "%s", why);
        instance_give_up(i, reason, why);
        return;
    case PHASE_SPAWN: /* on_spawned() sees that it is not wanted any more */
        instance_set_end(i, reason, "%s", why);
        return;
    case PHASE_START:
        instance_set_end(i, reason, "%s", why);
        i->row.state = INSTANCE_DRAINING;
        instance_tell(i);
        instance_ask_to_end(i);
        return;
    case PHASE_SERVE:
        instance_set_end(i, reason, "%s", why);
        i->row.state = reason == END_HEALTH ? INSTANCE_UNHEALTHY : INSTANCE_DRAINING;
        instance_leave(i);
        return;
    case PHASE_FREEZE: /* it is out of rotation already, or about to be */
        instance_set_end(i, reason, "%s", why);
        i->phase = PHASE_DRAIN;
        i->row.state = INSTANCE_DRAINING;
        instance_tell(i);
        instance_record(i);
        return;
    case PHASE_FROZEN: /* the app can't hear a signal while it sleeps */
        instance_set_end(i, reason, "%s", why);
        instance_set_frozen(i, false);
        i->row.state = INSTANCE_DRAINING;
        instance_tell(i);
        instance_record(i);
        instance_ask_to_end(i);
        return;
    case PHASE_DRAIN:
    case PHASE_STOP:
    case PHASE_DESTROY:
    case PHASE_ENDED:
        return;
    }
}
