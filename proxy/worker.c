/* One thread, one loop. SPDX-License-Identifier: Apache-2.0 */
#include "worker.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "client.h"
#include "proxy.h"
#include "upstream.h"

const struct http_limits *worker_limits(const struct proxy_worker *w) {
    return proxy_limits(w->proxy);
}

/* ---- Time ---- */

static void on_tick(uv_timer_t *timer) {
    struct proxy_worker *w = timer->data;
    wheel_advance(&w->wheel, worker_now(w));
    if (w->wheel.linked == 0) {
        uv_timer_stop(timer);
        w->ticking = false;
    }
    flow_settle(w);
}

void worker_timer(struct proxy_worker *w, struct wheel_timer *t, msec after) {
    if (!w->ticking) {
        w->ticking = true;
        w->wheel.tick = (uint64_t)worker_now(w) / WHEEL_TICK;
        uv_timer_start(&w->tick, on_tick, WHEEL_TICK, WHEEL_TICK);
    }
    wheel_set(&w->wheel, t, worker_now(w) + after);
}

const char *worker_date(struct proxy_worker *w) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    if ((uint64_t)now.tv_sec != w->date_second) {
        struct tm tm;
        w->date_second = (uint64_t)now.tv_sec;
        gmtime_r(&now.tv_sec, &tm);
        strftime(w->date, sizeof w->date, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    }
    return w->date;
}

/* xorshift64* (Vigna 2014). */
uint64_t worker_random(struct proxy_worker *w) {
    w->random ^= w->random >> 12;
    w->random ^= w->random << 25;
    w->random ^= w->random >> 27;
    return w->random * UINT64_C(2685821657736338717);
}

/* ---- Clients that may go on ---- */

bool worker_next_requests(struct proxy_worker *w) {
    struct client *c = w->ready;
    w->ready = NULL;
    bool any = c != NULL;
    while (c) {
        struct client *next = c->next;
        c->is_ready = false;
        c->next = NULL;
        client_proceed(c);
        c = next;
    }
    return any;
}

/* ---- Mail ---- */

static void stop_accepting(struct proxy_worker *w) {
    w->accepting = false;
    for (unsigned i = 0; i < w->listener_count; i++) {
        listener_stop(&w->listeners[i]);
    }
}

static void on_drain_idle(struct wheel_timer *t) {
    struct proxy_worker *w = LIST_ITEM(t, struct proxy_worker, drain_timer);
    client_drain_idle(w);
    worker_maybe_done(w);
}

static void drain(struct proxy_worker *w) {
    w->draining = true;
    stop_accepting(w);
    /* A request may be on its way on a connection that is idle here. */
    worker_timer(w, &w->drain_timer, list_empty(&w->idle_clients) ? 1 : DRAIN_IDLE);
}

static void set_routes(struct proxy_worker *w, struct route_table *routes) {
    route_table_unref(w->routes);
    w->routes = routes;
}

static void open_mail(struct proxy_worker *w, struct mail *m) {
    switch (m->kind) {
    case MAIL_ROUTES:
        set_routes(w, m->routes);
        break;
    case MAIL_APP:
        apps_apply(w, m->rows);
        break;
    case MAIL_ROOM:
        room_offered(w, &m->offer);
        app_rows_unref(m->offer.rows);
        break;
    case MAIL_KNOWN:
        w->rows_known = true;
        break;
    case MAIL_ACCEPT:
        w->accepting = true;
        for (unsigned i = 0; i < w->listener_count; i++) {
            listener_start(&w->listeners[i]);
        }
        break;
    case MAIL_SYNC:
        atomic_store_explicit(&w->served, m->serial, memory_order_release);
        proxy_notice(w->proxy);
        break;
    case MAIL_DRAIN:
        drain(w);
        break;
    case MAIL_CUT:
        client_cut_all(w);
        break;
    }
    free(m);
}

static void on_mail(uv_async_t *async) {
    struct proxy_worker *w = async->data;
    uv_mutex_lock(&w->mail_lock);
    struct mail *m = w->mail;
    w->mail = NULL;
    w->mail_end = &w->mail;
    uv_mutex_unlock(&w->mail_lock);
    while (m) {
        struct mail *next = m->next;
        open_mail(w, m);
        m = next;
    }
    flow_settle(w);
    worker_maybe_done(w);
}

void worker_post(struct proxy_worker *w, struct mail *mail) {
    mail->next = NULL;
    uv_mutex_lock(&w->mail_lock);
    *w->mail_end = mail;
    w->mail_end = &mail->next;
    uv_mutex_unlock(&w->mail_lock);
    uv_async_send(&w->mail_here);
}

/* ---- Begin and end ---- */

void worker_maybe_done(struct proxy_worker *w) {
    if (!w->draining || w->client_count) {
        return;
    }
    for (size_t i = 0; i < APPS_SLOTS; i++) {
        for (struct app *app = w->apps.slots[i]; app; app = app->next) {
            for (size_t n = 0; n < app->count; n++) {
                upstream_close_idle(app->backends[n]);
            }
        }
    }
    if (w->flows == 0) {
        uv_stop(&w->loop);
    }
}

static void run(void *arg) {
    struct proxy_worker *w = arg;
    char name[16] = "proxy-0";
    snprintf(name, sizeof name, "proxy-%u", w->index);
    pthread_setname_np(pthread_self(), name);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    atomic_store_explicit(&w->ended, true, memory_order_release);
    proxy_notice(w->proxy);
}

static int make_handles(struct proxy_worker *w, struct err *err) {
    int failed = uv_loop_init(&w->loop);
    if (failed) {
        return err_sys(err, -failed, "making a loop");
    }
    failed = uv_async_init(&w->loop, &w->mail_here, on_mail);
    if (failed) {
        uv_loop_close(&w->loop);
        return err_sys(err, -failed, "making a worker's wake-up");
    }
    uv_timer_init(&w->loop, &w->tick);
    w->mail_here.data = w;
    w->tick.data = w;
    return 0;
}

static int make_listeners(struct proxy_worker *w, struct err *err) {
    size_t count = proxy_listener_count(w->proxy);
    w->listeners = calloc(count ? count : 1, sizeof *w->listeners);
    if (!w->listeners) {
        return err_no_memory(err);
    }
    for (size_t i = 0; i < count; i++) {
        if (listener_init(&w->listeners[i], w, proxy_listener_fd(w->proxy, i), err) < 0) {
            return -1;
        }
        w->listener_count++;
    }
    return 0;
}

int worker_init(struct proxy_worker *w, struct proxy *proxy, unsigned index, struct err *err) {
    memset(w, 0, sizeof *w);
    w->proxy = proxy;
    w->index = index;
    w->mail_end = &w->mail;
    list_init(&w->clients);
    list_init(&w->idle_clients);
    memory_init(&w->memory, http_arena_size(proxy_limits(proxy)));
    wheel_timer_init(&w->drain_timer, on_drain_idle);
    w->client_max = proxy_client_max(proxy);
    w->addresses = addresses_create();
    w->lanes = calloc(1, sizeof *w->lanes);
    if (!w->addresses || !w->lanes ||
        getrandom(&w->random, sizeof w->random, 0) != sizeof w->random ||
        getrandom(&w->id_prefix, sizeof w->id_prefix, 0) != sizeof w->id_prefix) {
        return err_no_memory(err);
    }
    w->random |= 1; /* never the generator's fixed point */
    uv_mutex_init(&w->mail_lock);
    if (make_handles(w, err) < 0) {
        return -1;
    }
    wheel_init(&w->wheel, worker_now(w));
    return make_listeners(w, err);
}

int worker_start(struct proxy_worker *w, struct err *err) {
    int failed = uv_thread_create(&w->thread, run, w);
    return failed ? err_sys(err, -failed, "starting a thread") : 0;
}

static void free_spares(struct proxy_worker *w) {
    while (w->spare_clients) {
        struct client *next = w->spare_clients->next;
        free(w->spare_clients);
        w->spare_clients = next;
    }
    while (w->spare_upstreams) {
        struct upstream *next = w->spare_upstreams->next;
        free(w->spare_upstreams);
        w->spare_upstreams = next;
    }
}

static void free_mail(struct proxy_worker *w) {
    while (w->mail) {
        struct mail *m = w->mail;
        w->mail = m->next;
        if (m->kind == MAIL_ROUTES) {
            route_table_unref(m->routes);
        } else if (m->kind == MAIL_APP) {
            app_rows_unref(m->rows);
        } else if (m->kind == MAIL_ROOM) {
            app_rows_unref(m->offer.rows);
        }
        free(m);
    }
}

void worker_finish(struct proxy_worker *w) {
    uv_thread_join(&w->thread);
    stop_accepting(w);
    uv_close((uv_handle_t *)&w->mail_here, NULL);
    uv_close((uv_handle_t *)&w->tick, NULL);
    apps_finish(w);
    while (uv_loop_close(&w->loop) == UV_EBUSY) {
        uv_run(&w->loop, UV_RUN_DEFAULT); /* until the last handle is closed */
    }
    free_mail(w);
    free_spares(w);
    memory_finish(&w->memory);
    addresses_destroy(w->addresses);
    free(w->lanes);
    route_table_unref(w->routes);
    free(w->listeners);
    uv_mutex_destroy(&w->mail_lock);
}
