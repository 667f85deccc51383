/* What was decided and seen of an app, for people. SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include <paas/str.h>
#include <paas/wire.h>

#include "fleet_parts.h"

struct history *group_history(struct group *g) {
    if (!g->history) {
        g->history = calloc(1, sizeof *g->history);
    }
    return g->history;
}

/* The next group of the app's process with a history. */
static bool tells(const struct group *g, const char *app, const char *process) {
    return g->history && strcmp(g->app, app) == 0 &&
           (!process[0] || strcmp(g->process, process) == 0);
}

void fleet_tell_decisions(
    const struct fleet *f, const char *app, const char *process, struct buf *out) {
    const char *between = "";
    buf_puts(out, "[");
    MAP_FOREACH (e, &f->groups) {
        const struct group *g = e->value;
        for (size_t n = 0; tells(g, app, process) && n < g->history->count; n++) {
            struct scaling_decision row = { .release = g->release };
            str_copy(row.app, sizeof row.app, g->app);
            str_copy(row.process, sizeof row.process, g->process);
            history_explain(
                &g->history->decisions[(g->history->first + n) % HISTORY_DECISIONS], &row);
            buf_puts(out, between);
            json_encode(&scaling_decision_json, &row, out);
            between = ",";
        }
    }
    buf_puts(out, "]\n");
}

/* Requests of all releases in one second; -1 when none remembers it. */
static int64_t requests_in(
    const struct fleet *f, const char *app, const char *process, msec second) {
    int64_t sum = -1;
    MAP_FOREACH (e, &f->groups) {
        const struct group *g = e->value;
        int64_t here = tells(g, app, process) ? history_requests(g->history, second) : -1;
        sum = here < 0 ? sum : here + (sum < 0 ? 0 : sum);
    }
    return sum;
}

void fleet_tell_load(const struct fleet *f, const char *app, const char *process, struct buf *out) {
    msec now = clock_wall_msec() / 1000;
    const char *between = "";
    bool begun = false;
    buf_puts(out, "[");
    for (msec second = now - HISTORY_SECONDS; second < now; second++) {
        int64_t requests = requests_in(f, app, process, second);
        begun = begun || requests >= 0;
        if (begun) { /* the proxy says nothing while nothing comes */
            struct load_second row = { second * 1000, requests < 0 ? 0 : requests };
            buf_puts(out, between);
            json_encode(&load_second_json, &row, out);
            between = ",";
        }
    }
    buf_puts(out, "]\n");
}
