/* Changes of intent: staged one by one, committed as a batch, then decided upon and answered.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Story: a change is queued. When no commit is under way, all queued ones are applied in their
 * order to staged copies; one that fails is answered and leaves nothing. The staged rows go to the
 * store as one transaction. When it is durable the rows become the intent, its events are told, the
 * apps enter the core, and the changes are answered. When it failed nothing has changed, and all of
 * the batch hear why.
 * A full disk refuses all but the removal of apps, which is how people get room: that takes the
 * room that is kept.
 */
#include "scheduler.h"

#include <stdlib.h>
#include <string.h>

#include <paas/log.h>

enum {
    CHANGES_MAX = 4096,       /* that wait; more are refused: the disk is not keeping up */
    BATCH_MAX = 256,          /* changes of one transaction */
    CONFIG_ROW_MAX = 4 << 20, /* bytes: text and base environment, escaped */
    APP_ROW_MAX = 4 << 20,
};

static void on_begin(uv_timer_t *timer);

void changes_init(struct changes *changes, struct scheduler *s) {
    changes->queued_end = &changes->queued;
    uv_timer_init(s->loop, &changes->begin);
    changes->begin.data = s;
}

void changes_close(struct scheduler *s) {
    uv_close((uv_handle_t *)&s->changes.begin, NULL);
}

static void begin_soon(struct scheduler *s) {
    if (!s->changes.committing && s->changes.queued) {
        uv_timer_start(&s->changes.begin, on_begin, 0, 0);
    }
}

int changes_submit(struct scheduler *s, struct change *change, struct err *err) {
    struct changes *changes = &s->changes;
    if (s->stopping) {
        return err_set(err, ERR_UNAVAILABLE, "the scheduler is about to end");
    }
    if (changes->waiting >= CHANGES_MAX) {
        return err_set(err, ERR_BUSY, "%d changes wait already", CHANGES_MAX);
    }
    change->next = NULL;
    *changes->queued_end = change;
    changes->queued_end = &change->next;
    changes->waiting++;
    begin_soon(s);
    return 0;
}

/* Applies the queued ones. Those that fail, and those that change nothing, end here. */
static void apply_queued(struct scheduler *s) {
    struct changes *changes = &s->changes;
    struct change **batch_end = &changes->batch;
    for (int i = 0; i < BATCH_MAX && changes->queued; i++) {
        struct change *change = changes->queued;
        struct err err = { 0 };
        changes->queued = change->next;
        changes->waiting--;
        if (!changes->queued) {
            changes->queued_end = &changes->queued;
        }
        intent_begin(&s->intent);
        if (change->apply(change, &s->intent, clock_wall_msec(), &err) < 0) {
            intent_undo(&s->intent);
            change->done(change, s->events.last, &err);
            continue;
        }
        change->next = NULL;
        *batch_end = change;
        batch_end = &change->next;
    }
}

static int put_app(struct store_batch *batch, const struct intent_staged *staged) {
    struct buf body;
    if (!staged->row) {
        return store_batch_delete(batch, STORE_APP, staged->name);
    }
    buf_init(&body, APP_ROW_MAX);
    json_encode(&app_row_json, staged->row, &body);
    int rc =
        body.failed ? -1 : store_batch_put(batch, STORE_APP, staged->name, body.data, body.len);
    buf_free(&body);
    return rc;
}

static int put_config(struct store_batch *batch, const struct config *config) {
    struct buf body;
    buf_init(&body, CONFIG_ROW_MAX);
    int rc = config_encode(config, &body);
    if (rc == 0) {
        rc = store_batch_put(batch, STORE_CONFIG, config->digest, body.data, body.len);
    }
    buf_free(&body);
    return rc;
}

/* The staged rows as a batch of the store; NULL without memory. */
static struct store_batch *make_batch(const struct intent *intent) {
    struct store_batch *batch = store_batch_create();
    int rc = batch ? 0 : -1;
    for (size_t i = 0; rc == 0 && i < intent->fresh_count; i++) {
        rc = put_config(batch, intent->fresh[i]);
    }
    for (size_t i = 0; rc == 0 && i < intent->staged_count; i++) {
        rc = put_app(batch, &intent->staged[i]);
    }
    for (size_t i = 0; rc == 0 && i < intent->dropped.count; i++) {
        rc = store_batch_delete(batch, STORE_CONFIG, intent->dropped.items[i]);
    }
    if (rc < 0) {
        store_batch_free(batch);
        return NULL;
    }
    return batch;
}

static void answer_batch(struct scheduler *s, int64_t sequence, const struct err *err) {
    struct change *change = s->changes.batch;
    s->changes.batch = NULL;
    while (change) {
        struct change *next = change->next;
        change->done(change, sequence, err);
        change = next;
    }
}

/* Names of the staged apps, as they will be needed after the commit. */
static int staged_names(const struct intent *intent, struct strings *names) {
    for (size_t i = 0; i < intent->staged_count; i++) {
        if (strings_add(names, intent->staged[i].name) < 0) {
            return -1;
        }
    }
    return 0;
}

static void on_durable(struct scheduler *s) {
    int64_t before = s->events.last;
    struct strings names = { 0 };
    struct err ok = { 0 };
    if (staged_names(&s->intent, &names) < 0) {
        /* The rows are durable; a new process reads them and goes on. */
        log_error("out of memory after a commit");
        abort();
    }
    for (size_t i = 0; i < s->intent.note_count; i++) {
        events_add(s, &s->intent.notes[i]);
    }
    intent_commit(&s->intent);
    for (size_t i = 0; i < names.count; i++) {
        driver_app(s, names.items[i]);
    }
    strings_free(&names);
    answer_batch(s, before, &ok);
}

static void on_committed(void *data, const struct err *err);

/* Hands the staged rows to the store. */
static int commit(struct scheduler *s, struct err *err) {
    struct store_batch *batch = make_batch(&s->intent);
    if (!batch) {
        return err_no_memory(err);
    }
    int rc = store_commit(s->store, batch, on_committed, s, err);
    s->changes.committing = rc == 0;
    return rc;
}

static bool only_removes(const struct intent *intent) {
    for (size_t i = 0; i < intent->staged_count; i++) {
        if (intent_newest(intent, intent->staged[i].name)) {
            return false;
        }
    }
    return intent->staged_count > 0;
}

/* Once more, with the room that is kept. True: the outcome comes later. */
static bool commit_in_reserve(struct scheduler *s, const struct err *why) {
    struct err err;
    if (why->code != ERR_FULL || s->changes.uses_room || !only_removes(&s->intent)) {
        return false;
    }
    log_warn("%s; apps are removed in the room that was kept for this", why->text);
    s->changes.uses_room = true;
    scheduler_use_reserve(s);
    return commit(s, &err) == 0;
}

static void on_committed(void *data, const struct err *err) {
    struct scheduler *s = data;
    s->changes.committing = false;
    if (commit_in_reserve(s, err)) {
        return;
    }
    if (s->changes.uses_room) {
        s->changes.uses_room = false;
        scheduler_reserve(s); /* what is left of it */
        cleaner_hurry(s);
    }
    if (err->code == ERR_OK) {
        s->commits++;
        on_durable(s);
    } else {
        s->failed_commits++;
        log_error("a commit failed: %s", err->text);
        intent_discard(&s->intent);
        answer_batch(s, s->events.last, err);
    }
    begin_soon(s);
    scheduler_may_close(s);
}

static void on_begin(uv_timer_t *timer) {
    struct scheduler *s = timer->data;
    struct err err = { 0 };
    if (s->changes.committing) {
        return;
    }
    apply_queued(s);
    if (!s->changes.batch) {
        intent_discard(&s->intent);
        begin_soon(s);
        scheduler_may_close(s);
        return;
    }
    if (commit(s, &err) < 0) {
        on_committed(s, &err);
    }
}
