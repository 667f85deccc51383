/* Follows a change of an app. SPDX-License-Identifier: Apache-2.0 */
#include "rollout.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <paas/buf.h>
#include <paas/wire.h>

#include "progress.h"

enum {
    LINES_SHOWN = 12,    /* of instances that start; more are only counted */
    LAST_LINES = 10,     /* of an app that failed */
    LINES_MAX = 1 << 20, /* bytes of those */
};

struct following {
    struct cli *cli;
    const struct change_answer *change;
    struct rollout *rollout;
    int64_t sequence;     /* of the last event seen */
    msec began, listened; /* listened: 0 before */
    int shown;
    char ended[ID_SIZE]; /* the last instance of the release that ended */
    char *detail;        /* the app's last lines, where the event had them; owned */
    bool failed;
    struct err *err;
};

/* Prints the lines of a text. */
static void quote_lines(const struct following *f, const char *text) {
    char *copy = strdup(text), *rest = copy, *line;
    while (rest && (line = strsep(&rest, "\n"))) {
        if (line[0]) {
            progress_quote(f->cli, line);
        }
    }
    free(copy);
}

static void quote_log(const struct following *f, const char *instance) {
    char path[CLIENT_PATH_MAX];
    struct buf body;
    snprintf(path, sizeof path, "/v1/apps/%s/logs?tail=%d&instance=%s", f->change->app, LAST_LINES,
        instance);
    buf_init(&body, LINES_MAX);
    struct client *c = cli_client(f->cli, NULL);
    if (c && client_call(c, METHOD_GET, path, NULL, NULL, &body, NULL) == 0) {
        char *rest = body.data, *text;
        while (rest && (text = strsep(&rest, "\n"))) {
            struct log_line line;
            if (text[0] && json_decode(&log_line_json, text, strlen(text), &line, NULL) == 0) {
                progress_quote(f->cli, line.text ? line.text : "");
                json_free(&log_line_json, &line);
            }
        }
    }
    buf_free(&body);
}

static void on_listening(struct following *f, const struct event *event, const char *word) {
    msec now = clock_msec();
    f->listened = f->listened ? f->listened : now;
    if (f->shown++ < LINES_SHOWN) {
        progress_step(f->cli, now - f->began, word, "%s %s", event->slot,
            event->message ? event->message : "");
    }
}

static void on_failed(struct following *f, const struct event *event) {
    f->failed = true;
    if (event->instance[0]) {
        snprintf(f->ended, sizeof f->ended, "%s", event->instance);
    }
    f->detail = event->detail && event->detail[0] ? strdup(event->detail) : NULL;
    err_set(f->err, err_by_name(event->code), "v%" PRId64 " of %s did not start%s%s",
        f->change->release, f->change->app, event->message && event->message[0] ? ": " : "",
        event->message ? event->message : "");
}

/* Says which release serves instead, between what happened and why. */
static void add_serving(const struct following *f) {
    char path[CLIENT_PATH_MAX], text[ERR_TEXT_MAX];
    struct app_summary app;
    struct client *c = cli_client(f->cli, NULL);
    snprintf(path, sizeof path, "/v1/apps/%s", f->change->app);
    if (!c || client_get(c, path, &app_summary_json, &app, NULL) < 0) {
        return;
    }
    if (app.release > 0 && app.release != f->change->release) {
        const char *why = strstr(f->err->text, ": ");
        int what = why ? (int)(why - f->err->text) : (int)strlen(f->err->text);
        snprintf(text, sizeof text, "%.*s; v%" PRId64 " still serves%s", what, f->err->text,
            app.release, why ? why : "");
        memcpy(f->err->text, text, sizeof text);
    }
    json_free(&app_summary_json, &app);
}

/* After the stream: other requests may run again. */
static void report_failure(struct following *f) {
    if (f->detail) {
        quote_lines(f, f->detail);
    } else if (f->ended[0]) {
        quote_log(f, f->ended);
    }
    add_serving(f);
}

/* False when this was the last event. */
static bool on_event(struct following *f, const struct event *event) {
    const char *type = event->type;
    f->sequence = event->sequence > f->sequence ? event->sequence : f->sequence;
    if (event->release != f->change->release) {
        return true;
    }
    if (strcmp(type, "instance-listening") == 0) {
        on_listening(f, event, "start");
    } else if (strcmp(type, "instance-healthy") == 0) {
        f->rollout->instances++;
        on_listening(f, event, "healthy");
    } else if (strcmp(type, "instance-woken") == 0) {
        f->rollout->instances++;
        on_listening(f, event, "wake");
    } else if (strcmp(type, "instance-ended") == 0 && event->code[0]) {
        snprintf(f->ended, sizeof f->ended, "%s", event->instance);
        progress_step(f->cli, clock_msec() - f->began, "start", "%s %s", event->slot,
            event->message ? event->message : event->code);
    } else if (strcmp(type, "rollout-failed") == 0) {
        on_failed(f, event);
        return false;
    }
    return strcmp(type, "rollout-done") != 0;
}

static bool on_line(void *data, const char *line, size_t len) {
    struct event event;
    if (json_decode(&event_json, line, len, &event, NULL) < 0) {
        return true; /* of a newer platform: not for us */
    }
    bool more = on_event(data, &event);
    json_free(&event_json, &event);
    return more;
}

static void on_after(void *data, char *text, size_t size) {
    snprintf(text, size, "%" PRId64, ((struct following *)data)->sequence);
}

static void on_quiet(void *data) {
    struct following *f = data;
    progress_step(
        f->cli, clock_msec() - f->began, "wait", "%d healthy so far", (int)f->rollout->instances);
}

int rollout_follow(
    struct cli *cli, const struct change_answer *change, struct rollout *out, struct err *err) {
    *out = (struct rollout){ 0 };
    struct following f = {
        .cli = cli,
        .change = change,
        .rollout = out,
        .sequence = change->sequence,
        .began = clock_msec(),
        .err = err,
    };
    char path[CLIENT_PATH_MAX];
    snprintf(path, sizeof path, "/v1/events?app=%s", change->app);
    struct client_stream stream = {
        .path = path,
        .line = on_line,
        .after = on_after,
        .data = &f,
        .timeout = ROLLOUT_WAIT_MS,
        .quiet = on_quiet,
    };
    struct client *c = cli_client(cli, err);
    if (!c) {
        return -1;
    }
    int result = client_follow(c, &stream, err);
    if (result < 0 && (err->code == ERR_CANCELLED || err->code == ERR_TIMEOUT)) {
        err_wrap(err, "stopped waiting, the work goes on");
        err_hint(err, "paas events %s -f", change->app);
    }
    if (f.failed) {
        report_failure(&f);
    }
    free(f.detail);
    msec now = clock_msec();
    out->start = (f.listened ? f.listened : now) - f.began;
    out->healthy = now - (f.listened ? f.listened : now);
    return f.failed ? -1 : result;
}
