/* paas-agent: arguments, and which of its two processes this one is. SPDX-License-Identifier:
 * Apache-2.0 */
#include <getopt.h>
#include <limits.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <paas/limits.h>
#include <paas/log.h>
#include <paas/loop.h>
#include <paas/privileges.h>
#include <paas/str.h>
#include <paas/version.h>

#include "agent.h"
#include "spawner.h"

static const char usage[] =
    "usage: paas-agent --data DIR --run DIR --node NAME --platform N\n"
    "       paas-agent --spawner --data DIR --run DIR --platform N [--sweep]\n"
    "\n"
    "Runs the instances of this host, within what the scheduler grants. It is two processes:\n"
    "the agent, without any privilege, and its spawner, root. Both are started by `paas up`,\n"
    "which passes a socket named \"spawner\" to each (LISTEN_FDS).\n"
    "\n"
    "  --data DIR      agent: its own data; spawner: the platform's data\n"
    "  --layers DIR    where layers lie (agent; beside DATA by default)\n"
    "  --run DIR       the platform's run directory\n"
    "  --node NAME     name of this host\n"
    "  --platform N    number of the platform, 0 to 31\n"
    "  --sweep         destroy all instances of the platform and what the kernel holds for them\n"
    "  --help, --version\n"
    "\n"
    "example: paas-agent --spawner --sweep --data /var/lib/paas --run /run/paas --platform 0\n";

struct arguments {
    const char *data, *layers, *run, *node;
    int64_t platform;
    bool spawner, sweep;
};

enum { OPTION_LAYERS = 256, OPTION_SWEEP };

static int wrong(const char *why) {
    fprintf(stderr, "error: %s\n%s", why, usage);
    return 2;
}

/* -1 to go on, else the exit status. */
static int parse(int argc, char **argv, struct arguments *a) {
    static const struct option options[] = {
        { "data", required_argument, NULL, 'd' },
        { "layers", required_argument, NULL, OPTION_LAYERS },
        { "run", required_argument, NULL, 'r' },
        { "node", required_argument, NULL, 'n' },
        { "platform", required_argument, NULL, 'p' },
        { "spawner", no_argument, NULL, 's' },
        { "sweep", no_argument, NULL, OPTION_SWEEP },
        { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'v' },
        { 0 },
    };
    struct err err;
    int option;
    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        switch (option) {
        case 'd':
            a->data = optarg;
            break;
        case OPTION_LAYERS:
            a->layers = optarg;
            break;
        case 'r':
            a->run = optarg;
            break;
        case 'n':
            a->node = optarg;
            break;
        case 'p':
            if (str_int(optarg, 0, PLATFORMS_MAX - 1, "--platform", &a->platform, &err) < 0) {
                return wrong(err.text);
            }
            break;
        case 's':
            a->spawner = true;
            break;
        case OPTION_SWEEP:
            a->sweep = true;
            break;
        case 'h':
            fputs(usage, stdout);
            return 0;
        case 'v':
            puts(PAAS_VERSION);
            return 0;
        default:
            return wrong("unknown option");
        }
    }
    if (!a->data || !a->run || a->platform < 0 || (!a->spawner && !a->node) || optind < argc) {
        return wrong("--data, --run, --platform and, for the agent, --node are needed");
    }
    return -1;
}

/* The program `name` beside this one. */
static int beside(const char *name, char path[PATH_MAX]) {
    ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 1);
    char *slash = NULL;
    if (n > 0) {
        path[n] = '\0';
        slash = strrchr(path, '/');
    }
    if (!slash || (size_t)(slash + 1 - path) + strlen(name) >= PATH_MAX) {
        return -1;
    }
    strcpy(slash + 1, name);
    return 0;
}

/* What making and ending instances takes: ids and files of theirs, namespaces and mounts, network
 * devices and the firewall, cgroups, limits, the name server's port, a look at their /proc. */
static const uint64_t spawner_capabilities =
    UINT64_C(1) << CAP_CHOWN | UINT64_C(1) << CAP_DAC_OVERRIDE | UINT64_C(1) << CAP_FOWNER |
    UINT64_C(1) << CAP_FSETID | UINT64_C(1) << CAP_KILL | UINT64_C(1) << CAP_SETGID |
    UINT64_C(1) << CAP_SETUID | UINT64_C(1) << CAP_SETPCAP | UINT64_C(1) << CAP_NET_BIND_SERVICE |
    UINT64_C(1) << CAP_NET_ADMIN | UINT64_C(1) << CAP_SYS_CHROOT | UINT64_C(1) << CAP_SYS_PTRACE |
    UINT64_C(1) << CAP_SYS_ADMIN | UINT64_C(1) << CAP_SYS_RESOURCE | UINT64_C(1) << CAP_MKNOD;

static int run_spawner(const struct arguments *a, int socket) {
    char init[PATH_MAX];
    struct err err;
    log_init("spawner");
    if (beside("paas-init", init) < 0) {
        log_error("paas-init is not beside this program");
        return 1;
    }
    struct spawner_options options = {
        .data = a->data,
        .run = a->run,
        .init_path = init,
        .platform = (uint32_t)a->platform,
        .socket = socket,
    };
    int result = privileges_keep(spawner_capabilities, &err);
    if (result == 0) {
        result = a->sweep ? spawner_clear(&options, &err) : spawner_run(&options, &err);
    }
    if (result < 0) {
        log_error("%s", err.text);
        return 1;
    }
    return 0;
}

/* Beyond what each daemon may: instances are watched, their start blocks lie in sealed memory,
 * their logs are followed, room for their records is kept. */
static const char *const agent_calls[] = { "pidfd_open", "memfd_create", "inotify_init1",
    "inotify_add_watch", "inotify_rm_watch", "fallocate", NULL };

static int run_agent(const struct arguments *a, int socket) {
    char layers[PATH_MAX];
    struct err err;
    log_init("agent");
    snprintf(layers, sizeof layers, "%s/../layers", a->data);
    struct agent_options options = {
        .data = a->data,
        .layers = a->layers ? a->layers : layers,
        .run = a->run,
        .node = a->node,
        .platform = (uint32_t)a->platform,
        .spawner = socket,
    };
    if (privileges_drop(agent_calls, &err) < 0 || agent_run(&options, &err) < 0) {
        log_error("%s", err.text);
        return 1;
    }
    return 0;
}

int main(int argc, char **argv) {
    struct arguments a = { .platform = -1 };
    int status = parse(argc, argv, &a);
    if (status >= 0) {
        return status;
    }
    umask(022);
    signal(SIGPIPE, SIG_IGN);
    int passed = loop_listen_fds();
    if (a.sweep) {
        return run_spawner(&a, -1);
    }
    for (int i = 0; i < passed; i++) {
        if (strcmp(loop_listen_name(i), "spawner") == 0) {
            int socket = LISTEN_FDS_FIRST + i;
            return a.spawner ? run_spawner(&a, socket) : run_agent(&a, socket);
        }
    }
    fprintf(stderr, "error: no socket named \"spawner\" was passed\n"
                    "why:   the agent and its spawner are started as a pair\n"
                    "try:   paas up\n");
    return 2;
}
