/* Sandboxes made ahead. SPDX-License-Identifier: Apache-2.0
 *
 * A shelf holds those of one configuration and process type; shelves stand in the order of their
 * last starts. One timer makes or drops one sandbox at a time: a pause after each start keeps the
 * spawner free for the next.
 */
#include "pool.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <paas/file.h>
#include <paas/list.h>
#include <paas/log.h>
#include <paas/str.h>

#include "configs.h"
#include "instance.h"
#include "launch.h"
#include "record.h"
#include "stock.h"

enum {
    PAUSE_MS = 50,   /* after a start: more may follow, and they come first */
    STEP_MS = 5,     /* between two that are made */
    RETRY_MS = 1000, /* after one that could not be made, or that ended by itself */
};

struct shelf {
    struct list link;
    char config[DIGEST_SIZE];
    char process[NAME_SIZE];
    bool wanted;
    struct stock stock;
    msec not_before; /* after a failure */
    struct list sandboxes;
};

enum ahead_state {
    AHEAD_MAKING, /* the spawner is at it */
    AHEAD_READY,
    AHEAD_ENDING, /* its socket is closed */
};

struct ahead {
    struct list link; /* in its shelf, or among the pool's ending ones */
    struct pool *pool;
    struct shelf *shelf; /* NULL once it ends */
    enum ahead_state state;
    struct pool_sandbox sandbox;
    uv_poll_t ended;
    bool watched;
};

struct pool {
    const struct instance_host *host;
    struct configs *configs;
    struct list shelves;
    struct list ending;
    size_t most;
    bool making; /* one is on its way */
    bool failing;
    uv_timer_t timer;
};

static void on_timer(uv_timer_t *timer);

static void wake_after(struct pool *p, msec ms) {
    uv_timer_start(&p->timer, on_timer, ms > 0 ? (uint64_t)ms : 0, 0);
}

static size_t count_all(const struct pool *p, bool only_ready) {
    size_t count = 0;
    LIST_FOREACH (s, &p->shelves) {
        LIST_FOREACH (item, &LIST_ITEM(s, struct shelf, link)->sandboxes) {
            count += !only_ready || LIST_ITEM(item, struct ahead, link)->state == AHEAD_READY;
        }
    }
    return count;
}

static int64_t shelf_count(const struct shelf *shelf) {
    int64_t count = 0;
    LIST_FOREACH (item, &shelf->sandboxes) {
        count++;
    }
    return count;
}

/* ---- ends ---- */

static void on_poll_closed(uv_handle_t *handle) {
    free(handle->data);
}

/* Frees it once nothing watches its process any more. */
static void ahead_free(struct ahead *a) {
    list_remove(&a->link);
    file_close(&a->sandbox.start);
    file_close(&a->sandbox.pidfd);
    if (a->watched) {
        uv_close((uv_handle_t *)&a->ended, on_poll_closed);
    } else {
        free(a);
    }
}

static void on_destroyed(
    void *data, const struct spawner_answer *answer, int *fds, const struct err *err) {
    struct ahead *a = data;
    struct err why;
    (void)answer;
    (void)fds;
    if (err->code != ERR_OK) {
        log_error("%s: destroying what is left: %s", a->sandbox.id, err->text);
    }
    if (record_remove(a->pool->host->directory_fd, a->sandbox.id, &why) < 0) {
        log_warn("removing the directory of %s: %s", a->sandbox.id, why.text);
    }
    ahead_free(a);
}

/* Lets one go: paas-init leaves when its socket closes, the spawner clears away the rest. */
static void end(struct ahead *a) {
    struct spawner_request request = { .operation = SPAWNER_DESTROY };
    struct err err;
    a->state = AHEAD_ENDING;
    a->shelf = NULL;
    list_remove(&a->link);
    list_append(&a->pool->ending, &a->link);
    file_close(&a->sandbox.start);
    if (a->watched) {
        uv_poll_stop(&a->ended);
    }
    str_copy(request.id, sizeof request.id, a->sandbox.id);
    if (spawner_ask(a->pool->host->spawner, &request, NULL, on_destroyed, a, &err) < 0) {
        /* The next agent sweeps it. */
        log_error("%s: %s", a->sandbox.id, err.text);
        ahead_free(a);
    }
}

static void on_pidfd(uv_poll_t *poll, int status, int events) {
    struct ahead *a = poll->data;
    (void)status;
    (void)events;
    log_warn("%s, made ahead, ended by itself", a->sandbox.id);
    a->shelf->not_before = clock_msec() + RETRY_MS;
    wake_after(a->pool, RETRY_MS);
    end(a);
}

/* ---- making ---- */

static void failed(struct pool *p, struct shelf *shelf, const struct err *err) {
    bool is_early = err->code == ERR_NOT_FOUND; /* a layer or a configuration is on its way */
    if (!p->failing && !is_early) {
        log_warn("no sandbox is made ahead for now: %s", err->text);
    }
    p->failing = !is_early;
    if (shelf) {
        shelf->not_before = clock_msec() + RETRY_MS;
    }
    wake_after(p, RETRY_MS);
}

static int watch(struct ahead *a, struct err *err) {
    int result = uv_poll_init(a->pool->host->loop, &a->ended, a->sandbox.pidfd);
    if (result) {
        return err_sys(err, -result, "watching %s", a->sandbox.id);
    }
    a->ended.data = a;
    a->watched = true;
    uv_poll_start(&a->ended, UV_READABLE, on_pidfd);
    return 0;
}

static void on_made(
    void *data, const struct spawner_answer *answer, int *fds, const struct err *err) {
    struct ahead *a = data;
    struct pool *p = a->pool;
    struct err why = *err;
    p->making = false;
    if (err->code == ERR_OK) {
        a->sandbox.pidfd = fds[0];
        fds[0] = -1;
        a->sandbox.init_pid = answer->pid;
        a->sandbox.start_time = answer->start_time;
        a->sandbox.address.s_addr = answer->address;
        a->state = AHEAD_READY;
        if (watch(a, &why) == 0) {
            p->failing = false;
            wake_after(p, STEP_MS);
            return;
        }
    }
    failed(p, a->shelf, &why);
    end(a);
}

static int ask_for(
    struct ahead *a, const struct release_config *release, int socket, struct err *err) {
    const struct instance_host *host = a->pool->host;
    const struct process_spec *process = release_process(release, a->shelf->process);
    struct spawner_request request = { .operation = SPAWNER_START };
    if (!process) {
        return err_set(err, ERR_NOT_FOUND, "%s has no process %s", release->app, a->shelf->process);
    }
    if (launch_sandbox(host, release, process, a->sandbox.id, &request.start, err) < 0) {
        return -1;
    }
    CLEANUP_FD int directory = record_make(host->directory_fd, a->sandbox.id, err);
    if (directory < 0) {
        return -1;
    }
    int fds[] = { socket, directory };
    int result = spawner_ask(host->spawner, &request, fds, on_made, a, err);
    if (result < 0) {
        record_remove(host->directory_fd, a->sandbox.id, NULL);
    }
    return result;
}

static struct ahead *ahead_new(struct pool *p, struct shelf *shelf, struct err *err) {
    struct ahead *a = calloc(1, sizeof *a);
    if (!a) {
        err_no_memory(err);
        return NULL;
    }
    a->pool = p;
    a->shelf = shelf;
    a->sandbox.pidfd = a->sandbox.start = -1;
    if (id_make(a->sandbox.id, err) < 0) {
        free(a);
        return NULL;
    }
    list_append(&shelf->sandboxes, &a->link);
    return a;
}

static void make_one(struct pool *p, struct shelf *shelf) {
    int ends[2];
    struct err err;
    const struct release_config *release = configs_get(p->configs, shelf->config);
    struct ahead *a = release ? ahead_new(p, shelf, &err) : NULL;
    if (!a) {
        if (!release) {
            err_set(&err, ERR_NOT_FOUND, "its configuration is not here yet");
        }
        failed(p, shelf, &err);
        return;
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
        err_sys(&err, errno, "making a socket pair");
        failed(p, shelf, &err);
        ahead_free(a);
        return;
    }
    a->sandbox.start = ends[0];
    p->making = ask_for(a, release, ends[1], &err) == 0;
    close(ends[1]);
    if (!p->making) {
        failed(p, shelf, &err);
        ahead_free(a);
    }
}

/* ---- what is next ---- */

/* One that is ready, on a shelf that stands after `above` (NULL: on any), from the last on. */
static struct ahead *last_ready(const struct pool *p, const struct shelf *above) {
    for (struct list *s = p->shelves.prev; s != &p->shelves; s = s->prev) {
        const struct shelf *shelf = LIST_ITEM(s, struct shelf, link);
        if (shelf == above) {
            return NULL;
        }
        LIST_FOREACH (item, &shelf->sandboxes) {
            struct ahead *a = LIST_ITEM(item, struct ahead, link);
            if (a->state == AHEAD_READY) {
                return a;
            }
        }
    }
    return NULL;
}

static struct ahead *first_ready(const struct shelf *shelf) {
    LIST_FOREACH (item, &shelf->sandboxes) {
        struct ahead *a = LIST_ITEM(item, struct ahead, link);
        if (a->state == AHEAD_READY) {
            return a;
        }
    }
    return NULL;
}

static int64_t target_of(const struct shelf *shelf, msec now) {
    return shelf->wanted ? stock_target(&shelf->stock, now) : 0;
}

/* One that is on a shelf with too many, or beyond what the pool may hold. */
static struct ahead *surplus(struct pool *p, msec now) {
    LIST_FOREACH (s, &p->shelves) {
        struct shelf *shelf = LIST_ITEM(s, struct shelf, link);
        struct ahead *ready = first_ready(shelf);
        if (ready && shelf_count(shelf) > target_of(shelf, now)) {
            return ready;
        }
    }
    return count_all(p, false) > p->most ? last_ready(p, NULL) : NULL;
}

static void drop_empty_shelves(struct pool *p) {
    LIST_FOREACH_SAFE (s, after, &p->shelves) {
        struct shelf *shelf = LIST_ITEM(s, struct shelf, link);
        if (!shelf->wanted && list_empty(&shelf->sandboxes)) {
            list_remove(&shelf->link);
            free(shelf);
        }
    }
}

/* The first shelf that lacks one; else when there may be something to do again, or 0. */
static struct shelf *lacking(struct pool *p, msec now, msec *next) {
    *next = 0;
    LIST_FOREACH (s, &p->shelves) {
        struct shelf *shelf = LIST_ITEM(s, struct shelf, link);
        bool lacks = shelf_count(shelf) < target_of(shelf, now);
        if (lacks && shelf->not_before <= now) {
            return shelf;
        }
        msec at = lacks ? shelf->not_before : shelf->wanted ? stock_falls(&shelf->stock, now) : 0;
        if (at && (*next == 0 || at < *next)) {
            *next = at;
        }
    }
    return NULL;
}

static void on_timer(uv_timer_t *timer) {
    struct pool *p = timer->data;
    msec now = clock_msec(), next;
    if (p->making) {
        return; /* on_made() goes on */
    }
    struct ahead *over;
    while ((over = surplus(p, now))) {
        end(over);
    }
    drop_empty_shelves(p);
    struct shelf *shelf = lacking(p, now, &next);
    if (!shelf) {
        if (next) {
            wake_after(p, next - now);
        }
        return;
    }
    if (count_all(p, false) < p->most) {
        make_one(p, shelf);
        return;
    }
    struct ahead *instead = last_ready(p, shelf);
    if (instead) {
        end(instead);
        wake_after(p, STEP_MS);
    }
}

/* ---- for its users ---- */

static struct shelf *shelf_find(const struct pool *p, const char *config, const char *process) {
    LIST_FOREACH (s, &p->shelves) {
        struct shelf *shelf = LIST_ITEM(s, struct shelf, link);
        if (strcmp(shelf->config, config) == 0 && strcmp(shelf->process, process) == 0) {
            return shelf;
        }
    }
    return NULL;
}

struct pool *pool_create(
    const struct instance_host *host, struct configs *configs, struct err *err) {
    struct pool *p = calloc(1, sizeof *p);
    if (!p) {
        err_no_memory(err);
        return NULL;
    }
    p->host = host;
    p->configs = configs;
    p->most = POOL_MAX;
    list_init(&p->shelves);
    list_init(&p->ending);
    p->timer.data = p;
    uv_timer_init(host->loop, &p->timer);
    return p;
}

static void on_timer_closed(uv_handle_t *handle) {
    free(handle->data);
}

static void let_all_go(struct pool *p, struct list *sandboxes) {
    LIST_FOREACH_SAFE (item, after, sandboxes) {
        struct ahead *a = LIST_ITEM(item, struct ahead, link);
        spawner_forget(p->host->spawner, a);
        ahead_free(a);
    }
}

void pool_close(struct pool *p) {
    if (!p) {
        return;
    }
    LIST_FOREACH_SAFE (s, after, &p->shelves) {
        struct shelf *shelf = LIST_ITEM(s, struct shelf, link);
        let_all_go(p, &shelf->sandboxes);
        list_remove(&shelf->link);
        free(shelf);
    }
    let_all_go(p, &p->ending);
    uv_close((uv_handle_t *)&p->timer, on_timer_closed);
}

void pool_want(struct pool *p, const char *config, const char *process, bool wanted) {
    struct shelf *shelf = shelf_find(p, config, process);
    if (shelf ? shelf->wanted == wanted : !wanted) {
        return;
    }
    if (!shelf) {
        shelf = calloc(1, sizeof *shelf);
        if (!shelf) {
            return; /* starts do without */
        }
        str_copy(shelf->config, sizeof shelf->config, config);
        str_copy(shelf->process, sizeof shelf->process, process);
        list_init(&shelf->sandboxes);
        list_prepend(&p->shelves, &shelf->link);
    }
    shelf->wanted = wanted;
    wake_after(p, PAUSE_MS);
}

void pool_limit(struct pool *p, size_t most) {
    most = most < POOL_MAX ? most : POOL_MAX;
    if (most != p->most) {
        p->most = most;
        wake_after(p, count_all(p, false) > most ? 0 : PAUSE_MS);
    }
}

bool pool_take(struct pool *p, const char *config, const char *process, struct pool_sandbox *out) {
    struct shelf *shelf = shelf_find(p, config, process);
    if (!shelf) {
        return false;
    }
    stock_start(&shelf->stock, clock_msec());
    list_remove(&shelf->link);
    list_prepend(&p->shelves, &shelf->link);
    wake_after(p, PAUSE_MS);
    struct ahead *a = first_ready(shelf);
    if (!a) {
        return false;
    }
    *out = a->sandbox;
    a->sandbox.pidfd = a->sandbox.start = -1;
    ahead_free(a);
    return true;
}

int pool_launch(struct pool_sandbox *sandbox, int block, struct err *err) {
    int result = spawner_send(sandbox->start, "", 1, &block, 1);
    if (result < 0) {
        err_sys(err, errno, "telling %s what to run", sandbox->id);
    }
    file_close(&sandbox->start);
    return result;
}

size_t pool_ready(const struct pool *p) {
    return count_all(p, true);
}
