/* Loads that every law has to stand, made without a file. SPDX-License-Identifier: Apache-2.0 */
#ifndef PAAS_SIM_TRACES_H
#define PAAS_SIM_TRACES_H

#include "trace.h"

enum trace_kind {
    TRACE_STEP,   /* twenty times the load for half of the time */
    TRACE_RAMP,   /* to sixty times the load, slowly */
    TRACE_BURSTY, /* bursts of random begin, and of lengths without a mean worth the name */
    TRACE_ON_OFF, /* ten seconds of ninety, nothing between */
    TRACE_DAY,    /* a day's wave in ten minutes */
    TRACE_FLOOD,  /* a thousand requests at once, cold */
    TRACE_STEADY, /* always the same */
    TRACE_KINDS,
};
extern const char *const trace_names[TRACE_KINDS];

/* Always the same ten minutes for a kind. -1 without memory; free with trace_free(). */
int trace_make(enum trace_kind kind, struct trace *out, struct err *err);

#endif
