/* `paas autoscale`: the rule of an app, what came of it, and its load.
 * SPDX-License-Identifier: Apache-2.0 */
#include "autoscale.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>

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
    { "idle", 0, "TIME", "time without a request before sleep, with --min 0; 30s" },
    { "standby", 0, "N", "frozen instances kept ready; 0" },
    { "process", 0, "NAME", "the process type; web" },
    { "explain", 0, NULL, "show what load decided lately, and why" },
    { "record", 0, "FILE", "write the load of the last minutes, for paas-sim autoscale --trace" },
    { 0 },
};

enum { AUTOSCALE_CONCURRENCY_MAX = 100000 /* as the API has it */ };

/* A number given by option `name` into *out, which stays when it is not given. */
static int read_number(
    struct cli *cli, const char *name, int64_t min, int64_t max, int64_t *out, struct err *err) {
    const char *text = options_value(&cli->options, name);
    return text ? str_int(text, min, max, name, out, err) : 0;
}

static int read_rule(struct cli *cli, struct autoscale_request *request, struct err *err) {
    const char *process = options_value(&cli->options, "process");
    const char *idle = options_value(&cli->options, "idle");
    json_defaults(&autoscale_request_json, request);
    if (str_copy(request->process, sizeof request->process, process ? process : "web") < 0) {
        return err_set(err, ERR_USAGE, "--process: \"%.80s\" is not a name", process);
    }
    if (!options_value(&cli->options, "max")) {
        err_set(err, ERR_USAGE, "--max is missing: the most instances that may run");
        return err_hint(err, "paas autoscale %s --min 0 --max 20", cli_arg(cli, 0));
    }
    if (read_number(cli, "min", 0, INSTANCES_PER_NODE, &request->min, err) < 0 ||
        read_number(cli, "max", 1, INSTANCES_PER_NODE, &request->max, err) < 0 ||
        read_number(cli, "concurrency", 1, AUTOSCALE_CONCURRENCY_MAX, &request->concurrency, err) <
            0 ||
        read_number(cli, "standby", 0, INSTANCES_PER_NODE, &request->standby, err) < 0) {
        return -1;
    }
    return idle ? str_duration(idle, DAY_MS, "idle", &request->idle, err) : 0;
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
    printf("%s scales %s by load, %d to %d instances of %d requests each\n", answer.app,
        request.process, (int)request.min, (int)request.max, (int)request.concurrency);
    return 0;
}
