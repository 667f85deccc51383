/* Changes and heartbeats to the scheduler. SPDX-License-Identifier: Apache-2.0 */
#include "report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <paas/file.h>
#include <paas/log.h>
#include <paas/rest.h>
#include <paas/wire.h>

enum {
    REPORT_BYTES_MAX = 32 << 20,
    DECISIONS_A_REPORT = 100,
    USAGE_A_REPORT = 100, /* instances whose use is read for one report: 2 files each */
};

struct report {
    struct report_options options;
    uv_timer_t timer;
    struct http_fetch *fetch; /* under way, or NULL */
    bool due;                 /* something changed since the last one was made */
    bool beat;                /* this one is a heartbeat, with what instances use */
    msec last_beat;           /* when that was last */
    bool failing;             /* the last one did not arrive */
    struct stream_point routes;
    char boot_id[BOOT_ID_SIZE];
    size_t usage_cursor; /* whose use is read next */
};

static void send_report(struct report *r);

static void on_timer(uv_timer_t *timer) {
    send_report(timer->data);
}

static void schedule(struct report *r, msec ms) {
    uv_timer_start(&r->timer, on_timer, (uint64_t)ms, 0);
}

void report_due(struct report *r) {
    if (!r->due) {
        r->due = true;
        if (!r->fetch) {
            schedule(r, REPORT_GATHER_MS);
        }
    }
}

void report_again(struct report *r) {
    r->due = true;
    if (!r->fetch) {
        schedule(r, 0);
    }
}

void report_routes(struct report *r, struct stream_point applied) {
    r->routes = applied;
    report_due(r);
}

struct rows {
    struct report *r;
    struct buf *text;
    size_t count;    /* rows written */
    size_t position; /* of the row among all */
    size_t decisions;
};

static void read_usage(const struct report *r, struct agent_instance *i, size_t position) {
    if (r->beat && position >= r->usage_cursor && position < r->usage_cursor + USAGE_A_REPORT) {
        instance_measure(i);
    }
}

static void write_row(void *data, struct agent_instance *i) {
    struct rows *rows = data;
    read_usage(rows->r, i, rows->position++);
    json_encode(&instance_json, &i->row, rows->text);
    buf_putc(rows->text, '\n');
    rows->count++;
}

static void write_decision(void *data, const struct scaling_decision *decision) {
    struct rows *rows = data;
    json_encode(&scaling_decision_json, decision, rows->text);
    buf_putc(rows->text, '\n');
    rows->decisions++;
}

static void write_report(struct report *r, struct buf *out) {
    struct buf text;
    struct rows rows = { .r = r, .text = &text };
    struct fleet_figures figures;
    size_t grant_count;
    const struct grant *grants = grants_rows(r->options.grants, &grant_count);
    struct stream_point point = grants_point(r->options.grants);
    buf_init(&text, REPORT_BYTES_MAX);
    fleet_each(r->options.fleet, false, write_row, &rows);
    r->usage_cursor =
        r->usage_cursor + USAGE_A_REPORT < rows.position ? r->usage_cursor + USAGE_A_REPORT : 0;
    for (size_t n = 0; n < grant_count; n++) {
        json_encode(&grant_json, &grants[n], &text);
        buf_putc(&text, '\n');
    }
    fleet_each_untold(r->options.fleet, DECISIONS_A_REPORT, write_decision, &rows);
    fleet_tell_memory(r->options.fleet, &figures);
    struct report_head head = {
        .whole = true,
        .term = point.term,
        .revision = point.revision,
        .routes_term = r->routes.term,
        .routes_revision = r->routes.revision,
        .instances = (int64_t)rows.count,
        .grants = (int64_t)grant_count,
        .decisions = (int64_t)rows.decisions,
        .memory_total = figures.host.memory_total,
        .memory_available = figures.host.memory_available,
        .memory_promised = figures.promised,
        .memory_used = figures.used,
        .given_up = figures.given_up[SHORTAGE_POOL] + figures.given_up[SHORTAGE_KEPT] +
                    figures.given_up[SHORTAGE_SLEEPERS] + figures.given_up[SHORTAGE_SURPLUS],
        .cpus = figures.host.cpus,
    };
    snprintf(head.node, sizeof head.node, "%s", r->options.node);
    snprintf(head.reason, sizeof head.reason, "%s", figures.full ? "full" : "");
    snprintf(head.boot_id, sizeof head.boot_id, "%s", r->boot_id);
    json_encode(&report_head_json, &head, out);
    buf_putc(out, '\n');
    if (text.failed || buf_append(out, buf_str(&text), text.len) < 0) {
        out->failed = true;
    }
    buf_free(&text);
}

/* The scheduler keeps these ends for good; the others are reported until it does. */
static void take_answer(struct report *r, const struct buf *body) {
    struct report_answer kept;
    struct err err;
    if (body->len == 0) {
        return;
    }
    if (json_decode(&report_answer_json, body->data, body->len, &kept, &err) < 0) {
        log_warn("the answer to a report: %s", err.text);
        return;
    }
    for (size_t n = 0; n < kept.ended.count; n++) {
        struct agent_instance *i = fleet_find(r->options.fleet, NULL, kept.ended.items[n], NULL);
        if (i) {
            fleet_acknowledge(r->options.fleet, i);
        }
    }
    json_free(&report_answer_json, &kept);
}

static void on_sent(void *data, struct http_answer *answer, const struct err *err) {
    struct report *r = data;
    r->fetch = NULL;
    if (err->code == ERR_OK) {
        fleet_told(r->options.fleet);
        take_answer(r, &answer->body);
    }
    if ((err->code == ERR_OK) == r->failing) {
        r->failing = err->code != ERR_OK;
        log_info("reports to the scheduler %s%s%s", r->failing ? "fail" : "arrive again",
            r->failing ? ": " : "", r->failing ? err->text : "");
    }
    schedule(r, r->due && !r->failing ? REPORT_GATHER_MS : REPORT_EVERY_MS);
}

static void send_report(struct report *r) {
    struct buf body;
    char url[128];
    struct err err;
    r->due = false;
    r->beat = clock_msec() - r->last_beat >= REPORT_EVERY_MS;
    r->last_beat = r->beat ? clock_msec() : r->last_beat;
    buf_init(&body, REPORT_BYTES_MAX);
    write_report(r, &body);
    snprintf(url, sizeof url, "http://paas/v1/nodes/%s/report", r->options.node);
    struct http_fetch_options options = {
        .method = METHOD_POST,
        .url = url,
        .unix_path = r->options.api,
        .content_type = "application/x-ndjson",
        .body = body.data,
        .body_len = body.len,
        .timeout = REPORT_TIMEOUT_MS,
        .done = on_sent,
        .context = r,
    };
    r->fetch = body.failed ? NULL : http_fetch_start(r->options.client, &options, &err);
    if (!r->fetch) {
        log_error("a report could not be made: %s", body.failed ? "it is too large" : err.text);
        schedule(r, REPORT_EVERY_MS);
    }
    buf_free(&body);
}

struct report *report_open(const struct report_options *options, struct err *err) {
    struct report *r = calloc(1, sizeof *r);
    if (!r) {
        err_no_memory(err);
        return NULL;
    }
    if (file_boot_id(r->boot_id, err) < 0) {
        free(r);
        return NULL;
    }
    r->options = *options;
    r->timer.data = r;
    uv_timer_init(options->loop, &r->timer);
    schedule(r, 0);
    return r;
}

static void on_closed(uv_handle_t *handle) {
    free(handle->data);
}

void report_close(struct report *r) {
    if (r) {
        http_cancel(r->fetch);
        uv_close((uv_handle_t *)&r->timer, on_closed);
    }
}
