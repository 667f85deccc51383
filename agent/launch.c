/* What an app is told at its start. SPDX-License-Identifier: Apache-2.0 */
#include "launch.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <paas/wire.h>

#include "start_block.h"

#define PATH_DEFAULT "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

bool launch_listens(const struct process_spec *process) {
    return process->port > 0 || strcmp(process->name, "web") == 0;
}

int launch_port(const struct process_spec *process) {
    if (!launch_listens(process)) {
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
    if (launch_listens(process)) {
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
        .flags = launch_listens(process) ? INIT_START_LISTENER : 0,
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
