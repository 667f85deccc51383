/* paas-sim: what a policy would do to a load, before production. SPDX-License-Identifier:
 * Apache-2.0
 */
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <paas/file.h>
#include <paas/str.h>
#include <paas/wire.h>

#include "autoscale.h"
#include "matrix.h"
#include "svg.h"

static const char usage[] =
    "usage: paas-sim autoscale --trace FILE --service-ms D [options]\n"
    "       paas-sim autoscale --matrix [-o json]\n"
    "\n"
    "Runs the agent's own autoscaling law over a load and prints waiting against cost, beside the\n"
    "laws of Knative (kpa) and Kubernetes (hpa).\n"
    "\n"
    "  --trace FILE        CSV with the first line time_ms,rps; a row holds until the next one,\n"
    "                      the last one is the end\n"
    "  --service-ms D      mean time that the app takes for a request\n"
    "  --service KIND      exp, fixed, or mixed (one in twenty costs twenty times the rest)\n"
    "  --start-ms S        time from the decision until an instance is ready (50)\n"
    "  --concurrency C     requests that one instance serves at once (1)\n"
    "  --min A --max B     bounds of the number of instances (0, 10000)\n"
    "  --policy FILE       an app's own settings: what paas.json has as \"autoscale\"; options that\n"
    "                      come after it go over it\n"
    "  --standby N         frozen instances kept ready (0)\n"
    "  --idle-ms T         time without a request before sleep (30000)\n"
    "  --deadline-ms D     a request that waits longer fails (10000)\n"
    "  --seed N            of chance (1)\n"
    "  --law LIST          of ours,kpa,hpa (all)\n"
    "  --svg FILE          draws the runs\n"
    "  --matrix            all made-up loads under all starts, service times and concurrencies, with\n"
    "                      pass or what was missed; exit 1 when something was\n"
    "  -o json             one JSON row a law\n"
    "\n"
    "example: paas-sim autoscale --trace day.csv --service-ms 50 --concurrency 10 --svg day.svg\n";

struct arguments {
    const char *trace, *svg;
    struct sim_settings settings;
    bool laws[LAW_COUNT];
    bool json, matrix;
};

static int wrong(const char *why) {
    fprintf(stderr, "error: %s\ntry:   paas-sim autoscale --help\n", why);
    return 2;
}

static int parse_laws(char *list, struct arguments *a) {
    memset(a->laws, 0, sizeof a->laws);
    for (char *name; (name = strsep(&list, ","));) {
        int at = 0;
        while (at < LAW_COUNT && strcmp(name, law_names[at]) != 0) {
            at++;
        }
        if (at == LAW_COUNT) {
            return wrong("--law: only ours, kpa and hpa are known");
        }
        a->laws[at] = true;
    }
    return -1;
}

static int parse_service(const char *name, struct arguments *a) {
    static const char *const names[] = { "exp", "fixed", "mixed" };
    for (int i = 0; i < 3; i++) {
        if (strcmp(name, names[i]) == 0) {
            a->settings.service = (enum service_kind)i;
            return -1;
        }
    }
    return wrong("--service: only exp, fixed and mixed are known");
}

/* An app's own rule. */
static int take_policy(const char *path, struct arguments *a) {
    enum { POLICY_BYTES_MAX = 65536 };
    struct scale_rule rule;
    struct buf text;
    struct err err;
    buf_init(&text, POLICY_BYTES_MAX);
    int result = file_read_whole(AT_FDCWD, path, &text, &err);
    if (result == 0) {
        result = json_decode(&scale_rule_json, text.data, text.len, &rule, &err);
    }
    buf_free(&text);
    if (result < 0) {
        err_wrap(&err, "--policy %s", path);
        return wrong(err.text);
    }
    a->settings.min = rule.min;
    a->settings.max = rule.max ? rule.max : a->settings.max;
    a->settings.concurrency = rule.concurrency;
    a->settings.idle_ms = rule.idle;
    a->settings.standby = rule.standby;
    a->settings.rps = rule.rps;
    a->settings.window = rule.window;
    a->settings.queue_delay = rule.queue_delay;
    a->settings.step_up = rule.step_up;
    a->settings.step_down = rule.step_down;
    a->settings.step_period = rule.step_period;
    return -1;
}

enum option_key { O_TRACE = 256, O_SVG, O_SERVICE, O_LAW, O_POLICY, O_MATRIX, O_NUMBERS };

/* Options that are a number: name, place, bounds. */
static const struct number {
    const char *name;
    size_t offset;
    int64_t min, max;
} numbers[] = {
    { "service-ms", offsetof(struct sim_settings, service_ms), 1, 600000 },
    { "start-ms", offsetof(struct sim_settings, start_ms), 0, 600000 },
    { "concurrency", offsetof(struct sim_settings, concurrency), 1, 100000 },
    { "min", offsetof(struct sim_settings, min), 0, 10000 },
    { "max", offsetof(struct sim_settings, max), 1, 10000 },
    { "standby", offsetof(struct sim_settings, standby), 0, 10000 },
    { "idle-ms", offsetof(struct sim_settings, idle_ms), 100, 86400000 },
    { "deadline-ms", offsetof(struct sim_settings, deadline_ms), 1, 600000 },
    { "seed", offsetof(struct sim_settings, seed), 0, INT64_MAX },
};
enum { NUMBERS = sizeof numbers / sizeof *numbers };

/* -1 to go on, else the exit status. */
static int take(int key, char *value, struct arguments *a) {
    struct err err;
    int64_t n;
    switch (key) {
    case O_TRACE:
        a->trace = value;
        return -1;
    case O_SVG:
        a->svg = value;
        return -1;
    case O_SERVICE:
        return parse_service(value, a);
    case O_LAW:
        return parse_laws(value, a);
    case O_POLICY:
        return take_policy(value, a);
    case O_MATRIX:
        a->matrix = true;
        return -1;
    case 'o':
        a->json = strcmp(value, "json") == 0;
        return a->json ? -1 : wrong("-o: only json is known");
    case 'h':
        fputs(usage, stdout);
        return 0;
    default:
        break;
    }
    if (key < O_NUMBERS || key >= O_NUMBERS + NUMBERS) {
        return wrong("unknown option");
    }
    const struct number *number = &numbers[key - O_NUMBERS];
    if (str_int(value, number->min, number->max, number->name, &n, &err) < 0) {
        return wrong(err.text);
    }
    memcpy((char *)&a->settings + number->offset, &n, sizeof n);
    return -1;
}

static int parse(int argc, char **argv, struct arguments *a) {
    struct option options[NUMBERS + 8] = {
        { "trace", required_argument, NULL, O_TRACE },
        { "svg", required_argument, NULL, O_SVG },
        { "service", required_argument, NULL, O_SERVICE },
        { "law", required_argument, NULL, O_LAW },
        { "policy", required_argument, NULL, O_POLICY },
        { "matrix", no_argument, NULL, O_MATRIX },
        { "help", no_argument, NULL, 'h' },
    };
    for (int i = 0; i < NUMBERS; i++) {
        options[7 + i] = (struct option){ numbers[i].name, required_argument, NULL, O_NUMBERS + i };
    }
    int key;
    while ((key = getopt_long(argc, argv, "ho:", options, NULL)) != -1) {
        int status = take(key, optarg, a);
        if (status >= 0) {
            return status;
        }
    }
    if (optind < argc || (!a->matrix && (!a->trace || a->settings.service_ms == 0))) {
        return wrong("--trace and --service-ms are needed, and nothing beside options");
    }
    if (a->settings.min > a->settings.max) {
        return wrong("--min is greater than --max");
    }
    return -1;
}

static void print_result(const struct arguments *a, enum law_kind law, const struct sim_result *r) {
    const char *format =
        a->json ? "{\"law\":\"%s\",\"requests\":%" PRId64 ",\"wait_p50_ms\":%.0f,"
                  "\"wait_p99_ms\":%.0f,\"wait_mean_ms\":%.2f,\"failed\":%" PRId64
                  ",\"instance_seconds\":%.1f,\"frozen_seconds\":%.1f,\"starts\":%" PRId64
                  ",\"flips\":%" PRId64 ",\"peak\":%" PRId64 "}\n"
                : "%-5s %9" PRId64 " %9.0f %9.0f %9.2f %8" PRId64 " %12.1f %12.1f %8" PRId64
                  " %6" PRId64 " %6" PRId64 "\n";
    printf(format, law_names[law], r->requests, r->wait_p50_ms, r->wait_p99_ms, r->wait_mean_ms,
        r->failed, r->instance_seconds, r->frozen_seconds, r->starts, r->flips, r->peak);
}

static int autoscale(const struct arguments *a) {
    struct trace trace;
    struct sim_result results[LAW_COUNT];
    enum law_kind laws[LAW_COUNT];
    size_t count = 0;
    struct err err = { 0 };
    if (trace_read(a->trace, &trace, &err) < 0) {
        fprintf(stderr, "error: %s: %s\n", a->trace, err.text);
        return 2;
    }
    if (!a->json) {
        printf("%-5s %9s %9s %9s %9s %8s %12s %12s %8s %6s %6s\n", "law", "requests", "p50 ms",
            "p99 ms", "mean ms", "failed", "inst-s", "frozen-s", "starts", "flips", "peak");
    }
    int status = 0;
    for (enum law_kind law = 0; law < LAW_COUNT && status == 0; law++) {
        struct sim_settings settings = a->settings;
        settings.law = law;
        if (!a->laws[law]) {
            continue;
        }
        if (sim_autoscale(&trace, &settings, &results[count], &err) < 0) {
            status = 1;
        } else {
            print_result(a, law, &results[count]);
            laws[count++] = law;
        }
    }
    if (status == 0 && a->svg &&
        svg_draw(a->svg, results, laws, count, a->settings.concurrency, &err) < 0) {
        status = 1;
    }
    if (status) {
        fprintf(stderr, "error: %s\n", err.text);
    }
    for (size_t i = 0; i < count; i++) {
        sim_result_free(&results[i]);
    }
    trace_free(&trace);
    return status;
}

static int matrix(const struct arguments *a) {
    struct err err;
    int result = matrix_print(&a->settings, a->json, &err);
    if (result < 0) {
        fprintf(stderr, "error: %s\n", err.text);
    }
    return result != 0;
}

int main(int argc, char **argv) {
    struct arguments a = {
        .settings = { .start_ms = 50,
            .concurrency = 1,
            .max = 10000,
            .deadline_ms = 10000,
            .idle_ms = 30000,
            .seed = 1 },
        .laws = { true, true, true },
    };
    if (argc < 2 || strcmp(argv[1], "autoscale") != 0) {
        fputs(usage, argc == 2 && strcmp(argv[1], "--help") == 0 ? stdout : stderr);
        return argc == 2 && strcmp(argv[1], "--help") == 0 ? 0 : 2;
    }
    int status = parse(argc - 1, argv + 1, &a);
    return status >= 0 ? status : a.matrix ? matrix(&a) : autoscale(&a);
}
