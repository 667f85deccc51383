/* Keeps the daemons of one platform running. SPDX-License-Identifier: Apache-2.0
 *
 * The story: lock the data; read what a supervisor before left (R/supervisor); claim the platform's
 * number; take hold of the daemons and sockets that live, bind the other sockets, start the other
 * daemons. Then wait on pidfds: a dead daemon is started again with the same sockets, which this
 * process holds all the time, so that no connection is refused.
 * Agent and spawner are joined by a socket pair of which no copy stays here: when one dies the
 * other sees the end of it and exits, and both are started with a new pair.
 */
#include "supervisor.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <paas/clock.h>
#include <paas/file.h>
#include <paas/limits.h>
#include <paas/log.h>
#include <paas/str.h>

#include "listeners.h"
#include "owners.h"
#include "part.h"
#include "platform.h"
#include "process.h"
#include "programs.h"
#include "teardown.h"
#include "token.h"

/* One daemon: it runs, or waits for its next start. */
struct part {
    struct process process;
    msec started;  /* when it was started or adopted */
    msec start_at; /* when to start it, while it does not run */
    msec kill_at;  /* when to kill it, as its other half is gone; 0: not */
    int deaths;    /* since it was last steady */
};

struct supervisor {
    struct places places;
    struct platform platform;
    struct run_state state;
    struct part parts[PART_COUNT];
    int sockets[SOCKET_COUNT];
    int lock;    /* D/lock: one supervisor for one data directory */
    int signals; /* signalfd */
    bool fresh;  /* nothing runs from before: a failed start is undone */
    char node[NAME_SIZE];
};

static const char *const part_programs[PART_COUNT] = {
#define X(id, name, program, user) [PART_##id] = program,
    PARTS(X)
#undef X
};
static const uint32_t part_users[PART_COUNT] = {
#define X(id, name, program, user) [PART_##id] = user,
    PARTS(X)
#undef X
};

/* ---- Writing down ---- */

static void note(struct run_part *part, const struct process *process) {
    part->pid = process->pid;
    part->start = process->start;
}

static int write_state(struct supervisor *s, struct err *err) {
    for (int i = 0; i < PART_COUNT; i++) {
        note(&s->state.parts[i], &s->parts[i].process);
    }
    for (int i = 0; i < SOCKET_COUNT; i++) {
        s->state.sockets[i] = listener_inode(s->sockets[i]);
    }
    return run_state_write(&s->state, s->places.run, err);
}

/* ---- Starting one ---- */

struct starting {
    struct supervisor *supervisor;
    enum part_id id;
};

static int on_started(void *data, const struct process *process, struct err *err) {
    const struct starting *starting = data;
    struct part *part = &starting->supervisor->parts[starting->id];
    part->process = *process;
    part->started = clock_msec();
    part->kill_at = 0;
    return write_state(starting->supervisor, err);
}

/* The daemon's own arguments; `number` and `data` are the caller's memory. */
static void fill_args(const struct supervisor *s, enum part_id id, const char *data,
    const char *number, struct part_start *start) {
    size_t n = 0;
    if (id == PART_SPAWNER) {
        start->args[n++] = "--spawner";
    }
    start->args[n++] = "--data";
    start->args[n++] = data;
    start->args[n++] = "--run";
    start->args[n++] = s->places.run;
    start->args[n++] = "--platform";
    start->args[n++] = number;
    if (id != PART_SPAWNER) {
        start->args[n++] = "--node";
        start->args[n++] = s->node;
    }
    if (id == PART_SCHEDULER) {
        start->args[n++] = "--http-address";
        start->args[n++] = s->state.http;
    }
}

static void add_socket(struct part_start *start, const char *name, int fd) {
    if (fd >= 0) {
        start->sockets[start->socket_count++] = (struct part_socket){ name, fd };
    }
}

static void fill_sockets(
    const struct supervisor *s, enum part_id id, int pair, struct part_start *start) {
    switch (id) {
    case PART_SCHEDULER:
        add_socket(start, socket_names[SOCKET_API], s->sockets[SOCKET_API]);
        add_socket(start, socket_names[SOCKET_API_TCP], s->sockets[SOCKET_API_TCP]);
        break;
    case PART_SPAWNER:
    case PART_AGENT:
        add_socket(start, "spawner", pair);
        break;
    case PART_PROXY:
        add_socket(start, socket_names[SOCKET_HTTP], s->sockets[SOCKET_HTTP]);
        break;
    case PART_COUNT:
        break;
    }
}

/* Starts the daemon `id`; `pair` is its end of the socket pair, where it has one. */
static int start_part(struct supervisor *s, enum part_id id, int pair, struct err *err) {
    char program[PATH_MAX], data[PLACES_SIZE + NAME_SIZE], log_path[PLACES_SIZE + NAME_SIZE],
        number[16];
    const char *name = part_names[id];
    snprintf(number, sizeof number, "%d", s->platform.number);
    snprintf(log_path, sizeof log_path, "%s/log/%s.log", s->places.data, name);
    if (id == PART_SPAWNER) {
        str_copy(data, sizeof data, s->places.data);
    } else {
        snprintf(data, sizeof data, "%s/%s", s->places.data, name);
    }
    if (program_find(part_programs[id], program, err) < 0 ||
        groups_fresh(&s->state.groups, name, err) < 0) {
        return -1;
    }
    CLEANUP_FD int log = part_log_open(log_path, err);
    if (log < 0) {
        return -1;
    }
    struct part_start start = {
        .leaf = name,
        .program = program,
        .id = part_users[id] ? s->platform.id_base + part_users[id] : 0,
        .log = log,
        .groups = &s->state.groups,
    };
    fill_args(s, id, data, number, &start);
    fill_sockets(s, id, pair, &start);
    struct process process = PROCESS_NONE;
    struct starting starting = { s, id };
    return part_start(&start, on_started, &starting, &process, err);
}

/* Starts agent and spawner, joined. */
static int start_pair(struct supervisor *s, struct err *err) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
        return err_sys(err, errno, "making a socket pair");
    }
    int result = start_part(s, PART_SPAWNER, ends[0], err);
    if (result == 0) {
        result = start_part(s, PART_AGENT, ends[1], err);
    }
    close(ends[0]);
    close(ends[1]);
    return result;
}

/* ---- Restarting ---- */

static bool runs(const struct supervisor *s, enum part_id id) {
    return s->parts[id].process.pidfd >= 0;
}

static bool is_paired(enum part_id id) {
    return id == PART_AGENT || id == PART_SPAWNER;
}

static enum part_id other_half(enum part_id id) {
    return id == PART_AGENT ? PART_SPAWNER : PART_AGENT;
}

static msec delay_after(int deaths) {
    msec delay = deaths > 1 ? SUPERVISOR_DELAY_FIRST : 0;
    for (int i = 2; i < deaths && delay < SUPERVISOR_DELAY_MAX; i++) {
        delay *= 2;
    }
    return delay < SUPERVISOR_DELAY_MAX ? delay : SUPERVISOR_DELAY_MAX;
}

/* It does not run any more, or could not be started: when is it started next? */
static void plan_restart(struct supervisor *s, enum part_id id, msec now) {
    struct part *part = &s->parts[id];
    if (part->started && now - part->started >= SUPERVISOR_STEADY) {
        part->deaths = 0;
    }
    part->deaths++;
    part->start_at = now + delay_after(part->deaths);
}

/* In words how it ended, and reaped if it was our child. */
static void describe_end(const struct process *process, char *text, size_t size) {
    siginfo_t end = { 0 };
    if (waitid(P_PIDFD, (id_t)process->pidfd, &end, WEXITED) < 0) {
        snprintf(text, size, "ended");
    } else if (end.si_code == CLD_EXITED) {
        snprintf(text, size, "exited with status %d", end.si_status);
    } else {
        snprintf(text, size, "was ended by SIG%s", sigabbrev_np(end.si_status));
    }
}

static void on_part_ended(struct supervisor *s, enum part_id id) {
    struct part *part = &s->parts[id];
    char how[64];
    msec now = clock_msec();
    describe_end(&part->process, how, sizeof how);
    log_warn("%s (process %d) %s", part_names[id], (int)part->process.pid, how);
    process_close(&part->process);
    part->kill_at = 0;
    plan_restart(s, id, now);
    if (is_paired(id) && runs(s, other_half(id))) {
        s->parts[other_half(id)].kill_at = now + SUPERVISOR_PAIR_WAIT;
    }
}

/* Starts `id` when it is due; for a pair, when both halves are. */
static void start_due(struct supervisor *s, enum part_id id, msec now) {
    struct part *part = &s->parts[id];
    struct err err = { 0 };
    bool due = !runs(s, id) && part->start_at <= now;
    if (is_paired(id)) {
        const struct part *other = &s->parts[other_half(id)];
        due = due && id == PART_SPAWNER && !runs(s, PART_AGENT) && other->start_at <= now;
    }
    if (!due) {
        return;
    }
    int result = is_paired(id) ? start_pair(s, &err) : start_part(s, id, -1, &err);
    s->state.parts[id].restarts++;
    if (is_paired(id)) {
        s->state.parts[PART_AGENT].restarts++;
    }
    if (result == 0) {
        write_state(s, &err);
        log_info("%s runs again", part_names[id]);
        return;
    }
    log_error("%s", err.text);
    if (!runs(s, id)) {
        plan_restart(s, id, clock_msec());
    }
}

static void kill_due(struct supervisor *s, msec now) {
    for (int i = 0; i < PART_COUNT; i++) {
        if (s->parts[i].kill_at && s->parts[i].kill_at <= now) {
            s->parts[i].kill_at = 0;
            process_signal(&s->parts[i].process, SIGKILL);
        }
    }
}

/* ---- Adopting ---- */

static void adopt_parts(struct supervisor *s) {
    for (int i = 0; i < PART_COUNT; i++) {
        const struct run_part *known = &s->state.parts[i];
        struct process *process = &s->parts[i].process;
        if (process_adopt(process, known->pid, known->start, NULL) < 0) {
            continue;
        }
        if (!groups_holds(&s->state.groups, part_names[i], known->pid)) {
            process_close(process);
            continue;
        }
        s->parts[i].started = clock_msec();
        log_info("adopted %s (process %d)", part_names[i], (int)known->pid);
    }
}

/* Half a pair is of no use: its other half has no way to it. */
static void end_lone_half(struct supervisor *s) {
    if (runs(s, PART_AGENT) == runs(s, PART_SPAWNER)) {
        return;
    }
    struct process *lone = &s->parts[runs(s, PART_AGENT) ? PART_AGENT : PART_SPAWNER].process;
    process_end(lone, SUPERVISOR_PAIR_WAIT);
    process_close(lone);
}

static int take_socket(struct supervisor *s, enum socket_id id) {
    enum part_id holder = id == SOCKET_HTTP ? PART_PROXY : PART_SCHEDULER;
    return s->state.sockets[id] && runs(s, holder)
               ? listener_take(&s->parts[holder].process, s->state.sockets[id], NULL)
               : -1;
}

/* Takes the sockets back from the daemons that have them, and binds the others. */
static int open_sockets(
    struct supervisor *s, const struct supervisor_options *options, struct err *err) {
    int *fds = s->sockets;
    for (int i = 0; i < SOCKET_COUNT; i++) {
        fds[i] = take_socket(s, i);
    }
    if (fds[SOCKET_API] < 0) {
        fds[SOCKET_API] = listener_open_unix(s->places.api, err);
    }
    const char *http = options->http      ? options->http
                       : s->state.http[0] ? s->state.http
                                          : SUPERVISOR_HTTP_DEFAULT;
    if (fds[SOCKET_API] >= 0 && fds[SOCKET_HTTP] < 0) {
        fds[SOCKET_HTTP] = listener_open_tcp(http, err);
    }
    if (fds[SOCKET_API] < 0 || fds[SOCKET_HTTP] < 0 ||
        listener_address(fds[SOCKET_HTTP], s->state.http, sizeof s->state.http, err) < 0) {
        return -1;
    }
    const char *api = options->api ? options->api : s->state.api_tcp;
    if (fds[SOCKET_API_TCP] < 0 && api[0] &&
        (fds[SOCKET_API_TCP] = listener_open_tcp(api, err)) < 0) {
        return -1;
    }
    return fds[SOCKET_API_TCP] < 0 ? 0
                                   : listener_address(fds[SOCKET_API_TCP], s->state.api_tcp,
                                         sizeof s->state.api_tcp, err);
}

/* ---- Coming up ---- */

/* True when the supervisor that held the lock has ended: one that was killed a moment ago holds it
 * until the kernel is done with it. */
static bool holder_ends(const struct supervisor *s) {
    struct run_state state;
    struct process holder;
    if (run_state_read(&state, s->places.run, NULL) < 0) {
        return false;
    }
    if (process_adopt(&holder, state.supervisor.pid, state.supervisor.start, NULL) < 0) {
        return true;
    }
    bool ended = process_wait(&holder, SUPERVISOR_LOCK_WAIT);
    process_close(&holder);
    return ended;
}

static int lock_data(struct supervisor *s, struct err *err) {
    char path[PLACES_SIZE + 16];
    snprintf(path, sizeof path, "%s/lock", s->places.data);
    s->lock = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (s->lock < 0) {
        return err_sys(err, errno, "opening %s", path);
    }
    if (flock(s->lock, LOCK_EX | LOCK_NB) == 0 ||
        (holder_ends(s) && flock(s->lock, LOCK_EX | LOCK_NB) == 0)) {
        return 0;
    }
    err_set(err, ERR_RUNNING, "the platform of %s already runs", s->places.data);
    return err_hint(err, "paas status; or paas up --data DIR for another platform");
}

/* Claims the number of a platform that does not run, and clears what a lost one left there. */
static int claim_fresh(struct supervisor *s, struct err *err) {
    struct run_state *state = &s->state;
    *state = (struct run_state){ 0 };
    if (teardown_run_directory(s->places.run, err) < 0 ||
        platform_claim(&s->platform, s->places.data, owners_number(&s->places), err) < 0 ||
        groups_find(&state->groups, s->platform.number, err) < 0 ||
        file_boot_id(state->boot_id, err) < 0) {
        return -1;
    }
    state->platform = s->platform.number;
    state->id_base = s->platform.id_base;
    str_copy(state->data, sizeof state->data, s->places.data);
    if (access(state->groups.dirs[0], F_OK) == 0) {
        log_warn("clearing what an earlier platform %d left", state->platform);
        groups_kill(&state->groups);
        return groups_remove(&state->groups, err);
    }
    return 0;
}

static int claim(struct supervisor *s, struct err *err) {
    if (run_state_read(&s->state, s->places.run, NULL) < 0) {
        return claim_fresh(s, err);
    }
    if (platform_reclaim(&s->platform, s->places.data, s->state.platform, err) < 0) {
        return -1;
    }
    s->fresh = false;
    groups_enter_delegated(&s->state.groups);
    adopt_parts(s);
    return 0;
}

/* Every program is there: said before anything is started. */
static int check_programs(struct err *err) {
    char path[PATH_MAX];
    for (int i = 0; i < PART_COUNT; i++) {
        if (program_find(part_programs[i], path, err) < 0) {
            return -1;
        }
    }
    return program_find("paas-init", path, err);
}

static void name_node(struct supervisor *s) {
    char host[NAME_SIZE + 1] = "";
    gethostname(host, sizeof host - 1);
    for (char *p = host; *p; p++) {
        *p = (char)tolower((unsigned char)*p);
    }
    host[strcspn(host, ".")] = '\0';
    str_copy(s->node, sizeof s->node, str_is_name(host) ? host : "node");
}

static int block_signals(struct supervisor *s, struct err *err) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGHUP); /* the terminal went away: go on */
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0 ||
        (s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)) < 0) {
        return err_sys(err, errno, "waiting for signals");
    }
    signal(SIGPIPE, SIG_IGN);
    /* Instances whose spawner died come to us, to be reaped. */
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    return 0;
}

static int note_self(struct supervisor *s, struct err *err) {
    struct process self;
    if (process_open(&self, getpid(), err) < 0) {
        return -1;
    }
    note(&s->state.supervisor, &self);
    process_close(&self);
    return write_state(s, err);
}

static int start_missing(struct supervisor *s, struct err *err) {
    end_lone_half(s);
    if (!runs(s, PART_SCHEDULER) && start_part(s, PART_SCHEDULER, -1, err) < 0) {
        return -1;
    }
    if (!runs(s, PART_AGENT) && start_pair(s, err) < 0) {
        return -1;
    }
    return runs(s, PART_PROXY) ? 0 : start_part(s, PART_PROXY, -1, err);
}

static int come_up(
    struct supervisor *s, const struct supervisor_options *options, struct err *err) {
    if (lock_data(s, err) < 0 || check_programs(err) < 0 || block_signals(s, err) < 0 ||
        claim(s, err) < 0) {
        return -1;
    }
    if (groups_make(&s->state.groups, err) < 0 ||
        owners_set(&s->places, s->platform.number, s->platform.id_base, err) < 0 ||
        token_make(&s->places, s->platform.id_base + part_users[PART_SCHEDULER],
            options->api ? TOKEN_WANTED : TOKEN_IF_THERE, err) < 0 ||
        open_sockets(s, options, err) < 0 || note_self(s, err) < 0) {
        return -1;
    }
    return start_missing(s, err);
}

static void destroy(struct supervisor *s) {
    for (int i = 0; i < PART_COUNT; i++) {
        process_close(&s->parts[i].process);
    }
    for (int i = 0; i < SOCKET_COUNT; i++) {
        file_close(&s->sockets[i]);
    }
    platform_close(&s->platform);
    file_close(&s->signals);
    file_close(&s->lock);
    free(s);
}

struct supervisor *supervisor_start(const struct supervisor_options *options, struct err *err) {
    struct supervisor *s = calloc(1, sizeof *s);
    if (!s) {
        err_no_memory(err);
        return NULL;
    }
    s->places = *options->places;
    s->platform.claim = s->lock = s->signals = -1;
    s->fresh = true;
    for (int i = 0; i < PART_COUNT; i++) {
        s->parts[i].process = PROCESS_NONE;
    }
    memset(s->sockets, -1, sizeof s->sockets);
    name_node(s);
    if (come_up(s, options, err) == 0) {
        return s;
    }
    if (s->fresh && s->platform.claim >= 0 && s->state.groups.count > 0) {
        struct err later = { 0 };
        if (teardown(&s->places, &s->platform, &s->state, &later) < 0) {
            log_error("%s", later.text);
        }
    }
    destroy(s);
    return NULL;
}

const struct run_state *supervisor_state(const struct supervisor *s) {
    return &s->state;
}

/* ---- Running ---- */

/* When something is due that no descriptor tells of; -1: nothing. */
static int poll_timeout(const struct supervisor *s) {
    msec now = clock_msec(), next = -1;
    for (int i = 0; i < PART_COUNT; i++) {
        const struct part *part = &s->parts[i];
        msec at = part->process.pidfd < 0 ? part->start_at : part->kill_at;
        if (part->process.pidfd >= 0 && !part->kill_at) {
            continue;
        }
        if (is_paired(i) && part->process.pidfd < 0 && runs(s, other_half(i))) {
            continue; /* the other half's end comes first */
        }
        next = next < 0 || at < next ? at : next;
    }
    return next < 0 ? -1 : next > now ? (int)(next - now) : 0;
}

/* True when SIGTERM or SIGINT came. */
static bool read_signals(struct supervisor *s) {
    struct signalfd_siginfo info;
    bool stop = false;
    while (read(s->signals, &info, sizeof info) == sizeof info) {
        stop = stop || info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT;
    }
    return stop;
}

/* Reaps orphans: instances whose spawner is gone. Daemons are reaped by their pidfd first. */
static void reap_orphans(void) {
    while (waitpid(-1, NULL, WNOHANG) > 0) {
    }
}

static bool turn(struct supervisor *s) {
    struct pollfd fds[PART_COUNT + 1];
    for (int i = 0; i < PART_COUNT; i++) {
        fds[i] = (struct pollfd){ .fd = s->parts[i].process.pidfd, .events = POLLIN };
    }
    fds[PART_COUNT] = (struct pollfd){ .fd = s->signals, .events = POLLIN };
    if (poll(fds, PART_COUNT + 1, poll_timeout(s)) < 0 && errno != EINTR) {
        log_error("poll: %s", strerror(errno));
        return false;
    }
    for (int i = 0; i < PART_COUNT; i++) {
        if (s->parts[i].process.pidfd >= 0 && process_wait(&s->parts[i].process, 0)) {
            on_part_ended(s, i);
        }
    }
    bool stop = read_signals(s);
    reap_orphans();
    msec now = clock_msec();
    kill_due(s, now);
    for (int i = 0; i < PART_COUNT && !stop; i++) {
        start_due(s, i, now);
    }
    return !stop;
}

int supervisor_run(struct supervisor *s, struct err *err) {
    while (turn(s)) {
    }
    log_info("going down");
    for (int i = 0; i < SOCKET_COUNT; i++) {
        file_close(&s->sockets[i]);
    }
    int result = teardown(&s->places, &s->platform, &s->state, err);
    reap_orphans();
    destroy(s);
    return result;
}
