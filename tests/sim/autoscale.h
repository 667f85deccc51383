/* One app, its queue and its instances under a law, in virtual time. SPDX-License-Identifier:
 * Apache-2.0
 *
 * Requests come by the trace (Poisson within a row), wait first come first served at the proxy, and
 * take a slot of the least loaded ready instance. An instance costs from the beginning of its start
 * until it has finished its last request. The same seed gives the same run.
 */
#ifndef PAAS_SIM_AUTOSCALE_H
#define PAAS_SIM_AUTOSCALE_H

#include "laws.h"
#include "trace.h"

enum service_kind { SERVICE_EXPONENTIAL, SERVICE_FIXED, SERVICE_MIXED };

struct sim_settings {
    enum service_kind service;
    int64_t service_ms, start_ms, deadline_ms;
    int64_t concurrency, min, max, standby, idle_ms;
    int64_t rps, window, queue_delay, step_up, step_down, step_period; /* as demand.h has them */
    uint64_t seed;
    enum law_kind law;
};

struct sim_point { /* once a second, for pictures */
    double load;   /* requests in flight and held */
    int64_t running;
    double wait_ms; /* longest of the second */
};

struct sim_result {
    int64_t requests, failed, starts, flips, peak;
    double wait_p50_ms, wait_p99_ms, wait_mean_ms;
    double instance_seconds, frozen_seconds;
    struct sim_point *points;
    size_t point_count;
};

/* 0, or -1 without memory. Free with sim_result_free(). */
int sim_autoscale(const struct trace *trace, const struct sim_settings *settings,
    struct sim_result *out, struct err *err);
void sim_result_free(struct sim_result *result);

#endif
