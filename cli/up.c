/* `paas up`: the platform of this machine. SPDX-License-Identifier: Apache-2.0
 *
 * In the foreground this process is the supervisor, and a child of it waits until the platform is
 * ready and says so. With --detach the child is the supervisor: it tells through a pipe whether it
 * came up, and the caller waits until the platform is ready.
 */
#include "up.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <paas/clock.h>
#include <paas/file.h>
#include <paas/log.h>

#include "notify.h"
#include "part.h"
#include "show.h"
#include "status.h"
#include "supervisor.h"

enum {
    READY_WAIT_MS = 30000, /* a slow disk recovers the store in seconds */
    READY_LOOK_MS = 10,
    RESTARTS_HOPELESS = 6, /* a part that ended so often will go on so */
    FIRST_OWN_FD = 3,      /* after the standard streams */
};

int up_need_root(struct err *err) {
    if (geteuid() == 0) {
        return 0;
    }
    err_set(err, ERR_FORBIDDEN,
        "only root can start or end a platform: it makes namespaces, "
        "cgroups and network devices");
    return err_hint(err, "sudo paas …");
}

/* ---- Waiting until it is ready ---- */

struct restarts {
    uint64_t before[PART_COUNT]; /* as they were when the waiting began */
    bool known;
};

static int check_restarts(const struct places *places, struct restarts *restarts, struct err *err) {
    struct run_state state;
    if (run_state_read(&state, places->run, NULL) < 0) {
        return 0;
    }
    for (int i = 0; i < PART_COUNT; i++) {
        if (!restarts->known) {
            restarts->before[i] = state.parts[i].restarts;
        }
        if (state.parts[i].restarts >= restarts->before[i] + RESTARTS_HOPELESS) {
            err_set(err, ERR_UNAVAILABLE, "%s ends again and again", part_names[i]);
            return err_hint(err, "see %s/log/%s.log; then: paas down", places->data, part_names[i]);
        }
    }
    restarts->known = true;
    return 0;
}

/* 0 when all serve; `supervisor` (0: not our child) is watched meanwhile. */
static int wait_ready(
    const struct places *places, pid_t supervisor, struct status *out, struct err *err) {
    char api[PLACES_SIZE + 8];
    snprintf(api, sizeof api, "unix:%s", places->api);
    struct client *c = client_create(api, NULL, err);
    if (!c) {
        return -1;
    }
    msec deadline = clock_msec() + READY_WAIT_MS;
    int result = -1;
    struct err last = { 0 };
    struct restarts restarts = { .known = false };
    for (;;) {
        if (status_get(c, out, &last) == 0) {
            if (out->ready) {
                result = 0;
                break;
            }
            json_free(&status_json, out);
        }
        if (check_restarts(places, &restarts, err) < 0) {
            break;
        }
        if (supervisor && waitpid(supervisor, NULL, WNOHANG) == supervisor) {
            err_set(err, ERR_UNAVAILABLE, "the supervisor ended");
            err_hint(err, "see %s/log/supervisor.log", places->data);
            break;
        }
        if (clock_msec() > deadline) {
            err_set(err, ERR_TIMEOUT, "the platform is not ready after %d s%s%s",
                READY_WAIT_MS / 1000, last.text[0] ? ": " : "", last.text);
            err_hint(err, "paas status, and the logs in %s/log", places->data);
            break;
        }
        nanosleep(&(struct timespec){ .tv_nsec = READY_LOOK_MS * 1000000L }, NULL);
    }
    client_destroy(c);
    return result;
}

static void print_up(const struct cli *cli, const struct status *s, const char *word) {
    if (cli->output == OUTPUT_JSON) {
        show_json(&status_up_json, s);
        return;
    }
    printf("paas %s: apps at http://%s, API at %s, data in %s\n", word, s->http, s->api, s->data);
    fflush(stdout);
}

/* ---- In the foreground ---- */

/* In a child: says that it is ready, or why not. */
static void __attribute__((noreturn)) announce(struct cli *cli, const struct places *places) {
    struct err err = { 0 };
    struct status s = { 0 };
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (wait_ready(places, 0, &s, &err) < 0) {
        cli_print_error(cli, &err);
        _exit(err_exit_status(err.code));
    }
    notify_send("READY=1\nSTATUS=apps are served");
    print_up(cli, &s, "runs (Ctrl-C ends it)");
    _exit(0);
}

static int run_foreground(
    struct cli *cli, const struct supervisor_options *options, struct err *err) {
    log_init("supervisor");
    struct supervisor *s = supervisor_start(options, err);
    if (!s) {
        return -1;
    }
    fflush(NULL);
    if (fork() == 0) {
        announce(cli, options->places);
    }
    return supervisor_run(s, err);
}

/* ---- In the background ---- */

/* Standard streams of a supervisor that nobody watches. */
static int detach_streams(const struct places *places, struct err *err) {
    char path[PLACES_SIZE + 32];
    snprintf(path, sizeof path, "%s/log", places->data);
    if (file_make_dirs(path, 0750, err) < 0) {
        return -1;
    }
    snprintf(path, sizeof path, "%s/log/supervisor.log", places->data);
    CLEANUP_FD int log = part_log_open(path, err);
    CLEANUP_FD int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (log < 0) {
        return -1;
    }
    if (null < 0 || dup2(null, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0 || chdir("/") < 0) {
        return err_sys(err, errno, "leaving the terminal");
    }
    return 0;
}

/* A supervisor lives long: what its caller had open, it must not hold. Returns the report's new
 * place. */
static int close_foreign(int report) {
    if (report != FIRST_OWN_FD) {
        report = dup3(report, FIRST_OWN_FD, O_CLOEXEC);
    }
    close_range(FIRST_OWN_FD + 1, ~0U, 0);
    return report;
}

/* The child: tells `report` how the start went, then supervises. */
static void __attribute__((noreturn))
run_detached(const struct supervisor_options *options, int report) {
    struct err err = { 0 };
    struct supervisor *s = NULL;
    setsid();
    report = close_foreign(report);
    log_init("supervisor");
    if (detach_streams(options->places, &err) == 0) {
        s = supervisor_start(options, &err);
    }
    if (write(report, &err, sizeof err) != sizeof err) {
        log_warn("the caller of paas up is gone");
    }
    close(report);
    if (s && supervisor_run(s, &err) < 0) {
        log_error("%s", err.text);
    }
    exit(s ? err_exit_status(err.code) : 1);
}

/* How the child's start went. */
static int read_report(int report, struct err *err) {
    struct err told = { 0 };
    ssize_t n;
    do {
        n = read(report, &told, sizeof told);
    } while (n < 0 && errno == EINTR);
    if (n != sizeof told) {
        return err_set(err, ERR_INTERNAL, "the supervisor ended without a word");
    }
    *err = told;
    return told.code == ERR_OK ? 0 : -1;
}

static int run_background(
    struct cli *cli, const struct supervisor_options *options, struct err *err) {
    int report[2];
    struct status s = { 0 };
    const char *word = "runs";
    if (pipe2(report, O_CLOEXEC) < 0) {
        return err_sys(err, errno, "making a pipe");
    }
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        close(report[0]);
        run_detached(options, report[1]);
    }
    close(report[1]);
    int result =
        child < 0 ? err_sys(err, errno, "starting the supervisor") : read_report(report[0], err);
    close(report[0]);
    if (result < 0 && err->code == ERR_RUNNING) {
        word = "already runs";
        child = 0;
        result = 0;
    }
    if (result < 0 || wait_ready(options->places, child, &s, err) < 0) {
        return -1;
    }
    print_up(cli, &s, word);
    json_free(&status_json, &s);
    return 0;
}

int up_run(struct cli *cli, struct err *err) {
    struct places places;
    if (up_need_root(err) < 0 ||
        places_make(&places, options_value(&cli->options, "data"), err) < 0) {
        return -1;
    }
    struct supervisor_options options = {
        .places = &places,
        .http = options_value(&cli->options, "http"),
        .api = options_value(&cli->options, "api"),
    };
    return options_flag(&cli->options, "detach") ? run_background(cli, &options, err)
                                                 : run_foreground(cli, &options, err);
}
