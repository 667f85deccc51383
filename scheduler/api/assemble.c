/* A release's configuration from an image, a request and an app. SPDX-License-Identifier:
 * Apache-2.0
 */
#include "assemble.h"

#include <stdlib.h>
#include <string.h>

#include <paas/digest.h>
#include <paas/wire.h>

static struct process_spec *spec_named(const struct json_array *processes, const char *name) {
    struct process_spec *specs = processes->items;
    for (size_t i = 0; i < processes->count; i++) {
        if (strcmp(specs[i].name, name) == 0) {
            return &specs[i];
        }
    }
    return NULL;
}

static int copy_strings(struct strings *to, const struct strings *from, struct err *err) {
    for (size_t i = 0; i < from->count; i++) {
        if (strings_add(to, from->items[i]) < 0) {
            return err_no_memory(err);
        }
    }
    return 0;
}

static int merge_pairs(struct pairs *to, const struct pairs *over, struct err *err) {
    for (size_t i = 0; i < over->count; i++) {
        if (pairs_set(to, over->items[i].key, over->items[i].value) < 0) {
            return err_no_memory(err);
        }
    }
    return 0;
}

/* --- image ------------------------------------------------------------------------------------ */

static int image_env(struct pairs *to, const struct strings *env, struct err *err) {
    for (size_t i = 0; i < env->count; i++) {
        char *word = strdup(env->items[i]);
        char *equals = word ? strchr(word, '=') : NULL;
        if (!word) {
            return err_no_memory(err);
        }
        int rc = 0;
        if (equals && equals != word) {
            *equals = '\0';
            rc = pairs_set(to, word, equals + 1);
        }
        free(word);
        if (rc < 0) {
            return err_no_memory(err);
        }
    }
    return 0;
}

static int blob_digests(struct strings *to, const struct oci_manifest *manifest, struct err *err) {
    const struct oci_descriptor *layers = manifest->layers.items;
    for (size_t i = 0; i < manifest->layers.count; i++) {
        if (strings_add(to, layers[i].digest) < 0) {
            return err_no_memory(err);
        }
    }
    return 0;
}

static int take_image(const struct assembly *a, struct config *out, struct err *err) {
    struct release_config *value = &out->value;
    const struct oci_run *run = &a->image->config.run;
    memcpy(value->image, a->image->digest, sizeof(value->image));
    memcpy(value->user, run->user, sizeof(value->user));
    memcpy(value->working_dir, run->working_dir, sizeof(value->working_dir));
    value->stack = a->request->stack;
    if (blob_digests(&value->blobs, &a->image->manifest, err) < 0 ||
        copy_strings(&value->layers, &a->image->config.rootfs.diff_ids, err) < 0) {
        return -1;
    }
    return image_env(&out->base_env, &run->env, err);
}

static int take_current(const struct assembly *a, struct config *out, struct err *err) {
    struct release_config *value = &out->value;
    const struct release_config *from = &a->current->value;
    memcpy(value->image, from->image, sizeof(value->image));
    memcpy(value->user, from->user, sizeof(value->user));
    memcpy(value->working_dir, from->working_dir, sizeof(value->working_dir));
    value->stack = from->stack;
    if (copy_strings(&value->blobs, &from->blobs, err) < 0 ||
        copy_strings(&value->layers, &from->layers, err) < 0) {
        return -1;
    }
    return merge_pairs(&out->base_env, &a->current->base_env, err);
}

/* --- processes -------------------------------------------------------------------------------- */

static int one_web(struct json_array *out, struct err *err) {
    struct process_spec *spec = calloc(1, sizeof(*spec));
    if (!spec) {
        return err_no_memory(err);
    }
    json_defaults(&process_spec_json, spec);
    strcpy(spec->name, "web");
    out->items = spec;
    out->count = 1;
    return 0;
}

static int clone_processes(const struct json_array *from, struct json_array *to, struct err *err) {
    struct process_spec *specs = calloc(from->count ? from->count : 1, sizeof(*specs));
    if (!specs) {
        return err_no_memory(err);
    }
    to->items = specs;
    for (size_t i = 0; i < from->count; i++) {
        const struct process_spec *spec = (const struct process_spec *)from->items + i;
        if (json_clone(&process_spec_json, spec, &specs[i], err) < 0) {
            return -1;
        }
        to->count = i + 1;
    }
    return 0;
}

static int choose_processes(const struct assembly *a, struct config *out, struct err *err) {
    if (a->request && a->request->processes.count) {
        return clone_processes(&a->request->processes, &out->value.processes, err);
    }
    if (!a->image) {
        return clone_processes(&a->current->value.processes, &out->value.processes, err);
    }
    return one_web(&out->value.processes, err);
}

static int complete_from_image(
    struct process_spec *spec, const struct oci_run *run, struct err *err) {
    if (!spec->command.count && (copy_strings(&spec->command, &run->entrypoint, err) < 0 ||
                                    copy_strings(&spec->command, &run->command, err) < 0)) {
        return -1;
    }
    if (!spec->stop.signal[0]) {
        memcpy(spec->stop.signal, run->stop_signal, sizeof(spec->stop.signal));
    }
    if (!spec->port && strcmp(spec->name, "web") == 0) {
        spec->port = oci_single_port(run);
    }
    return 0;
}

static int complete_from_current(
    struct process_spec *spec, const struct config *current, struct err *err) {
    const struct process_spec *same =
        current ? spec_named(&current->value.processes, spec->name) : NULL;
    return same && !spec->command.count ? copy_strings(&spec->command, &same->command, err) : 0;
}

static int complete_processes(const struct assembly *a, struct config *out, struct err *err) {
    struct process_spec *specs = out->value.processes.items;
    for (size_t i = 0; i < out->value.processes.count; i++) {
        int rc = a->image ? complete_from_image(&specs[i], &a->image->config.run, err)
                          : complete_from_current(&specs[i], a->current, err);
        if (rc < 0) {
            return -1;
        }
        if (!specs[i].command.count) {
            err_set(err, ERR_BAD_MANIFEST,
                "processes.%s.command: neither paas.json nor the image names one", specs[i].name);
            return err_hint(err, "add \"command\": [\"./program\"] to the process in paas.json");
        }
    }
    return 0;
}

/* --- overrides -------------------------------------------------------------------------------- */

static bool has_overrides(const struct release_request *r) {
    return r->instances || r->memory || r->cpus || r->port || r->health[0];
}

static int apply_overrides(const struct assembly *a, struct config *out, struct err *err) {
    const struct release_request *r = a->request;
    if (!r || !has_overrides(r)) {
        return 0;
    }
    struct json_array *processes = &out->value.processes;
    struct process_spec *spec = spec_named(processes, "web");
    if (!spec && processes->count == 1) {
        spec = processes->items;
    }
    if (!spec) {
        return err_set(err, ERR_BAD_REQUEST,
            "instances, memory, cpus, port and health go to \"web\", and the app has none");
    }
    if ((r->memory && r->memory < MEMORY_MIN) || (r->cpus && r->cpus < CPU_MILLI_MIN)) {
        return err_set(err, ERR_BAD_VALUE, "%s: less than an instance can live on",
            r->memory && r->memory < MEMORY_MIN ? "memory" : "cpus");
    }
    spec->instances = r->instances ? r->instances : spec->instances;
    spec->memory = r->memory ? r->memory : spec->memory;
    spec->cpus = r->cpus ? r->cpus : spec->cpus;
    spec->port = r->port ? r->port : spec->port;
    if (r->health[0]) {
        memcpy(spec->health.path, r->health, sizeof(spec->health.path));
    }
    return 0;
}

/* --- the whole -------------------------------------------------------------------------------- */

static int check_env_size(const struct pairs *env, struct err *err) {
    size_t bytes = 0;
    for (size_t i = 0; i < env->count; i++) {
        bytes += strlen(env->items[i].key) + strlen(env->items[i].value) + 2;
    }
    if (bytes > ENV_BYTES_MAX || env->count > ENV_PAIRS) {
        return err_set(err, ERR_TOO_LARGE, "env: %zu variables of %zu bytes; %d of %d KiB fit",
            env->count, bytes, ENV_PAIRS, ENV_BYTES_MAX >> 10);
    }
    return 0;
}

static int fill(const struct assembly *a, struct config *out, struct err *err) {
    memcpy(out->value.app, a->app, strlen(a->app) + 1);
    out->value.release = a->release;
    if ((a->image ? take_image(a, out, err) : take_current(a, out, err)) < 0 ||
        (a->request && merge_pairs(&out->base_env, &a->request->env, err) < 0) ||
        merge_pairs(&out->value.env, &out->base_env, err) < 0 ||
        merge_pairs(&out->value.env, a->app_env, err) < 0) {
        return -1;
    }
    if (choose_processes(a, out, err) < 0 || complete_processes(a, out, err) < 0 ||
        apply_overrides(a, out, err) < 0) {
        return -1;
    }
    struct manifest manifest = { .processes = out->value.processes, .env = out->value.env };
    if (a->request) {
        manifest.routes = a->request->routes;
    }
    return manifest_check(&manifest, err) < 0 ? -1 : check_env_size(&out->value.env, err);
}

static int print(struct config *out, struct err *err) {
    struct buf text;
    buf_init(&text, CONFIG_TEXT_MAX);
    json_encode(&release_config_json, &out->value, &text);
    if (text.failed) {
        buf_free(&text);
        return err_set(err, ERR_TOO_LARGE, "the release's configuration is over %d KiB",
            CONFIG_TEXT_MAX >> 10);
    }
    out->len = text.len;
    out->text = buf_take(&text);
    if (!out->text || digest_of(out->text, out->len, out->digest) < 0) {
        return err_no_memory(err);
    }
    return 0;
}

struct config *assemble(const struct assembly *a, struct err *err) {
    if (!a->image && !a->current) {
        err_set(err, ERR_BAD_REQUEST, "\"image\" is needed: the app has no release yet");
        return NULL;
    }
    struct config *out = calloc(1, sizeof(*out));
    if (!out) {
        err_no_memory(err);
        return NULL;
    }
    if (fill(a, out, err) < 0 || print(out, err) < 0) {
        config_free(out);
        return NULL;
    }
    return out;
}
