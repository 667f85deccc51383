/* `paas push`: from files to a release that serves. SPDX-License-Identifier: Apache-2.0
 *
 * The story: read the description (paas.json, Procfile), pack the directory as an image, send what
 * the registry lacks, ask for a release, follow it until it serves or failed. Each step says how
 * long it took; the address of the app comes last. Whatever fails before the release is asked for
 * changes nothing; afterwards the old release serves until the new one is healthy.
 */
#include "push.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <paas/rest.h>
#include <paas/str.h>
#include <paas/wire.h>

#include "bundle.h"
#include "client.h"
#include "manifest.h"
#include "progress.h"
#include "rollout.h"
#include "show.h"
#include "upload.h"

const struct option_row push_options[] = {
    { "path", 'p', "DIR", "the app's directory; the current one" },
    { "image", 'i', "REF", "an image instead: oci:DIR[:TAG]" },
    { "env", 'e', "K=V", "a variable for the app; may be repeated" },
    { "instances", 'n', "N", "how many to run" },
    { "memory", 0, "SIZE", "memory of an instance: 128M" },
    { "cpus", 0, "N", "processors of an instance: 0.5" },
    { "port", 0, "PORT", "the port that the app listens on" },
    { "health", 0, "PATH", "path that answers 2xx or 3xx when the app is well" },
    { "route", 0, "HOST", "a host name for it; may be repeated" },
    { "no-wait", 0, NULL, "return when the release is accepted" },
    { 0 },
};

struct push {
    struct cli *cli;
    const char *app;
    struct manifest manifest;
    struct bundle bundle;
    struct release_request request;
    struct change_answer answer;
    struct upload upload;
    struct rollout rollout;
    msec began, build, uploaded;
};

/* The answer of `paas push -o json`. */
struct push_timing {
    int64_t upload, build, start, healthy, total;
};
struct push_answer {
    char app[NAME_SIZE];
    int64_t release;
    char url[URL_SIZE];
    char image[DIGEST_SIZE];
    int64_t instances;
    struct push_timing timing_ms;
};
static const struct json_type push_timing_json = { "timing", sizeof(struct push_timing),
    (const struct json_field[]){
        F_INT(push_timing, upload, 0, INT64_MAX, 0, 0, "sending what the registry lacked"),
        F_INT(push_timing, build, 0, INT64_MAX, 0, 0, "packing the files"),
        F_INT(push_timing, start, 0, INT64_MAX, 0, 0, "until the first instance listened"),
        F_INT(push_timing, healthy, 0, INT64_MAX, 0, 0, "from there until it served"),
        F_INT(push_timing, total, 0, INT64_MAX, 0, 0, "of the whole push"),
        { 0 },
    } };
static const struct json_type push_answer_json = { "push", sizeof(struct push_answer),
    (const struct json_field[]){
        F_TEXT(push_answer, app, 0, "app"),
        F_INT(push_answer, release, 0, INT64_MAX, 0, 0, "version of the release"),
        F_TEXT(push_answer, url, 0, "where it answers"),
        F_TEXT(push_answer, image, 0, "digest of the image's manifest"),
        F_INT(push_answer, instances, 0, INT64_MAX, 0, 0, "that became healthy"),
        F_OBJECT(push_answer, timing_ms, push_timing, &push_timing_json, 0, "durations in ms"),
        { 0 },
    } };

/* ---- What is asked for ---- */

static int read_numbers(const struct options *options, struct release_request *r, struct err *err) {
    const char *instances = options_value(options, "instances");
    const char *memory = options_value(options, "memory"), *cpus = options_value(options, "cpus");
    const char *port = options_value(options, "port"), *health = options_value(options, "health");
    if ((instances &&
            str_int(instances, 1, INSTANCES_PER_NODE, "--instances", &r->instances, err) < 0) ||
        (memory && str_size(memory, MEMORY_MIN, MEMORY_MAX, "--memory", &r->memory, err) < 0) ||
        (cpus && str_milli(cpus, CPU_MILLI_MIN, CPU_MILLI_MAX, "--cpus", &r->cpus, err) < 0) ||
        (port && str_int(port, 1, 65535, "--port", &r->port, err) < 0)) {
        return -1;
    }
    if (health && (health[0] != '/' || str_copy(r->health, sizeof r->health, health) < 0)) {
        return err_set(
            err, ERR_BAD_VALUE, "--health: \"%.80s\" is not a path such as /healthz", health);
    }
    return 0;
}

static int read_lists(const struct options *options, struct release_request *r, struct err *err) {
    const char *value;
    for (size_t cursor = 0; (value = options_next(options, "env", &cursor));) {
        size_t len = strcspn(value, "=");
        char key[WORD_MAX];
        if (value[len] != '=' || len == 0 || len >= sizeof key) {
            err_set(err, ERR_USAGE, "--env %.80s: not NAME=VALUE", value);
            return -1;
        }
        memcpy(key, value, len);
        key[len] = '\0';
        if (pairs_set(&r->env, key, value + len + 1) < 0) {
            return err_no_memory(err);
        }
    }
    for (size_t cursor = 0; (value = options_next(options, "route", &cursor));) {
        if (!str_is_host(value)) {
            return err_set(
                err, ERR_BAD_VALUE, "--route: \"%.80s\" is not a host name in lower case", value);
        }
        if (strings_add(&r->routes, value) < 0) {
            return err_no_memory(err);
        }
    }
    return 0;
}

/* The manifest becomes the request: what it owned is the request's now. */
static void take_manifest(struct push *p) {
    p->request.stack = p->manifest.stack;
    p->request.processes = p->manifest.processes;
    p->request.env = p->manifest.env;
    p->request.routes = p->manifest.routes;
    json_defaults(&manifest_json, &p->manifest);
}

/* A command by a path within the app's files that is not among them would fail on every host. */
static int check_commands(const struct push *p, const char *dir, struct err *err) {
    const struct process_spec *specs = p->request.processes.items;
    for (size_t i = 0; i < p->request.processes.count; i++) {
        const char *program = specs[i].command.count ? specs[i].command.items[0] : "";
        char path[PATH_MAX];
        bool own = str_starts(program, "./") || str_starts(program, "/app/");
        const char *name = program + (program[0] == '.' ? strlen("./") : strlen("/app/"));
        if (own && snprintf(path, sizeof path, "%s/%s", dir, name) < (int)sizeof path &&
            access(path, F_OK) < 0) {
            err_set(err, ERR_COMMAND_MISSING, "%s can't start %s: there is no %s", specs[i].name,
                program, path);
            return err_hint(err, "build it first, or correct the command");
        }
    }
    return 0;
}

static int read_source(struct push *p, struct err *err) {
    const struct options *options = &p->cli->options;
    const char *image = options_value(options, "image"), *path = options_value(options, "path");
    struct manifest_source source;
    if (image && path) {
        return err_set(err, ERR_USAGE, "--path and --image exclude each other");
    }
    if (image && !str_starts(image, "oci:")) {
        err_set(err, ERR_NOT_IMPLEMENTED, "--image %.80s: only oci:DIR[:TAG] is read", image);
        return err_hint(err, "skopeo copy docker://%.60s oci:image", image);
    }
    p->request.stack = STACK_IMAGE;
    if (image) {
        return bundle_oci_layout(image + strlen("oci:"), &p->bundle, err);
    }
    path = path ? path : ".";
    if (manifest_load(path, &p->manifest, &source, err) < 0) {
        return -1;
    }
    take_manifest(p);
    const struct process_spec *first = p->request.processes.items;
    fprintf(stderr, "%s: %s, stack %s%s%s\n", p->app, source.file, stack_names[p->request.stack],
        p->request.processes.count && first->command.count ? ", starts " : "",
        p->request.processes.count && first->command.count ? first->command.items[0] : "");
    return check_commands(p, path, err) < 0 ? -1 : bundle_directory(path, &p->bundle, err);
}

/* ---- The steps ---- */

static int build(struct push *p, struct err *err) {
    char size[STR_AMOUNT_MAX];
    int64_t bytes = 0;
    if (read_source(p, err) < 0 || read_numbers(&p->cli->options, &p->request, err) < 0 ||
        read_lists(&p->cli->options, &p->request, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < p->bundle.count; i++) {
        bytes += p->bundle.blobs[i].size;
    }
    str_copy(p->request.image, sizeof p->request.image, p->bundle.digest);
    p->build = clock_msec() - p->began;
    str_format_size(bytes, size);
    if (p->bundle.files) {
        progress_step(p->cli, p->build, "build", "%zu files, %s", p->bundle.files, size);
    } else {
        progress_step(p->cli, p->build, "build", "%zu blobs, %s, verified", p->bundle.count, size);
    }
    if (p->bundle.skipped) {
        progress_step(p->cli, -1, "", "left out %zu sockets, pipes and devices", p->bundle.skipped);
    }
    return 0;
}

static int send_image(struct push *p, struct err *err) {
    char size[STR_AMOUNT_MAX];
    msec began = clock_msec();
    struct client *c = cli_client(p->cli, err);
    if (!c || upload_image(c, p->app, &p->bundle, NULL, NULL, &p->upload, err) < 0) {
        return -1;
    }
    p->uploaded = clock_msec() - began;
    progress_step(p->cli, p->uploaded, "upload", "%zu of %zu blobs new, %s", p->upload.sent,
        p->upload.blobs, str_format_size(p->upload.bytes, size));
    return 0;
}

static int ask_release(struct push *p, struct err *err) {
    char path[CLIENT_PATH_MAX];
    struct buf body;
    struct client *c = cli_client(p->cli, err);
    snprintf(path, sizeof path, "/v1/apps/%s/releases", p->app);
    buf_init(&body, MANIFEST_BYTES_MAX);
    int result =
        c ? client_call(c, METHOD_POST, path, &release_request_json, &p->request, &body, err) : -1;
    if (result == 0) {
        result = json_decode(&change_answer_json, buf_str(&body), body.len, &p->answer, err);
    }
    buf_free(&body);
    return result;
}

static void print_answer(const struct push *p) {
    msec total = clock_msec() - p->began;
    if (p->cli->output == OUTPUT_JSON) {
        struct push_answer out = {
            .release = p->answer.release,
            .instances = p->rollout.instances,
            .timing_ms = { .upload = p->uploaded,
                .build = p->build,
                .start = p->rollout.start,
                .healthy = p->rollout.healthy,
                .total = total },
        };
        str_copy(out.app, sizeof out.app, p->answer.app);
        str_copy(out.url, sizeof out.url, p->answer.url);
        str_copy(
            out.image, sizeof out.image, p->answer.image[0] ? p->answer.image : p->bundle.digest);
        show_json(&push_answer_json, &out);
        return;
    }
    printf("%s   v%d in %.2f s", p->answer.url[0] ? p->answer.url : p->app, (int)p->answer.release,
        (double)total / 1000);
    printf(p->answer.release > 1 ? "     undo: paas rollback %s\n" : "\n", p->app);
}

/* What to try when the app's files can't be used. */
static int advise_source(const struct push *p, struct err *err) {
    const char *image = options_value(&p->cli->options, "image");
    const char *path = options_value(&p->cli->options, "path");
    if (err->hint[0] || err->code == ERR_USAGE) {
        return -1;
    }
    return image ? err_hint(err, "skopeo inspect %.120s", image)
                 : err_hint(err, "correct it, then: paas config check %.120s", path ? path : ".");
}

static int push(struct push *p, struct err *err) {
    if (build(p, err) < 0) {
        return advise_source(p, err);
    }
    if (send_image(p, err) < 0 || ask_release(p, err) < 0) {
        return -1;
    }
    if (!options_flag(&p->cli->options, "no-wait") &&
        rollout_follow(p->cli, &p->answer, &p->rollout, err) < 0) {
        if (!err->hint[0]) {
            err_hint(err, "paas logs %s, paas explain %s", p->app, err_name(err->code));
        }
        return -1;
    }
    print_answer(p);
    return 0;
}

int push_run(struct cli *cli, struct err *err) {
    struct push p = { .cli = cli, .app = cli_arg(cli, 0), .began = clock_msec() };
    if (str_name(p.app, "APP", err) < 0) {
        return -1;
    }
    json_defaults(&release_request_json, &p.request);
    json_defaults(&manifest_json, &p.manifest);
    int result = push(&p, err);
    json_free(&release_request_json, &p.request);
    bundle_free(&p.bundle);
    return result;
}
