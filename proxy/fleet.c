/* The agent's rows. SPDX-License-Identifier: Apache-2.0 */
#include "fleet.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <paas/list.h>
#include <paas/map.h>
#include <paas/str.h>

#include "proxy.h"
#include "rows.h"

enum {
    APP_KEY_TEXT = 2 * NAME_SIZE, /* "app/process" */
    NOT_TOLD = -1,                /* load: an agent may still count that of a proxy before */
    P99_MS = 2000,                /* answers of at least so long are looked at together */
    P99_MOST_MS = 10000,          /* and of so long when they are few */
    P99_ANSWERS = 100,
    P99_FEWEST = 20, /* fewer say nothing */
    BUSY_MS = 200,   /* who is busy: instances are given up once a second, and not the busiest */
};

struct fleet_app {
    struct app_key key;
    struct list rows;
    size_t count;
    bool known, can_grow;
    char reason[64];
    int64_t starting, concurrency;
    struct gauge *gauge;
    bool dirty; /* differs from what was published */
    bool seen;  /* since the agent began again */
    int64_t told_in_flight, told_held, told_requests;
    int64_t durations[HISTOGRAM_BUCKETS]; /* up to the end of the last time of measuring */
    msec measured;                        /* that moment */
    int64_t p99_ms;                       /* in that time; 0: too few answers */
    msec busy_told;                       /* when it was last told who is busy */
    bool busy_due;                        /* that may have changed since */
};

struct fleet_row {
    struct instance_row row;
    struct fleet_app *app;
    struct list link;   /* app->rows, or fleet->leaving once it is gone */
    uint64_t published; /* mail that carries its present state; 0: not yet published */
    bool drained_told;
    int64_t told_in_flight;
    bool seen;
};

struct fleet {
    struct proxy *proxy;
    struct map apps;     /* "app/process" -> fleet_app */
    struct map rows;     /* id -> fleet_row */
    struct list leaving; /* gone, not yet drained */
    uint64_t said;       /* messages about instances so far */
    bool beginning, whole;
};

struct fleet *fleet_create(struct proxy *proxy) {
    struct fleet *f = calloc(1, sizeof *f);
    if (f) {
        f->proxy = proxy;
        map_init(&f->apps);
        map_init(&f->rows);
        list_init(&f->leaving);
    }
    return f;
}

static void row_free(struct fleet_row *r) {
    list_remove(&r->link);
    gauge_unref(r->row.gauge);
    free(r);
}

static void forget_leaving(struct fleet *f) {
    while (!list_empty(&f->leaving)) {
        row_free(LIST_ITEM(f->leaving.next, struct fleet_row, link));
    }
}

void fleet_destroy(struct fleet *f) {
    if (!f) {
        return;
    }
    MAP_FOREACH (e, &f->rows) {
        row_free(e->value);
    }
    MAP_FOREACH (e, &f->apps) {
        struct fleet_app *app = e->value;
        gauge_unref(app->gauge);
        free(app);
    }
    forget_leaving(f);
    map_free(&f->rows);
    map_free(&f->apps);
    free(f);
}

void fleet_begin(struct fleet *f) {
    f->beginning = true;
    forget_leaving(f); /* this agent does not wait for them */
    MAP_FOREACH (e, &f->rows) {
        struct fleet_row *r = e->value;
        r->seen = r->drained_told = false;
    }
    MAP_FOREACH (e, &f->apps) {
        struct fleet_app *app = e->value;
        app->seen = false;
        app->told_in_flight = NOT_TOLD;
    }
}

bool fleet_is_whole(const struct fleet *f) {
    return f->whole;
}

/* ---- What the agent says ---- */

static const char *key_text(const char *app, const char *process, char text[APP_KEY_TEXT]) {
    snprintf(text, APP_KEY_TEXT, "%s/%s", app, process);
    return text;
}

/* The app of a message, made when it is new. */
static struct fleet_app *app_of(struct fleet *f, const struct local_message *m, struct err *err) {
    char text[APP_KEY_TEXT];
    if (!str_is_name(m->app) || !str_is_name(m->process)) {
        err_set(err, ERR_BAD_VALUE, "\"%.80s\" \"%.80s\" names no process of an app", m->app,
            m->process);
        return NULL;
    }
    struct fleet_app *app = map_get(&f->apps, key_text(m->app, m->process, text));
    if (app) {
        return app;
    }
    app = calloc(1, sizeof *app);
    if (app) {
        app_key_set(&app->key, m->app, m->process);
        list_init(&app->rows);
        app->told_in_flight = NOT_TOLD;
        app->gauge = gauge_create(proxy_worker_count(f->proxy));
    }
    if (!app || !app->gauge || map_set(&f->apps, text, app) < 0) {
        if (app) {
            gauge_unref(app->gauge);
            free(app);
        }
        err_no_memory(err);
        return NULL;
    }
    return app;
}

static int set_address(struct instance_row *row, const struct local_message *m, struct err *err) {
    union instance_address a;
    memset(&a, 0, sizeof a);
    if (m->port < 0 || m->port > 65535) {
        return err_set(err, ERR_BAD_VALUE, "instance %s: port %d", m->id, (int)m->port);
    }
    if (inet_pton(AF_INET, m->address, &a.v4.sin_addr) == 1) {
        a.v4.sin_family = AF_INET;
        a.v4.sin_port = htons((uint16_t)m->port);
    } else if (inet_pton(AF_INET6, m->address, &a.v6.sin6_addr) == 1) {
        a.v6.sin6_family = AF_INET6;
        a.v6.sin6_port = htons((uint16_t)m->port);
    } else if (m->state == INSTANCE_HEALTHY) {
        return err_set(err, ERR_BAD_VALUE, "instance %s: \"%s\" is no address", m->id, m->address);
    }
    row->address = a;
    return 0;
}

static struct fleet_row *row_create(
    struct fleet *f, struct fleet_app *app, const struct local_message *m, struct err *err) {
    struct fleet_row *r = calloc(1, sizeof *r);
    if (r) {
        list_init(&r->link);
        r->app = app;
        str_copy(r->row.id, sizeof r->row.id, m->id);
        r->row.gauge = gauge_create(proxy_worker_count(f->proxy));
    }
    if (!r || !r->row.gauge || map_set(&f->rows, m->id, r) < 0) {
        if (r) {
            row_free(r);
        }
        err_no_memory(err);
        return NULL;
    }
    list_append(&app->rows, &r->link);
    app->count++;
    return r;
}

static void row_leave(struct fleet *f, struct fleet_row *r) {
    map_remove(&f->rows, r->row.id);
    list_remove(&r->link);
    r->app->count--;
    r->app->dirty = true;
    r->app = NULL;
    r->published = 0;
    r->row.state = INSTANCE_STOPPED;
    list_append(&f->leaving, &r->link);
}

static int apply_instance(struct fleet *f, const struct local_message *m, struct err *err) {
    if (!id_is_valid(m->id)) {
        return err_set(err, ERR_BAD_VALUE, "\"%.20s\" is no instance id", m->id);
    }
    struct fleet_app *app = app_of(f, m, err);
    struct fleet_row *r = map_get(&f->rows, m->id);
    if (!app || (r && r->app != app)) {
        return app ? err_set(err, ERR_BAD_VALUE, "instance %s changed its app", m->id) : -1;
    }
    struct instance_row row = { .state = (enum instance_state)m->state };
    if (set_address(&row, m, err) < 0 || (!r && !(r = row_create(f, app, m, err)))) {
        return -1;
    }
    if (row.state != r->row.state) {
        r->drained_told = false;
    }
    r->row.address = row.address;
    r->row.release = m->release;
    r->row.state = row.state;
    r->row.said = ++f->said;
    r->published = 0;
    r->seen = true;
    app->seen = true;
    app->dirty = true;
    return 0;
}

static int apply_app(struct fleet *f, const struct local_message *m, struct err *err) {
    struct fleet_app *app = app_of(f, m, err);
    if (!app) {
        return -1;
    }
    app->known = app->seen = app->dirty = true;
    app->can_grow = m->can_grow;
    app->starting = m->starting;
    app->concurrency = m->concurrency;
    str_copy(app->reason, sizeof app->reason, m->reason);
    return 0;
}

static void app_leave(struct fleet_app *app) {
    app->known = app->can_grow = false;
    app->starting = app->concurrency = 0;
    app->reason[0] = '\0';
    app->dirty = true;
}

int fleet_apply(struct fleet *f, const struct local_message *m, struct err *err) {
    char text[APP_KEY_TEXT];
    switch ((enum local_type)m->type) {
    case LOCAL_INSTANCE:
        return apply_instance(f, m, err);
    case LOCAL_APP:
        return apply_app(f, m, err);
    case LOCAL_GONE: {
        struct fleet_row *r = map_get(&f->rows, m->id);
        if (r) {
            row_leave(f, r);
        }
        return 0;
    }
    case LOCAL_APP_GONE: {
        struct fleet_app *app = map_get(&f->apps, key_text(m->app, m->process, text));
        if (app) {
            app_leave(app);
        }
        return 0;
    }
    case LOCAL_HELLO:
    case LOCAL_SYNC:
    case LOCAL_ACK:
    case LOCAL_DRAINED:
    case LOCAL_DEMAND:
    case LOCAL_BUSY:
    case LOCAL_ROUTES:
    case LOCAL_SUSPECT:
        break;
    }
    return err_set(err, ERR_BAD_VALUE, "a message that an agent does not send");
}

/* ---- Publishing ---- */

static void drop_unseen(struct fleet *f) {
    MAP_FOREACH (e, &f->rows) {
        struct fleet_row *r = e->value;
        if (!r->seen) {
            row_leave(f, r);
        }
    }
    MAP_FOREACH (e, &f->apps) {
        struct fleet_app *app = e->value;
        if (!app->seen) {
            app_leave(app);
        }
    }
    f->beginning = false;
}

static struct app_rows *rows_of(const struct fleet_app *app) {
    struct app_rows *rows = app_rows_create(app->count);
    if (!rows) {
        return NULL;
    }
    rows->key = app->key;
    rows->known = app->known;
    rows->can_grow = app->can_grow;
    rows->starting = app->starting;
    rows->concurrency = app->concurrency;
    rows->gauge = gauge_ref(app->gauge);
    memcpy(rows->reason, app->reason, sizeof rows->reason);
    size_t i = 0;
    LIST_FOREACH (item, &app->rows) {
        rows->instances[i] = LIST_ITEM(item, struct fleet_row, link)->row;
        gauge_ref(rows->instances[i].gauge);
        i++;
    }
    return rows;
}

int fleet_publish(struct fleet *f, struct err *err) {
    if (f->beginning) {
        drop_unseen(f);
    }
    MAP_FOREACH (e, &f->apps) {
        struct fleet_app *app = e->value;
        if (!app->dirty) {
            continue;
        }
        struct app_rows *rows = rows_of(app);
        if (!rows) {
            return err_no_memory(err);
        }
        proxy_publish_rows(f->proxy, rows);
        app->dirty = false;
        LIST_FOREACH (item, &app->rows) {
            LIST_ITEM(item, struct fleet_row, link)->published = proxy_serial(f->proxy) + 1;
        }
        if (!app->known && app->count == 0) {
            map_remove(&f->apps, e->key);
            gauge_unref(app->gauge);
            free(app);
        }
    }
    LIST_FOREACH (item, &f->leaving) {
        struct fleet_row *r = LIST_ITEM(item, struct fleet_row, link);
        r->published = r->published ? r->published : proxy_serial(f->proxy) + 1;
    }
    f->whole = true;
    return 0;
}

/* ---- What the agent is told ---- */

static bool is_drained(const struct fleet *f, const struct fleet_row *r) {
    return r->published && r->published <= proxy_served(f->proxy) && !r->drained_told &&
           gauge_sum(r->row.gauge).in_flight == 0;
}

static void say_drained(const struct fleet_row *r, fleet_say say, void *data) {
    struct local_message m = { .type = LOCAL_DRAINED };
    str_copy(m.id, sizeof m.id, r->row.id);
    say(data, &m);
}

void fleet_drained(struct fleet *f, fleet_say say, void *data) {
    MAP_FOREACH (e, &f->rows) {
        struct fleet_row *r = e->value;
        if (r->row.state == INSTANCE_DRAINING && is_drained(f, r)) {
            r->drained_told = true;
            say_drained(r, say, data);
        }
    }
    LIST_FOREACH_SAFE (item, after, &f->leaving) {
        struct fleet_row *r = LIST_ITEM(item, struct fleet_row, link);
        if (is_drained(f, r)) {
            say_drained(r, say, data);
            row_free(r);
        }
    }
}

static void measure_p99(struct fleet_app *app, const struct gauge_sum *sum, msec now) {
    int64_t since[HISTOGRAM_BUCKETS], answers = 0;
    for (int b = 0; b < HISTOGRAM_BUCKETS; b++) {
        since[b] = sum->durations[b] - app->durations[b];
        answers += since[b];
    }
    msec passed = now - app->measured;
    if (passed < P99_MS || (answers < P99_ANSWERS && passed < P99_MOST_MS)) {
        return;
    }
    app->measured = now;
    app->p99_ms = answers < P99_FEWEST ? 0 : histogram_percentile(since, 99) / 1000 + 1;
    memcpy(app->durations, sum->durations, sizeof app->durations);
}

/* Of instances at which more or less is in flight than was last told. False: not yet. */
static bool say_busy(struct fleet_app *app, msec now, fleet_say say, void *data) {
    if (now - app->busy_told < BUSY_MS) {
        return false;
    }
    app->busy_told = now;
    LIST_FOREACH (item, &app->rows) {
        struct fleet_row *r = LIST_ITEM(item, struct fleet_row, link);
        int64_t in_flight = gauge_sum(r->row.gauge).in_flight;
        if (in_flight == r->told_in_flight) {
            continue;
        }
        struct local_message m = { .type = LOCAL_BUSY, .in_flight = in_flight };
        r->told_in_flight = in_flight;
        str_copy(m.app, sizeof m.app, app->key.app);
        str_copy(m.process, sizeof m.process, app->key.process);
        str_copy(m.id, sizeof m.id, r->row.id);
        say(data, &m);
    }
    return true;
}

bool fleet_demand(struct fleet *f, msec now, fleet_say say, void *data) {
    bool due = false;
    MAP_FOREACH (e, &f->apps) {
        struct fleet_app *app = e->value;
        struct gauge_sum sum = gauge_sum(app->gauge);
        bool same = sum.in_flight == app->told_in_flight && sum.held == app->told_held &&
                    sum.requests == app->told_requests;
        app->busy_due = (app->busy_due || !same) && !say_busy(app, now, say, data);
        due = due || app->busy_due;
        if (same) {
            continue;
        }
        app->told_in_flight = sum.in_flight;
        app->told_held = sum.held;
        app->told_requests = sum.requests;
        measure_p99(app, &sum, now);
        struct local_message m = {
            .type = LOCAL_DEMAND,
            .in_flight = sum.in_flight,
            .held = sum.held,
            .oldest_ms = sum.held && now > sum.oldest ? now - sum.oldest : 0,
            .requests = sum.requests,
            .p99_ms = app->p99_ms,
        };
        str_copy(m.app, sizeof m.app, app->key.app);
        str_copy(m.process, sizeof m.process, app->key.process);
        say(data, &m);
    }
    return due;
}

static void write_by_app(const struct fleet *f, struct buf *out, const char *name, const char *type,
    const char *help, size_t offset) {
    buf_printf(out, "# HELP paas_proxy_%s %s\n# TYPE paas_proxy_%s %s\n", name, help, name, type);
    MAP_FOREACH (e, &f->apps) {
        const struct fleet_app *app = e->value;
        struct gauge_sum sum = gauge_sum(app->gauge);
        int64_t value;
        memcpy(&value, (const char *)&sum + offset, sizeof value);
        buf_printf(out, "paas_proxy_%s{app=\"%s\",process=\"%s\"} %lld\n", name, app->key.app,
            app->key.process, (long long)value);
    }
}

void fleet_metrics(const struct fleet *f, struct buf *out) {
    static const char *const classes[] = { "2xx", "3xx", "4xx", "5xx" };
    buf_puts(out, "# HELP paas_proxy_requests_total Requests answered, by app and class of status\n"
                  "# TYPE paas_proxy_requests_total counter\n");
    MAP_FOREACH (e, &f->apps) {
        const struct fleet_app *app = e->value;
        struct gauge_sum sum = gauge_sum(app->gauge);
        for (int i = 0; i < 4; i++) {
            buf_printf(out,
                "paas_proxy_requests_total{app=\"%s\",process=\"%s\",code_class=\"%s\"} %lld\n",
                app->key.app, app->key.process, classes[i], (long long)sum.answers[i]);
        }
    }
    write_by_app(f, out, "requests_in_flight", "gauge", "Requests at instances, by app",
        offsetof(struct gauge_sum, in_flight));
    write_by_app(f, out, "app_requests_held", "gauge", "Requests that wait, by app",
        offsetof(struct gauge_sum, held));
    write_by_app(f, out, "app_requests_shed_total", "counter",
        "Requests refused because too many waited, or this one too long, by app",
        offsetof(struct gauge_sum, shed));
}
