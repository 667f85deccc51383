/* What the core judged of a rollout, in words, as a change of intent. SPDX-License-Identifier:
 * Apache-2.0 */
#include "scheduler.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <paas/log.h>
#include <paas/wire.h>

struct verdict_change {
    struct change base;
    struct core_action action;
    char reason[512];
};

static int on_apply(struct change *base, struct intent *intent, int64_t now, struct err *err) {
    struct verdict_change *change = (struct verdict_change *)base;
    const struct core_action *action = &change->action;
    enum err_code code = ERR_OK;
    switch (action->cause) {
    case CAUSE_DONE:
        break;
    case CAUSE_END:
        code = end_reason_error((enum end_reason)action->reason);
        break;
    case CAUSE_TIMEOUT:
        code = ERR_TIMEOUT;
        break;
    case CAUSE_FULL:
        code = ERR_FULL;
        break;
    }
    struct intent_verdict verdict = { .app = action->app,
        .release = action->release,
        .attempt = action->attempt,
        .done = action->cause == CAUSE_DONE,
        .code = code,
        .reason = change->reason,
        .process = action->process,
        .instance = action->instance };
    (void)now;
    return intent_verdict(intent, &verdict, err);
}

/* A verdict that could not be committed comes again from the core. */
static void on_done(struct change *base, int64_t sequence, const struct err *err) {
    struct verdict_change *change = (struct verdict_change *)base;
    (void)sequence;
    if (err->code != ERR_OK) {
        log_error("the verdict on %s: %s", change->action.app, err->text);
    }
    free(change);
}

static const char *words_of(enum end_reason reason) {
    switch (reason) {
    case END_EXITED:
        return "exited";
    case END_SIGNALED:
        return "was ended by a signal";
    case END_OOM:
        return "ran out of memory";
    case END_COMMAND:
        return "could not start: its command is missing";
    case END_SILENT:
        return "never listened";
    case END_PORT:
        return "listens on the wrong port";
    case END_HEALTH:
        return "fails its health check";
    case END_IMAGE:
        return "could not start: its image can't be used";
    case END_START:
        return "could not start";
    case END_NONE:
    case END_STOPPED:
    case END_KILLED:
    case END_UNKNOWN:
        break;
    }
    return "ended";
}

static void describe_end(
    const struct scheduler *s, const struct core_action *action, char *text, size_t size) {
    const struct instance *instance = nodes_instance(s, action->instance);
    const char *words = words_of((enum end_reason)action->reason);
    if (!instance) {
        snprintf(text, size, "%s %s", action->process, words);
        return;
    }
    /* The node's words, with figures, say more than the reason does. */
    const char *detail = instance->last_exit.detail;
    snprintf(text, size, "%s %s", instance->slot, detail[0] ? detail : words);
}

static void describe(
    const struct scheduler *s, const struct core_action *action, char *text, size_t size) {
    switch (action->cause) {
    case CAUSE_DONE:
        snprintf(text, size, "release %lld serves", (long long)action->release);
        break;
    case CAUSE_END:
        describe_end(s, action, text, size);
        break;
    case CAUSE_TIMEOUT:
        snprintf(text, size, "no progress for %d minutes", CORE_ROLLOUT_MS / 60000);
        break;
    case CAUSE_FULL:
        snprintf(text, size, "no node has room for all instances of the new release");
        break;
    }
}

void verdict_submit(struct scheduler *s, const struct core_action *action) {
    struct verdict_change *change = calloc(1, sizeof(*change));
    struct err err = { 0 };
    if (!change) {
        return;
    }
    change->base.apply = on_apply;
    change->base.done = on_done;
    change->action = *action;
    describe(s, action, change->reason, sizeof(change->reason));
    if (changes_submit(s, &change->base, &err) < 0) {
        log_error("the verdict on %s: %s", action->app, err.text);
        free(change);
    }
}
