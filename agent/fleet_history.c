/* What was decided and seen of an app, for people. SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
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

static const struct history_decision *nth(const struct history *h, size_t n) {
    return &h->decisions[(h->first + n) % HISTORY_DECISIONS];
}

static struct scaling_decision row_of(const struct group *g, const struct history_decision *d) {
    struct scaling_decision row = { .release = g->release };
    str_copy(row.app, sizeof row.app, g->app);
    str_copy(row.process, sizeof row.process, g->process);
    history_explain(d, &row);
    return row;
}

void fleet_tell_decisions(
    const struct fleet *f, const char *app, const char *process, struct buf *out) {
    const char *between = "";
    buf_puts(out, "[");
    MAP_FOREACH (e, &f->groups) {
        const struct group *g = e->value;
        for (size_t n = 0; tells(g, app, process) && n < g->history->count; n++) {
            struct scaling_decision row = row_of(g, nth(g->history, n));
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

/* --- events and metrics ----------------------------------------------------------------------- */

enum { TELL_EVERY_MS = 1000 };

void fleet_each_untold(struct fleet *f, size_t max,
    void (*each)(void *data, const struct scaling_decision *decision), void *data) {
    msec now = clock_msec();
    MAP_FOREACH (e, &f->groups) {
        struct group *g = e->value;
        size_t first = 0, count = g->history ? g->history->count : 0;
        while (first < count && nth(g->history, first)->sequence <= g->told_decision) {
            first++;
        }
        if (first == count || max == 0 || (g->told_at && now - g->told_at < TELL_EVERY_MS)) {
            continue;
        }
        struct scaling_decision row = row_of(g, nth(g->history, count - 1));
        row.from = nth(g->history, first)->from;
        g->telling = row.sequence;
        each(data, &row);
        max--;
    }
}

void fleet_told(struct fleet *f) {
    MAP_FOREACH (e, &f->groups) {
        struct group *g = e->value;
        if (g->telling > g->told_decision) {
            g->told_decision = g->telling;
            g->told_at = clock_msec();
        }
    }
}

void fleet_write_metrics(const struct fleet *f, struct buf *out) {
    buf_puts(out, "# HELP paas_agent_wanted_instances What load decided, by app and process.\n"
                  "# TYPE paas_agent_wanted_instances gauge\n");
    MAP_FOREACH (e, &f->groups) {
        const struct group *g = e->value;
        if (group_is_scaled(g)) {
            buf_printf(out,
                "paas_agent_wanted_instances{app=\"%s\",process=\"%s\",release=\"%" PRId64
                "\"} %" PRId64 "\n",
                g->app, g->process, g->release, g->decided.running);
        }
    }
    buf_puts(out,
        "# HELP paas_agent_scaling_decisions_total Decisions for more and for fewer instances.\n"
        "# TYPE paas_agent_scaling_decisions_total counter\n");
    MAP_FOREACH (e, &f->groups) {
        const struct group *g = e->value;
        for (int up = 0; g->history && up < 2; up++) {
            buf_printf(out,
                "paas_agent_scaling_decisions_total{app=\"%s\",process=\"%s\",release=\"%" PRId64
                "\",direction=\"%s\"} %" PRId64 "\n",
                g->app, g->process, g->release, up ? "up" : "down",
                up ? g->history->up : g->history->down);
        }
    }
}
