/* Commands that print logs and events. SPDX-License-Identifier: Apache-2.0 */
#include "output.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <paas/map.h>
#include <paas/str.h>
#include <paas/wire.h>

#include "client.h"
#include "request.h"
#include "show.h"

const struct option_row logs_options[] = {
    { "follow", 'f', NULL, "go on with what comes" },
    { "lines", 'n', "N", "how many of the last lines; 100" },
    { "instance", 0, "ID", "only of one instance: its id or slot (web.1), also a dead one's" },
    { "process", 0, "NAME", "only of one process type" },
    { 0 },
};
const struct option_row events_options[] = {
    { "follow", 'f', NULL, "go on with what comes" },
    { "lines", 'n', "N", "how many of the last events; 30" },
    { 0 },
};

enum {
    LINES_DEFAULT = 100,
    LINES_MAX = 100000,
    EVENTS_DEFAULT = 30,
    OUTPUT_MAX = 256 << 20, /* bytes of lines that are not followed */
};

/* ---- logs ---- */

struct log_view {
    struct cli *cli;
    struct map seen; /* instance -> its last sequence number + 1, as a pointer's number */
};

/* False for a line that an opened-again stream repeats. */
static bool is_new(struct log_view *view, const struct log_line *line) {
    uintptr_t next = (uintptr_t)line->sequence + 1;
    if (next <= (uintptr_t)map_get(&view->seen, line->instance)) {
        return false;
    }
    map_set(&view->seen, line->instance, (void *)next);
    return true;
}

/* Text of an app on a terminal: what would move the cursor is shown, colours pass. */
static void print_text(const struct cli *cli, const char *text) {
    for (; *text; text++) {
        unsigned char byte = (unsigned char)*text;
        bool shown = byte >= ' ' || byte == '\t' || (byte == 033 && cli->color && text[1] == '[');
        putchar(!cli->width || shown ? byte : '?');
    }
}

static bool on_log_line(void *data, const char *text, size_t len) {
    struct log_view *view = data;
    struct log_line line;
    if (json_decode(&log_line_json, text, len, &line, NULL) < 0) {
        return true;
    }
    if (is_new(view, &line)) {
        if (view->cli->output == OUTPUT_JSON) {
            fwrite(text, 1, len, stdout);
        } else {
            if (line.dropped > 0) {
                printf("%s | (%" PRId64 " lines were dropped here)\n", line.slot, line.dropped);
            }
            printf("%s | ", line.slot);
            print_text(view->cli, line.text ? line.text : "");
        }
        putchar('\n');
        fflush(stdout);
    }
    json_free(&log_line_json, &line);
    return true;
}

static int add_parameter(char *path, size_t size, const char *name, const char *value) {
    size_t used = strlen(path);
    if (!value) {
        return 0;
    }
    return snprintf(path + used, size - used, "&%s=", name) < (int)(size - used)
               ? client_escape(value, path, size)
               : -1;
}

int logs_run(struct cli *cli, struct err *err) {
    const struct options *options = &cli->options;
    const char *lines = options_value(options, "lines");
    int64_t count = LINES_DEFAULT;
    char path[CLIENT_PATH_MAX], tail[24];
    bool follow = options_flag(options, "follow");
    struct client *c = cli_client(cli, err);
    if (!c || (lines && str_int(lines, 0, LINES_MAX, "--lines", &count, err) < 0)) {
        return -1;
    }
    snprintf(tail, sizeof tail, "%" PRId64, count);
    if (request_path(cli, follow ? "/v1/apps/{0}/logs?follow=1" : "/v1/apps/{0}/logs?", path,
            sizeof path, err) < 0) {
        return -1;
    }
    if (add_parameter(path, sizeof path, "tail", tail) < 0 ||
        add_parameter(path, sizeof path, "instance", options_value(options, "instance")) < 0 ||
        add_parameter(path, sizeof path, "process", options_value(options, "process")) < 0) {
        return err_set(err, ERR_USAGE, "an argument is too long");
    }
    struct log_view view = { .cli = cli };
    struct client_stream stream = {
        .path = path,
        .line = on_log_line,
        .data = &view,
        .once = !follow,
    };
    map_init(&view.seen);
    int result = client_follow(c, &stream, err);
    map_free(&view.seen);
    return result;
}

/* ---- events ---- */

struct event_view {
    struct cli *cli;
    int64_t sequence; /* of the last one printed */
};

static void print_event(const struct event *event) {
    struct buf time;
    buf_init(&time, 64);
    show_field(&event_json, event, &(struct column){ "", "at", FORM_TIME, 0 }, &time);
    printf("%s  %-20s %s%s%s", buf_str(&time), event->type, event->app, event->slot[0] ? " " : "",
        event->slot);
    if (event->release) {
        printf(" v%" PRId64, event->release);
    }
    if (event->message && event->message[0]) {
        printf("  %s", event->message);
    }
    puts(event->code[0] ? "" : "");
    buf_free(&time);
}

static bool on_event_line(void *data, const char *text, size_t len) {
    struct event_view *view = data;
    struct event event;
    if (json_decode(&event_json, text, len, &event, NULL) < 0) {
        return true;
    }
    if (event.sequence > view->sequence) {
        view->sequence = event.sequence;
        if (view->cli->output == OUTPUT_JSON) {
            fwrite(text, 1, len, stdout);
            putchar('\n');
        } else {
            print_event(&event);
        }
        fflush(stdout);
    }
    json_free(&event_json, &event);
    return true;
}

static void on_event_after(void *data, char *text, size_t size) {
    snprintf(text, size, "%" PRId64, ((struct event_view *)data)->sequence);
}

/* Prints the last `count` lines of `text`. */
static void print_last(struct event_view *view, const char *text, size_t len, int64_t count) {
    const char *begin = text + len;
    for (int64_t lines = 0; begin > text; begin--) {
        if (begin[-1] == '\n' && begin != text + len && ++lines == count) {
            break;
        }
    }
    for (const char *end; count > 0 && *begin; begin = end + (*end == '\n')) {
        end = begin + strcspn(begin, "\n");
        if (end > begin) {
            on_event_line(view, begin, (size_t)(end - begin));
        }
    }
}

/* The number of the last event in `text`, whether printed or not. */
static int64_t last_sequence(const char *text, size_t len) {
    const char *end = text + len;
    while (end > text && end[-1] == '\n') {
        end--;
    }
    const char *begin = end;
    while (begin > text && begin[-1] != '\n') {
        begin--;
    }
    struct event event;
    if (begin == end || json_decode(&event_json, begin, (size_t)(end - begin), &event, NULL) < 0) {
        return 0;
    }
    int64_t sequence = event.sequence;
    json_free(&event_json, &event);
    return sequence;
}

int events_run(struct cli *cli, struct err *err) {
    const char *lines = options_value(&cli->options, "lines");
    int64_t count = EVENTS_DEFAULT;
    char path[CLIENT_PATH_MAX];
    struct buf body;
    struct event_view view = { .cli = cli };
    struct client *c = cli_client(cli, err);
    if (!c || (lines && str_int(lines, 0, LINES_MAX, "--lines", &count, err) < 0) ||
        request_path(cli, cli_arg(cli, 0) ? "/v1/events?app={0}" : "/v1/events", path, sizeof path,
            err) < 0) {
        return -1;
    }
    buf_init(&body, OUTPUT_MAX);
    int result = client_call(c, METHOD_GET, path, NULL, NULL, &body, err);
    if (result == 0) {
        print_last(&view, buf_str(&body), body.len, count);
        view.sequence = last_sequence(buf_str(&body), body.len);
    }
    buf_free(&body);
    if (result < 0 || !options_flag(&cli->options, "follow")) {
        return result;
    }
    struct client_stream stream = {
        .path = path,
        .line = on_event_line,
        .after = on_event_after,
        .data = &view,
    };
    return client_follow(c, &stream, err);
}
