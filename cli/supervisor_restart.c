/* When a dead daemon is started again. SPDX-License-Identifier: Apache-2.0
 *
 * At once, then with back-off; agent and spawner, whose socket pair ends with either, both.
 */
#include "supervisor_parts.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include <paas/limits.h>
#include <paas/log.h>

static bool is_paired(enum part_id id) {
    return id == PART_AGENT || id == PART_SPAWNER;
}

static enum part_id other_half(enum part_id id) {
    return id == PART_AGENT ? PART_SPAWNER : PART_AGENT;
}

static msec delay_after(int deaths) {
    msec delay = deaths > 1 ? SUPERVISOR_DELAY_FIRST : 0;
    for (int i = 2; i < deaths && delay < SUPERVISOR_DELAY_MAX; i++) {
        delay *= 2;
    }
    return delay < SUPERVISOR_DELAY_MAX ? delay : SUPERVISOR_DELAY_MAX;
}

/* It does not run any more, or could not be started: when is it started next? */
static void plan_restart(struct supervisor *s, enum part_id id, msec now) {
    struct part *part = &s->parts[id];
    if (part->started && now - part->started >= SUPERVISOR_STEADY) {
        part->deaths = 0;
    }
    part->deaths++;
    part->start_at = now + delay_after(part->deaths);
}

/* In words how it ended, and reaped if it was our child. */
static void describe_end(const struct process *process, char *text, size_t size) {
    siginfo_t end = { 0 };
    if (waitid(P_PIDFD, (id_t)process->pidfd, &end, WEXITED) < 0) {
        snprintf(text, size, "ended");
    } else if (end.si_code == CLD_EXITED) {
        snprintf(text, size, "exited with status %d", end.si_status);
    } else {
        snprintf(text, size, "was ended by SIG%s", sigabbrev_np(end.si_status));
    }
}

void supervisor_part_ended(struct supervisor *s, enum part_id id) {
    struct part *part = &s->parts[id];
    char how[64];
    msec now = clock_msec();
    describe_end(&part->process, how, sizeof how);
    log_warn("%s (process %d) %s", part_names[id], (int)part->process.pid, how);
    process_close(&part->process);
    part->kill_at = 0;
    plan_restart(s, id, now);
    if (is_paired(id) && part_runs(s, other_half(id))) {
        s->parts[other_half(id)].kill_at = now + SUPERVISOR_PAIR_WAIT;
    }
}

void supervisor_start_due(struct supervisor *s, enum part_id id, msec now) {
    struct part *part = &s->parts[id];
    struct err err = { 0 };
    bool due = !part_runs(s, id) && part->start_at <= now;
    if (is_paired(id)) {
        const struct part *other = &s->parts[other_half(id)];
        due = due && id == PART_SPAWNER && !part_runs(s, PART_AGENT) && other->start_at <= now;
    }
    if (!due) {
        return;
    }
    int result =
        is_paired(id) ? supervisor_start_pair(s, &err) : supervisor_start_part(s, id, -1, &err);
    s->state.parts[id].restarts++;
    if (is_paired(id)) {
        s->state.parts[PART_AGENT].restarts++;
    }
    if (result == 0) {
        supervisor_write(s, &err);
        log_info("%s runs again", part_names[id]);
        return;
    }
    log_error("%s", err.text);
    if (!part_runs(s, id)) {
        plan_restart(s, id, clock_msec());
    }
}

void supervisor_kill_due(struct supervisor *s, msec now) {
    for (int i = 0; i < PART_COUNT; i++) {
        if (s->parts[i].kill_at && s->parts[i].kill_at <= now) {
            s->parts[i].kill_at = 0;
            process_signal(&s->parts[i].process, SIGKILL);
        }
    }
}

int supervisor_wait(const struct supervisor *s) {
    msec now = clock_msec(), next = -1;
    for (int i = 0; i < PART_COUNT; i++) {
        const struct part *part = &s->parts[i];
        msec at = part->process.pidfd < 0 ? part->start_at : part->kill_at;
        if (part->process.pidfd >= 0 && !part->kill_at) {
            continue;
        }
        if (is_paired(i) && part->process.pidfd < 0 && part_runs(s, other_half(i))) {
            continue; /* the other half's end comes first */
        }
        next = next < 0 || at < next ? at : next;
    }
    return next < 0 ? -1 : next > now ? (int)(next - now) : 0;
}
