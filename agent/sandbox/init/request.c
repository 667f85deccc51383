/* What the agent asks, and the deadlines it sets. SPDX-License-Identifier: Apache-2.0 */
#include "context.h"

#include "now.h"

#include <errno.h>
#include <signal.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { SIGNAL_MAX = 64 };

/* ---- deadlines ---------------------------------------------------------------------------- */

void request_arm_timer(struct init *init) {
    int64_t at = init->deadline_boot_ms;
    if (init->kill_boot_ms && (!at || init->kill_boot_ms < at)) {
        at = init->kill_boot_ms;
    }
    struct itimerspec when = { .it_value = { at / 1000, at % 1000 * 1000000 } };
    timerfd_settime(init->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

void request_on_timer(struct init *init) {
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
        life_kill(init);
    }
    if (init->kill_boot_ms && now >= init->kill_boot_ms) {
        init->exit.flags |= INIT_EXIT_KILLED;
        init->kill_boot_ms = 0;
        init->changed = true;
        life_kill(init);
    }
    request_arm_timer(init);
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
        request_arm_timer(init);
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
        request_arm_timer(init);
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

void request_on_peer(struct init *init, struct link_peer *peer) {
    struct init_request request;
    if (link_receive(peer, &request) == 1) {
        peer->result = handle(init, &request);
    }
}
