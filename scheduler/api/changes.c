/* Every change of what is desired. SPDX-License-Identifier: Apache-2.0
 *
 * Each works on the staged copy of one app and notes the events that people see once it is durable.
 */
#include <paas/intent.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <paas/str.h>
#include <paas/wire.h>

#include "assemble.h"
#include "changes.h"

#define DEFAULT_DOMAIN ".localhost"

/* --- small parts ------------------------------------------------------------------------------ */

int change_note(struct intent *intent, const char *type, const struct app_row *row, int64_t release,
    struct err *err, const char *format, ...) {
    char message[256];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    struct event event = { .release = release, .message = message };
    str_copy(event.type, sizeof(event.type), type);
    str_copy(event.app, sizeof(event.app), row->name);
    return intent_note(intent, &event, err);
}

static struct release_entry *entry_of(struct app_row *row, int64_t release) {
    return (struct release_entry *)app_release(row, release);
}

/* Grows a json_array of `size`d items by one zeroed item; NULL without memory. */
void *change_array_add(struct json_array *array, size_t size, struct err *err) {
    char *items = reallocarray(array->items, array->count + 1, size);
    if (!items) {
        err_no_memory(err);
        return NULL;
    }
    array->items = items;
    void *item = items + array->count++ * size;
    memset(item, 0, size);
    return item;
}

void change_array_remove(struct json_array *array, size_t size, size_t index) {
    char *items = array->items;
    array->count--;
    memmove(items + index * size, items + (index + 1) * size, (array->count - index) * size);
}

/* The release that a change of environment or a restart starts from: the one that rolls, else the
 * one that serves, else the one that failed. */
int64_t change_current(const struct app_row *row) {
    return app_rolls(row) ? row->target : row->serving ? row->serving : row->target;
}

const struct config *change_current_config(const struct intent *intent, const struct app_row *row) {
    const struct release_entry *entry = app_release(row, change_current(row));
    return entry ? intent_newest_config(intent, entry->config) : NULL;
}

void change_answer_fill(const struct app_row *row, int64_t release, struct change_answer *out) {
    memset(out, 0, sizeof(*out));
    memcpy(out->app, row->name, sizeof(out->app));
    out->release = release;
    out->attempt = row->attempt;
    const struct release_entry *entry = app_release(row, release);
    if (entry) {
        memcpy(out->image, entry->image, sizeof(out->image));
    }
}

static int check_name(const char *app, struct err *err) {
    return str_name(app, "app", err);
}

/* --- releases --------------------------------------------------------------------------------- */

/* Another release becomes the target. What rolled until now is superseded. */
static int set_target(
    struct intent *intent, struct app_row *row, int64_t release, struct err *err) {
    struct release_entry *rolling = app_rolls(row) ? entry_of(row, row->target) : NULL;
    if (rolling && rolling->release != release) {
        rolling->verdict = VERDICT_SUPERSEDED;
        struct event event = { .release = rolling->release,
            .message = (char *)"a newer change took over" };
        str_copy(event.type, sizeof(event.type), "rollout-failed");
        str_copy(event.app, sizeof(event.app), row->name);
        str_copy(event.code, sizeof(event.code), err_name(ERR_SUPERSEDED));
        if (intent_note(intent, &event, err) < 0) {
            return -1;
        }
    }
    row->target = release;
    row->failed = false;
    row->attempt++;
    entry_of(row, release)->verdict = release == row->serving ? VERDICT_DONE : VERDICT_ROLLING;
    if (change_note(intent, "rollout-started", row, release, err, "release %lld rolls out",
            (long long)release) < 0) {
        return -1;
    }
    return release == row->serving ? change_note(intent, "rollout-done", row, release, err,
                                         "release %lld serves", (long long)release)
                                   : 0;
}

/* Forgets the oldest releases that neither serve nor roll out, nor are kept to go back to. */
static int prune(struct intent *intent, struct app_row *row, struct err *err) {
    struct release_entry *entries = row->releases.items;
    for (size_t i = 0; row->releases.count > RELEASES_KEPT && i < row->releases.count;) {
        if (entries[i].release == row->serving || entries[i].release == row->target ||
            entries[i].release == row->kept) {
            i++;
            continue;
        }
        if (intent_drop_config(intent, entries[i].config, err) < 0) {
            return -1;
        }
        free(entries[i].reason);
        change_array_remove(&row->releases, sizeof(*entries), i);
    }
    return 0;
}

/* Adds a release of this configuration and rolls it out. */
static int add_release(struct intent *intent, struct app_row *row, struct config *config,
    int64_t now, struct err *err) {
    struct release_entry entry = { .release = config->value.release, .created_at = now };
    memcpy(entry.image, config->value.image, sizeof(entry.image));
    memcpy(entry.config, config->digest, sizeof(entry.config));
    if (intent_add_config(intent, config, err) < 0) {
        return -1;
    }
    struct release_entry *added = change_array_add(&row->releases, sizeof(*added), err);
    if (!added) {
        return -1;
    }
    *added = entry;
    row->last_release = entry.release;
    if (change_note(intent, "release-created", row, entry.release, err, "release %lld",
            (long long)entry.release) < 0 ||
        set_target(intent, row, entry.release, err) < 0) {
        return -1;
    }
    return prune(intent, row, err);
}

int change_renew(struct intent *intent, struct app_row *row, const struct pairs *env, int64_t now,
    struct err *err) {
    struct assembly a = { .app = row->name,
        .release = row->last_release + 1,
        .current = change_current_config(intent, row),
        .app_env = env };
    struct config *config = assemble(&a, err);
    return config ? add_release(intent, row, config, now, err) : -1;
}

/* --- push, restart, rollback ------------------------------------------------------------------ */

/* Whether two strings of processes hold a "web", which routes lead to. */
static bool has_web(const struct config *config) {
    const struct process_spec *specs = config->value.processes.items;
    for (size_t i = 0; i < config->value.processes.count; i++) {
        if (strcmp(specs[i].name, "web") == 0) {
            return true;
        }
    }
    return false;
}

static int push_routes(struct intent *intent, struct app_row *row, bool web, bool created,
    const struct strings *routes, struct err *err) {
    if (created && web) {
        char host[HOST_SIZE];
        snprintf(host, sizeof(host), "%s%s", row->name, DEFAULT_DOMAIN);
        if (change_add_route(intent, row, host, "/", err) < 0) {
            return -1;
        }
    }
    for (size_t i = 0; i < routes->count; i++) {
        if (change_add_route(intent, row, routes->items[i], "/", err) < 0) {
            return -1;
        }
    }
    return 0;
}

int intent_pushed(const struct intent *intent, const char *app, const struct intent_push *push,
    int64_t now, struct change_answer *out, struct err *err) {
    const struct app_row *row = push->key.key[0] ? intent_newest(intent, app) : NULL;
    const struct push_key *keys = row ? row->pushes.items : NULL;
    for (size_t i = 0; row && i < row->pushes.count; i++) {
        if (strcmp(keys[i].key, push->key.key) != 0 || now - keys[i].at >= DAY_MS) {
            continue;
        }
        if (strcmp(keys[i].body, push->key.body) != 0) {
            return err_set(err, ERR_BAD_VALUE,
                "Idempotency-Key: it named another push, release %lld, within the last day",
                (long long)keys[i].release);
        }
        change_answer_fill(row, keys[i].release, out);
        return 1;
    }
    return 0;
}

/* Remembers the push by its name; the oldest ones are forgotten. */
static int remember_push(
    struct app_row *row, const struct push_key *key, int64_t now, struct err *err) {
    if (!key->key[0]) {
        return 0;
    }
    const struct push_key *first = row->pushes.items;
    while (row->pushes.count && (row->pushes.count >= PUSH_KEYS_MAX || now - first->at >= DAY_MS)) {
        change_array_remove(&row->pushes, sizeof(*first), 0);
    }
    struct push_key *added = change_array_add(&row->pushes, sizeof(*added), err);
    if (!added) {
        return -1;
    }
    *added = *key;
    added->release = row->target;
    added->at = now;
    return 0;
}

int intent_push(struct intent *intent, const char *app, const struct intent_push *push, int64_t now,
    struct change_answer *out, struct err *err) {
    if (check_name(app, err) < 0) {
        return -1;
    }
    bool created = !intent_newest(intent, app);
    struct app_row *row = created ? intent_create(intent, app, err) : intent_edit(intent, app, err);
    if (!row) {
        return -1;
    }
    if (created) {
        /* Nodes may remember attempts of a destroyed app with this name: these are later ones. */
        row->created_at = row->attempt = now;
    }
    struct assembly a = { .app = row->name,
        .release = row->last_release + 1,
        .request = push->request,
        .image = push->image,
        .current = change_current_config(intent, row),
        .app_env = &row->env };
    struct config *config = assemble(&a, err);
    if (!config) {
        return -1;
    }
    bool web = has_web(config);
    row->stopped = false;
    if (add_release(intent, row, config, now, err) < 0 ||
        push_routes(intent, row, web, created, &push->request->routes, err) < 0 ||
        remember_push(row, &push->key, now, err) < 0) {
        return -1;
    }
    change_answer_fill(row, row->target, out);
    return 0;
}

int intent_restart(struct intent *intent, const char *app, int64_t now, struct change_answer *out,
    struct err *err) {
    struct app_row *row = intent_edit(intent, app, err);
    if (!row) {
        return -1;
    }
    row->stopped = false;
    /* With the environment it has: after a rollback the app's own is newer than it. */
    const struct config *current = change_current_config(intent, row);
    if (!current || change_renew(intent, row, &current->value.env, now, err) < 0) {
        return -1;
    }
    change_answer_fill(row, row->target, out);
    return 0;
}

/* The newest release before the serving one that served once. */
static int64_t previous_release(const struct app_row *row) {
    const struct release_entry *entries = row->releases.items;
    int64_t previous = 0;
    for (size_t i = 0; i < row->releases.count; i++) {
        if (entries[i].verdict == VERDICT_DONE && entries[i].release != row->serving &&
            (entries[i].release < row->serving || !row->serving)) {
            previous = entries[i].release;
        }
    }
    return previous;
}

int intent_rollback(struct intent *intent, const char *app, int64_t release,
    struct change_answer *out, struct err *err) {
    struct app_row *row = intent_edit(intent, app, err);
    if (!row) {
        return -1;
    }
    if (release == 0) {
        release = app_rolls(row) && row->serving ? row->serving : previous_release(row);
        if (release == 0) {
            return err_set(err, ERR_CONFLICT, "app \"%s\" has no earlier release that served", app);
        }
    }
    if (!app_release(row, release)) {
        err_set(err, ERR_NOT_FOUND, "app \"%s\" has no release %lld", app, (long long)release);
        return err_hint(err, "paas releases %s lists them", app);
    }
    row->stopped = false;
    if (set_target(intent, row, release, err) < 0) {
        return -1;
    }
    change_answer_fill(row, release, out);
    return 0;
}

/* --- stop, start, destroy --------------------------------------------------------------------- */

int intent_stop(
    struct intent *intent, const char *app, struct change_answer *out, struct err *err) {
    struct app_row *row = intent_edit(intent, app, err);
    if (!row) {
        return -1;
    }
    bool was = row->stopped;
    row->stopped = true;
    change_answer_fill(row, change_current(row), out);
    return was ? 0 : change_note(intent, "app-stopped", row, out->release, err, "stopped");
}

/* Also another attempt of a release whose rollout failed. */
int intent_start(
    struct intent *intent, const char *app, struct change_answer *out, struct err *err) {
    struct app_row *row = intent_edit(intent, app, err);
    if (!row) {
        return -1;
    }
    bool again = row->failed && row->target != row->serving;
    if (row->stopped || again) {
        row->stopped = false;
        row->attempt++;
        if (change_note(intent, "app-started", row, row->target, err, "started") < 0 ||
            (again && set_target(intent, row, row->target, err) < 0)) {
            return -1;
        }
    }
    change_answer_fill(row, change_current(row), out);
    return 0;
}

int intent_destroy(
    struct intent *intent, const char *app, struct change_answer *out, struct err *err) {
    struct app_row *row = intent_edit(intent, app, err);
    if (!row) {
        return -1;
    }
    change_answer_fill(row, change_current(row), out);
    const struct release_entry *entries = row->releases.items;
    for (size_t i = 0; i < row->releases.count; i++) {
        if (intent_drop_config(intent, entries[i].config, err) < 0) {
            return -1;
        }
    }
    if (change_note(intent, "app-destroyed", row, 0, err, "destroyed") < 0) {
        return -1;
    }
    return intent_remove(intent, app, err);
}

/* --- verdicts --------------------------------------------------------------------------------- */

static int note_verdict(struct intent *intent, const struct app_row *row,
    const struct intent_verdict *verdict, struct err *err) {
    struct event event = { .release = verdict->release, .message = (char *)verdict->reason };
    str_copy(event.type, sizeof(event.type), verdict->done ? "rollout-done" : "rollout-failed");
    str_copy(event.app, sizeof(event.app), row->name);
    str_copy(event.process, sizeof(event.process), verdict->process);
    str_copy(event.instance, sizeof(event.instance), verdict->instance);
    if (!verdict->done) {
        str_copy(event.code, sizeof(event.code), err_name(verdict->code));
    }
    return intent_note(intent, &event, err);
}

int intent_verdict(struct intent *intent, const struct intent_verdict *verdict, struct err *err) {
    const struct app_row *newest = intent_newest(intent, verdict->app);
    if (!newest || newest->target != verdict->release || newest->attempt != verdict->attempt ||
        !app_rolls(newest)) {
        return 0;
    }
    struct app_row *row = intent_edit(intent, verdict->app, err);
    struct release_entry *entry = row ? entry_of(row, verdict->release) : NULL;
    if (!entry) {
        return -1;
    }
    if (verdict->done) {
        row->kept = row->serving;
        row->serving = row->target;
        entry->verdict = VERDICT_DONE;
    } else {
        row->failed = true;
        entry->verdict = VERDICT_FAILED;
        str_copy(entry->code, sizeof(entry->code), err_name(verdict->code));
    }
    free(entry->reason);
    entry->reason = verdict->done ? NULL : strdup(verdict->reason);
    return note_verdict(intent, row, verdict, err);
}
