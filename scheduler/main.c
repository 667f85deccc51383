/* paas-scheduler: arguments, privileges, loop. SPDX-License-Identifier: Apache-2.0 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <paas/limits.h>
#include <paas/log.h>
#include <paas/privileges.h>
#include <paas/str.h>
#include <paas/version.h>

#include "scheduler.h"

static const char usage[] =
    "usage: paas-scheduler --data DIR --run DIR --node NAME --platform N [--http-address ADDR:PORT]\n"
    "\n"
    "Decides what runs where, and serves the API. It is started by `paas up`, which passes its\n"
    "sockets by LISTEN_FDS: `api` (Unix) and, when asked for, `api-tcp`.\n"
    "\n"
    "  --data DIR                keep state in DIR/paas.db and images in DIR/registry\n"
    "  --run DIR                 the platform's run directory\n"
    "  --node NAME               name of this host\n"
    "  --platform N              number of this platform, 0 to 31\n"
    "  --http-address ADDR:PORT  where apps answer\n"
    "  --help, --version\n";

enum { DAEMON_AGENT = 2, DAEMON_PROXY = 3 /* ids of slot 0 */ };

static const struct option long_options[] = {
    { "data", required_argument, NULL, 'd' },
    { "run", required_argument, NULL, 'r' },
    { "node", required_argument, NULL, 'n' },
    { "platform", required_argument, NULL, 'p' },
    { "http-address", required_argument, NULL, 'a' },
    { "help", no_argument, NULL, 'h' },
    { "version", no_argument, NULL, 'v' },
    { 0 },
};

static int set_platform(struct scheduler_options *options, const char *text, struct err *err) {
    int64_t platform;
    if (str_int(text, 0, PLATFORMS_MAX - 1, "--platform", &platform, err) < 0) {
        return -1;
    }
    options->platform = (unsigned)platform;
    uid_t base = PLATFORM_ID_BASE + options->platform * PLATFORM_ID_COUNT;
    options->agent_uid = base + DAEMON_AGENT;
    options->proxy_uid = base + DAEMON_PROXY;
    return 0;
}

static int check(const struct scheduler_options *options, bool platform, struct err *err) {
    if (!options->data || !options->run || !options->node || !platform) {
        return err_set(err, ERR_USAGE, "--data, --run, --node and --platform are needed");
    }
    return str_name(options->node, "--node", err);
}

/* 0: go on; 1: done; -1: *err. */
static int parse(int argc, char **argv, struct scheduler_options *options, struct err *err) {
    bool platform = false;
    for (int c; (c = getopt_long(argc, argv, "", long_options, NULL)) != -1;) {
        switch (c) {
        case 'd':
            options->data = optarg;
            break;
        case 'r':
            options->run = optarg;
            break;
        case 'n':
            options->node = optarg;
            break;
        case 'a':
            options->http_address = optarg;
            break;
        case 'p':
            platform = true;
            if (set_platform(options, optarg, err) < 0) {
                return -1;
            }
            break;
        case 'h':
            fputs(usage, stdout);
            return 1;
        case 'v':
            puts(PAAS_VERSION);
            return 1;
        default:
            return err_set(err, ERR_USAGE, "see paas-scheduler --help");
        }
    }
    return check(options, platform, err);
}

/* Beyond what each daemon may: times of blobs, room for the store. */
static const char *const more_calls[] = { "utimensat", "fallocate", NULL };

static int run(const struct scheduler_options *options, struct err *err) {
    uv_loop_t loop;
    if (privileges_drop(more_calls, err) < 0) {
        return -1;
    }
    struct scheduler *s = calloc(1, sizeof(*s));
    if (!s) {
        return err_no_memory(err);
    }
    uv_loop_init(&loop);
    if (scheduler_start(s, &loop, options, err) < 0) {
        return -1;
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    scheduler_finish(s);
    uv_loop_close(&loop);
    free(s);
    return 0;
}

int main(int argc, char **argv) {
    struct scheduler_options options = { 0 };
    struct err err = { 0 };
    log_init("scheduler");
    umask(077);
    signal(SIGPIPE, SIG_IGN);
    int rc = parse(argc, argv, &options, &err);
    if (rc == 0) {
        rc = run(&options, &err);
    }
    if (rc < 0) {
        log_error("%s%s%s", err.text, err.hint[0] ? "; " : "", err.hint);
        /* Half-started parts are the kernel's to clean up. */
        _exit(err_exit_status(err.code));
    }
    return 0;
}
