/* One law over every kind of load, app and start. SPDX-License-Identifier: Apache-2.0 */
#include "matrix.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "traces.h"

/* What ours has to reach beside Knative's. */
enum { WAIT_MS = 20, FLIPS_MAX = 30 };
static const double COST_EACH = 1.1, COST_SUM = 0.5;

static const int64_t services[] = { 50, 500 }, concurrencies[] = { 1, 10 },
                     starts[] = { 5, 50, 500, 2000 };
static const enum service_kind kinds[] = { SERVICE_EXPONENTIAL, SERVICE_MIXED };
static const char *const kind_names[] = { "exp", "fixed", "mixed" };
#define FOR_EACH(i, of) for (size_t i = 0; i < sizeof(of) / sizeof *(of); i++)

struct totals {
    int cells, passed;
    double cost[LAW_COUNT], wait[LAW_COUNT], log_ratio;
};

static const char *verdict(enum trace_kind trace, const struct sim_result *r) {
    const struct sim_result *ours = &r[LAW_OURS], *kpa = &r[LAW_KPA];
    if (ours->failed > 0) {
        return "MISS failed";
    }
    if (ours->wait_p99_ms > fmax(kpa->wait_p99_ms, WAIT_MS)) {
        return "MISS wait";
    }
    if (ours->instance_seconds > COST_EACH * kpa->instance_seconds) {
        return "MISS cost";
    }
    return trace == TRACE_STEADY && ours->flips > FLIPS_MAX ? "MISS flips" : "pass";
}

static void print_cell(const struct sim_settings *s, enum trace_kind trace,
    const struct sim_result *r, const char *says, bool json) {
    const char *format = json ? "{\"trace\":\"%s\",\"service\":\"%s\",\"service_ms\":%" PRId64
                                ",\"concurrency\":%" PRId64 ",\"start_ms\":%" PRId64
                              : "%-10s %-5s %3" PRId64 " %2" PRId64 " %4" PRId64 " ";
    printf(format, trace_names[trace], kind_names[s->service], s->service_ms, s->concurrency,
        s->start_ms);
    for (enum law_kind law = 0; law < LAW_COUNT; law++) {
        const char *figures = json ? ",\"%s\":{\"wait_p99_ms\":%.0f,\"instance_seconds\":%.0f,"
                                     "\"failed\":%" PRId64 ",\"flips\":%" PRId64 "}"
                                   : "%.0s|%6.0f %7.0f %5" PRId64 " %4" PRId64 " ";
        printf(figures, law_names[law], r[law].wait_p99_ms, r[law].instance_seconds, r[law].failed,
            r[law].flips);
    }
    printf(json ? ",\"cost_ratio\":%.3f,\"verdict\":\"%s\"}\n" : "| %5.2f %s\n",
        r[LAW_OURS].instance_seconds / r[LAW_KPA].instance_seconds, says);
    fflush(stdout);
}

static void add(struct totals *t, const struct sim_result *r, const char *says) {
    t->cells++;
    t->passed += says[0] == 'p';
    for (enum law_kind law = 0; law < LAW_COUNT; law++) {
        t->cost[law] += r[law].instance_seconds;
        t->wait[law] += r[law].wait_p99_ms;
    }
    t->log_ratio += log(r[LAW_OURS].instance_seconds / r[LAW_KPA].instance_seconds);
}

/* The figures of a run, without its points. */
static int figures_of(const struct trace *trace, struct sim_settings *settings, enum law_kind law,
    struct sim_result *out, struct err *err) {
    struct sim_result run;
    settings->law = law;
    if (sim_autoscale(trace, settings, &run, err) < 0) {
        return -1;
    }
    *out = run;
    out->points = NULL;
    sim_result_free(&run);
    return 0;
}

static int cell(struct sim_settings *settings, enum trace_kind kind, const struct trace *trace,
    struct totals *totals, bool json, struct err *err) {
    struct sim_result results[LAW_COUNT];
    for (enum law_kind law = 0; law < LAW_COUNT; law++) {
        if (figures_of(trace, settings, law, &results[law], err) < 0) {
            return -1;
        }
    }
    const char *says = verdict(kind, results);
    print_cell(settings, kind, results, says, json);
    add(totals, results, says);
    return 0;
}

/* All apps and starts under one trace. */
static int rows(struct sim_settings *settings, enum trace_kind kind, struct totals *totals,
    bool json, struct err *err) {
    struct trace trace;
    int result = trace_make(kind, &trace, err);
    FOR_EACH(k, kinds) {
        FOR_EACH(d, services) {
            FOR_EACH(c, concurrencies) {
                FOR_EACH(s, starts) {
                    settings->service = kinds[k];
                    settings->service_ms = services[d];
                    settings->concurrency = concurrencies[c];
                    settings->start_ms = starts[s];
                    if (result == 0) {
                        result = cell(settings, kind, &trace, totals, json, err);
                    }
                }
            }
        }
    }
    trace_free(&trace);
    return result;
}

int matrix_print(const struct sim_settings *settings, bool json, struct err *err) {
    struct sim_settings cells = *settings;
    struct totals totals = { 0 };
    if (!json) {
        printf("ours, kpa and hpa each: waiting p99 ms, instance-seconds, failed, flips; then "
               "ours/kpa in cost\n%-10s %-5s %3s %2s %4s\n",
            "trace", "kind", "D", "C", "S");
    }
    for (enum trace_kind kind = 0; kind < TRACE_KINDS; kind++) {
        if (rows(&cells, kind, &totals, json, err) < 0) {
            return -1;
        }
    }
    double sum = totals.cost[LAW_OURS] / totals.cost[LAW_KPA];
    const char *format =
        json
            ? "{\"cells\":%d,\"passed\":%d,\"cost_ratio\":%.3f,\"cost_ratio_mean\":%.3f,"
              "\"wait_p99_mean_ms\":{\"ours\":%.0f,\"kpa\":%.0f,\"hpa\":%.0f}}\n"
            : "%d cells, %d pass; cost in sum %.2f of kpa's (geometric mean %.2f); mean of waiting "
              "p99: ours %.0f ms, kpa %.0f, hpa %.0f\n";
    printf(format, totals.cells, totals.passed, sum, exp(totals.log_ratio / totals.cells),
        totals.wait[LAW_OURS] / totals.cells, totals.wait[LAW_KPA] / totals.cells,
        totals.wait[LAW_HPA] / totals.cells);
    return totals.passed < totals.cells || sum > COST_SUM;
}
