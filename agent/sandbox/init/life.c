/* The app's birth, signs of life, and end. SPDX-License-Identifier: Apache-2.0
 *
 * Story of an end: SIGCHLD; why the app failed to start is read before its death is believed; what
 * is left of it is killed; what lies in the pipes is taken; the record is written; the agent is
 * told by the loop. The pipes stay open for what the killed still had, until they close or
 * END_WAIT_US.
 */
#include "context.h"

#include "now.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    SCAN_FIRST_US = 100,   /* listen acts a moment after its answer */
    SCAN_LAST_US = 100000, /* ... doubled up to this: an app that was frozen in between */
    END_WAIT_US = 300000,  /* for what the killed still had in their pipes, and a slow agent */
    DRAIN_READS = 16,      /* of SPOOL_READ_MAX each: more than both pipes hold */
};

/* ---- the exit record ---------------------------------------------------------------------- */

void life_write_record(struct init *init) {
    struct init_exit *record = &init->exit;
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
void life_kill(struct init *init) {
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

void life_end(struct init *init, int status, const struct rusage *usage) {
    init->alive = false;
    oom_check(&init->oom); /* the news of it may be behind that of the death */
    life_kill(init);
    drain(init);
    fill_record(init, status, usage);
    life_write_record(init);
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

void life_on_launch(struct init *init) {
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

void life_on_children(struct init *init) {
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
            life_on_launch(init); /* why it failed was said before it died */
            life_end(init, status, &usage);
        }
    }
}

void life_on_output(struct init *init, int stream) {
    long n = spool_read(&init->spool, (enum log_stream)stream, init->app.output[stream]);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        close_slot(&init->app.output[stream]);
    }
}

void life_on_oom(struct init *init) {
    if (oom_check(&init->oom)) {
        life_kill(init);
        init->changed = true;
    }
}

/* ---- listeners ---------------------------------------------------------------------------- */

void life_scan(struct init *init) {
    init->changed |= listeners_scan(&init->listeners);
    init->scan_delay_us *= 2;
    init->scan_at_us = init->scan_delay_us > SCAN_LAST_US ? 0 : now_mono_us() + init->scan_delay_us;
}

void life_on_notifier(struct init *init, short events) {
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
