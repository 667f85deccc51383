/* One app, its queue and its instances under a law. SPDX-License-Identifier: Apache-2.0 */
#include "autoscale.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { INSTANCES_MAX = 20000, FROZEN_KEEP_MS = 600000, TAIL_MS = 60000 };

enum life { LIFE_NONE, LIFE_STARTING, LIFE_READY, LIFE_LEAVING, LIFE_FROZEN };

struct unit {
    enum life life;
    int64_t ready_at, since, busy;
};

struct task {
    int64_t ends;
    int unit;
};

/* A growing array of int64; used as FIFO and as a bag of samples. */
struct ints {
    int64_t *items;
    size_t head, count, cap;
};

struct sim {
    const struct sim_settings *settings;
    struct law law;
    struct unit *units;
    int unit_end; /* units beyond were never used */
    struct task *heap;
    size_t heap_count, heap_cap;
    struct ints queue, waits; /* arrival times; waits in ms */
    struct sim_result *out;
    int64_t now, arrived, in_flight, ready, starting, frozen;
    uint64_t random;
    int direction; /* of the last change of the wanted number */
    int64_t last_wanted;
    double longest_wait;
};

/* splitmix64 */
static uint64_t next_random(struct sim *s) {
    uint64_t z = (s->random += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static double uniform(struct sim *s) {
    return ((double)(next_random(s) >> 11) + 0.5) / 9007199254740992.0;
}

static int push(struct ints *list, int64_t value) {
    if (list->count == list->cap) {
        size_t cap = list->cap ? list->cap * 2 : 1024;
        int64_t *items = realloc(list->items, cap * sizeof *items);
        if (!items) {
            return -1;
        }
        list->items = items;
        list->cap = cap;
    }
    list->items[list->count++] = value;
    return 0;
}

static int64_t service_time(struct sim *s) {
    double mean = (double)s->settings->service_ms, value = mean;
    switch (s->settings->service) {
    case SERVICE_FIXED:
        break;
    case SERVICE_EXPONENTIAL:
        value = -mean * log(uniform(s));
        break;
    case SERVICE_MIXED: /* one in twenty costs twenty times the rest; the mean stays */
        value = uniform(s) < 0.05 ? mean * 20 / 1.95 : mean / 1.95;
        break;
    }
    return value < 1 ? 1 : (int64_t)llround(value);
}

static int heap_push(struct sim *s, struct task task) {
    if (s->heap_count == s->heap_cap) {
        size_t cap = s->heap_cap ? s->heap_cap * 2 : 1024;
        struct task *heap = realloc(s->heap, cap * sizeof *heap);
        if (!heap) {
            return -1;
        }
        s->heap = heap;
        s->heap_cap = cap;
    }
    size_t at = s->heap_count++;
    while (at > 0 && s->heap[(at - 1) / 2].ends > task.ends) {
        s->heap[at] = s->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    s->heap[at] = task;
    return 0;
}

static struct task heap_pop(struct sim *s) {
    struct task top = s->heap[0], last = s->heap[--s->heap_count];
    size_t at = 0, child;
    while ((child = 2 * at + 1) < s->heap_count) {
        if (child + 1 < s->heap_count && s->heap[child + 1].ends < s->heap[child].ends) {
            child++;
        }
        if (last.ends <= s->heap[child].ends) {
            break;
        }
        s->heap[at] = s->heap[child];
        at = child;
    }
    s->heap[at] = last;
    return top;
}

/* --- instances -------------------------------------------------------------------------------- */

static void leave(struct sim *s, struct unit *u) {
    double lived = (double)(s->now - u->since) / 1000;
    if (u->life == LIFE_FROZEN) {
        s->out->frozen_seconds += lived;
        s->frozen--;
    } else {
        s->out->instance_seconds += lived;
    }
    u->life = LIFE_NONE;
}

static void start_units(struct sim *s, int64_t count) {
    for (int i = 0; i < INSTANCES_MAX && count > 0; i++) {
        struct unit *u = &s->units[i];
        if (u->life == LIFE_FROZEN) {
            leave(s, u);
            *u = (struct unit){ .life = LIFE_READY, .since = s->now };
            s->ready++;
            count--;
        }
        if (i >= s->unit_end) {
            break;
        }
    }
    for (int i = 0; i < INSTANCES_MAX && count > 0; i++) {
        struct unit *u = &s->units[i];
        if (u->life == LIFE_NONE) {
            *u = (struct unit){
                .life = LIFE_STARTING, .since = s->now, .ready_at = s->now + s->settings->start_ms
            };
            s->unit_end = i >= s->unit_end ? i + 1 : s->unit_end;
            s->starting++;
            s->out->starts++;
            count--;
        }
    }
}

static void stop_units(struct sim *s, int64_t count) {
    for (int i = s->unit_end - 1; i >= 0 && count > 0; i--) {
        if (s->units[i].life == LIFE_STARTING) {
            leave(s, &s->units[i]);
            s->starting--;
            count--;
        }
    }
    while (count > 0) {
        struct unit *idlest = NULL;
        for (int i = s->unit_end - 1; i >= 0; i--) {
            struct unit *u = &s->units[i];
            if (u->life == LIFE_READY && (!idlest || u->busy < idlest->busy)) {
                idlest = u;
            }
        }
        if (!idlest) {
            return;
        }
        s->ready--;
        count--;
        idlest->life = LIFE_LEAVING;
        if (idlest->busy == 0) {
            leave(s, idlest);
            if (s->frozen < s->settings->standby) {
                *idlest = (struct unit){ .life = LIFE_FROZEN, .since = s->now };
                s->frozen++;
            }
        }
    }
}

static void become_ready(struct sim *s) {
    for (int i = 0; s->starting > 0 && i < s->unit_end; i++) {
        struct unit *u = &s->units[i];
        if (u->life == LIFE_STARTING && u->ready_at <= s->now) {
            u->life = LIFE_READY;
            s->starting--;
            s->ready++;
            if (s->law.kind == LAW_OURS) {
                demand_learn_start(&s->law.ours, s->settings->start_ms);
            }
        }
    }
}

/* --- requests --------------------------------------------------------------------------------- */

static struct unit *free_unit(struct sim *s) {
    struct unit *best = NULL;
    for (int i = 0; i < s->unit_end; i++) {
        struct unit *u = &s->units[i];
        if (u->life == LIFE_READY && u->busy < s->settings->concurrency &&
            (!best || u->busy < best->busy)) {
            best = u;
            if (u->busy == 0) {
                break;
            }
        }
    }
    return best;
}

static int dispatch(struct sim *s) {
    while (s->queue.head < s->queue.count) {
        int64_t came = s->queue.items[s->queue.head];
        if (s->now - came > s->settings->deadline_ms) {
            s->queue.head++;
            s->out->failed++;
            continue;
        }
        if (s->in_flight >= s->ready * s->settings->concurrency) {
            return 0;
        }
        struct unit *u = free_unit(s);
        if (!u) {
            return 0;
        }
        s->queue.head++;
        u->busy++;
        s->in_flight++;
        double wait = (double)(s->now - came);
        s->longest_wait = wait > s->longest_wait ? wait : s->longest_wait;
        struct task task = { s->now + service_time(s), (int)(u - s->units) };
        if (push(&s->waits, s->now - came) < 0 || heap_push(s, task) < 0) {
            return -1;
        }
    }
    s->queue.head = s->queue.count = 0;
    return 0;
}

static void complete(struct sim *s) {
    while (s->heap_count > 0 && s->heap[0].ends <= s->now) {
        struct unit *u = &s->units[heap_pop(s).unit];
        u->busy--;
        s->in_flight--;
        if (u->life == LIFE_LEAVING && u->busy == 0) {
            leave(s, u);
        }
    }
}

/* Poisson arrivals of one ms at this rate, in parts whose chance of none a double can tell. */
static int arrive(struct sim *s, double rps, bool *any) {
    enum { PART = 100 };
    *any = false;
    for (double left = rps / 1000; left > 0; left -= PART) {
        double limit = exp(-fmin(left, PART));
        for (double product = uniform(s); product > limit; product *= uniform(s)) {
            *any = true;
            s->arrived++;
            s->out->requests++;
            if (push(&s->queue, s->now) < 0) {
                return -1;
            }
        }
    }
    return 0;
}

static void obey(struct sim *s, bool any) {
    int64_t held = (int64_t)(s->queue.count - s->queue.head);
    struct demand_sample sample = {
        .now = s->now,
        .in_flight = s->in_flight,
        .held = held,
        .oldest_held = held ? s->now - s->queue.items[s->queue.head] : 0,
        .arrived = s->arrived,
        .ready = s->ready,
        .starting = s->starting,
    };
    int64_t wanted = law_decide(&s->law, &sample, any);
    int64_t there = s->ready + s->starting;
    if (wanted != s->last_wanted) {
        int direction = wanted > s->last_wanted ? 1 : -1;
        s->out->flips += s->direction && direction != s->direction;
        s->direction = direction;
        s->last_wanted = wanted;
    }
    if (wanted > there) {
        start_units(s, wanted - there);
    } else if (wanted < there) {
        stop_units(s, there - wanted);
    }
    s->out->peak = wanted > s->out->peak ? wanted : s->out->peak;
}

static int note_second(struct sim *s) {
    if (s->now % 1000 != 0) {
        return 0;
    }
    struct sim_result *out = s->out;
    if ((out->point_count & (out->point_count - 1)) == 0) {
        size_t cap = out->point_count ? out->point_count * 2 : 1;
        struct sim_point *points = realloc(out->points, cap * sizeof *points);
        if (!points) {
            return -1;
        }
        out->points = points;
    }
    out->points[out->point_count++] =
        (struct sim_point){ (double)s->in_flight + (double)(s->queue.count - s->queue.head),
            s->ready + s->starting, s->longest_wait };
    s->longest_wait = 0;
    return 0;
}

static int compare(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void summarise(struct sim *s) {
    struct ints *w = &s->waits;
    if (w->count == 0) {
        return;
    }
    qsort(w->items, w->count, sizeof *w->items, compare);
    double sum = 0;
    for (size_t i = 0; i < w->count; i++) {
        sum += (double)w->items[i];
    }
    s->out->wait_p50_ms = (double)w->items[w->count / 2];
    s->out->wait_p99_ms = (double)w->items[w->count * 99 / 100];
    s->out->wait_mean_ms = sum / (double)w->count;
}

static int run(struct sim *s, const struct trace *trace) {
    int64_t end = trace->rows[trace->count - 1].time_ms;
    size_t row = 0;
    /* Past the end no request comes, and what waits is served. */
    for (s->now = trace->rows[0].time_ms;
         s->now < end ||
         ((s->queue.count > s->queue.head || s->in_flight > 0) && s->now < end + TAIL_MS);
         s->now++) {
        bool any = false;
        while (row + 1 < trace->count && trace->rows[row + 1].time_ms <= s->now) {
            row++;
        }
        complete(s);
        become_ready(s);
        if ((s->now < end && arrive(s, trace->rows[row].rps, &any) < 0) || dispatch(s) < 0) {
            return -1;
        }
        obey(s, any);
        if (dispatch(s) < 0 || note_second(s) < 0) {
            return -1;
        }
    }
    for (int i = 0; i < s->unit_end; i++) {
        if (s->units[i].life != LIFE_NONE) {
            leave(s, &s->units[i]);
        }
    }
    s->out->failed += (int64_t)(s->queue.count - s->queue.head);
    summarise(s);
    return 0;
}

int sim_autoscale(const struct trace *trace, const struct sim_settings *settings,
    struct sim_result *out, struct err *err) {
    struct sim s = { .settings = settings, .out = out, .random = settings->seed };
    struct demand_settings demand = {
        .concurrency = settings->concurrency,
        .min = settings->min,
        .max = settings->max,
        .idle = settings->idle_ms,
        .rps = settings->rps,
        .window = settings->window,
        .queue_delay = settings->queue_delay,
        .step_up = settings->step_up,
        .step_down = settings->step_down,
        .step_period = settings->step_period,
    };
    *out = (struct sim_result){ 0 };
    s.units = calloc(INSTANCES_MAX, sizeof *s.units);
    law_init(&s.law, settings->law, &demand);
    int result = s.units ? run(&s, trace) : -1;
    free(s.units);
    free(s.heap);
    free(s.queue.items);
    free(s.waits.items);
    if (result < 0) {
        sim_result_free(out);
        return err_no_memory(err);
    }
    return 0;
}

void sim_result_free(struct sim_result *result) {
    free(result->points);
    *result = (struct sim_result){ 0 };
}
