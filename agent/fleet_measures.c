/* What groups use, once a second, for the law. SPDX-License-Identifier: Apache-2.0
 *
 * Only groups whose rule names such a measure are looked at, and the timer runs only while there
 * is one. What can't be seen (an app that does not give its number) stays as it was last seen:
 * nothing is given up on silence.
 */
#include "fleet_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <paas/log.h>
#include <paas/schedule.h>
#include <paas/str.h>
#include <paas/wire.h>
#include <paas/http_client.h>

#include "targets.h"

enum {
    MEASURE_MS = 1000,
    METRIC_TIMEOUT_MS = 2000,
    METRIC_BYTES_MAX = 256, /* a number, and blanks around it */
};
#define METRIC_MAX INT64_C(1000000000000) /* thousandths */

struct measures {
    struct group *group;
    struct schedule schedule;
    int64_t scheduled; /* least number at this time of day */
    msec seen;         /* when instances were last looked at */
    struct smoothed cpu, memory;
    int64_t cpu_asks, memory_asks, p99_asks, metric_asks;
    struct latency_target latency;
    int64_t arrived; /* requests when latency was last looked at */
    struct http_fetch *fetch;
    msec asked;   /* when the app was last asked for its number */
    bool failing; /* it did not give it */
};

static bool is_measured(const struct group *g) {
    const struct scale_rule *rule = &g->grant.rule;
    return group_is_scaled(g) && (rule->cpu > 0 || rule->memory > 0 || rule->p99 > 0 ||
                                     rule->metric.path[0] || rule->schedule[0]);
}

/* --- processors and memory -------------------------------------------------------------------- */

struct sums {
    int64_t cpu_milli, memory_bytes; /* in use, of all */
    int64_t cpus_each, memory_each;  /* limits of one */
};

static void add_use(struct agent_instance *i, msec passed, struct sums *sums) {
    struct sandbox_usage usage;
    if (i->phase != PHASE_SERVE || sandbox_usage(i->host->cgroups, i->row.id, &usage, NULL) < 0) {
        i->used_usec = 0;
        return;
    }
    int64_t before = i->used_usec;
    i->used_usec = (int64_t)usage.cpu_usec;
    if (before > 0 && passed > 0 && i->used_usec > before) {
        sums->cpu_milli += (i->used_usec - before) / passed; /* us a ms are thousandths */
    }
    sums->memory_bytes += (int64_t)(usage.memory_bytes + usage.swapped_bytes);
    sums->cpus_each = i->spec ? i->spec->cpus : sums->cpus_each;
    sums->memory_each = i->spec ? i->spec->memory : sums->memory_each;
}

static void measure_use(struct measures *m, msec now) {
    const struct scale_rule *rule = &m->group->grant.rule;
    struct sums sums = { 0 };
    msec passed = m->seen ? now - m->seen : 0;
    m->seen = now;
    LIST_FOREACH (item, &m->group->instances) {
        add_use(LIST_ITEM(item, struct agent_instance, link), passed, &sums);
    }
    m->cpu_asks = target_use(smoothed_add(&m->cpu, now, sums.cpu_milli), sums.cpus_each, rule->cpu);
    m->memory_asks = target_use(
        smoothed_add(&m->memory, now, sums.memory_bytes), sums.memory_each, rule->memory);
}

/* --- the app's own number --------------------------------------------------------------------- */

/* Whom to ask: an instance of the process that the rule names, of the newest release that serves.
 */
static const struct agent_instance *whom_to_ask(const struct group *g) {
    const struct agent_instance *best = NULL;
    const char *process = g->grant.rule.metric.process;
    MAP_FOREACH (e, &g->fleet->groups) {
        const struct group *other = e->value;
        if (strcmp(other->app, g->app) != 0 ||
            strcmp(other->process, process[0] ? process : "web") != 0) {
            continue;
        }
        LIST_FOREACH (item, &other->instances) {
            const struct agent_instance *i = LIST_ITEM(item, struct agent_instance, link);
            if (i->phase == PHASE_SERVE && i->row.port > 0 &&
                (!best || i->row.release > best->row.release)) {
                best = i;
            }
        }
    }
    return best;
}

static void say_failing(struct measures *m, const char *why) {
    if (!m->failing) {
        m->failing = true;
        log_warn("%s: its number at %s can't be had, going on with the last one: %s", m->group->key,
            m->group->grant.rule.metric.path, why);
    }
}

static void take_number(struct measures *m, const struct buf *body) {
    char text[METRIC_BYTES_MAX + 1];
    const char *from = buf_str(body);
    struct err err;
    int64_t value;
    from += strspn(from, " \t\r\n");
    size_t len = strcspn(from, " \t\r\n");
    snprintf(text, sizeof text, "%.*s", (int)len, from);
    if (from[len + strspn(from + len, " \t\r\n")] != '\0' ||
        str_milli(text, 0, METRIC_MAX, "the number", &value, &err) < 0) {
        say_failing(m, "the answer is no number from 0 on");
        return;
    }
    m->failing = false;
    m->metric_asks = target_metric(value, m->group->grant.rule.metric.per_instance);
    group_mark(m->group);
}

static void on_number(void *data, struct http_answer *answer, const struct err *err) {
    struct measures *m = data;
    m->fetch = NULL;
    if (err->code != ERR_OK) {
        say_failing(m, err->text);
    } else {
        take_number(m, &answer->body);
    }
}

static void ask_number(struct measures *m, msec now) {
    const struct load_metric *metric = &m->group->grant.rule.metric;
    char url[PATH_SIZE + ADDRESS_SIZE + 32];
    struct err err;
    if (!metric->path[0] || m->fetch || (m->asked && now - m->asked < metric->interval)) {
        return;
    }
    m->asked = now;
    const struct agent_instance *i = whom_to_ask(m->group);
    if (!i) {
        say_failing(m, "no instance to ask");
        return;
    }
    snprintf(url, sizeof url, "http://%s:%" PRId64 "%s", i->row.address, i->row.port, metric->path);
    struct http_fetch_options options = {
        .method = METHOD_GET,
        .url = url,
        .timeout = METRIC_TIMEOUT_MS,
        .collect_max = METRIC_BYTES_MAX,
        .done = on_number,
        .context = m,
    };
    m->fetch = http_fetch_start(m->group->fleet->options.client, &options, &err);
    if (!m->fetch) {
        say_failing(m, err.text);
    }
}

/* --- the whole -------------------------------------------------------------------------------- */

static int64_t scheduled_now(const struct schedule *schedule) {
    time_t wall = (time_t)(clock_wall_msec() / 1000);
    struct tm local;
    return localtime_r(&wall, &local)
               ? schedule_min(schedule, local.tm_wday, local.tm_hour * 60 + local.tm_min)
               : 0;
}

static void measure(struct group *g, msec now) {
    struct measures *m = g->measures;
    const struct scale_rule *rule = &g->grant.rule;
    m->scheduled = scheduled_now(&m->schedule);
    if (rule->cpu > 0 || rule->memory > 0) {
        measure_use(m, now);
    }
    if (rule->p99 > 0) {
        int64_t p99 = g->seen.arrived == m->arrived ? 0 : g->p99_ms; /* of no requests, no time */
        m->arrived = g->seen.arrived;
        m->p99_asks = latency_asks(&m->latency, now, p99, rule->p99, group_serving(g));
    }
    ask_number(m, now);
    group_mark(g);
}

static void on_measure(uv_timer_t *timer) {
    struct fleet *f = timer->data;
    msec now = clock_msec();
    bool any = false;
    MAP_FOREACH (e, &f->groups) {
        struct group *g = e->value;
        if (g->measures) {
            measure(g, now);
            any = true;
        }
    }
    if (!any) {
        uv_timer_stop(timer);
    }
}

void group_forget_measures(struct group *g) {
    if (g->measures) {
        http_cancel(g->measures->fetch);
        free(g->measures);
        g->measures = NULL;
    }
}

void group_set_measures(struct group *g, bool changed) {
    struct fleet *f = g->fleet;
    struct err err;
    if (changed || !is_measured(g)) {
        group_forget_measures(g);
    }
    if (!is_measured(g) || g->measures) {
        return;
    }
    g->measures = calloc(1, sizeof *g->measures);
    if (!g->measures) {
        log_error("%s: what it uses can't be measured: out of memory", g->key);
        return;
    }
    g->measures->group = g;
    if (schedule_parse(g->grant.rule.schedule, &g->measures->schedule, &err) < 0) {
        log_error("%s: schedule: %s", g->key, err.text);
    }
    g->measures->scheduled = scheduled_now(&g->measures->schedule);
    if (!uv_is_active((uv_handle_t *)&f->measure)) {
        uv_timer_start(&f->measure, on_measure, 0, MEASURE_MS);
    }
}

int64_t group_scheduled(const struct group *g) {
    /* The grant's ceiling is what the rule allows, less the floors of other hosts: they run. */
    int64_t elsewhere = g->grant.rule.max - g->grant.ceiling;
    int64_t all = g->measures ? g->measures->scheduled : 0;
    return elsewhere <= 0 ? all : all > elsewhere ? all - elsewhere : 0;
}

void group_use(const struct group *g, struct demand_sample *sample) {
    const struct measures *m = g->measures;
    if (!m) {
        return;
    }
    const struct {
        int64_t asks;
        enum demand_reason reason;
    } all[] = {
        { m->cpu_asks, DEMAND_CPU },
        { m->memory_asks, DEMAND_MEMORY },
        { m->p99_asks, DEMAND_P99 },
        { m->metric_asks, DEMAND_METRIC },
    };
    for (size_t n = 0; n < sizeof all / sizeof *all; n++) {
        if (all[n].asks > sample->use) {
            sample->use = all[n].asks;
            sample->use_reason = all[n].reason;
        }
    }
}
