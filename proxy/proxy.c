/* The control loop of the proxy. SPDX-License-Identifier: Apache-2.0
 *
 * Story: sockets are duplicated for each worker; the kept routes are published, the agent and the
 * scheduler are followed; once routes and the agent's whole rows are there, or after a second, the
 * workers accept. From then on rows and routes go out as mail, followed by a serial; when every
 * worker has served it, the agent hears the ack. At the end workers drain, each ends its loop, and
 * the last one lets this loop end, too.
 */
#include "proxy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <paas/log.h>
#include <paas/loop.h>

#include "fleet.h"
#include "local_agent.h"
#include "route_table.h"
#include "routes_feed.h"
#include "status.h"
#include "worker.h"

enum {
    ACKS_MAX = 64,     /* syncs on their way to the workers; later ones say what earlier ones did */
    SUSPECTS_MAX = 64, /* told at once; more in one turn say nothing new */
};

/* What is said to the agent when mail is served. */
struct ack {
    uint64_t serial;
    int64_t revision;
};

struct proxy {
    uv_loop_t *loop;
    struct proxy_options options;
    struct http_limits limits;
    unsigned client_max;
    struct proxy_worker *workers;
    unsigned worker_count, running;
    struct fleet *fleet;
    struct local_agent *agent;
    struct routes_feed *feed;
    struct status *status;
    struct loop_watch watch;

    uint64_t serial; /* of the last mail that was told to be served */
    struct ack acks[ACKS_MAX];
    size_t ack_count;
    struct stream_point routes_at;
    uint64_t routes_serial; /* 0: told */
    bool routes_known, accepting, stopping, cut, ended;

    uv_timer_t accept_timer, demand_timer, pause_timer, drain_timer;
    uv_async_t notice;
    _Atomic bool held;
    int64_t told_activity;
    bool status_missed; /* its socket could not be bound */
    uv_mutex_t suspects_lock;
    char suspects[SUSPECTS_MAX][ID_SIZE];
    size_t suspect_count;
};

/* ---- Mail ---- */

static bool post_all(struct proxy *p, enum mail_kind kind, void *what, uint64_t serial) {
    for (unsigned i = 0; i < p->worker_count; i++) {
        struct mail *m = calloc(1, sizeof *m);
        if (!m) {
            return false;
        }
        m->kind = kind;
        switch (kind) {
        case MAIL_ROUTES:
            m->routes = route_table_ref(what);
            break;
        case MAIL_APP:
            m->rows = app_rows_ref(what);
            break;
        case MAIL_SYNC:
            m->serial = serial;
            break;
        case MAIL_ROOM: /* between workers */
        case MAIL_KNOWN:
        case MAIL_ACCEPT:
        case MAIL_DRAIN:
        case MAIL_CUT:
            break;
        }
        worker_post(&p->workers[i], m);
    }
    return true;
}

/* Mail before it is in force when its serial is served. */
static void post_sync(struct proxy *p) {
    post_all(p, MAIL_SYNC, NULL, ++p->serial);
}

uint64_t proxy_serial(const struct proxy *p) {
    return p->serial;
}

uint64_t proxy_served(const struct proxy *p) {
    uint64_t least = UINT64_MAX;
    for (unsigned i = 0; i < p->worker_count; i++) {
        uint64_t served = atomic_load_explicit(&p->workers[i].served, memory_order_acquire);
        least = served < least ? served : least;
    }
    return least;
}

void proxy_publish_rows(struct proxy *p, struct app_rows *rows) {
    if (!post_all(p, MAIL_APP, rows, 0)) {
        log_error("out of memory: rows of %s did not reach all workers", rows->key.app);
    }
    app_rows_unref(rows);
}

static void maybe_accept(struct proxy *p, bool anyway) {
    if (p->accepting || p->stopping || !(anyway || (p->routes_known && fleet_is_whole(p->fleet)))) {
        return;
    }
    p->accepting = true;
    uv_timer_stop(&p->accept_timer);
    post_all(p, MAIL_ACCEPT, NULL, 0);
    log_info("accepting%s", anyway ? ", though not all is known yet" : "");
}

void proxy_publish_routes(struct proxy *p, struct route_table *t, struct stream_point at) {
    bool fresh = t->fresh;
    if (!post_all(p, MAIL_ROUTES, t, 0)) {
        log_error("out of memory: the routes did not reach all workers");
    }
    route_table_unref(t);
    post_sync(p);
    if (fresh) {
        p->routes_at = at;
        p->routes_serial = p->serial;
    }
    p->routes_known = true;
    maybe_accept(p, false);
}

void proxy_publish_sync(struct proxy *p, int64_t revision) {
    struct err err;
    if (fleet_publish(p->fleet, &err) < 0) {
        log_error("the rows are not in force: %s", err.text);
        return; /* not acknowledged: the agent waits its second */
    }
    post_all(p, MAIL_KNOWN, NULL, 0);
    post_sync(p);
    if (p->ack_count == ACKS_MAX) {
        memmove(p->acks, p->acks + 1, --p->ack_count * sizeof p->acks[0]);
    }
    p->acks[p->ack_count++] = (struct ack){ p->serial, revision };
    p->told_activity = -1; /* the rows may have an app whose load was not yet told */
    maybe_accept(p, false);
}

/* ---- To the agent ---- */

static void say(void *data, const struct local_message *m) {
    struct proxy *p = data;
    local_agent_send(p->agent, m);
}

static void say_routes(struct proxy *p) {
    struct local_message m = {
        .type = LOCAL_ROUTES, .term = p->routes_at.term, .revision = p->routes_at.revision
    };
    say(p, &m);
}

static void say_acks(struct proxy *p, uint64_t served) {
    size_t done = 0;
    while (done < p->ack_count && p->acks[done].serial <= served) {
        done++;
    }
    if (done) {
        struct local_message m = { .type = LOCAL_ACK, .revision = p->acks[done - 1].revision };
        say(p, &m);
        p->ack_count -= done;
        memmove(p->acks, p->acks + done, p->ack_count * sizeof p->acks[0]);
    }
    if (p->routes_serial && p->routes_serial <= served) {
        p->routes_serial = 0;
        say_routes(p);
    }
}

static void say_suspects(struct proxy *p) {
    char ids[SUSPECTS_MAX][ID_SIZE];
    uv_mutex_lock(&p->suspects_lock);
    size_t count = p->suspect_count;
    memcpy(ids, p->suspects, sizeof ids);
    p->suspect_count = 0;
    uv_mutex_unlock(&p->suspects_lock);
    for (size_t i = 0; i < count; i++) {
        struct local_message m = { .type = LOCAL_SUSPECT };
        memcpy(m.id, ids[i], sizeof m.id);
        say(p, &m);
    }
}

static void say_demand(struct proxy *p) {
    if (local_agent_is_open(p->agent) && fleet_demand(p->fleet, (msec)uv_now(p->loop), say, p)) {
        p->told_activity = -1; /* there is more to tell, whatever happens */
    }
}

static void open_status(struct proxy *p);

/* Load is looked at only when some worker did something since. */
static void on_demand_timer(uv_timer_t *timer) {
    struct proxy *p = timer->data;
    if (p->status_missed && !p->stopping) {
        open_status(p);
    }
    int64_t activity = 0;
    for (unsigned i = 0; i < p->worker_count; i++) {
        activity += atomic_load_explicit(&p->workers[i].activity, memory_order_relaxed);
    }
    if (activity != p->told_activity) {
        p->told_activity = activity;
        say_demand(p);
    }
}

/* Requests wait: that is told at once, but under overload not for each. */
static void on_pause_timer(uv_timer_t *timer);

static void say_held(struct proxy *p) {
    atomic_store_explicit(&p->held, false, memory_order_relaxed);
    say_demand(p);
    uv_timer_start(&p->pause_timer, on_pause_timer, DEMAND_PAUSE, 0);
}

static void on_pause_timer(uv_timer_t *timer) {
    struct proxy *p = timer->data;
    if (atomic_load_explicit(&p->held, memory_order_relaxed) && !p->stopping) {
        say_held(p);
    }
}

static void on_workers_done(struct proxy *p);

static void on_notice(uv_async_t *async) {
    struct proxy *p = async->data;
    say_acks(p, proxy_served(p));
    fleet_drained(p->fleet, say, p);
    say_suspects(p);
    if (atomic_load_explicit(&p->held, memory_order_relaxed) &&
        !uv_is_active((uv_handle_t *)&p->pause_timer)) {
        say_held(p);
    }
    on_workers_done(p);
}

/* ---- From the agent ---- */

static void on_agent_opened(void *data) {
    struct proxy *p = data;
    p->ack_count = 0; /* of another conversation */
    fleet_begin(p->fleet);
    if (p->routes_known && !p->routes_serial && p->routes_at.term) {
        say_routes(p);
    }
    p->told_activity = -1;
}

static void on_agent_message(void *data, const struct local_message *m) {
    struct proxy *p = data;
    struct err err;
    if (m->type == LOCAL_SYNC) {
        proxy_publish_sync(p, m->revision);
    } else if (fleet_apply(p->fleet, m, &err) < 0) {
        log_error("the agent's message is not used: %s", err.text);
    }
}

static const struct local_agent_events agent_events = { on_agent_opened, on_agent_message };

/* ---- From the workers ---- */

const struct http_limits *proxy_limits(const struct proxy *p) {
    return &p->limits;
}

size_t proxy_listener_count(const struct proxy *p) {
    return p->options.listener_count;
}

int proxy_listener_fd(const struct proxy *p, size_t index) {
    return p->options.listeners[index];
}

unsigned proxy_client_max(const struct proxy *p) {
    return p->client_max;
}

unsigned proxy_worker_count(const struct proxy *p) {
    return p->worker_count;
}

struct proxy_worker *proxy_worker(struct proxy *p, unsigned index) {
    return &p->workers[index];
}

bool proxy_is_ready(const struct proxy *p) {
    return p->routes_known && p->accepting && !p->stopping && fleet_is_whole(p->fleet);
}

void proxy_notice(struct proxy *p) {
    uv_async_send(&p->notice);
}

void proxy_notice_held(struct proxy *p) {
    if (!atomic_exchange_explicit(&p->held, true, memory_order_relaxed)) {
        uv_async_send(&p->notice);
    }
}

void proxy_notice_suspect(struct proxy *p, const char id[ID_SIZE]) {
    uv_mutex_lock(&p->suspects_lock);
    if (p->suspect_count < SUSPECTS_MAX) {
        memcpy(p->suspects[p->suspect_count++], id, ID_SIZE);
    }
    uv_mutex_unlock(&p->suspects_lock);
    uv_async_send(&p->notice);
}

/* ---- Begin ---- */

/* Each request may need a descriptor on both sides. */
static unsigned client_max(unsigned workers) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
        return CLIENTS_MAX;
    }
    if (limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
        getrlimit(RLIMIT_NOFILE, &limit);
    }
    rlim_t spare = DESCRIPTORS_SPARE + 8 * workers;
    rlim_t each = limit.rlim_cur > spare ? (limit.rlim_cur - spare) / 2 / workers : 1;
    return each < CLIENTS_MAX ? (unsigned)(each ? each : 1) : CLIENTS_MAX;
}

static void on_accept_timer(uv_timer_t *timer) {
    maybe_accept(timer->data, true);
}

static int make_workers(struct proxy *p, struct err *err) {
    unsigned count = p->options.workers ? p->options.workers : uv_available_parallelism();
    count = count < WORKERS_MAX ? count : WORKERS_MAX;
    p->client_max = client_max(count);
    p->workers = calloc(count, sizeof *p->workers);
    if (!p->workers) {
        return err_no_memory(err);
    }
    for (unsigned i = 0; i < count; i++) {
        if (worker_init(&p->workers[i], p, i, err) < 0) {
            return -1;
        }
        p->worker_count++;
    }
    return 0;
}

static int start_workers(struct proxy *p, struct err *err) {
    for (unsigned i = 0; i < p->worker_count; i++) {
        if (worker_start(&p->workers[i], err) < 0) {
            return -1;
        }
        p->running++;
    }
    return 0;
}

/* Metrics are worth a warning, not the service: the socket may still be a predecessor's. */
static void open_status(struct proxy *p) {
    char own[256];
    struct err err;
    snprintf(own, sizeof own, "%s/proxy/proxy.sock", p->options.run);
    struct status_options options = { p->loop, p, p->fleet, &p->watch, own, p->options.platform };
    p->status = status_open(&options, &err);
    if (!p->status && !p->status_missed) {
        log_warn("no metrics yet: %s", err.text);
    }
    p->status_missed = p->status == NULL;
}

static int open_parts(struct proxy *p, struct err *err) {
    char agent[256], api[256];
    snprintf(agent, sizeof agent, "%s/agent/local.sock", p->options.run);
    snprintf(api, sizeof api, "%s/api.sock", p->options.run);
    p->agent = local_agent_open(p->loop, agent, &agent_events, p, err);
    struct routes_feed_options feed = { p->loop, p, api, p->options.data };
    p->feed = p->agent ? routes_feed_open(&feed, err) : NULL;
    if (!p->feed) {
        return -1;
    }
    open_status(p);
    return 0;
}

static void make_handles(struct proxy *p) {
    uv_timer_t *timers[] = { &p->accept_timer, &p->demand_timer, &p->pause_timer, &p->drain_timer };
    for (int i = 0; i < 4; i++) {
        uv_timer_init(p->loop, timers[i]);
        timers[i]->data = p;
    }
    uv_async_init(p->loop, &p->notice, on_notice);
    p->notice.data = p;
    uv_mutex_init(&p->suspects_lock);
    loop_watch_start(&p->watch, p->loop);
}

struct proxy *proxy_create(uv_loop_t *loop, const struct proxy_options *options, struct err *err) {
    struct proxy *p = calloc(1, sizeof *p);
    if (!p) {
        err_no_memory(err);
        return NULL;
    }
    p->loop = loop;
    p->options = *options;
    p->limits = http_limits_default;
    p->limits.body_max = REQUEST_BODY_MAX;
    make_handles(p);
    p->fleet = fleet_create(p);
    if (!p->fleet) {
        err_no_memory(err);
    } else if (make_workers(p, err) == 0 && open_parts(p, err) == 0 && start_workers(p, err) == 0) {
        uv_timer_start(&p->accept_timer, on_accept_timer, ACCEPT_AT_LATEST, 0);
        uv_timer_start(&p->demand_timer, on_demand_timer, DEMAND_INTERVAL, DEMAND_INTERVAL);
        return p;
    }
    err_wrap(err, "starting the proxy");
    return NULL;
}

/* ---- End ---- */

static void close_parts(struct proxy *p) {
    local_agent_close(p->agent);
    routes_feed_close(p->feed);
    status_close(p->status);
    p->agent = NULL;
    p->feed = NULL;
    p->status = NULL;
}

static void on_drain_timer(uv_timer_t *timer) {
    struct proxy *p = timer->data;
    log_warn("requests are still in flight after %d ms: they are cut", DRAIN_TIMEOUT);
    proxy_stop(p);
}

void proxy_stop(struct proxy *p) {
    if (p->stopping) {
        if (!p->cut) {
            p->cut = true;
            post_all(p, MAIL_CUT, NULL, 0);
        }
        return;
    }
    log_info("stopping: what is in flight is finished");
    p->stopping = true;
    close_parts(p); /* sockets and the agent are the next proxy's from now on */
    post_all(p, MAIL_DRAIN, NULL, 0);
    uv_timer_start(&p->drain_timer, on_drain_timer, DRAIN_TIMEOUT, 0);
}

/* Lets the loop end when the last worker has ended its own. */
static void on_workers_done(struct proxy *p) {
    if (!p->stopping || p->ended) {
        return;
    }
    for (unsigned i = 0; i < p->worker_count; i++) {
        if (!atomic_load_explicit(&p->workers[i].ended, memory_order_acquire)) {
            return;
        }
    }
    p->ended = true;
    uv_close((uv_handle_t *)&p->accept_timer, NULL);
    uv_close((uv_handle_t *)&p->demand_timer, NULL);
    uv_close((uv_handle_t *)&p->pause_timer, NULL);
    uv_close((uv_handle_t *)&p->drain_timer, NULL);
    uv_close((uv_handle_t *)&p->notice, NULL);
    loop_watch_stop(&p->watch);
}

void proxy_destroy(struct proxy *p) {
    if (!p) {
        return;
    }
    for (unsigned i = 0; i < p->worker_count; i++) {
        worker_finish(&p->workers[i]);
    }
    fleet_destroy(p->fleet);
    uv_mutex_destroy(&p->suspects_lock);
    free(p->workers);
    free(p);
}
