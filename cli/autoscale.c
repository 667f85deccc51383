/* `paas autoscale`: the rule of an app, what came of it, and its load.
 * SPDX-License-Identifier: Apache-2.0 */
#include "autoscale.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <paas/file.h>
#include <paas/rest.h>
#include <paas/str.h>
#include <paas/wire.h>

#include "change.h"
#include "client.h"
#include "commands.h"
#include "request.h"
#include "show.h"

const struct option_row autoscale_options[] = {
    { "min", 0, "A", "fewest running instances; 0 sleeps when idle; 1" },
    { "max", 0, "B", "most running instances" },
    { "concurrency", 0, "C", "requests at once that one instance serves well; 50" },
    { "rps", 0, "N", "requests a second that one instance serves well" },
    { "p99", 0, "TIME", "time within which 99 of 100 requests should be answered" },
    { "queue-delay", 0, "TIME", "time a request may wait before it is worth an instance; 20ms" },
    { "cpu", 0, "PERCENT", "of its processors that an instance should use" },
    { "memory", 0, "PERCENT", "of its memory that an instance should use" },
    { "metric", 0, "PATH", "of the app, whose answer is a number, such as a queue's length" },
    { "metric-process", 0, "NAME", "the process type that has PATH; web" },
    { "per-instance", 0, "N", "so much of that number is one instance's work; 1" },
    { "schedule", 0, "TEXT", "fewest by time of day: \"mon-fri 08:00-18:00 4\"" },
    { "window", 0, "TIME", "never below what the last peak in it needs; 30s" },
    { "step-up", 0, "N", "most instances more within --step-period; any number" },
    { "step-down", 0, "N", "most instances fewer within it; any number" },
    { "step-period", 0, "TIME", "the time in which steps count; 10s" },
    { "idle", 0, "TIME", "time without a request before sleep, with --min 0; 30s" },
    { "stop-after", 0, "TIME", "time of sleep after which an instance is stopped; 1h" },
    { "standby", 0, "N", "frozen instances kept ready; 0" },
    { "keep", 0, "TIME", "time for which the previous release stays frozen; 10m" },
    { "process", 0, "NAME", "the process type; web" },
    { "explain", 0, NULL, "show what load decided lately, and why" },
    { "record", 0, "FILE", "write the load of the last minutes, for paas-sim autoscale --trace" },
    { 0 },
};

/* Options whose value is a number or a time of the rule; bounds beyond these are the API's. */
static const struct rule_option {
    const char *name;
    bool is_time;
    size_t offset;
} rule_options[] = {
    { "min", false, offsetof(struct scale_rule, min) },
    { "max", false, offsetof(struct scale_rule, max) },
    { "concurrency", false, offsetof(struct scale_rule, concurrency) },
    { "rps", false, offsetof(struct scale_rule, rps) },
    { "p99", true, offsetof(struct scale_rule, p99) },
    { "queue-delay", true, offsetof(struct scale_rule, queue_delay) },
    { "cpu", false, offsetof(struct scale_rule, cpu) },
    { "memory", false, offsetof(struct scale_rule, memory) },
    { "per-instance", false, offsetof(struct scale_rule, metric.per_instance) },
    { "window", true, offsetof(struct scale_rule, window) },
    { "step-up", false, offsetof(struct scale_rule, step_up) },
    { "step-down", false, offsetof(struct scale_rule, step_down) },
    { "step-period", true, offsetof(struct scale_rule, step_period) },
    { "idle", true, offsetof(struct scale_rule, idle) },
    { "stop-after", true, offsetof(struct scale_rule, stop_after) },
    { "standby", false, offsetof(struct scale_rule, standby) },
    { "keep", true, offsetof(struct scale_rule, keep) },
};

static int read_value(
    struct cli *cli, const struct rule_option *option, struct scale_rule *rule, struct err *err) {
    const char *text = options_value(&cli->options, option->name);
    int64_t *to = (int64_t *)((char *)rule + option->offset);
    if (!text) {
        return 0;
    }
    return option->is_time ? str_duration(text, DAY_MS, option->name, to, err)
                           : str_int(text, 0, INT32_MAX, option->name, to, err);
}

/* The value of option `name`, or what is there, into `to`. */
static int read_text(struct cli *cli, const char *name, char *to, size_t size, struct err *err) {
    const char *text = options_value(&cli->options, name);
    return text && str_copy(to, size, text) < 0
               ? err_set(err, ERR_USAGE, "--%s: it is longer than %zu bytes", name, size - 1)
               : 0;
}

static int read_rule(struct cli *cli, struct autoscale_request *request, struct err *err) {
    struct scale_rule *rule = &request->rule;
    json_defaults(&autoscale_request_json, request);
    strcpy(request->process, "web");
    if (!options_value(&cli->options, "max")) {
        err_set(err, ERR_USAGE, "--max is missing: the most instances that may run");
        return err_hint(err, "paas autoscale %s --min 0 --max 20", cli_arg(cli, 0));
    }
    for (size_t i = 0; i < sizeof rule_options / sizeof *rule_options; i++) {
        if (read_value(cli, &rule_options[i], rule, err) < 0) {
            return -1;
        }
    }
    if (read_text(cli, "process", request->process, sizeof request->process, err) < 0 ||
        read_text(cli, "metric", rule->metric.path, sizeof rule->metric.path, err) < 0 ||
        read_text(cli, "metric-process", rule->metric.process, sizeof rule->metric.process, err) <
            0 ||
        read_text(cli, "schedule", rule->schedule, sizeof rule->schedule, err) < 0) {
        return -1;
    }
    return 0;
}

/* GET of a list about the app and --process. */
static int list_of_app(struct cli *cli, const char *what, const struct json_type *type,
    struct json_array *out, struct err *err) {
    char pattern[64], path[CLIENT_PATH_MAX];
    const char *process = options_value(&cli->options, "process");
    struct client *c = cli_client(cli, err);
    snprintf(pattern, sizeof pattern, "/v1/apps/{0}/%s?process=", what);
    if (!c || request_path(cli, pattern, path, sizeof path, err) < 0) {
        return -1;
    }
    if (client_escape(process ? process : "web", path, sizeof path) < 0) {
        return err_set(err, ERR_USAGE, "--process: \"%.80s\" is not a name", process);
    }
    return client_list(c, path, type, out, err);
}

static const struct column decision_columns[] = {
    { "TIME", "at", FORM_TIME, 0 },
    { "RELEASE", "release", FORM_RELEASE, 1 },
    { "FROM", "from", FORM_PLAIN, 0 },
    { "TO", "to", FORM_PLAIN, 0 },
    { "WHY", "message", FORM_PLAIN, 0 },
    { 0 },
};

/* Sentences are not cut to the terminal: they are what was asked for. */
static int explain(struct cli *cli, struct err *err) {
    struct json_array decisions;
    if (list_of_app(cli, "decisions", &scaling_decision_json, &decisions, err) < 0) {
        return -1;
    }
    if (cli->output == OUTPUT_JSON) {
        show_json_list(&scaling_decision_json, &decisions);
    } else if (decisions.count == 0) {
        printf("load has decided nothing of %s yet\n", cli_arg(cli, 0));
    } else {
        show_table(stdout, decision_columns, &scaling_decision_json, &decisions, 0);
    }
    json_free_array(&scaling_decision_json, &decisions);
    return 0;
}

/* One row where the load changes, and the end. */
static void write_trace(const struct json_array *load, struct buf *out) {
    const struct load_second *seconds = load->items;
    buf_puts(out, "time_ms,requests_per_second\n");
    for (size_t i = 0; i < load->count; i++) {
        if (i == 0 || seconds[i].requests != seconds[i - 1].requests) {
            buf_printf(out, "%" PRId64 ",%" PRId64 "\n", seconds[i].at - seconds[0].at,
                seconds[i].requests);
        }
    }
    const struct load_second *last = &seconds[load->count - 1];
    buf_printf(out, "%" PRId64 ",0\n", last->at + 1000 - seconds[0].at);
}

static int record(struct cli *cli, const char *file, struct err *err) {
    enum { TRACE_BYTES_MAX = 1 << 20 };
    struct json_array load;
    struct buf text;
    if (list_of_app(cli, "load", &load_second_json, &load, err) < 0) {
        return -1;
    }
    buf_init(&text, TRACE_BYTES_MAX);
    int result = 0;
    if (load.count == 0) {
        result = err_set(err, ERR_NOT_FOUND, "%s had no request yet", cli_arg(cli, 0));
    } else {
        write_trace(&load, &text);
        result = text.failed ? err_no_memory(err)
                             : file_write_whole(AT_FDCWD, file, text.data, text.len, 0644, 0, err);
    }
    if (result == 0) {
        fprintf(cli_words(cli), "%s: %zu s of load\n", file, load.count);
    }
    buf_free(&text);
    json_free_array(&load_second_json, &load);
    return result;
}

static void say_rule(const struct change_answer *answer, const struct autoscale_request *request) {
    const struct scale_rule *rule = &request->rule;
    printf("%s scales %s by load, %d to %d instances", answer->app, request->process,
        (int)rule->min, (int)rule->max);
    if (rule->concurrency > 0 && strcmp(request->process, "web") == 0) {
        printf(" of %d requests each", (int)rule->concurrency);
    }
    printf("\n");
}

int autoscale_run(struct cli *cli, struct err *err) {
    struct autoscale_request request;
    struct change_answer answer;
    const char *file = options_value(&cli->options, "record");
    if (file || options_flag(&cli->options, "explain")) {
        return file ? record(cli, file, err) : explain(cli, err);
    }
    if (read_rule(cli, &request, err) < 0 ||
        change_send(cli, METHOD_PUT, "autoscale", &autoscale_request_json, &request, &answer, err) <
            0) {
        return -1;
    }
    if (cli->output == OUTPUT_JSON) {
        show_json(&change_answer_json, &answer);
        return 0;
    }
    say_rule(&answer, &request);
    return 0;
}
