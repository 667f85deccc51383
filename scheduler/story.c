/* What changed of an instance, told as an event. SPDX-License-Identifier: Apache-2.0 */
#include "scheduler.h"

#include <stdio.h>
#include <string.h>

#include <paas/str.h>
#include <paas/wire.h>

static void tell(struct scheduler *s, const struct instance *instance, const char *type,
    const char *code, const char *message) {
    struct event event = { .release = instance->release, .message = (char *)message };
    str_copy(event.type, sizeof(event.type), type);
    str_copy(event.code, sizeof(event.code), code);
    memcpy(event.app, instance->app, sizeof(event.app));
    memcpy(event.process, instance->process, sizeof(event.process));
    memcpy(event.instance, instance->id, sizeof(event.instance));
    memcpy(event.slot, instance->slot, sizeof(event.slot));
    events_add(s, &event);
}

static void tell_of_start(struct scheduler *s, const struct instance *instance) {
    char message[64] = "";
    if (instance->restarts > 0) {
        snprintf(message, sizeof(message), "restart %lld", (long long)instance->restarts);
    }
    tell(s, instance, instance->restarts > 0 ? "instance-restarting" : "instance-starting", "",
        message);
}

static void tell_of_end(struct scheduler *s, const struct instance *instance) {
    const struct last_exit *end = &instance->last_exit;
    tell(s, instance, "instance-ended", end_reason_names[end->reason],
        end->detail[0] ? end->detail : end->signal);
}

static void tell_of_state(struct scheduler *s, const struct instance *instance, bool slept) {
    char message[64] = "";
    switch ((enum instance_state)instance->state) {
    case INSTANCE_HEALTHY:
        if (slept) {
            tell(s, instance, "instance-woken", "", "");
            break;
        }
        if (instance->ready_ms >= 0) {
            snprintf(message, sizeof(message), "ready in %lld ms", (long long)instance->ready_ms);
        }
        tell(s, instance, "instance-healthy", "", message);
        break;
    case INSTANCE_UNHEALTHY:
        tell(s, instance, "instance-unhealthy", "", instance->health);
        break;
    case INSTANCE_DRAINING:
        tell(s, instance, "instance-draining", "", "");
        break;
    case INSTANCE_STOPPED:
    case INSTANCE_FAILED:
        tell_of_end(s, instance);
        break;
    case INSTANCE_FROZEN:
        tell(s, instance, "instance-frozen", "", "");
        break;
    case INSTANCE_STARTING:
        break;
    }
}

static const char *words(const struct event *event) {
    return event->message ? event->message : "";
}

static void recall_end(const struct event *event, struct instance *row) {
    row->state = INSTANCE_FAILED;
    row->last_exit = (struct last_exit){ .code = -1, .reason = END_UNKNOWN };
    for (int reason = 0; end_reason_names[reason]; reason++) {
        if (strcmp(event->code, end_reason_names[reason]) == 0) {
            row->last_exit.reason = reason;
        }
    }
    if (row->last_exit.reason == END_STOPPED || row->last_exit.reason == END_KILLED) {
        row->state = INSTANCE_STOPPED;
    }
    str_copy(row->last_exit.detail, sizeof(row->last_exit.detail), words(event));
}

bool story_recall(const struct event *event, struct instance *row) {
    const char *what = event->type + strlen("instance-");
    int port;
    if (strncmp(event->type, "instance-", strlen("instance-")) != 0) {
        return false;
    }
    memcpy(row->id, event->instance, sizeof(row->id));
    memcpy(row->app, event->app, sizeof(row->app));
    memcpy(row->process, event->process, sizeof(row->process));
    memcpy(row->slot, event->slot, sizeof(row->slot));
    row->release = event->release;
    if (strcmp(what, "starting") == 0 || strcmp(what, "restarting") == 0) {
        row->state = INSTANCE_STARTING;
        row->created_at = event->at;
    } else if (strcmp(what, "listening") == 0 && sscanf(words(event), "on port %d", &port) == 1) {
        row->port = port;
    } else if (strcmp(what, "frozen") == 0) {
        row->state = INSTANCE_FROZEN;
    } else if (strcmp(what, "healthy") == 0 || strcmp(what, "woken") == 0) {
        row->state = INSTANCE_HEALTHY;
    } else if (strcmp(what, "unhealthy") == 0) {
        row->state = INSTANCE_UNHEALTHY;
    } else if (strcmp(what, "draining") == 0) {
        row->state = INSTANCE_DRAINING;
    } else if (strcmp(what, "ended") == 0) {
        recall_end(event, row);
    }
    return true;
}

void story_tell(struct scheduler *s, const struct instance *before, const struct instance *after) {
    if (!before) {
        tell_of_start(s, after);
    }
    if (after->port > 0 && (!before || before->port != after->port) &&
        after->state != INSTANCE_STOPPED && after->state != INSTANCE_FAILED) {
        char message[32];
        snprintf(message, sizeof(message), "on port %d", (int)after->port);
        tell(s, after, "instance-listening", "", message);
    }
    if (!before || before->state != after->state) {
        tell_of_state(s, after, before && before->state == INSTANCE_FROZEN);
    }
}

void story_tell_decision(struct scheduler *s, const struct scaling_decision *decision) {
    char message[128];
    struct event event = {
        .release = decision->release,
        .message = message,
        .detail = (char *)decision->message,
    };
    if (decision->from == decision->to) {
        snprintf(message, sizeof(message), "stays at %lld: %s", (long long)decision->to,
            decision->reason);
    } else {
        snprintf(message, sizeof(message), "%lld to %lld: %s", (long long)decision->from,
            (long long)decision->to, decision->reason);
    }
    str_copy(event.type, sizeof(event.type), "autoscaled");
    memcpy(event.app, decision->app, sizeof(event.app));
    memcpy(event.process, decision->process, sizeof(event.process));
    events_add(s, &event);
}
