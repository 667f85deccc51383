/* A monitor: probe, pause, probe. SPDX-License-Identifier: Apache-2.0
 *
 * One timer and at most one probe at a time. on_probed() counts the result, tells it, tells a
 * change, and sets the timer for the next probe. A probe that could not even start counts as a
 * failure.
 */
#include <paas/health.h>

#include <stdlib.h>

#include "probe.h"

enum { FIRST_PAUSE_MS = 2 /* between probes of something that just starts */ };

struct health_monitor {
    struct health_options options;
    struct health_count count;
    struct probe *probe; /* under way, or NULL */
    uv_timer_t timer;
    msec pause; /* until the next probe, while nothing was good yet */
    bool paused, stopped;
};

static void start_probe(struct health_monitor *m);

static void on_timer(uv_timer_t *timer) {
    start_probe(timer->data);
}

static msec next_pause(struct health_monitor *m) {
    if (m->count.verdict != HEALTH_UNKNOWN) {
        return m->options.interval;
    }
    msec pause = m->pause;
    m->pause = pause * 2 < m->options.interval ? pause * 2 : m->options.interval;
    return pause;
}

static void on_probed(void *data, bool good, const char *words) {
    struct health_monitor *m = data;
    m->probe = NULL;
    enum health_verdict before = m->count.verdict;
    enum health_verdict after;
    if (!good && before == HEALTH_UNKNOWN) {
        /* Before it was ever good a failure is no verdict: whoever waits has a limit of its own. */
        after = before;
    } else {
        after = health_judge(&m->options.rule, &m->count, good);
    }
    if (!m->paused) {
        uv_timer_start(&m->timer, on_timer, (uint64_t)next_pause(m), 0);
    }
    m->options.probed(m->options.data, good, words);
    if (after != before && !m->stopped) {
        m->options.changed(m->options.data, after, words);
    }
}

static void start_probe(struct health_monitor *m) {
    if (m->paused || m->stopped || m->probe) {
        return;
    }
    uv_timer_stop(&m->timer);
    m->probe = probe_start(&m->options, on_probed, m);
    if (!m->probe) {
        uv_timer_start(&m->timer, on_timer, (uint64_t)m->options.interval, 0);
        m->options.probed(m->options.data, false, "the probe could not start");
    }
}

struct health_monitor *health_start(const struct health_options *options, struct err *err) {
    struct health_monitor *m = calloc(1, sizeof *m);
    if (!m) {
        err_no_memory(err);
        return NULL;
    }
    m->options = *options;
    m->pause = FIRST_PAUSE_MS;
    m->timer.data = m;
    uv_timer_init(options->loop, &m->timer);
    uv_timer_start(&m->timer, on_timer, 0, 0);
    return m;
}

void health_assume(struct health_monitor *m, enum health_verdict verdict) {
    m->count = (struct health_count){ .verdict = verdict };
}

void health_pause(struct health_monitor *m) {
    m->paused = true;
    uv_timer_stop(&m->timer);
    probe_cancel(m->probe);
    m->probe = NULL;
}

void health_resume(struct health_monitor *m) {
    if (m->paused) {
        m->paused = false;
        uv_timer_start(&m->timer, on_timer, HEALTH_RESUME_MS, 0);
    }
}

void health_probe_now(struct health_monitor *m) {
    if (!m->paused && !m->probe) {
        uv_timer_start(&m->timer, on_timer, 0, 0);
    }
}

static void on_closed(uv_handle_t *handle) {
    free(handle->data);
}

void health_stop(struct health_monitor *m) {
    if (m && !m->stopped) {
        m->stopped = true;
        probe_cancel(m->probe);
        m->probe = NULL;
        uv_close((uv_handle_t *)&m->timer, on_closed);
    }
}
