/* PID 1 of an instance: starts the app, reaps, records the end, spools logs, answers the notifier.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Story: take stock of the descriptors, write an exit record that says "running", read the start
 * block, find the user, make the app's process, give up what privilege is left, and loop. The app's
 * end kills what is left of it, takes what lies in its pipes, writes the record, tells the agent,
 * and waits END_WAIT_US for stragglers; then paas-init ends, and the instance with it. A failure
 * before the loop is an end like any other. It allocates nothing after the start, opens nothing,
 * and trusts neither app nor start block.
 */
#include "app.h"
#include "exec.h"
#include "failure.h"
#include "guard.h"
#include "link.h"
#include "listeners.h"
#include "notifier.h"
#include "now.h"
#include "oom.h"
#include "spool.h"
#include "start.h"
#include "user.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    SCAN_FIRST_US = 100,   /* listen acts a moment after its answer */
    SCAN_LAST_US = 100000, /* ... doubled up to this: an app that was frozen in between */
    END_WAIT_US = 300000,  /* for what the killed still had in their pipes, and a slow agent */
    DRAIN_READS = 16,      /* of SPOOL_READ_MAX each: more than both pipes hold */
    SIGNAL_MAX = 64,
};

enum slot {
    SLOT_SIGNAL,
    SLOT_TIMER,
    SLOT_OUTPUT, /* two */
    SLOT_LAUNCH = SLOT_OUTPUT + SPOOL_STREAMS,
    SLOT_NOTIFIER,
    SLOT_OOM,
    SLOT_LISTEN,
    SLOT_PEER,
    SLOT_COUNT = SLOT_PEER + INIT_CONNECTIONS_MAX,
};

struct init {
    struct start start;
    uint32_t start_flags;
    uint32_t port;
    int stop_signal;
    uint32_t grace_ms;
    int joins; /* descriptors from INIT_FD_JOIN on */
    struct app app;
    struct spool spool;
    struct listeners listeners;
    struct notifier notifier;
    struct oom oom;
    struct link link;
    int signal_fd;
    int timer_fd; /* of the boot-time clock, which counts suspend: deadline or kill, the nearer */
    enum init_phase phase;
    bool alive;    /* the app's process has not been reaped */
    bool children; /* there may be processes to reap */
    bool changed;  /* the agent is to be told */
    uint64_t revision;
    int64_t started_boot_ms;
    int64_t deadline_boot_ms; /* 0: none */
    int64_t kill_boot_ms;     /* 0: none */
    int64_t scan_at_us;       /* 0: none */
    int64_t scan_delay_us;
    int64_t end_by_us; /* with INIT_PHASE_ENDED */
    struct failure failure;
    struct init_exit exit;
};

/* ---- the exit record ---------------------------------------------------------------------- */

static void write_record(struct init_exit *record) {
    record->magic = INIT_EXIT_MAGIC;
    record->version = INIT_VERSION;
    record->bytes = sizeof *record;
    record->checksum =
        init_checksum(INIT_CHECKSUM_START, record, offsetof(struct init_exit, checksum));
    ssize_t n = pwrite(INIT_FD_EXIT, record, sizeof *record, 0);
    (void)n; /* the room was taken at the start; the state on init.sock says the same */
}

/* What the one who wrote the image or the manifest can mend, against what the platform must. */
static enum init_end end_of_stage(uint32_t stage) {
    switch ((enum init_stage)stage) {
    case INIT_STAGE_USER:
    case INIT_STAGE_DIRECTORY:
    case INIT_STAGE_EXEC:
    case INIT_STAGE_LOADER:
        return INIT_END_EXEC_FAILED;
    case INIT_STAGE_NONE:
    case INIT_STAGE_START_BLOCK:
    case INIT_STAGE_DESCRIPTORS:
    case INIT_STAGE_PRIVILEGES:
    case INIT_STAGE_FORK:
    case INIT_STAGE_CGROUP:
    case INIT_STAGE_IDENTITY:
    case INIT_STAGE_STDIO:
    case INIT_STAGE_SECCOMP:
    case INIT_STAGE_COUNT:
        break;
    }
    return INIT_END_INIT_ERROR;
}

static int64_t timeval_us(const struct timeval *t) {
    return (int64_t)t->tv_sec * 1000000 + t->tv_usec;
}

static void fill_record(struct init *init, int status, const struct rusage *usage) {
    struct init_exit *record = &init->exit;
    record->code = -1;
    if (init->failure.stage) {
        record->end = end_of_stage(init->failure.stage);
        record->stage = init->failure.stage;
        record->sys = init->failure.sys;
        memcpy(record->text, init->failure.text, sizeof record->text);
    } else {
        record->end = WIFSIGNALED(status) ? INIT_END_SIGNALED : INIT_END_EXITED;
        record->signal = WIFSIGNALED(status) ? (uint32_t)WTERMSIG(status) : 0;
        record->code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
        if (init->oom.boot_ms) {
            record->end = INIT_END_OOM;
        }
    }
    record->oom_kills = init->oom.kills;
    record->oom_boot_ms = init->oom.boot_ms;
    record->started_boot_ms = init->started_boot_ms;
    record->ended_boot_ms = now_boot_ms();
    record->ended_wall_ms = now_wall_ms();
    record->cpu_user_us = timeval_us(&usage->ru_utime);
    record->cpu_system_us = timeval_us(&usage->ru_stime);
    record->max_rss_kib = (uint64_t)usage->ru_maxrss;
    record->log_lines = init->spool.seq;
    record->log_dropped = init->spool.dropped;
}

/* ---- the app's life ----------------------------------------------------------------------- */

/* Everything in leaf `app` dies, frozen or not. */
static void kill_app(struct init *init) {
    if (write(INIT_FD_KILL, "1", 1) != 1) {
        kill(-1, SIGKILL); /* all processes of this pid namespace but its PID 1 */
    }
    if (init->alive) {
        kill(init->app.pid, SIGKILL); /* it may not have come as far as its cgroup */
    }
}

/* Takes what lies in the pipes now. */
static void drain(struct init *init) {
    for (int stream = 0; stream < SPOOL_STREAMS; stream++) {
        int fd = init->app.output[stream];
        for (int i = 0; fd >= 0 && i < DRAIN_READS; i++) {
            if (spool_read(&init->spool, (enum log_stream)stream, fd) <= 0) {
                break;
            }
        }
    }
    spool_finish(&init->spool);
}

static void end(struct init *init, int status, const struct rusage *usage) {
    init->alive = false;
    oom_check(&init->oom); /* the news of it may be behind that of the death */
    kill_app(init);
    drain(init);
    fill_record(init, status, usage);
    write_record(&init->exit);
    init->phase = INIT_PHASE_ENDED;
    init->scan_at_us = 0;
    init->end_by_us = now_mono_us() + END_WAIT_US;
    init->changed = true;
}

static void close_slot(int *fd) {
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
}

static void on_launch(struct init *init) {
    int listener = -1;
    enum app_news news;
    while (init->app.launch_fd >= 0) {
        struct failure told;
        news = app_news(&init->app, &listener, &told);
        if (news == APP_NEWS_NONE) {
            return;
        }
        if (news == APP_NEWS_LISTENER) {
            notifier_attach(&init->notifier, listener);
            continue;
        }
        close_slot(&init->app.launch_fd);
        if (news == APP_NEWS_FAILED) {
            told.text[sizeof told.text - 1] = '\0';
            init->failure = told;
        } else {
            init->started_boot_ms = now_boot_ms();
            init->phase = init->phase == INIT_PHASE_STARTING ? INIT_PHASE_RUNNING : init->phase;
            init->changed = true;
        }
    }
}

static void on_children(struct init *init) {
    struct signalfd_siginfo ignored;
    while (read(init->signal_fd, &ignored, sizeof ignored) == (ssize_t)sizeof ignored) {
    }
    for (;;) {
        int status;
        struct rusage usage;
        pid_t pid = wait4(-1, &status, WNOHANG, &usage);
        if (pid <= 0) {
            init->children = pid == 0;
            return;
        }
        if (init->alive && pid == init->app.pid) {
            on_launch(init); /* why it failed was said before it died */
            end(init, status, &usage);
        }
    }
}

static void on_output(struct init *init, int stream) {
    long n = spool_read(&init->spool, (enum log_stream)stream, init->app.output[stream]);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        close_slot(&init->app.output[stream]);
    }
}

static void on_oom(struct init *init) {
    if (oom_check(&init->oom)) {
        kill_app(init);
        init->changed = true;
    }
}

/* ---- listeners ---------------------------------------------------------------------------- */

static void scan(struct init *init) {
    init->changed |= listeners_scan(&init->listeners);
    init->scan_delay_us *= 2;
    init->scan_at_us = init->scan_delay_us > SCAN_LAST_US ? 0 : now_mono_us() + init->scan_delay_us;
}

static void on_notifier(struct init *init, short events) {
    if (!(events & POLLIN)) {
        notifier_close(&init->notifier); /* no process with the filter is left */
        return;
    }
    switch (notifier_answer(&init->notifier)) {
    case NOTIFIER_LISTEN:
        init->scan_delay_us = SCAN_FIRST_US;
        init->scan_at_us = now_mono_us() + SCAN_FIRST_US;
        break;
    case NOTIFIER_REFUSED:
        init->changed = true;
        break;
    case NOTIFIER_NONE:
        break;
    }
}

/* ---- deadlines ---------------------------------------------------------------------------- */

static void arm_timer(struct init *init) {
    int64_t at = init->deadline_boot_ms;
    if (init->kill_boot_ms && (!at || init->kill_boot_ms < at)) {
        at = init->kill_boot_ms;
    }
    struct itimerspec when = { .it_value = { at / 1000, at % 1000 * 1000000 } };
    timerfd_settime(init->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static void on_timer(struct init *init) {
    uint64_t ignored;
    ssize_t n = read(init->timer_fd, &ignored, sizeof ignored);
    (void)n;
    int64_t now = now_boot_ms();
    if (init->deadline_boot_ms && now >= init->deadline_boot_ms) {
        /* Whatever it was about to do must not happen after this instant. */
        n = write(INIT_FD_FREEZE, "1", 1);
        init->exit.flags |= INIT_EXIT_DEADLINE;
        init->deadline_boot_ms = 0;
        init->phase = INIT_PHASE_STOPPING;
        init->changed = true;
        kill_app(init);
    }
    if (init->kill_boot_ms && now >= init->kill_boot_ms) {
        init->exit.flags |= INIT_EXIT_KILLED;
        init->kill_boot_ms = 0;
        init->changed = true;
        kill_app(init);
    }
    arm_timer(init);
}

/* ---- requests ----------------------------------------------------------------------------- */

static int signal_app(struct init *init, int signal) {
    if (signal < 1 || signal > SIGNAL_MAX) {
        return EINVAL;
    }
    if (!init->alive) {
        return ESRCH;
    }
    return kill(init->app.pid, signal) < 0 ? errno : 0;
}

/* A repeated stop sends no second signal, which some apps take for "now", and only shortens. */
static int stop(struct init *init, const struct init_request *request) {
    bool own = request->grace_ms == INIT_GRACE_OF_START;
    uint32_t grace_ms = own ? init->grace_ms : request->grace_ms;
    if (grace_ms > INIT_GRACE_MAX_MS) {
        return EINVAL;
    }
    int64_t at = now_boot_ms() + grace_ms;
    bool first = !(init->exit.flags & INIT_EXIT_STOPPED);
    if (first) {
        int result = signal_app(init, request->signal ? request->signal : init->stop_signal);
        if (result) {
            return result;
        }
        init->exit.flags |= INIT_EXIT_STOPPED;
        init->phase = INIT_PHASE_STOPPING;
    }
    if (first || (init->kill_boot_ms && at < init->kill_boot_ms)) {
        init->kill_boot_ms = at;
        arm_timer(init);
    }
    init->changed = true;
    return 0;
}

static int extend(struct init *init, int64_t deadline_boot_ms) {
    if (!(init->start_flags & INIT_START_EXCLUSIVE)) {
        return EINVAL;
    }
    if (!init->deadline_boot_ms) {
        return ETIME; /* it has passed */
    }
    if (deadline_boot_ms > init->deadline_boot_ms) {
        init->deadline_boot_ms = deadline_boot_ms;
        arm_timer(init);
    }
    return 0;
}

static int handle(struct init *init, const struct init_request *request) {
    if (init->phase == INIT_PHASE_ENDED) {
        return request->kind == INIT_REQUEST_STATE ? 0 : ESRCH;
    }
    switch (request->kind) {
    case INIT_REQUEST_STATE:
        return 0;
    case INIT_REQUEST_SIGNAL:
        return signal_app(init, request->signal);
    case INIT_REQUEST_STOP:
        return stop(init, request);
    case INIT_REQUEST_DEADLINE:
        return extend(init, request->deadline_boot_ms);
    case INIT_REQUEST_LISTENERS:
        init->changed |= listeners_scan(&init->listeners);
        return 0;
    default:
        return ENOSYS;
    }
}

static void on_peer(struct init *init, struct link_peer *peer) {
    struct init_request request;
    if (link_receive(peer, &request) == 1) {
        peer->result = handle(init, &request);
    }
}

static bool tell(struct init *init) {
    if (init->changed) {
        init->revision++;
        init->changed = false;
        link_changed(&init->link);
    }
    struct init_state state = { .magic = INIT_MESSAGE_MAGIC,
        .version = INIT_VERSION,
        .bytes = sizeof state,
        .revision = init->revision,
        .phase = init->phase,
        .app_pid = init->alive ? init->app.pid : 0,
        .start_flags = init->start_flags,
        .port = init->port,
        .started_boot_ms = init->started_boot_ms,
        .deadline_boot_ms = init->deadline_boot_ms,
        .kill_boot_ms = init->kill_boot_ms,
        .listen_calls = init->notifier.listen_calls,
        .refused_calls = init->notifier.refused_calls,
        .refused_last = init->notifier.refused_last,
        .oom_kills = init->oom.kills,
        .log_seq = init->spool.seq,
        .log_dropped = init->spool.dropped,
        .listener_count = init->listeners.count };
    memcpy(state.listeners, init->listeners.list, sizeof state.listeners);
    if (init->phase == INIT_PHASE_ENDED) {
        state.exit = init->exit;
    }
    return link_send(&init->link, &state);
}

/* ---- the loop ----------------------------------------------------------------------------- */

/* Fills the slots; the time to wait in µs, -1 for ever. A slot with fd -1 is not looked at. */
static int64_t fill_slots(struct init *init, struct pollfd slots[SLOT_COUNT]) {
    int64_t now = now_mono_us(), wait = -1, blocked = 0;
    for (int i = 0; i < SLOT_COUNT; i++) {
        slots[i] = (struct pollfd){ .fd = -1, .events = POLLIN };
    }
    slots[SLOT_SIGNAL].fd = init->signal_fd;
    slots[SLOT_TIMER].fd = init->timer_fd;
    for (int stream = 0; stream < SPOOL_STREAMS; stream++) {
        slots[SLOT_OUTPUT + stream].fd = init->app.output[stream];
    }
    slots[SLOT_LAUNCH].fd = init->app.launch_fd;
    if (notifier_ready(&init->notifier, now, &blocked)) {
        slots[SLOT_NOTIFIER].fd = init->notifier.fd;
    } else {
        wait = blocked;
    }
    slots[SLOT_OOM].fd = init->phase == INIT_PHASE_ENDED ? -1 : init->oom.fd;
    slots[SLOT_OOM].events = oom_poll_events(&init->oom);
    slots[SLOT_LISTEN].fd = init->link.listen_fd;
    for (int i = 0; i < INIT_CONNECTIONS_MAX; i++) {
        const struct link_peer *peer = &init->link.peers[i];
        slots[SLOT_PEER + i].fd = peer->fd;
        slots[SLOT_PEER + i].events = (short)(POLLIN | (peer->dirty ? POLLOUT : 0));
    }
    int64_t scan_at = init->phase == INIT_PHASE_ENDED ? init->end_by_us : init->scan_at_us;
    if (scan_at && (wait < 0 || scan_at - now < wait)) {
        wait = scan_at > now ? scan_at - now : 0;
    }
    return wait;
}

static void dispatch(struct init *init, const struct pollfd slots[SLOT_COUNT]) {
    if (slots[SLOT_NOTIFIER].revents) {
        on_notifier(init, slots[SLOT_NOTIFIER].revents); /* somebody waits */
    }
    if (slots[SLOT_OOM].revents) {
        on_oom(init);
    }
    if (slots[SLOT_LAUNCH].revents) {
        on_launch(init);
    }
    for (int stream = 0; stream < SPOOL_STREAMS; stream++) {
        if (slots[SLOT_OUTPUT + stream].revents) {
            on_output(init, stream);
        }
    }
    if (slots[SLOT_SIGNAL].revents) {
        on_children(init);
    }
    if (slots[SLOT_TIMER].revents) {
        on_timer(init);
    }
    for (int i = 0; i < INIT_CONNECTIONS_MAX; i++) {
        if (slots[SLOT_PEER + i].revents & ~POLLOUT) {
            on_peer(init, &init->link.peers[i]);
        }
    }
    if (slots[SLOT_LISTEN].revents) {
        link_accept(&init->link);
    }
    if (init->scan_at_us && now_mono_us() >= init->scan_at_us) {
        scan(init);
    }
}

static bool finished(const struct init *init, bool told) {
    if (init->phase != INIT_PHASE_ENDED) {
        return false;
    }
    bool quiet = !init->children && init->app.output[0] < 0 && init->app.output[1] < 0;
    return (quiet && told) || now_mono_us() >= init->end_by_us;
}

static void loop(struct init *init) {
    while (!finished(init, tell(init))) {
        struct pollfd slots[SLOT_COUNT];
        int64_t wait = fill_slots(init, slots);
        struct timespec time = { wait / 1000000, wait % 1000000 * 1000 };
        if (ppoll(slots, SLOT_COUNT, wait < 0 ? NULL : &time, NULL) >= 0) {
            dispatch(init, slots);
        }
    }
    spool_finish(&init->spool);
}

/* ---- the start ---------------------------------------------------------------------------- */

static int take_descriptors(struct init *init, struct failure *failure) {
    for (int fd = 0; fd < INIT_FD_JOIN; fd++) {
        if (fcntl(fd, F_SETFD, fd < INIT_FD_START ? 0 : FD_CLOEXEC) < 0) {
            return failure_set(failure, INIT_STAGE_DESCRIPTORS, errno, "fixed numbers");
        }
    }
    for (int fd = INIT_FD_JOIN; fd < INIT_FD_END && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0; fd++) {
        init->joins++; /* before anything is opened that could fill the first hole */
    }
    syscall(SYS_close_range, INIT_FD_END, ~0u, 0);
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    sigemptyset(&all);
    sigaddset(&all, SIGCHLD);
    init->signal_fd = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
    init->timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (init->signal_fd < 0 || init->timer_fd < 0) {
        return failure_set(failure, INIT_STAGE_DESCRIPTORS, errno, "signals and timer");
    }
    link_init(&init->link, INIT_FD_SOCKET);
    oom_init(&init->oom, INIT_FD_OOM);
    return 0;
}

/* Keeps what is needed of the start block after it is gone. */
static void remember(struct init *init) {
    const struct init_start *header = init->start.header;
    init->start_flags = header->flags;
    init->port = header->port;
    init->stop_signal = header->stop_signal ? (int)header->stop_signal : SIGTERM;
    init->grace_ms = header->grace_ms;
    if (header->flags & INIT_START_EXCLUSIVE) {
        init->deadline_boot_ms = header->deadline_boot_ms > 0 ? header->deadline_boot_ms : 1;
        arm_timer(init);
    }
    spool_init(&init->spool, INIT_FD_LOG0, INIT_FD_LOG1, header->segment_bytes, header->log_rate);
}

static int start_app(struct init *init, struct failure *failure) {
    struct user user;
    if (guard_early(failure) < 0 || take_descriptors(init, failure) < 0 ||
        start_read(&init->start, INIT_FD_START, failure) < 0) {
        return -1;
    }
    remember(init);
    struct app_plan plan = { .start = &init->start, .user = &user, .joins = init->joins };
    if (start_home(&init->start, &user, failure) < 0 ||
        app_launch(&init->app, &plan, failure) < 0) {
        return -1;
    }
    init->alive = true;
    init->children = true;
    start_close(&init->start);
    listeners_init(&init->listeners);
    return guard_late(failure);
}

/* The context is far larger than a stack frame should be, and all zero in the file. */
static void prepare(struct init *init) {
    init->app = (struct app){ .output = { -1, -1 }, .launch_fd = -1 };
    init->signal_fd = init->timer_fd = init->oom.fd = -1;
    init->revision = 1;
    init->exit.code = -1;
    notifier_init(&init->notifier);
    link_init(&init->link, -1);
    spool_init(&init->spool, INIT_FD_LOG0, INIT_FD_LOG1, 0, 0);
}

int main(int argc, char **argv) {
    static struct init init;
    if (argc == 2 && strcmp(argv[1], "exec") == 0) {
        return exec_command();
    }
    umask(022);
    prctl(PR_SET_NAME, "paas-init", 0, 0, 0);
    prepare(&init);
    write_record(&init.exit);
    if (start_app(&init, &init.failure) < 0) {
        struct rusage none = { 0 };
        kill_app(&init);
        end(&init, 0, &none);
    }
    loop(&init);
    return 0;
}
