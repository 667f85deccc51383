/* Autoscaling laws under one roof: ours, and the published ones of Knative and Kubernetes.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Knative's KPA (autoscaler.go, bucketing.go, multiscaler.go of knative/serving): one-second
 * averages of concurrency, looked at each 2 s over a stable window of 60 s and a panic window of
 * 6 s; panic at 200 %; target 70 % of the concurrency; at most times 1000 up and half down; to zero
 * after an idle window and 30 s of grace; one at once when a request comes at zero. Kubernetes' HPA
 * (documentation of the horizontal pod autoscaler): each 15 s, tolerance 10 %, at most the larger
 * of +100 % and +4 up, down by the largest recommendation of 300 s. Both count the queue.
 */
#ifndef PAAS_SIM_LAWS_H
#define PAAS_SIM_LAWS_H

#include <stdbool.h>
#include <stdint.h>

#include "demand.h"

enum law_kind { LAW_OURS, LAW_KPA, LAW_HPA, LAW_COUNT };
extern const char *const law_names[LAW_COUNT];

enum { KPA_STABLE_S = 60, KPA_PANIC_S = 6, HPA_DOWN_STEPS = 20 };

struct law {
    enum law_kind kind;
    struct demand_settings settings;
    struct demand ours;
    /* KPA and HPA: averages of concurrency, one a second. */
    double seconds[KPA_STABLE_S];
    int64_t seconds_seen;
    double area; /* of the present second, request-ms */
    int64_t second;
    int64_t next; /* ms of the next look */
    int64_t panic_until, panic_most;
    int64_t idle_since;
    int64_t recommended[HPA_DOWN_STEPS];
    int64_t looks;
    int64_t wanted;
};

void law_init(struct law *law, enum law_kind kind, const struct demand_settings *settings);
/* How many shall run; called each simulated ms. `eager` says that a request came just now. */
int64_t law_decide(struct law *law, const struct demand_sample *sample, bool eager);

#endif
