/* Ends a platform and leaves nothing but its data. SPDX-License-Identifier: Apache-2.0 */
#include "teardown.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <paas/clock.h>
#include <paas/file.h>

#include "part.h"
#include "programs.h"

enum { LOOK_MS = 10 /* between looks whether the last process of an instance is gone */ };

static void end_parts(const struct run_state *state) {
    struct process parts[PART_COUNT];
    msec deadline = clock_msec() + TEARDOWN_PART_GRACE;
    for (int i = 0; i < PART_COUNT; i++) {
        parts[i] = PROCESS_NONE;
        if (process_adopt(&parts[i], state->parts[i].pid, state->parts[i].start, NULL) == 0) {
            process_signal(&parts[i], SIGTERM);
        }
    }
    for (int i = 0; i < PART_COUNT; i++) {
        msec left = deadline - clock_msec();
        if (!process_wait(&parts[i], left > 0 ? left : 0)) {
            process_end(&parts[i], 0);
        }
        process_close(&parts[i]);
    }
}

static void end_instances(const struct groups *groups) {
    msec deadline = clock_msec() + TEARDOWN_APP_GRACE;
    groups_ask_instances(groups);
    while (groups_instance_processes(groups) > 0 && clock_msec() < deadline) {
        nanosleep(&(struct timespec){ .tv_nsec = LOOK_MS * 1000000L }, NULL);
    }
}

static int nothing_to_note(void *data, const struct process *process, struct err *err) {
    (void)data;
    (void)process;
    (void)err;
    return 0;
}

static int wait_sweep(const struct process *process, struct err *err) {
    siginfo_t end = { 0 };
    if (!process_wait(process, TEARDOWN_SWEEP_MAX)) {
        process_end(process, 0);
        return err_set(err, ERR_TIMEOUT, "sweeping instances took over %d ms", TEARDOWN_SWEEP_MAX);
    }
    if (waitid(P_PIDFD, (id_t)process->pidfd, &end, WEXITED) < 0 || end.si_code != CLD_EXITED ||
        end.si_status != 0) {
        return err_set(err, ERR_SYSTEM, "sweeping instances failed (%s %d)",
            end.si_code == CLD_EXITED ? "exit status" : "signal", end.si_status);
    }
    return 0;
}

/* The agent's program knows what instances, firewall and addresses of a platform are. */
static int sweep(const struct places *places, const struct run_state *state, struct err *err) {
    char program[PATH_MAX], number[16], log_path[PLACES_SIZE + 32];
    snprintf(number, sizeof number, "%d", state->platform);
    snprintf(log_path, sizeof log_path, "%s/log/spawner.log", places->data);
    if (program_find("paas-agent", program, err) < 0) {
        return -1;
    }
    CLEANUP_FD int log = part_log_open(log_path, err);
    if (log < 0) {
        return -1;
    }
    struct part_start start = {
        .leaf = "spawner",
        .program = program,
        .args = { "--spawner", "--sweep", "--data", places->data, "--run", places->run,
            "--platform", number },
        .log = log,
        .groups = &state->groups,
    };
    struct process process = PROCESS_NONE;
    int result = part_start(&start, nothing_to_note, NULL, &process, err);
    if (result == 0 && (result = wait_sweep(&process, err)) < 0) {
        err_hint(err, "see %s", log_path);
    }
    process_close(&process);
    return result;
}

int teardown_run_directory(const char *run, struct err *err) {
    DIR *entries = opendir(run);
    if (!entries) {
        return errno == ENOENT ? 0 : err_sys(err, errno, "opening %s", run);
    }
    int result = 0;
    struct dirent *entry;
    while ((entry = readdir(entries))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            strcmp(entry->d_name, "platforms") == 0) {
            continue;
        }
        if (file_remove_tree(dirfd(entries), entry->d_name, result == 0 ? err : NULL) < 0) {
            result = -1;
        }
    }
    closedir(entries);
    rmdir(run); /* stays where it holds the claims */
    return result;
}

int teardown(const struct places *places, struct platform *platform, const struct run_state *state,
    struct err *err) {
    struct err later;
    end_parts(state);
    end_instances(&state->groups);
    groups_kill(&state->groups);
    int result = sweep(places, state, err);
    groups_kill(&state->groups);
    if (groups_remove(&state->groups, result == 0 ? err : &later) < 0) {
        result = -1;
    }
    if (result < 0) {
        platform_close(platform);
        return -1;
    }
    result = teardown_run_directory(places->run, err);
    platform_release(platform);
    return result;
}
