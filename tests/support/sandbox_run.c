/* Runs programs in sandboxes from the command line: for tests and the start benchmark.
 * SPDX-License-Identifier: Apache-2.0
 *
 *   sandbox_run [OPTIONS] -- COMMAND [ARG]…        runs it, shows its output, exits as it does
 *   sandbox_run [OPTIONS] --exec COMMAND -- …      ... and COMMAND beside it, once it has written
 *   sandbox_run [OPTIONS] --bench N -- COMMAND …   times N starts to the first byte of output
 *   sandbox_run [OPTIONS] --cycles N -- COMMAND …  N starts and kills; the census must not grow
 */
#include <paas/clock.h>
#include <paas/file.h>
#include <paas/init.h>
#include <paas/sandbox.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    SLOT_FIRST = SANDBOX_SLOT_MIN,
    SLOTS = 16,            /* used in turn by --bench and --cycles */
    WAIT_MS = 30000,       /* for whatever is waited for */
    EVENTS_MAX = 4096,     /* bytes of inotify events read at once */
    CENSUS_WAIT_MS = 5000, /* network devices go some time after their namespace */
    EXIT_TROUBLE = 125,    /* of this program itself, as env(1) and others have it */
    LOG_MAX = 8 << 20,     /* bytes of log shown */
};

struct run {
    struct sandbox_host_options host_options;
    struct sandbox_host *host;
    struct sandbox_spec spec;
    const char *work; /* directory for instances */
    const char *user, *cwd, *exec;
    char **command;
    int n_command;
    int work_fd;
    int bench, cycles, gap_ms;
    bool samples; /* print each start's microseconds rather than a summary */
    bool prepare; /* make things ahead in the gaps, as a host does when idle */
    unsigned counter;
};

static int die(const struct err *err) {
    fprintf(stderr, "sandbox_run: %s\n", err->text);
    return EXIT_TROUBLE;
}

/* ---- the start block ---- */

static void add_string(struct buf *b, const char *s) {
    buf_append(b, s, strlen(s) + 1);
}

/* Writes the block that paas-init reads, sealed. */
static int make_block(const struct run *run, char **command, int n_command, struct err *err) {
    static const char *const env[] = { "PATH=/usr/local/bin:/usr/bin:/bin:/app", "HOME=/",
        "PORT=8080" };
    enum { ENV = sizeof env / sizeof env[0] };
    struct buf b;
    buf_init(&b, INIT_START_MAX);
    for (int i = 0; i < n_command; i++) {
        add_string(&b, command[i]);
    }
    for (int i = 0; i < ENV; i++) {
        add_string(&b, env[i]);
    }
    add_string(&b, run->cwd);
    add_string(&b, run->user);
    struct init_start start = { .magic = INIT_START_MAGIC,
        .version = INIT_VERSION,
        .header_bytes = sizeof start,
        .strings_bytes = (uint32_t)b.len,
        .args = (uint32_t)n_command,
        .env = ENV,
        .grace_ms = 1000 };
    int fd = memfd_create("start", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || file_write_all(fd, &start, sizeof start, err) < 0 ||
        file_write_all(fd, buf_str(&b), b.len, err) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
        err_sys(err, errno, "start block");
        file_close(&fd);
    }
    buf_free(&b);
    return fd;
}

/* ---- one instance ---- */

struct instance {
    char id[SANDBOX_ID_MAX];
    int dir;
    struct sandbox_started started;
};

/* Names are made from the pid and a counter: no id is used twice. */
static void next_id(struct run *run, char id[SANDBOX_ID_MAX]) {
    static const char digits[] = "abcdefghijklmnopqrstuvwxyz234567";
    uint64_t n = (uint64_t)clock_wall_msec() << 14 | (run->counter & 0x3fff);
    for (int i = 0; i < SANDBOX_ID_MAX - 1; i++) {
        id[i] = digits[n >> (5 * (i % 12)) & 31];
    }
    id[SANDBOX_ID_MAX - 1] = '\0';
}

static int start_in(struct run *run, struct instance *i, struct err *err) {
    next_id(run, i->id);
    memcpy(run->spec.id, i->id, sizeof i->id);
    if (run->bench || run->cycles) {
        run->spec.slot = SLOT_FIRST + run->counter % SLOTS;
    }
    run->counter++;
    if (mkdirat(run->work_fd, i->id, 0700) < 0) {
        return err_sys(err, errno, "mkdir %s", i->id);
    }
    i->dir = openat(run->work_fd, i->id, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP_FD int block = make_block(run, run->command, run->n_command, err);
    if (block < 0) {
        return -1;
    }
    struct sandbox_fds fds = { .block = block, .dir = i->dir };
    return sandbox_start(run->host, &run->spec, &fds, &i->started, err);
}

/* Starts one; leaves no directory when that fails. */
static int start(struct run *run, struct instance *i, struct err *err) {
    i->dir = -1;
    if (start_in(run, i, err) == 0) {
        return 0;
    }
    file_close(&i->dir);
    file_remove_tree(run->work_fd, i->id, NULL);
    return -1;
}

static int finish(struct run *run, struct instance *i, struct err *err) {
    int result = sandbox_destroy(run->host, i->id, err);
    siginfo_t info;
    while (waitid(P_PIDFD, (id_t)i->started.pidfd, &info, WEXITED) < 0 && errno == EINTR) {
    }
    file_close(&i->started.pidfd);
    file_close(&i->dir);
    return file_remove_tree(run->work_fd, i->id, err) < 0 ? -1 : result;
}

static bool wait_readable(int fd, int ms) {
    struct pollfd p = { .fd = fd, .events = POLLIN };
    return poll(&p, 1, ms) == 1;
}

static bool has_output(const struct instance *i) {
    struct stat st;
    return fstatat(i->dir, INIT_NAME_LOG0, &st, 0) == 0 &&
           st.st_size > (off_t)sizeof(struct log_segment);
}

/* Waits until paas-init has written a line of the app's. */
static int wait_output(const struct instance *i, struct err *err) {
    char path[32], events[EVENTS_MAX];
    snprintf(path, sizeof path, "/proc/self/fd/%d", i->dir);
    CLEANUP_FD int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (watch < 0 || inotify_add_watch(watch, path, IN_MODIFY) < 0) {
        return err_sys(err, errno, "watch the log");
    }
    for (msec end = clock_msec() + WAIT_MS; !has_output(i);) {
        if (clock_msec() >= end || !wait_readable(watch, (int)(end - clock_msec()))) {
            return err_set(err, ERR_TIMEOUT, "%s writes nothing", i->id);
        }
        while (read(watch, events, sizeof events) > 0) {
        }
    }
    return 0;
}

/* Shows the records of one segment: the app's streams where they belong, paas-init's on stderr. */
static void show_segment(const struct instance *i, const char *name) {
    struct buf b;
    buf_init(&b, LOG_MAX);
    if (file_read_whole(i->dir, name, &b, NULL) == 0) {
        for (size_t at = sizeof(struct log_segment); at + sizeof(struct log_record) <= b.len;) {
            struct log_record r;
            memcpy(&r, b.data + at, sizeof r);
            at += sizeof r;
            if (r.magic != LOG_RECORD_MAGIC || at + r.text_bytes > b.len) {
                break;
            }
            FILE *to = r.stream == LOG_STREAM_OUT ? stdout : stderr;
            fprintf(
                to, "%.*s%s", (int)r.text_bytes, b.data + at, r.flags & LOG_CONTINUED ? "" : "\n");
            at += r.text_bytes;
        }
    }
    buf_free(&b);
}

static const char *end_name(uint32_t end) {
    static const char *const names[INIT_END_COUNT] = {
#define X(id, name) [INIT_END_##id] = name,
        INIT_ENDS(X)
#undef X
    };
    return end < INIT_END_COUNT ? names[end] : "unknown";
}

/* The shell's exit status for what the record says. */
static int show_end(const struct instance *i) {
    struct init_exit e = { 0 };
    CLEANUP_FD int fd = openat(i->dir, INIT_NAME_EXIT, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, &e, sizeof e) != sizeof e || e.magic != INIT_EXIT_MAGIC) {
        fprintf(stderr, "sandbox_run: no exit record\n");
        return EXIT_TROUBLE;
    }
    if (e.end != INIT_END_EXITED) {
        fprintf(stderr, "sandbox_run: %s code %d signal %u stage %u errno %d %s\n", end_name(e.end),
            e.code, e.signal, e.stage, e.sys, e.text);
    }
    return e.end == INIT_END_EXITED ? e.code : e.signal ? 128 + (int)e.signal : 127;
}

static int run_beside(struct run *run, struct instance *i, struct err *err) {
    char *command[] = { (char *)"/bin/sh", (char *)"-c", (char *)run->exec };
    CLEANUP_FD int block = make_block(run, command, 3, err);
    struct sandbox_exec_fds fds = { .block = block, .in = 0, .out = 1, .err = 2 };
    pid_t pid;
    int pidfd;
    if (block < 0 || wait_output(i, err) < 0 ||
        sandbox_exec(run->host, i->id, &fds, &pid, &pidfd, err) < 0) {
        return -1;
    }
    siginfo_t info = { 0 };
    waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED);
    close(pidfd);
    fprintf(stderr, "sandbox_run: exec status %d\n", info.si_status);
    return 0;
}

static int run_once(struct run *run) {
    struct instance i;
    struct err err;
    if (start(run, &i, &err) < 0) {
        return die(&err);
    }
    int status = 0;
    if (run->exec && run_beside(run, &i, &err) < 0) {
        status = die(&err);
    }
    if (!run->exec && !wait_readable(i.started.pidfd, WAIT_MS)) {
        fprintf(stderr, "sandbox_run: it does not end\n");
        status = EXIT_TROUBLE;
    }
    show_segment(&i, INIT_NAME_LOG0);
    show_segment(&i, INIT_NAME_LOG1);
    if (status == 0 && !run->exec) {
        status = show_end(&i);
    }
    return finish(run, &i, &err) < 0 ? die(&err) : status;
}

/* ---- many ---- */

static int compare(const void *a, const void *b) {
    usec x = *(const usec *)a, y = *(const usec *)b;
    return (x > y) - (x < y);
}

static void show_times(const char *what, usec *times, int n) {
    qsort(times, (size_t)n, sizeof *times, compare);
    printf("%-28s p50 %6lld us   p99 %6lld us   n %d\n", what, (long long)times[n / 2],
        (long long)times[n * 99 / 100], n);
}

/* What an idle host does: makes ahead what the next start needs. */
static int make_ahead(struct run *run, struct err *err) {
    int made;
    do {
        made = sandbox_prepare(run->host, SLOT_FIRST + run->counter % SLOTS, err);
    } while (made > 0);
    return made;
}

static int bench(struct run *run) {
    usec *started = calloc((size_t)run->bench, sizeof *started);
    usec *output = calloc((size_t)run->bench, sizeof *output);
    usec *destroyed = calloc((size_t)run->bench, sizeof *destroyed);
    struct err err;
    int result = started && output && destroyed ? 0 : err_no_memory(&err);
    for (int n = 0; result == 0 && n < run->bench; n++) {
        struct instance i;
        if (run->prepare && make_ahead(run, &err) < 0) {
            result = -1;
            break;
        }
        poll(NULL, 0, run->gap_ms);
        usec begin = clock_usec();
        result = start(run, &i, &err);
        started[n] = clock_usec() - begin;
        if (result < 0) {
            break;
        }
        result = wait_output(&i, &err);
        output[n] = clock_usec() - begin;
        poll(NULL, 0, run->gap_ms);
        begin = clock_usec();
        if (finish(run, &i, result == 0 ? &err : NULL) < 0) {
            result = -1;
        }
        destroyed[n] = clock_usec() - begin;
    }
    if (result == 0 && run->samples) {
        for (int n = 0; n < run->bench; n++) {
            printf("%lld\n", (long long)output[n]);
        }
    } else if (result == 0) {
        show_times("start (paas-init exec'ed)", started, run->bench);
        show_times("start to output in the log", output, run->bench);
        show_times("destroy", destroyed, run->bench);
    }
    free(started);
    free(output);
    free(destroyed);
    return result < 0 ? die(&err) : 0;
}

static void show_census(const char *when, const struct sandbox_census *c) {
    printf("%-7s processes %u cgroups %u mounts %u devices %u files %u\n", when, c->processes,
        c->cgroups, c->mounts, c->devices, c->files);
}

static bool census_equal(const struct sandbox_census *a, const struct sandbox_census *b) {
    return memcmp(a, b, sizeof *a) == 0;
}

static int cycles(struct run *run) {
    struct err err;
    struct sandbox_census before, after;
    /* What is kept for a slot is made in its first round. */
    for (int n = -SLOTS; n < run->cycles; n++) {
        struct instance i;
        if (n == 0 && sandbox_census(run->host, &before, &err) < 0) {
            return die(&err);
        }
        if (start(run, &i, &err) < 0 || wait_output(&i, &err) < 0 || finish(run, &i, &err) < 0) {
            return die(&err);
        }
    }
    msec end = clock_msec() + CENSUS_WAIT_MS;
    do {
        poll(NULL, 0, 10);
        if (sandbox_census(run->host, &after, &err) < 0) {
            return die(&err);
        }
        before.devices = before.devices > after.devices ? after.devices : before.devices;
    } while (!census_equal(&before, &after) && clock_msec() < end);
    show_census("before", &before);
    show_census("after", &after);
    return census_equal(&before, &after) ? 0 : 1;
}

/* ---- arguments ---- */

enum option_key {
    O_PLATFORM = 256,
    O_INIT,
    O_STORE,
    O_WORK,
    O_LAYER,
    O_STACK,
    O_MEMORY,
    O_ROOTFS,
    O_PIDS,
    O_CPU,
    O_FILES,
    O_USER,
    O_CWD,
    O_EXEC,
    O_BENCH,
    O_CYCLES,
    O_GAP,
    O_NO_NETWORK,
    O_AHEAD,
    O_RESOLVER,
    O_ENTER,
    O_SWEEP,
    O_SAMPLES,
};

static const struct option options[] = {
    { "platform", required_argument, NULL, O_PLATFORM },
    { "init", required_argument, NULL, O_INIT },
    { "store", required_argument, NULL, O_STORE },
    { "work", required_argument, NULL, O_WORK },
    { "layer", required_argument, NULL, O_LAYER },
    { "stack", required_argument, NULL, O_STACK },
    { "memory", required_argument, NULL, O_MEMORY },
    { "rootfs", required_argument, NULL, O_ROOTFS },
    { "pids", required_argument, NULL, O_PIDS },
    { "cpu-milli", required_argument, NULL, O_CPU },
    { "files", required_argument, NULL, O_FILES },
    { "user", required_argument, NULL, O_USER },
    { "cwd", required_argument, NULL, O_CWD },
    { "exec", required_argument, NULL, O_EXEC },
    { "bench", required_argument, NULL, O_BENCH },
    { "cycles", required_argument, NULL, O_CYCLES },
    { "gap-ms", required_argument, NULL, O_GAP },
    { "no-network", no_argument, NULL, O_NO_NETWORK },
    { "ahead", no_argument, NULL, O_AHEAD },
    { "resolver", required_argument, NULL, O_RESOLVER },
    { "sweep", no_argument, NULL, O_SWEEP },
    { "samples", no_argument, NULL, O_SAMPLES },
    { "enter-cgroup", no_argument, NULL, O_ENTER },
    { 0 },
};

struct arguments {
    const char *store;
    bool enter; /* a cgroup of its own first */
    bool sweep; /* what an earlier run has left */
};

static void add_layer(struct sandbox_spec *spec, const char *digest) {
    if (spec->n_layers < SANDBOX_LAYERS_MAX && strlen(digest) == SANDBOX_DIGEST_LEN) {
        memcpy(spec->layers[spec->n_layers++], digest, SANDBOX_DIGEST_LEN);
    }
}

static void add_resolver(struct run *run, const char *text) {
    if (run->spec.n_resolvers < SANDBOX_RESOLVERS_MAX &&
        inet_aton(text, &run->spec.resolvers[run->spec.n_resolvers])) {
        run->host_options.resolvers[run->spec.n_resolvers] =
            run->spec.resolvers[run->spec.n_resolvers];
        run->host_options.n_resolvers = ++run->spec.n_resolvers;
    }
}

static bool take_option(struct run *run, struct arguments *args, int key, const char *value) {
    struct sandbox_spec *spec = &run->spec;
    uint64_t number = value ? strtoull(value, NULL, 0) : 0;
    switch (key) {
    case O_PLATFORM:
        run->host_options.platform = (uint32_t)number;
        break;
    case O_INIT:
        run->host_options.init_path = value;
        break;
    case O_STORE:
        args->store = value;
        break;
    case O_WORK:
        run->work = value;
        break;
    case O_LAYER:
        add_layer(spec, value);
        break;
    case O_STACK:
        spec->stack = strcmp(value, "host") == 0 ? SANDBOX_HOST : SANDBOX_IMAGE;
        break;
    case O_SAMPLES:
        run->samples = true;
        break;
    case O_MEMORY:
        spec->memory_bytes = number;
        break;
    case O_ROOTFS:
        spec->rootfs_bytes = number;
        break;
    case O_PIDS:
        spec->pids_max = (uint32_t)number;
        break;
    case O_CPU:
        spec->cpu_milli = (uint32_t)number;
        break;
    case O_FILES:
        spec->files_max = (uint32_t)number;
        break;
    case O_USER:
        run->user = value;
        break;
    case O_CWD:
        run->cwd = value;
        break;
    case O_EXEC:
        run->exec = value;
        break;
    case O_BENCH:
        run->bench = (int)number;
        break;
    case O_CYCLES:
        run->cycles = (int)number;
        break;
    case O_GAP:
        run->gap_ms = (int)number;
        break;
    case O_NO_NETWORK:
        run->host_options.flags |= SANDBOX_NO_NETWORK;
        break;
    case O_AHEAD:
        run->prepare = true;
        break;
    case O_RESOLVER:
        add_resolver(run, value);
        break;
    case O_SWEEP:
        args->sweep = true;
        break;
    case O_ENTER:
        args->enter = true;
        break;
    default:
        return false;
    }
    return true;
}

static int open_host(struct run *run, const struct arguments *args, struct err *err) {
    char cgroup[32];
    struct sandbox_host_options *o = &run->host_options;
    snprintf(cgroup, sizeof cgroup, "paas%u", o->platform);
    o->cgroup = cgroup;
    o->id_base = SANDBOX_ID_BASE + o->platform * (uint32_t)SANDBOX_PLATFORM_IDS;
    o->agent_uid = o->id_base + 2;
    CLEANUP_FD int store = open(args->store, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    run->work_fd = open(run->work, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (store < 0 || run->work_fd < 0) {
        return err_sys(err, errno, "open --store and --work");
    }
    o->store_fd = store;
    o->images_fd = -1;
    if (args->enter && sandbox_cgroup_enter(cgroup, "spawner", err) < 0) {
        return -1;
    }
    run->host = sandbox_host_open(o, err);
    if (!run->host) {
        return -1;
    }
    return args->sweep ? sandbox_sweep(run->host, NULL, 0, err) : 0;
}

int main(int argc, char **argv) {
    struct run run = { .user = "", .cwd = "/", .work = ".", .work_fd = -1, .gap_ms = 0 };
    struct arguments args = { .store = "." };
    sandbox_spec_init(&run.spec);
    run.spec.slot = SLOT_FIRST;
    snprintf(run.spec.hostname, sizeof run.spec.hostname, "web-1");
    int key;
    while ((key = getopt_long(argc, argv, "+", options, NULL)) != -1) {
        if (!take_option(&run, &args, key, optarg)) {
            return EXIT_TROUBLE;
        }
    }
    run.command = argv + optind;
    run.n_command = argc - optind;
    struct err err;
    if (run.n_command == 0 || !run.host_options.init_path) {
        fprintf(stderr, "usage: sandbox_run --init FILE [OPTIONS] -- COMMAND [ARG]...\n");
        return EXIT_TROUBLE;
    }
    if (open_host(&run, &args, &err) < 0) {
        return die(&err);
    }
    int status = run.bench ? bench(&run) : run.cycles ? cycles(&run) : run_once(&run);
    if (sandbox_host_close(run.host, SANDBOX_CLEAR, &err) < 0) {
        status = die(&err);
    }
    return status;
}
