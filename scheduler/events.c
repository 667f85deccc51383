/* The log of events: a ring in memory, rows in the store, lines to watchers.
 * SPDX-License-Identifier: Apache-2.0
 *
 * An event is told at once and saved a little later, with all others that came meanwhile; a crash
 * may lose the last ones. So that no number is ever given twice, a new process goes on well above
 * the last one saved.
 */
#include "scheduler.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <paas/log.h>
#include <paas/str.h>
#include <paas/wire.h>

enum {
    EVENTS_KEPT = 10000, /* what people look back at */
    EVENT_BYTES_MAX = 64 << 10,
    UNSAVED_MAX = 1000,  /* events of one transaction; more are told, but not saved */
    SEQUENCE_GAP = 1000, /* above what a crash can have lost */
};

static void key_of(int64_t sequence, char key[24]) {
    snprintf(key, 24, "%019lld", (long long)sequence);
}

/* Takes `text`. */
static void ring_add(
    struct events *events, int64_t sequence, const char *app, char *text, size_t len) {
    size_t at = (events->first + events->count) % EVENTS_KEPT;
    if (events->count == EVENTS_KEPT) {
        free(events->ring[events->first].text);
        events->first = (events->first + 1) % EVENTS_KEPT;
    } else {
        events->count++;
    }
    struct event_line *line = &events->ring[at];
    line->sequence = sequence;
    line->text = text;
    line->len = len;
    str_copy(line->app, sizeof(line->app), app);
}

static int load_one(void *data, const char *key, const char *body, size_t len, struct err *err) {
    struct scheduler *s = data;
    struct events *events = &s->events;
    struct event event;
    (void)key;
    if (json_decode(&event_json, body, len, &event, err) < 0) {
        log_warn("an event can't be read: %s", err->text);
        err_clear(err);
        return 0;
    }
    char *text = strndup(body, len);
    int rc = text ? nodes_recall(s, &event, err) : err_no_memory(err);
    if (text) {
        ring_add(events, event.sequence, event.app, text, len);
        events->last = events->settled = event.sequence;
    }
    json_free(&event_json, &event);
    return rc;
}

int events_load(struct scheduler *s, struct err *err) {
    struct events *events = &s->events;
    events->ring = calloc(EVENTS_KEPT, sizeof(*events->ring));
    if (!events->ring) {
        return err_no_memory(err);
    }
    if (feed_create(s->loop, &events->feed, err) < 0 ||
        store_load(s->store, STORE_EVENT, load_one, s, err) < 0) {
        return -1;
    }
    events->last += events->last ? SEQUENCE_GAP : 0;
    return 0;
}

static void save_some(struct scheduler *s);

static void on_saved(void *data, const struct err *err) {
    struct scheduler *s = data;
    s->events.saving = false;
    s->events.settled = s->events.saving_to;
    if (err->code != ERR_OK) {
        s->events.lost++;
        log_warn("events were not saved: %s", err->text);
    }
    save_some(s);
    scheduler_may_close(s);
}

static void save_some(struct scheduler *s) {
    struct events *events = &s->events;
    struct err err = { 0 };
    if (events->saving || !events->unsaved) {
        return;
    }
    char key[24];
    struct store_batch *batch = events->unsaved;
    events->unsaved = NULL;
    if (events->count == EVENTS_KEPT) { /* numbers have gaps: what the ring dropped goes */
        key_of(events->ring[events->first].sequence, key);
        store_batch_delete_before(batch, STORE_EVENT, key);
    }
    events->saving_to = events->last;
    events->saving = store_commit(s->store, batch, on_saved, s, &err) == 0;
    if (!events->saving) {
        events->lost++;
        events->settled = events->saving_to;
    }
}

static void save(struct scheduler *s, int64_t sequence, const char *text, size_t len) {
    struct events *events = &s->events;
    char key[24];
    if (!events->unsaved) {
        events->unsaved = store_batch_create();
    }
    if (!events->unsaved || store_batch_count(events->unsaved) >= UNSAVED_MAX) {
        events->lost++;
        return;
    }
    key_of(sequence, key);
    if (store_batch_put(events->unsaved, STORE_EVENT, key, text, len) < 0) {
        events->lost++;
    }
    save_some(s);
}

void events_add(struct scheduler *s, const struct event *from) {
    struct events *events = &s->events;
    struct event event = *from;
    struct buf line;
    event.sequence = ++events->last;
    event.at = clock_wall_msec();
    buf_init(&line, EVENT_BYTES_MAX);
    json_encode(&event_json, &event, &line);
    size_t len = line.len;
    char *text = buf_take(&line);
    if (!text) {
        events->lost++;
        return;
    }
    feed_line(events->feed, event.app, text, len);
    save(s, event.sequence, text, len);
    ring_add(events, event.sequence, event.app, text, len);
}

void events_each(struct scheduler *s, const char *app, int64_t after,
    void (*each)(void *data, const char *line, size_t len), void *data) {
    const struct events *events = &s->events;
    for (size_t i = 0; i < events->count; i++) {
        const struct event_line *line = &events->ring[(events->first + i) % EVENTS_KEPT];
        if (line->sequence > after && (!app || strcmp(line->app, app) == 0)) {
            each(data, line->text, line->len);
        }
    }
}

void events_free(struct events *events) {
    for (size_t i = 0; events->ring && i < events->count; i++) {
        free(events->ring[(events->first + i) % EVENTS_KEPT].text);
    }
    free(events->ring);
    store_batch_free(events->unsaved);
    events->ring = NULL;
    events->unsaved = NULL;
}
