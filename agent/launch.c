/* What an app is told at its start. SPDX-License-Identifier: Apache-2.0 */
#include "launch.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <paas/image.h>
#include <paas/str.h>
#include <paas/wire.h>

#include "instance.h"
#include "start_block.h"

#define PATH_DEFAULT "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

const struct process_spec *release_process(const struct release_config *release, const char *name) {
    const struct process_spec *specs = release ? release->processes.items : NULL;
    for (size_t n = 0; release && n < release->processes.count; n++) {
        if (strcmp(specs[n].name, name) == 0) {
            return &specs[n];
        }
    }
    return NULL;
}

int launch_port(const struct process_spec *process) {
    if (!process_listens(process)) {
        return 0;
    }
    return process->port > 0 ? (int)process->port : LAUNCH_PORT_DEFAULT;
}

bool launch_is_loopback(const struct init_listener *listener) {
    static const uint8_t loopback6[16] = { [15] = 1 };
    return listener->family == 4 ? listener->address[0] == 127
                                 : memcmp(listener->address, loopback6, sizeof loopback6) == 0;
}

/* Sets a variable unless the release has it. */
static int set_default(struct pairs *env, const char *key, const char *value) {
    return pairs_get(env, key) ? 0 : pairs_set(env, key, value);
}

static int fill_env(struct pairs *env, const struct release_config *release,
    const struct process_spec *process, const struct instance *row) {
    char number[24];
    for (size_t i = 0; i < release->env.count; i++) {
        if (pairs_set(env, release->env.items[i].key, release->env.items[i].value) < 0) {
            return -1;
        }
    }
    int failed = 0;
    if (process_listens(process)) {
        snprintf(number, sizeof number, "%d", launch_port(process));
        failed |= pairs_set(env, "PORT", number);
    }
    snprintf(number, sizeof number, "%" PRId64, row->release);
    failed |= pairs_set(env, "PAAS_RELEASE", number);
    failed |= pairs_set(env, "PAAS_APP", row->app);
    failed |= pairs_set(env, "PAAS_PROCESS", row->process);
    failed |= pairs_set(env, "PAAS_INSTANCE", row->id);
    failed |= pairs_set(env, "PAAS_SLOT", row->slot);
    failed |= set_default(env, "PATH", PATH_DEFAULT);
    failed |= set_default(env, "HOME", release->stack == STACK_IMAGE ? "/" : "/app");
    return failed;
}

static void join_free(char **joined) {
    for (char **at = joined; at && *at; at++) {
        free(*at);
    }
    free(joined);
}

/* "KEY=value" of each pair, NULL-terminated, one allocation each; NULL without memory. */
static char **join_env(const struct pairs *env) {
    char **joined = calloc(env->count + 1, sizeof *joined);
    for (size_t i = 0; joined && i < env->count; i++) {
        if (asprintf(&joined[i], "%s=%s", env->items[i].key, env->items[i].value) < 0) {
            joined[i] = NULL;
            join_free(joined);
            return NULL;
        }
    }
    return joined;
}

static uint32_t stop_signal(const struct process_spec *process) {
    int number = process->stop.signal[0] ? signal_number(process->stop.signal) : 0;
    return number > 0 ? (uint32_t)number : 0;
}

static const char *working_dir(const struct release_config *release) {
    if (release->working_dir[0]) {
        return release->working_dir;
    }
    return release->stack == STACK_IMAGE ? "/" : "/app";
}

int launch_sandbox(const struct instance_host *host, const struct release_config *release,
    const struct process_spec *process, const char *id, struct sandbox_spec *spec,
    struct err *err) {
    size_t layers;
    sandbox_spec_init(spec);
    str_copy(spec->id, sizeof spec->id, id);
    snprintf(spec->hostname, sizeof spec->hostname, "%.40s-%s", release->app, id);
    spec->stack = release->stack == STACK_HOST ? SANDBOX_HOST : SANDBOX_IMAGE;
    spec->cpu_milli = (uint32_t)process->cpus;
    spec->pids_max = (uint32_t)process->pids;
    spec->files_max = (uint32_t)process->files;
    spec->memory_bytes = (uint64_t)process->memory;
    spec->flags = process->rootfs == ROOTFS_DISK ? SANDBOX_DISK : 0;
    spec->rootfs_bytes = (uint64_t)process->disk;
    spec->n_resolvers = host->resolver_count;
    memcpy(spec->resolvers, host->resolvers, sizeof spec->resolvers);
    if (image_layer_names(host->images, release, SANDBOX_LAYERS_MAX, spec->layers, &layers, err) <
        0) {
        return -1;
    }
    spec->n_layers = (uint32_t)layers;
    return 0;
}

int launch_exec_block(const struct release_config *release, const struct process_spec *process,
    const struct instance *row, const struct strings *command, struct err *err) {
    struct pairs env = { 0 };
    int failed = fill_env(&env, release, process, row);
    char **joined = failed ? NULL : join_env(&env);
    char **argv = calloc(command->count + 1, sizeof *argv);
    int fd = -1;
    if (!joined || !argv) {
        err_no_memory(err);
        goto out;
    }
    memcpy(argv, command->items, command->count * sizeof *argv);
    struct start_block block = {
        .argv = (const char *const *)argv,
        .env = (const char *const *)joined,
        .cwd = working_dir(release),
        .user = release->user[0] ? release->user : NULL,
        .flags = process_listens(process) ? INIT_START_LISTENER : 0,
        .stop_signal = stop_signal(process),
        .grace_ms = (uint32_t)process->stop.grace,
        .port = (uint32_t)launch_port(process),
    };
    fd = start_block_make(&block, err);
out:
    free(argv);
    join_free(joined);
    pairs_free(&env);
    return fd;
}

int launch_block(const struct release_config *release, const struct process_spec *process,
    const struct instance *row, struct err *err) {
    if (process->command.count == 0) {
        return err_set(err, ERR_BAD_MANIFEST, "processes.%s: there is no command", process->name);
    }
    return launch_exec_block(release, process, row, &process->command, err);
}
