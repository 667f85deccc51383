/* A picture of simulated runs. SPDX-License-Identifier: Apache-2.0 */
#ifndef PAAS_SIM_SVG_H
#define PAAS_SIM_SVG_H

#include "autoscale.h"

/* Draws load, instances and waiting over time, one panel a run, to `path`. */
int svg_draw(const char *path, const struct sim_result *runs, const enum law_kind *laws,
    size_t count, int64_t concurrency, struct err *err);

#endif
