/* One instance of this host. SPDX-License-Identifier: Apache-2.0
 *
 * The happy path: instance_create() sets a zero timer; on_timer() looks for the layers, or waits
 * for the pull; spawn() writes the record and asks the spawner; on_spawned() watches the process
 * and opens the link to its paas-init; on_state() sees the app listen on its port and starts the
 * health monitor; on_verdict() says good, and it serves. instance_stop() takes it out of rotation,
 * the proxy acknowledges and drains, paas-init is told to stop the app and says how it ended;
 * on_end() tells, and destroys what is left.
 *
 * The ways to fail all lead to give_up() before a process exists, and to on_end() after.
 */
#include "instance.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <paas/file.h>
#include <paas/log.h>
#include <paas/str.h>
#include <paas/wire.h>

#include "launch.h"
#include "proc.h"
#include "record.h"

enum {
    WORKER_READY_MS = 1000, /* a worker that lives this long is taken for well */
    OTHER_PORT_MS = 300,    /* an app may listen elsewhere first; after this it is named */
    ROTATION_MS = 1000,     /* the longest wait for the proxy's acknowledgement */
    STOP_MARGIN_MS = 2000,  /* paas-init kills at the deadline; past it the cgroup is killed */
    DESTROY_PAUSE_MS = 20,  /* from an end to clearing away what is left */
    INIT_END_MS = 2000,     /* from the app's end to that of paas-init */
};

static void on_timer(uv_timer_t *timer);

static void set_timer(struct agent_instance *i, msec ms) {
    uv_timer_start(&i->timer, on_timer, ms > 0 ? (uint64_t)ms : 0, 0);
}

static void tell_change(struct agent_instance *i) {
    i->host->changed(i->host->ctx, i);
}

static void set_end(struct agent_instance *i, enum end_reason reason, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void set_end(struct agent_instance *i, enum end_reason reason, const char *format, ...) {
    va_list args;
    va_start(args, format);
    i->reason = reason;
    vsnprintf(i->why, sizeof i->why, format, args);
    va_end(args);
}

void instance_record(struct agent_instance *i) {
    struct record record = {
        .row = i->row,
        .number = i->number,
        .failures = i->failures,
        .attempt = i->attempt,
        .healthy_since = i->healthy_since,
        .not_before = i->not_before,
        .init_pid = i->init_pid,
        .start_time = (int64_t)i->start_time,
        .reason = (int)i->reason,
        .acknowledged = i->acknowledged,
    };
    struct err err;
    memcpy(record.config, i->config, sizeof record.config);
    if (record_write(i->host->directory_fd, i->row.id, &record, &err) < 0) {
        log_error("%s: its record: %s", i->row.id, err.text);
    }
}

/* --- ends ------------------------------------------------------------------------------------- */

static void on_handle_closed(uv_handle_t *handle) {
    struct agent_instance *i = handle->data;
    if (--i->handles == 0) {
        free(i);
    }
}

/* Stops watching; what is left is the row. */
static void let_go(struct agent_instance *i) {
    image_pull_cancel(i->pull);
    i->pull = NULL;
    health_stop(i->health);
    i->health = NULL;
    init_link_close(i->init);
    i->init = NULL;
    if (i->pidfd >= 0) {
        uv_poll_stop(&i->ended_poll);
        uv_close((uv_handle_t *)&i->ended_poll, on_handle_closed);
        file_close(&i->pidfd);
    }
}

void instance_release(struct agent_instance *i) {
    if (i && !i->closing) {
        i->closing = true;
        spawner_forget(i->host->spawner, i);
        let_go(i);
        uv_close((uv_handle_t *)&i->timer, on_handle_closed);
    }
}

static bool was_asked(enum end_reason reason) {
    return reason == END_STOPPED || reason == END_KILLED;
}

static void set_gone(struct agent_instance *i) {
    i->phase = PHASE_ENDED;
    instance_record(i);
    i->host->gone(i->host->ctx, i);
}

static void on_destroyed(
    void *data, const struct spawner_answer *answer, int *fds, const struct err *err) {
    struct agent_instance *i = data;
    (void)answer;
    (void)fds;
    if (err->code != ERR_OK) {
        log_error("%s: destroying what is left: %s", i->row.id, err->text);
    }
    set_gone(i);
}

static void destroy(struct agent_instance *i) {
    struct spawner_request request = { .operation = SPAWNER_DESTROY };
    struct err err;
    str_copy(request.id, sizeof request.id, i->row.id);
    if (spawner_ask(i->host->spawner, &request, NULL, on_destroyed, i, &err) < 0) {
        log_error("%s: %s", i->row.id, err.text);
        set_timer(i, INIT_END_MS);
    }
}

/* The end, whatever led to it: `reason` and `why` are set. */
static void conclude(struct agent_instance *i, bool has_process) {
    bool asked = was_asked(i->reason);
    i->phase = PHASE_DESTROY;
    i->row.state = asked ? INSTANCE_STOPPED : INSTANCE_FAILED;
    i->row.last_exit.reason = (int)i->reason;
    memcpy(i->row.last_exit.detail, i->why, sizeof i->why);
    i->row.pid = 0;
    uv_timer_stop(&i->timer);
    let_go(i);
    log_info("instance %s app=%s slot=%s ended reason=%s: %s", i->row.id, i->row.app, i->row.slot,
        end_reason_names[i->reason], i->why);
    i->host->ended(i->host->ctx, i, asked); /* says how its slot goes on */
    instance_record(i);
    if (has_process) {
        /* Its successor starts first, and paas-init has a moment to leave by itself. */
        set_timer(i, DESTROY_PAUSE_MS);
    } else {
        set_gone(i);
    }
}

/* It never had a process. */
static void give_up(struct agent_instance *i, enum end_reason reason, const char *why) {
    if (!was_asked(i->reason)) {
        set_end(i, reason, "%s", why);
    }
    i->row.last_exit = (struct last_exit){ .code = -1 };
    conclude(i, false);
}

/* Says in the row how the app ended, and, unless somebody asked for it, why. */
static void read_end(struct agent_instance *i, const struct init_exit *end) {
    struct last_exit *last = &i->row.last_exit;
    char words[sizeof i->why];
    enum end_reason reason;
    *last = (struct last_exit){ .code = -1 };
    last->code = end->end == INIT_END_EXITED ? end->code : -1;
    if (end->signal) {
        signal_name((int)end->signal, last->signal);
    }
    reason = record_end_reason(end, i->spec ? i->spec->memory : 0, words, sizeof words);
    if (i->reason == END_NONE || (reason == END_OOM && !was_asked(i->reason))) {
        set_end(i, reason, "%s", words);
    }
}

static void on_end(struct agent_instance *i, const struct init_exit *end) {
    if (i->phase >= PHASE_DESTROY) {
        return;
    }
    if (end) {
        read_end(i, end);
    } else {
        i->row.last_exit = (struct last_exit){ .code = -1 };
        if (i->reason == END_NONE) {
            set_end(i, END_UNKNOWN, "%s",
                i->init_pid > 0 ? "ended without leaving an exit record"
                                : "was cut short in its start: a part of the platform ended");
        }
    }
    conclude(i, true);
}

/* paas-init is gone: its record is the truth. */
static void on_init_end(struct agent_instance *i) {
    struct init_exit end;
    struct err err;
    bool known = record_read_exit(i->host->directory_fd, i->row.id, &end, &err) == 0 &&
                 end.end != INIT_END_NONE;
    on_end(i, known ? &end : NULL);
}

static void on_pidfd(uv_poll_t *poll, int status, int events) {
    (void)status;
    (void)events;
    on_init_end(poll->data);
}

/* --- rotation --------------------------------------------------------------------------------- */

static void enter_rotation(struct agent_instance *i) {
    i->phase = PHASE_SERVE;
    i->row.state = INSTANCE_HEALTHY;
    i->healthy_since = clock_msec();
    uv_timer_stop(&i->timer);
    if (!i->listens) {
        i->row.ready_ms = clock_msec() - i->decided;
    }
    tell_change(i);
    instance_record(i);
}

static void ask_to_end(struct agent_instance *i) {
    struct err err;
    i->phase = PHASE_STOP;
    health_stop(i->health);
    i->health = NULL;
    msec grace = i->spec ? i->spec->stop.grace : 0;
    if (i->reason == END_HEALTH && grace > ROTATION_MS) {
        grace = ROTATION_MS; /* it does not answer: its successor waits for nobody's manners */
    }
    if (!i->init || init_link_stop(i->init, 0, (uint32_t)grace, &err) < 0) {
        /* Without paas-init's ear there is only the hard way. */
        if (sandbox_kill(i->host->cgroups, i->row.id, &err) < 0) {
            log_warn("%s: %s", i->row.id, err.text);
        }
        grace = 0;
    }
    set_timer(i, grace + STOP_MARGIN_MS);
}

/* Freezes or thaws the app: one write. */
static int set_frozen(struct agent_instance *i, bool frozen) {
    struct err err;
    if (sandbox_freeze(i->host->cgroups, i->row.id, frozen, &err) < 0) {
        log_error("%s: %s", i->row.id, err.text);
        return -1;
    }
    return 0;
}

void instance_stop(struct agent_instance *i, enum end_reason reason, const char *why) {
    switch (i->phase) {
    case PHASE_IMAGE:
        set_end(i, reason, "%s", why);
        give_up(i, reason, why);
        return;
    case PHASE_SPAWN: /* on_spawned() sees that it is not wanted any more */
        set_end(i, reason, "%s", why);
        return;
    case PHASE_START:
        set_end(i, reason, "%s", why);
        i->row.state = INSTANCE_DRAINING;
        tell_change(i);
        ask_to_end(i);
        return;
    case PHASE_SERVE:
        set_end(i, reason, "%s", why);
        i->phase = PHASE_DRAIN;
        i->row.state = reason == END_HEALTH ? INSTANCE_UNHEALTHY : INSTANCE_DRAINING;
        i->rotation = INT64_MAX;
        tell_change(i); /* the owner sets `rotation` to the sync that it sends */
        instance_record(i);
        if (!i->listens) {
            ask_to_end(i);
        } else if (i->phase == PHASE_DRAIN) {
            set_timer(i, ROTATION_MS);
        }
        return;
    case PHASE_FREEZE: /* it is out of rotation already, or about to be */
        set_end(i, reason, "%s", why);
        i->phase = PHASE_DRAIN;
        i->row.state = INSTANCE_DRAINING;
        tell_change(i);
        instance_record(i);
        return;
    case PHASE_FROZEN: /* the app can't hear a signal while it sleeps */
        set_end(i, reason, "%s", why);
        set_frozen(i, false);
        i->row.state = INSTANCE_DRAINING;
        tell_change(i);
        ask_to_end(i);
        return;
    case PHASE_DRAIN:
    case PHASE_STOP:
    case PHASE_DESTROY:
    case PHASE_ENDED:
        return;
    }
}

void instance_freeze(struct agent_instance *i) {
    if (i->phase != PHASE_SERVE) {
        return;
    }
    i->phase = PHASE_FREEZE;
    i->row.state = INSTANCE_FROZEN;
    i->rotation = INT64_MAX;
    if (i->health) {
        health_pause(i->health);
    }
    tell_change(i);
    set_timer(i, ROTATION_MS);
}

/* Nothing is in flight at it any more. */
static void fall_asleep(struct agent_instance *i) {
    uv_timer_stop(&i->timer);
    i->phase = PHASE_FROZEN;
    if (set_frozen(i, true) < 0) {
        instance_thaw(i);
        return;
    }
    log_debug("instance %s app=%s slot=%s sleeps", i->row.id, i->row.app, i->row.slot);
    instance_record(i);
}

void instance_thaw(struct agent_instance *i) {
    if (i->phase != PHASE_FREEZE && i->phase != PHASE_FROZEN) {
        return;
    }
    if (i->phase == PHASE_FROZEN) {
        set_frozen(i, false);
    }
    log_debug("instance %s app=%s slot=%s wakes", i->row.id, i->row.app, i->row.slot);
    uv_timer_stop(&i->timer);
    i->phase = PHASE_SERVE;
    i->rotation = 0;
    i->row.state = INSTANCE_HEALTHY;
    tell_change(i);
    if (i->health) {
        health_resume(i->health);
    }
    instance_record(i);
}

void instance_acknowledged(struct agent_instance *i, int64_t revision) {
    if (i->rotation == 0 || revision < i->rotation) {
        return;
    }
    i->rotation = 0;
    if (i->phase == PHASE_SERVE && i->row.ready_ms < 0) {
        i->row.ready_ms = clock_msec() - i->decided;
        log_info("instance %s app=%s slot=%s healthy ready_ms=%" PRId64, i->row.id, i->row.app,
            i->row.slot, i->row.ready_ms);
        tell_change(i);
        instance_record(i);
    } else if (i->phase == PHASE_DRAIN || i->phase == PHASE_FREEZE) {
        /* Out of rotation. Its requests have as long as its end would have. */
        set_timer(i, i->reason == END_HEALTH ? 0 : i->spec->stop.grace);
    }
}

void instance_drained(struct agent_instance *i) {
    if (i->phase == PHASE_DRAIN) {
        ask_to_end(i);
    } else if (i->phase == PHASE_FREEZE) {
        fall_asleep(i);
    }
}

void instance_suspect(struct agent_instance *i) {
    if (i->health && i->phase == PHASE_SERVE) {
        health_probe_now(i->health);
    }
}

/* --- readiness -------------------------------------------------------------------------------- */

static void on_probed(void *data, bool good, const char *words) {
    struct agent_instance *i = data;
    (void)good;
    snprintf(i->row.health, sizeof i->row.health, "%s", words);
}

static void on_verdict(void *data, enum health_verdict verdict, const char *words) {
    struct agent_instance *i = data;
    if (verdict == HEALTH_GOOD && i->phase == PHASE_START) {
        enter_rotation(i);
    } else if (verdict == HEALTH_BAD && i->phase == PHASE_SERVE) {
        char why[sizeof i->why];
        snprintf(why, sizeof why, "failed its health check %" PRId64 " times: %s",
            i->spec->health.unhealthy_after, words);
        instance_stop(i, END_HEALTH, why);
    }
}

static void watch_health(struct agent_instance *i, enum health_verdict verdict) {
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
                tell_change(i);
                watch_health(i, HEALTH_UNKNOWN);
                set_timer(i, i->spec->health.start - (clock_msec() - i->decided));
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
        set_timer(i, OTHER_PORT_MS);
    }
}

static void on_state(void *data, const struct init_state *state) {
    struct agent_instance *i = data;
    if (state->phase == INIT_PHASE_ENDED) {
        on_end(i, &state->exit);
        return;
    }
    if (i->phase >= PHASE_STOP) {
        return;
    }
    if (i->row.pid == 0 && state->app_pid > 0) {
        i->row.pid = proc_child(i->init_pid, state->app_pid);
        tell_change(i);
    }
    if (i->phase != PHASE_START) {
        return;
    }
    if (i->listens) {
        look_at_listeners(i, state);
    } else if (state->phase == INIT_PHASE_RUNNING && i->reason == END_NONE && !i->health &&
               !i->healthy_since) {
        i->healthy_since = clock_msec(); /* counts as a beginning; set anew when it is ready */
        set_timer(i, WORKER_READY_MS);
    }
}

/* --- start ------------------------------------------------------------------------------------ */

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

static void on_spawned(
    void *data, const struct spawner_answer *answer, int *fds, const struct err *failed) {
    struct agent_instance *i = data;
    struct err err;
    if (failed->code != ERR_OK) {
        give_up(i, END_START, failed->text);
        return;
    }
    i->init_pid = answer->pid;
    i->pidfd = fds[0];
    fds[0] = -1;
    i->start_time = answer->start_time;
    struct in_addr address = { .s_addr = answer->address };
    inet_ntop(AF_INET, &address, i->row.address, sizeof i->row.address);
    i->phase = PHASE_START;
    instance_record(i);
    if (watch_process(i, &err) < 0 || open_link(i, &err) < 0) {
        set_end(i, END_START, "%s", err.text);
        conclude(i, true);
        return;
    }
    if (i->reason != END_NONE) {
        ask_to_end(i);
        return;
    }
    set_timer(i, i->spec->health.start - (clock_msec() - i->decided));
    tell_change(i);
}

static int fill_spec(const struct agent_instance *i, struct sandbox_spec *spec, struct err *err) {
    const struct process_spec *p = i->spec;
    size_t layers;
    sandbox_spec_init(spec);
    str_copy(spec->id, sizeof spec->id, i->row.id);
    snprintf(spec->hostname, sizeof spec->hostname, "%.40s-%s", i->row.app, i->row.id);
    spec->stack = i->release->stack == STACK_HOST ? SANDBOX_HOST : SANDBOX_IMAGE;
    spec->cpu_milli = (uint32_t)p->cpus;
    spec->pids_max = (uint32_t)p->pids;
    spec->files_max = (uint32_t)p->files;
    spec->memory_bytes = (uint64_t)p->memory;
    spec->rootfs_bytes = (uint64_t)p->disk;
    spec->n_resolvers = i->host->resolver_count;
    memcpy(spec->resolvers, i->host->resolvers, sizeof spec->resolvers);
    if (image_layer_names(
            i->host->images, i->release, SANDBOX_LAYERS_MAX, spec->layers, &layers, err) < 0) {
        return -1;
    }
    spec->n_layers = (uint32_t)layers;
    return 0;
}

static int spawn_with(struct agent_instance *i, int block, struct err *err) {
    struct spawner_request request = { .operation = SPAWNER_START };
    if (fill_spec(i, &request.start, err) < 0) {
        return -1;
    }
    CLEANUP_FD int directory = record_make(i->host->directory_fd, i->row.id, err);
    if (directory < 0) {
        return -1;
    }
    int fds[] = { block, directory };
    return spawner_ask(i->host->spawner, &request, fds, on_spawned, i, err);
}

static void spawn(struct agent_instance *i) {
    struct err err;
    i->phase = PHASE_SPAWN;
    CLEANUP_FD int block = launch_block(i->release, i->spec, &i->row, &err);
    if (block < 0 || spawn_with(i, block, &err) < 0) {
        give_up(i, END_START, err.text);
    }
}

static void on_pulled(void *data, const struct err *failed) {
    struct agent_instance *i = data;
    i->pull = NULL;
    if (failed->code == ERR_OK) {
        spawn(i);
    } else {
        bool image = failed->code == ERR_BAD_IMAGE || failed->code == ERR_DIGEST ||
                     failed->code == ERR_TOO_LARGE;
        give_up(i, image ? END_IMAGE : END_START, failed->text);
    }
}

static void begin(struct agent_instance *i) {
    static const struct image_events events = { .done = on_pulled };
    char names[SANDBOX_LAYERS_MAX][DIGEST_HEX_LENGTH];
    size_t count;
    struct err err;
    int found =
        image_layer_names(i->host->images, i->release, SANDBOX_LAYERS_MAX, names, &count, &err);
    if (found == 0) {
        spawn(i);
        return;
    }
    if (err.code == ERR_NOT_FOUND) {
        i->pull = image_pull(i->host->images, i->release, &events, i, &err);
    }
    if (!i->pull) {
        give_up(i, END_IMAGE, err.text);
    }
}

/* The time of a phase is over. */
static void on_timer(uv_timer_t *timer) {
    struct agent_instance *i = timer->data;
    struct err err;
    switch (i->phase) {
    case PHASE_IMAGE:
        begin(i);
        return;
    case PHASE_START:
        if (!i->listens && i->healthy_since) {
            enter_rotation(i);
        } else if (i->reason == END_NONE && i->why[0] && !i->health) {
            char why[sizeof i->why];
            memcpy(why, i->why, sizeof why);
            instance_stop(i, END_PORT, why);
        } else if (i->health) {
            char why[sizeof i->why];
            snprintf(why, sizeof why, "was not healthy within %" PRId64 " ms: %s",
                i->spec->health.start, i->row.health);
            instance_stop(i, END_HEALTH, why);
        } else {
            char why[sizeof i->why];
            snprintf(why, sizeof why, "did not listen on port %d within %" PRId64 " ms", i->port,
                i->spec->health.start);
            instance_stop(i, END_SILENT, why);
        }
        return;
    case PHASE_DRAIN:
    case PHASE_FREEZE:
        if (i->rotation) {
            instance_acknowledged(i, INT64_MAX);
        } else {
            instance_drained(i); /* what has not ended by now is cut */
        }
        return;
    case PHASE_STOP:
        /* paas-init did not keep the deadline: destroying kills it, too. */
        if (sandbox_kill(i->host->cgroups, i->row.id, &err) < 0) {
            log_warn("%s: %s", i->row.id, err.text);
        }
        on_init_end(i);
        return;
    case PHASE_DESTROY:
        destroy(i);
        return;
    case PHASE_SPAWN:
    case PHASE_SERVE:
    case PHASE_FROZEN:
    case PHASE_ENDED:
        return;
    }
}

static struct agent_instance *instance_new(
    const struct instance_host *host, const struct instance_spec *spec, struct err *err) {
    struct agent_instance *i = calloc(1, sizeof *i);
    if (!i) {
        err_no_memory(err);
        return NULL;
    }
    i->host = host;
    i->group = spec->group;
    i->number = spec->number;
    i->failures = spec->failures;
    i->attempt = spec->attempt;
    i->spec = spec->process;
    i->release = spec->release;
    i->pidfd = -1;
    str_copy(i->config, sizeof i->config, spec->config);
    i->listens = spec->process && launch_listens(spec->process);
    i->port = spec->process ? launch_port(spec->process) : 0;
    list_init(&i->link);
    i->timer.data = i;
    uv_timer_init(host->loop, &i->timer);
    i->handles = 1;
    return i;
}

struct agent_instance *instance_create(
    const struct instance_host *host, const struct instance_spec *spec, struct err *err) {
    char id[ID_SIZE];
    if (id_make(id, err) < 0) {
        return NULL;
    }
    struct agent_instance *i = instance_new(host, spec, err);
    if (!i) {
        return NULL;
    }
    struct instance *row = &i->row;
    json_defaults(&instance_json, row);
    memcpy(row->id, id, sizeof id);
    snprintf(row->slot, sizeof row->slot, "%s.%d", spec->process->name, spec->number);
    memcpy(row->app, spec->release->app, sizeof row->app);
    memcpy(row->process, spec->process->name, sizeof row->process);
    str_copy(row->node, sizeof row->node, host->node);
    row->release = spec->release->release;
    row->created_at = clock_wall_msec();
    row->restarts = spec->restarts;
    if (spec->last_exit) {
        row->last_exit = *spec->last_exit;
    }
    i->decided = clock_msec();
    i->phase = PHASE_IMAGE;
    set_timer(i, 0);
    return i;
}

/* A process that was there when the record was written and still is: pidfd first, then compare, so
 * that it can't be another one with its number. */
static int open_process(const struct record *record) {
    if (record->init_pid <= 0) {
        return -1;
    }
    int pidfd = (int)syscall(SYS_pidfd_open, (pid_t)record->init_pid, 0);
    uint64_t start_time;
    if (pidfd >= 0 && (proc_start_time((pid_t)record->init_pid, &start_time) < 0 ||
                          start_time != (uint64_t)record->start_time)) {
        file_close(&pidfd);
    }
    return pidfd;
}

/* The adopted instance goes on in its recorded state. */
static void go_on(struct agent_instance *i) {
    struct err err;
    if (watch_process(i, &err) < 0 || open_link(i, &err) < 0) {
        set_end(i, END_START, "%s", err.text);
        i->phase = PHASE_STOP;
        set_timer(i, 0);
        return;
    }
    switch ((enum instance_state)i->row.state) {
    case INSTANCE_HEALTHY:
        i->phase = PHASE_SERVE;
        if (i->listens) {
            watch_health(i, HEALTH_GOOD);
        }
        return;
    case INSTANCE_STARTING:
        i->phase = PHASE_START;
        set_timer(i, i->spec->health.start);
        return;
    case INSTANCE_FROZEN:
        i->phase = PHASE_FROZEN;
        if (i->listens) {
            watch_health(i, HEALTH_GOOD);
            health_pause(i->health);
        }
        return;
    case INSTANCE_UNHEALTHY:
    case INSTANCE_DRAINING:
    case INSTANCE_STOPPED:
    case INSTANCE_FAILED:
        if (i->reason == END_NONE) {
            set_end(i, END_STOPPED, "was on its way out");
        }
        ask_to_end(i);
        return;
    }
}

struct agent_instance *instance_adopt(const struct instance_host *host, const struct record *record,
    const struct instance_spec *spec, struct err *err) {
    struct agent_instance *i = instance_new(host, spec, err);
    if (!i) {
        return NULL;
    }
    i->row = record->row;
    i->number = (int)record->number;
    i->failures = record->failures;
    i->attempt = record->attempt;
    i->healthy_since = record->healthy_since;
    i->not_before = record->not_before;
    i->reason = (enum end_reason)record->reason;
    i->acknowledged = record->acknowledged;
    i->init_pid = (pid_t)record->init_pid;
    i->start_time = (uint64_t)record->start_time;
    i->decided = clock_msec();
    if (record->row.state == INSTANCE_STOPPED || record->row.state == INSTANCE_FAILED) {
        i->phase = PHASE_ENDED;
        return i;
    }
    i->pidfd = spec->process ? open_process(record) : -1;
    if (i->pidfd >= 0) {
        i->phase = PHASE_START;
        go_on(i);
    } else {
        i->phase = PHASE_STOP; /* its end is told from its exit record in a later turn */
        set_timer(i, 0);
    }
    return i;
}

int instance_signal(struct agent_instance *i, int signal, struct err *err) {
    if (!i->init || i->phase < PHASE_START || i->phase > PHASE_STOP) {
        return err_set(err, ERR_CONFLICT, "%s (%s) does not run", i->row.slot, i->row.id);
    }
    if (signal == SIGKILL && i->reason == END_NONE) {
        set_end(i, END_KILLED, "was killed by an operator");
    }
    return init_link_signal(i->init, signal, err);
}
