/* Changes of scale and environment. SPDX-License-Identifier: Apache-2.0 */
#include "changes.h"

#include <stdlib.h>
#include <string.h>

#include <paas/str.h>
#include <paas/wire.h>

/* NULL with *err when it has none of that name. */
static const struct process_spec *find_process(
    const struct intent *intent, const struct app_row *row, const char *process, struct err *err) {
    const struct config *config = change_current_config(intent, row);
    const struct process_spec *specs = config ? config->value.processes.items : NULL;
    const char *names[PROCESSES_PER_APP];
    size_t count = config ? config->value.processes.count : 0;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(specs[i].name, process) == 0) {
            return &specs[i];
        }
        names[i] = specs[i].name;
    }
    err_set(err, ERR_NOT_FOUND, "app \"%s\" has no process \"%.64s\"", row->name, process);
    const char *nearest = str_nearest(process, names, count);
    if (nearest) {
        err_hint(err, "did you mean \"%s\"?", nearest);
    } else {
        err_hint(err, "paas ps %s shows its processes", row->name);
    }
    return NULL;
}

static int set_rule(
    struct app_row *row, const char *process, const struct scale_rule *rule, struct err *err) {
    struct app_rule *rules = row->rules.items;
    for (size_t i = 0; i < row->rules.count; i++) {
        if (strcmp(rules[i].process, process) == 0) {
            rules[i].rule = *rule;
            return 0;
        }
    }
    if (row->rules.count >= PROCESSES_PER_APP) {
        return err_set(err, ERR_TOO_LARGE, "an app has at most %d scale rules", PROCESSES_PER_APP);
    }
    struct app_rule *added = change_array_add(&row->rules, sizeof(*added), err);
    if (!added) {
        return -1;
    }
    str_copy(added->process, sizeof(added->process), process);
    added->rule = *rule;
    return 0;
}

static int scale_one(struct intent *intent, struct app_row *row, const char *process,
    const struct scale_rule *rule, struct err *err) {
    const struct process_spec *spec = find_process(intent, row, process, err);
    if (!spec || scale_rule_check(rule, process_listens(spec), err) < 0 ||
        set_rule(row, process, rule, err) < 0) {
        return -1;
    }
    return rule->min == rule->max
               ? change_note(
                     intent, "app-scaled", row, 0, err, "%s: %lld", process, (long long)rule->min)
               : change_note(intent, "app-scaled", row, 0, err, "%s: %lld to %lld", process,
                     (long long)rule->min, (long long)rule->max);
}

int intent_scale(struct intent *intent, const char *app, const struct scale_request *request,
    struct change_answer *out, struct err *err) {
    struct app_row *row = intent_edit(intent, app, err);
    if (!row) {
        return -1;
    }
    const struct process_count *counts = request->processes.items;
    if (!request->processes.count) {
        return err_set(err, ERR_BAD_VALUE, "processes: there is none");
    }
    for (size_t i = 0; i < request->processes.count; i++) {
        for (size_t before = 0; before < i; before++) {
            if (strcmp(counts[before].process, counts[i].process) == 0) {
                return err_set(
                    err, ERR_BAD_VALUE, "processes: \"%s\" is there twice", counts[i].process);
            }
        }
        struct scale_rule rule;
        json_defaults(&scale_rule_json, &rule);
        rule.min = rule.max = counts[i].count;
        rule.concurrency = 0; /* nobody named a bound */
        if (scale_one(intent, row, counts[i].process, &rule, err) < 0) {
            return -1;
        }
    }
    change_answer_fill(row, change_current(row), out);
    return 0;
}

int intent_autoscale(struct intent *intent, const char *app,
    const struct autoscale_request *request, struct change_answer *out, struct err *err) {
    struct app_row *row = intent_edit(intent, app, err);
    if (!row) {
        return -1;
    }
    if (request->rule.max == 0) {
        return err_set(err, ERR_BAD_VALUE, "max is missing: the most instances that may run");
    }
    if (scale_one(intent, row, request->process, &request->rule, err) < 0) {
        return -1;
    }
    change_answer_fill(row, change_current(row), out);
    return 0;
}

/* --- environment ------------------------------------------------------------------------------ */

int intent_env(struct intent *intent, const char *app, const struct env_request *request,
    int64_t now, struct change_answer *out, struct err *err) {
    struct app_row *row = intent_edit(intent, app, err);
    if (!row) {
        return -1;
    }
    bool changed = false;
    for (size_t i = 0; i < request->set.count; i++) {
        const struct pair *pair = &request->set.items[i];
        const char *had = pairs_get(&row->env, pair->key);
        changed = changed || !had || strcmp(had, pair->value) != 0;
        if (pairs_set(&row->env, pair->key, pair->value) < 0) {
            return err_no_memory(err);
        }
    }
    for (size_t i = 0; i < request->unset.count; i++) {
        changed = pairs_unset(&row->env, request->unset.items[i]) || changed;
    }
    if (changed && change_renew(intent, row, &row->env, now, err) < 0) {
        return -1;
    }
    change_answer_fill(row, change_current(row), out);
    return 0;
}
