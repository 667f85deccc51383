/* paas-init's loop: one poll, one dispatch, one message to the agents. SPDX-License-Identifier:
 * Apache-2.0
 */
#include "context.h"

#include "now.h"

#include <poll.h>
#include <string.h>
#include <time.h>

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
        life_on_notifier(init, slots[SLOT_NOTIFIER].revents); /* somebody waits */
    }
    if (slots[SLOT_OOM].revents) {
        life_on_oom(init);
    }
    if (slots[SLOT_LAUNCH].revents) {
        life_on_launch(init);
    }
    for (int stream = 0; stream < SPOOL_STREAMS; stream++) {
        if (slots[SLOT_OUTPUT + stream].revents) {
            life_on_output(init, stream);
        }
    }
    if (slots[SLOT_SIGNAL].revents) {
        life_on_children(init);
    }
    if (slots[SLOT_TIMER].revents) {
        request_on_timer(init);
    }
    for (int i = 0; i < INIT_CONNECTIONS_MAX; i++) {
        if (slots[SLOT_PEER + i].revents & ~POLLOUT) {
            request_on_peer(init, &init->link.peers[i]);
        }
    }
    if (slots[SLOT_LISTEN].revents) {
        link_accept(&init->link);
    }
    if (init->scan_at_us && now_mono_us() >= init->scan_at_us) {
        life_scan(init);
    }
}

static bool finished(const struct init *init, bool told) {
    if (init->phase != INIT_PHASE_ENDED) {
        return false;
    }
    bool quiet = !init->children && init->app.output[0] < 0 && init->app.output[1] < 0;
    return (quiet && told) || now_mono_us() >= init->end_by_us;
}

void loop_run(struct init *init) {
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
