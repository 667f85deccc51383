/* A release takes over from another, or is refused. SPDX-License-Identifier: Apache-2.0
 *
 * The new release is granted beside the old one. When every process has its number of healthy
 * instances and every live node's proxy has the routes, it is done; the verdict is committed, comes
 * back as an app that is served by the new release, and the old one's grants go. It fails at once
 * when an instance ends in a way that trying again can't change, and at the third end of any other
 * kind; the verdict comes back as an app whose target has failed, and the new one's grants go.
 */
#include "state.h"

#include <string.h>

bool app_is_rolling(const struct app *app) {
    return app->releases[TARGET].number && !app->failed && !app->stopped;
}

void rollout_begin(struct core *c, struct app *app) {
    memset(&app->rollout, 0, sizeof(app->rollout));
    app->rollout.progress_at = c->now;
    app->rollout.ready_at = app->rollout.verdict_at = -1;
}

static void judge(struct rollout *rollout, enum core_cause cause) {
    rollout->judged = true;
    rollout->cause = cause;
}

static bool is_final(const struct core_instance *end) {
    switch ((enum end_reason)end->reason) {
    case END_COMMAND:
    case END_PORT:
    case END_IMAGE:
    case END_START:
    case END_SILENT:
        return true;
    case END_HEALTH:
        return !end->was_ready;
    case END_NONE:
    case END_EXITED:
    case END_SIGNALED:
    case END_OOM:
    case END_STOPPED:
    case END_KILLED:
    case END_UNKNOWN:
        break;
    }
    return false;
}

static bool counts(const struct core_instance *end) {
    return end->state == INSTANCE_FAILED && end->reason != END_STOPPED && end->reason != END_KILLED;
}

/* An instance ended. A report of it that is repeated counts once. */
void rollout_end_seen(struct core *c, struct app *app, const struct core_instance *end) {
    struct rollout *rollout = &app->rollout;
    if (!app_is_rolling(app) || rollout->judged || !counts(end) ||
        end->release != app->releases[TARGET].number) {
        return;
    }
    for (size_t i = 0; i < rollout->ends; i++) {
        if (strcmp(rollout->ended[i], end->id) == 0) {
            return;
        }
    }
    text_copy(rollout->ended[rollout->ends++], ID_SIZE, end->id);
    if (is_final(end) || rollout->ends == CORE_ENDS_FATAL) {
        judge(rollout, CAUSE_END);
        rollout->reason = end->reason;
        text_copy(rollout->instance, ID_SIZE, end->id);
        text_copy(rollout->process, NAME_SIZE, end->process);
    }
    (void)c;
}

static bool all_healthy(const struct core *c, const struct app *app) {
    const struct release *r = &app->releases[TARGET];
    for (size_t i = 0; i < r->process_count; i++) {
        if (count_healthy(c, app, r, (int)i) < process_wants(app, TARGET, i).floor) {
            return false;
        }
    }
    return true;
}

/* Decides, after the grants of this step are placed. */
void rollout_judge(struct core *c, struct app *app) {
    struct rollout *rollout = &app->rollout;
    if (!app_is_rolling(app) || rollout->judged || !c->settled) {
        return;
    }
    int64_t healthy = count_healthy(c, app, &app->releases[TARGET], -1);
    if (healthy > rollout->healthy) {
        rollout->healthy = healthy;
        rollout->progress_at = c->now;
    }
    if (!all_healthy(c, app)) {
        rollout->ready_at = -1;
        if (app->releases[TARGET].unplaced > 0 && any_eligible(c)) {
            judge(rollout, CAUSE_FULL);
        } else if (c->now - rollout->progress_at >= CORE_ROLLOUT_MS) {
            judge(rollout, CAUSE_TIMEOUT);
        }
        return;
    }
    if (rollout->ready_at < 0) {
        rollout->ready_at = c->now;
    }
    if (routing_applied(c, app) || c->now - rollout->ready_at >= CORE_ROUTES_WAIT_MS) {
        judge(rollout, CAUSE_DONE);
    }
}

int64_t rollout_deadline(const struct app *app) {
    const struct rollout *rollout = &app->rollout;
    if (!app_is_rolling(app)) {
        return INT64_MAX;
    }
    if (rollout->judged) {
        return rollout->verdict_at < 0 ? 0 : rollout->verdict_at + CORE_VERDICT_REPEAT_MS;
    }
    if (rollout->ready_at >= 0) {
        return rollout->ready_at + CORE_ROUTES_WAIT_MS;
    }
    return rollout->progress_at + CORE_ROLLOUT_MS;
}
