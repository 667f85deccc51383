/* One probe: a connection, a question, an answer. SPDX-License-Identifier: Apache-2.0 */
#ifndef PAAS_PROBE_H
#define PAAS_PROBE_H

#include <stdbool.h>

#include <paas/health.h>

struct probe;

/* Starts a probe of `options`' address. `done` is called once from the loop, unless it is
 * cancelled. NULL without memory or with an address that is none. */
struct probe *probe_start(const struct health_options *options,
    void (*done)(void *data, bool good, const char *words), void *data);
/* Ends it without `done`; memory goes in a later turn. NULL is fine. */
void probe_cancel(struct probe *p);

#endif
