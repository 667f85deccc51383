/* What an instance does, as its process, its paas-init and its probes tell.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "instance_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include <paas/file.h>

#include "launch.h"
#include "proc.h"

enum {
    WORKER_READY_MS = 1000, /* a worker that lives this long is taken for well */
    OTHER_PORT_MS = 300,    /* an app may listen elsewhere first; after this it is named */
};

static void on_probed(void *data, bool good, const char *words) {
    struct agent_instance *i = data;
    (void)good;
    snprintf(i->row.health, sizeof i->row.health, "%s", words);
}

static void on_verdict(void *data, enum health_verdict verdict, const char *words) {
    struct agent_instance *i = data;
    if (verdict == HEALTH_GOOD && i->phase == PHASE_START) {
        instance_enter_rotation(i);
    } else if (verdict == HEALTH_BAD && i->phase == PHASE_SERVE) {
        char why[sizeof i->why];
        snprintf(why, sizeof why, "failed its health check %" PRId64 " times: %s",
            i->spec->health.unhealthy_after, words);
        instance_stop(i, END_HEALTH, why);
    }
}

void instance_watch_health(struct agent_instance *i, enum health_verdict verdict) {
    struct health_options options = {
        .loop = i->host->loop,
        .port = i->port,
        .interval = i->spec->health.interval,
        .timeout = i->spec->health.timeout,
        .rule = { .unhealthy_after = i->spec->health.unhealthy_after, .healthy_after = 1 },
        .probed = on_probed,
        .changed = on_verdict,
        .data = i,
    };
    struct err err;
    memcpy(options.address, i->row.address, sizeof options.address);
    memcpy(options.path, i->spec->health.path, sizeof options.path);
    i->health = health_start(&options, &err);
    if (!i->health) {
        instance_stop(i, END_START, err.text);
        return;
    }
    health_assume(i->health, verdict);
}

void instance_start_time_up(struct agent_instance *i) {
    char why[sizeof i->why];
    if (!i->listens && i->healthy_since) {
        instance_enter_rotation(i);
    } else if (i->reason == END_NONE && i->why[0] && !i->health) {
        memcpy(why, i->why, sizeof why);
        instance_stop(i, END_PORT, why);
    } else if (i->health) {
        snprintf(why, sizeof why, "was not healthy within %" PRId64 " ms: %s",
            i->spec->health.start, i->row.health);
        instance_stop(i, END_HEALTH, why);
    } else {
        snprintf(why, sizeof why, "did not listen on port %d within %" PRId64 " ms", i->port,
            i->spec->health.start);
        instance_stop(i, END_SILENT, why);
    }
}

/* Looks at where the app listens. */
static void look_at_listeners(struct agent_instance *i, const struct init_state *state) {
    uint16_t other = 0;
    bool local_only = false;
    uint32_t count =
        state->listener_count < INIT_LISTENERS_MAX ? state->listener_count : INIT_LISTENERS_MAX;
    for (uint32_t n = 0; n < count; n++) {
        const struct init_listener *l = &state->listeners[n];
        bool loopback = launch_is_loopback(l);
        if (l->port == i->port && !loopback) {
            if (!i->health) {
                i->row.port = i->port;
                instance_tell(i);
                instance_watch_health(i, HEALTH_UNKNOWN);
                instance_set_timer(i, i->spec->health.start - (clock_msec() - i->decided));
            }
            return;
        }
        other = l->port;
        local_only = loopback;
    }
    if (!other || i->health || i->reason != END_NONE) {
        return;
    }
    if (local_only && other == i->port) {
        snprintf(i->why, sizeof i->why,
            "listens on 127.0.0.1:%u only, where nobody can reach it; listen on 0.0.0.0", other);
    } else {
        snprintf(i->why, sizeof i->why,
            "listens on port %u, but the platform sends requests to port %d (as PORT says)", other,
            i->port);
    }
    if (i->row.health[0] == '\0') {
        snprintf(i->row.health, sizeof i->row.health, "listens on port %u", other);
        instance_set_timer(i, OTHER_PORT_MS);
    }
}

static void on_state(void *data, const struct init_state *state) {
    struct agent_instance *i = data;
    if (state->phase == INIT_PHASE_ENDED) {
        instance_on_end(i, &state->exit);
        return;
    }
    if (i->phase >= PHASE_STOP) {
        return;
    }
    if (i->row.pid == 0 && state->app_pid > 0) {
        i->row.pid = proc_child(i->init_pid, state->app_pid);
        instance_tell(i);
    }
    if (i->phase != PHASE_START) {
        return;
    }
    if (i->listens) {
        look_at_listeners(i, state);
    } else if (state->phase == INIT_PHASE_RUNNING && i->reason == END_NONE && !i->health &&
               !i->healthy_since) {
        i->healthy_since = clock_msec(); /* counts as a beginning; set anew when it is ready */
        instance_set_timer(i, WORKER_READY_MS);
    }
}

static void on_pidfd(uv_poll_t *poll, int status, int events) {
    (void)status;
    (void)events;
    instance_on_init_end(poll->data);
}

static int watch_process(struct agent_instance *i, struct err *err) {
    int failed = uv_poll_init(i->host->loop, &i->ended_poll, i->pidfd);
    if (failed) {
        file_close(&i->pidfd);
        return err_sys(err, -failed, "watching the process of %s", i->row.id);
    }
    i->ended_poll.data = i;
    i->handles++;
    uv_poll_start(&i->ended_poll, UV_READABLE, on_pidfd);
    return 0;
}

static int open_link(struct agent_instance *i, struct err *err) {
    static const struct init_link_events events = { .state = on_state };
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
    if (snprintf(path, sizeof path, "%s/%s/" INIT_NAME_SOCKET, i->host->directory, i->row.id) >=
        (int)sizeof path) {
        return err_set(err, ERR_BAD_VALUE, "the run directory's path is too long for a socket");
    }
    i->init = init_link_open(i->host->loop, path, &events, i, err);
    return i->init ? 0 : -1;
}

int instance_watch(struct agent_instance *i, struct err *err) {
    return watch_process(i, err) < 0 ? -1 : open_link(i, err);
}

void instance_unwatch(struct agent_instance *i) {
    image_pull_cancel(i->pull);
    i->pull = NULL;
    health_stop(i->health);
    i->health = NULL;
    init_link_close(i->init);
    i->init = NULL;
    file_close(&i->ahead.start);
    file_close(&i->ahead.pidfd);
    if (i->pidfd >= 0) {
        uv_poll_stop(&i->ended_poll);
        uv_close((uv_handle_t *)&i->ended_poll, instance_on_handle_closed);
        file_close(&i->pidfd);
    }
}
