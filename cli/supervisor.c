/* Keeps the daemons of one platform running. SPDX-License-Identifier: Apache-2.0
 *
 * The story: lock the data; read what a supervisor before left (R/supervisor); claim the platform's
 * number; take hold of the daemons and sockets that live, bind the other sockets, start the other
 * daemons. Then wait on pidfds: a dead daemon is started again with the same sockets, which this
 * process holds all the time, so that no connection is refused.
 * Agent and spawner are joined by a socket pair of which no copy stays here: when one dies the
 * other sees the end of it and exits, and both are started with a new pair.
 */
#include "supervisor_parts.h"

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
#include <sys/wait.h>
#include <unistd.h>

#include <paas/file.h>
#include <paas/limits.h>
#include <paas/log.h>
#include <paas/str.h>

#include "listeners.h"
#include "owners.h"
#include "part.h"
#include "programs.h"
#include "teardown.h"
#include "token.h"

static void note(struct run_part *part, const struct process *process) {
    part->pid = process->pid;
    part->start = process->start;
}

int supervisor_write(struct supervisor *s, struct err *err) {
    for (int i = 0; i < PART_COUNT; i++) {
        note(&s->state.parts[i], &s->parts[i].process);
    }
    for (int i = 0; i < SOCKET_COUNT; i++) {
        s->state.sockets[i] = listener_inode(s->sockets[i]);
    }
    return run_state_write(&s->state, s->places.run, err);
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
    supervisor_adopt_parts(s);
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
    return supervisor_write(s, err);
}

static int start_missing(struct supervisor *s, struct err *err) {
    supervisor_end_lone_half(s);
    if (!part_runs(s, PART_SCHEDULER) && supervisor_start_part(s, PART_SCHEDULER, -1, err) < 0) {
        return -1;
    }
    if (!part_runs(s, PART_AGENT) && supervisor_start_pair(s, err) < 0) {
        return -1;
    }
    return part_runs(s, PART_PROXY) ? 0 : supervisor_start_part(s, PART_PROXY, -1, err);
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
        supervisor_open_sockets(s, options, err) < 0 || note_self(s, err) < 0) {
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
    if (poll(fds, PART_COUNT + 1, supervisor_wait(s)) < 0 && errno != EINTR) {
        log_error("poll: %s", strerror(errno));
        return false;
    }
    for (int i = 0; i < PART_COUNT; i++) {
        if (s->parts[i].process.pidfd >= 0 && process_wait(&s->parts[i].process, 0)) {
            supervisor_part_ended(s, i);
        }
    }
    bool stop = read_signals(s);
    reap_orphans();
    msec now = clock_msec();
    supervisor_kill_due(s, now);
    for (int i = 0; i < PART_COUNT && !stop; i++) {
        supervisor_start_due(s, i, now);
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
