/* paas-proxy: arguments, sockets, privileges, loop. SPDX-License-Identifier: Apache-2.0 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <paas/err.h>
#include <paas/file.h>
#include <paas/limits.h>
#include <paas/log.h>
#include <paas/loop.h>
#include <paas/privileges.h>
#include <paas/str.h>
#include <paas/version.h>

#include "bounds.h"
#include "proxy.h"

enum { LISTENERS_MAX = 16 /* sockets named http: addresses of one host */ };

static const char help[] =
    "paas-proxy --data DIR --run DIR --node NAME --platform N [--threads T]\n"
    "\n"
    "Serves HTTP on the sockets named \"http\" that it is given (LISTEN_FDS), and sends each\n"
    "request to an instance of the app that its host name and path belong to.\n"
    "\n"
    "  --data DIR      where the last routes are kept\n"
    "  --run DIR       run directory of the platform: the sockets of the other parts\n"
    "  --node NAME     this host's name\n"
    "  --platform N    number of the platform on this host, 0 to 31\n"
    "  --threads T     worker threads; the number of cores unless given\n"
    "  --help --version\n";

struct arguments {
    struct proxy_options options;
    int64_t platform, threads;
};

/* 0 to go on, 1 when all was said already, -1 with *err. */
static int parse(int argc, char **argv, struct arguments *a, struct err *err) {
    static const struct option options[] = {
        { "data", required_argument, NULL, 'd' },
        { "run", required_argument, NULL, 'r' },
        { "node", required_argument, NULL, 'n' },
        { "platform", required_argument, NULL, 'p' },
        { "threads", required_argument, NULL, 't' },
        { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'v' },
        { 0 },
    };
    int option;
    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        int failed = 0;
        switch (option) {
        case 'd':
            a->options.data = optarg;
            break;
        case 'r':
            a->options.run = optarg;
            break;
        case 'n':
            a->options.node = optarg;
            failed = str_name(optarg, "--node", err);
            break;
        case 'p':
            failed = str_int(optarg, 0, PLATFORMS_MAX - 1, "--platform", &a->platform, err);
            break;
        case 't':
            failed = str_int(optarg, 1, WORKERS_MAX, "--threads", &a->threads, err);
            break;
        case 'h':
            fputs(help, stdout);
            return 1;
        case 'v':
            puts("paas-proxy " PAAS_VERSION);
            return 1;
        default:
            return err_set(err, ERR_USAGE, "see --help");
        }
        if (failed) {
            return -1;
        }
    }
    if (!a->options.data || !a->options.run || !a->options.node || optind != argc) {
        return err_set(err, ERR_USAGE, "--data, --run and --node are needed; see --help");
    }
    return 0;
}

static bool is_listening(int fd) {
    int listening = 0;
    socklen_t len = sizeof listening;
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) == 0 && listening;
}

/* The passed sockets that are ours to serve; others are closed, so that none stays unserved. */
static size_t take_listeners(int fds[LISTENERS_MAX]) {
    size_t count = 0;
    int passed = loop_listen_fds();
    for (int i = 0; i < passed; i++) {
        const char *name = loop_listen_name(i);
        int fd = LISTEN_FDS_FIRST + i;
        bool ours = name[0] == '\0' || strcmp(name, "http") == 0;
        if (ours && is_listening(fd) && count < LISTENERS_MAX) {
            fds[count++] = fd;
        } else {
            log_warn("the passed socket %d (\"%s\") is not served", i, name);
            close(fd);
        }
    }
    return count;
}

static void make_directories(const struct proxy_options *options) {
    char own[256];
    struct err err;
    snprintf(own, sizeof own, "%s/proxy", options->run);
    if (file_make_dirs(options->data, 0700, &err) < 0 || file_make_dirs(own, 0711, &err) < 0) {
        log_warn("%s", err.text);
    }
}

static void on_stop(void *data) {
    proxy_stop(data);
}

static int serve(const struct proxy_options *options, struct err *err) {
    uv_loop_t loop;
    struct loop_signals signals;
    make_directories(options);
    if (privileges_drop(NULL, err) < 0) {
        return -1;
    }
    uv_loop_init(&loop);
    struct proxy *proxy = proxy_create(&loop, options, err);
    if (!proxy || loop_signals_start(&signals, &loop, on_stop, proxy, err) < 0) {
        return -1;
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    loop_signals_stop(&signals);
    while (uv_loop_close(&loop) == UV_EBUSY) {
        uv_run(&loop, UV_RUN_DEFAULT);
    }
    proxy_destroy(proxy);
    return 0;
}

int main(int argc, char **argv) {
    struct arguments a = { .options = { .data = NULL } };
    struct err err = { .code = ERR_OK };
    int fds[LISTENERS_MAX];
    log_init("proxy");
    signal(SIGPIPE, SIG_IGN);
    int parsed = parse(argc, argv, &a, &err);
    if (parsed > 0) {
        return 0;
    }
    if (parsed == 0) {
        a.options.platform = (int)a.platform;
        a.options.workers = (unsigned)a.threads;
        a.options.listeners = fds;
        a.options.listener_count = take_listeners(fds);
        if (a.options.listener_count) {
            parsed = serve(&a.options, &err);
        } else {
            parsed = err_set(&err, ERR_USAGE,
                "no socket named \"http\" was passed (LISTEN_FDS): there is nothing to serve");
        }
    }
    if (parsed < 0) {
        fprintf(stderr, "paas-proxy: %s\n", err.text);
        return err_exit_status(err.code);
    }
    return 0;
}
