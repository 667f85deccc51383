/* A recorded or given load: requests a second over time. SPDX-License-Identifier: Apache-2.0 */
#ifndef PAAS_SIM_TRACE_H
#define PAAS_SIM_TRACE_H

#include <stddef.h>
#include <stdint.h>

#include <paas/err.h>

enum {
    TRACE_ROWS_MAX = 1000000,
    TRACE_RPS_MAX = 1000000,     /* more than any one host serves */
    TRACE_LENGTH_MAX = 86400000, /* ms: one day */
};

struct trace_row {
    int64_t time_ms; /* from here on, until the next row's time */
    double rps;
};
struct trace {
    struct trace_row *rows; /* at least two; the last one is the end */
    size_t count;
};

/* Reads CSV: the line "time_ms,rps" (or "time_ms,requests_per_second"), then rows with times that
 * grow. ERR_BAD_VALUE with the line's number for anything else. Free with trace_free(). */
int trace_read(const char *path, struct trace *out, struct err *err);
int trace_parse(const char *text, struct trace *out, struct err *err);
void trace_free(struct trace *trace);

#endif
