/* What is desired, in memory, and how changes of it are staged. SPDX-License-Identifier: Apache-2.0
 *
 * A batch is a list of whole rows. Finding an app walks the list from its end, so a change sees
 * those before it; undoing a change cuts the lists where it began; committing puts the rows into
 * the maps in their order.
 */
#include <paas/intent.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <paas/digest.h>
#include <paas/wire.h>

static const char *const verdict_names[] = {
#define X(id, name) [VERDICT_##id] = name,
    VERDICTS(X)
#undef X
        NULL,
};

#define COUNT_MAX INT64_MAX
enum { REASON_MAX = 1024 };

static const struct json_type release_entry_json = { "release", sizeof(struct release_entry),
    (const struct json_field[]){
        F_INT(release_entry, release, 1, COUNT_MAX, 0, JF_REQUIRED, "number"),
        F_INT(release_entry, created_at, 0, COUNT_MAX, 0, 0, "wall clock"),
        F_ENUM(
            release_entry, verdict, verdict_names, VERDICT_ROLLING, JF_REQUIRED, "of its rollout"),
        F_TEXT(release_entry, image, JF_DIGEST, "manifest"),
        F_TEXT(release_entry, config, JF_DIGEST | JF_REQUIRED, "configuration"),
        F_TEXT(release_entry, code, JF_OMIT, "why it failed"),
        F_STRING(release_entry, reason, REASON_MAX, JF_OMIT, "in words"),
        { 0 },
    } };

static const struct json_type app_rule_json = { "rule", sizeof(struct app_rule),
    (const struct json_field[]){
        F_TEXT(app_rule, process, JF_NAME | JF_REQUIRED, "process type"),
        F_OBJECT(app_rule, rule, scale_rule, &scale_rule_json, JF_REQUIRED, "rule"),
        { 0 },
    } };

static const struct json_type push_key_json = { "push", sizeof(struct push_key),
    (const struct json_field[]){
        F_TEXT(push_key, key, JF_DIGEST | JF_REQUIRED, "of its name"),
        F_TEXT(push_key, body, JF_DIGEST | JF_REQUIRED, "of what it asked for"),
        F_INT(push_key, release, 1, COUNT_MAX, 0, JF_REQUIRED, "that it made"),
        F_INT(push_key, at, 0, COUNT_MAX, 0, 0, "wall clock"),
        { 0 },
    } };

const struct json_type app_row_json = { "app", sizeof(struct app_row),
    (const struct json_field[]){
        F_TEXT(app_row, name, JF_NAME | JF_REQUIRED, "name"),
        F_INT(app_row, created_at, 0, COUNT_MAX, 0, 0, "wall clock"),
        F_INT(app_row, version, 0, COUNT_MAX, 0, 0, "grows with each change"),
        F_INT(app_row, last_release, 0, COUNT_MAX, 0, 0, "highest number given out"),
        F_INT(app_row, serving, 0, COUNT_MAX, 0, 0, "release"),
        F_INT(app_row, target, 0, COUNT_MAX, 0, 0, "release"),
        F_INT(app_row, attempt, 0, COUNT_MAX, 0, 0, "number"),
        F_INT(app_row, kept, 0, COUNT_MAX, 0, JF_OMIT, "release that served before"),
        F_BOOL(app_row, failed, JF_OMIT, "the target's rollout failed"),
        F_BOOL(app_row, stopped, JF_OMIT, "by hand"),
        F_ARRAY(app_row, rules, &app_rule_json, PROCESSES_PER_APP, JF_OMIT, "set by commands"),
        F_PAIRS(app_row, env, ENV_PAIRS, JF_OMIT, "set by commands"),
        F_ARRAY(app_row, routes, &route_request_json, ROUTES_PER_APP, JF_OMIT, "hosts and paths"),
        F_ARRAY(app_row, releases, &release_entry_json, RELEASES_KEPT + 2, JF_OMIT, "oldest first"),
        F_ARRAY(app_row, pushes, &push_key_json, PUSH_KEYS_MAX + 1, JF_OMIT, "oldest first"),
        { 0 },
    } };

const struct json_type config_row_json = { "config", sizeof(struct config_row),
    (const struct json_field[]){
        F_STRING(config_row, text, CONFIG_TEXT_MAX, JF_REQUIRED, "what agents read"),
        F_PAIRS(config_row, base_env, ENV_PAIRS, JF_OMIT, "of image and paas.json"),
        { 0 },
    } };

/* --- memory ----------------------------------------------------------------------------------- */

static void row_free(struct app_row *row) {
    if (row) {
        json_free(&app_row_json, row);
        free(row);
    }
}

void config_free(struct config *config) {
    if (config) {
        free(config->text);
        json_free(&release_config_json, &config->value);
        pairs_free(&config->base_env);
        free(config);
    }
}

void intent_init(struct intent *intent) {
    memset(intent, 0, sizeof(*intent));
    map_init(&intent->apps);
    map_init(&intent->configs);
}

void intent_free(struct intent *intent) {
    intent_discard(intent);
    MAP_FOREACH (e, &intent->apps) {
        row_free(e->value);
    }
    MAP_FOREACH (e, &intent->configs) {
        config_free(e->value);
    }
    map_free(&intent->apps);
    map_free(&intent->configs);
    free(intent->staged);
    free(intent->fresh);
    free(intent->notes);
    intent_init(intent);
}

/* Room for one more in an array; 0 or -1. */
static int reserve(void *items, size_t count, size_t *cap, size_t size, struct err *err) {
    void **array = items;
    if (count < *cap) {
        return 0;
    }
    size_t larger = *cap ? *cap * 2 : 8;
    void *grown = reallocarray(*array, larger, size);
    if (!grown) {
        return err_no_memory(err);
    }
    *array = grown;
    *cap = larger;
    return 0;
}

/* --- loading ---------------------------------------------------------------------------------- */

static int fill_config(struct config *config, struct config_row *row, struct err *err) {
    config->text = row->text;
    config->len = strlen(row->text);
    config->base_env = row->base_env;
    memset(row, 0, sizeof(*row));
    return json_decode(&release_config_json, config->text, config->len, &config->value, err);
}

int intent_load_config(
    struct intent *intent, const char *digest, const char *body, size_t len, struct err *err) {
    struct config_row row;
    if (json_decode(&config_row_json, body, len, &row, err) < 0) {
        return err_wrap(err, "config %s", digest);
    }
    struct config *config = calloc(1, sizeof(*config));
    if (!config) {
        json_free(&config_row_json, &row);
        return err_no_memory(err);
    }
    if (fill_config(config, &row, err) < 0 ||
        digest_of(config->text, config->len, config->digest) < 0) {
        config_free(config);
        return err_wrap(err, "config %s", digest);
    }
    if (strcmp(config->digest, digest) != 0) {
        config_free(config);
        return err_set(err, ERR_DIGEST, "config %s: its text is another's", digest);
    }
    if (map_set(&intent->configs, digest, config) < 0) {
        config_free(config);
        return err_no_memory(err);
    }
    return 0;
}

int intent_load_app(
    struct intent *intent, const char *name, const char *body, size_t len, struct err *err) {
    struct app_row *row = calloc(1, sizeof(*row));
    if (!row) {
        return err_no_memory(err);
    }
    if (json_decode(&app_row_json, body, len, row, err) < 0) {
        free(row);
        return err_wrap(err, "app %s", name);
    }
    if (strcmp(row->name, name) != 0) {
        row_free(row);
        return err_set(err, ERR_INTERNAL, "app %s: its row is another's", name);
    }
    if (map_set(&intent->apps, name, row) < 0) {
        row_free(row);
        return err_no_memory(err);
    }
    return 0;
}

int config_encode(const struct config *config, struct buf *out) {
    struct config_row row = { .text = config->text, .base_env = config->base_env };
    json_encode(&config_row_json, &row, out);
    return out->failed ? -1 : 0;
}

/* --- reading ---------------------------------------------------------------------------------- */

const struct app_row *intent_app(const struct intent *intent, const char *name) {
    return map_get(&intent->apps, name);
}

const struct config *intent_config(const struct intent *intent, const char *digest) {
    return map_get(&intent->configs, digest);
}

const struct app_row *intent_newest(const struct intent *intent, const char *name) {
    for (size_t i = intent->staged_count; i-- > 0;) {
        if (strcmp(intent->staged[i].name, name) == 0) {
            return intent->staged[i].row;
        }
    }
    return intent_app(intent, name);
}

const struct config *intent_newest_config(const struct intent *intent, const char *digest) {
    for (size_t i = intent->fresh_count; i-- > 0;) {
        if (strcmp(intent->fresh[i]->digest, digest) == 0) {
            return intent->fresh[i];
        }
    }
    return intent_config(intent, digest);
}

const struct release_entry *app_release(const struct app_row *row, int64_t release) {
    const struct release_entry *entries = row->releases.items;
    for (size_t i = 0; i < row->releases.count; i++) {
        if (entries[i].release == release) {
            return &entries[i];
        }
    }
    return NULL;
}

bool app_rolls(const struct app_row *row) {
    return row->target && row->target != row->serving && !row->failed;
}

/* --- staging ---------------------------------------------------------------------------------- */

void intent_begin(struct intent *intent) {
    intent->staged_mark = intent->staged_count;
    intent->fresh_mark = intent->fresh_count;
    intent->dropped_mark = intent->dropped.count;
    intent->note_mark = intent->note_count;
}

void intent_undo(struct intent *intent) {
    while (intent->staged_count > intent->staged_mark) {
        row_free(intent->staged[--intent->staged_count].row);
    }
    while (intent->fresh_count > intent->fresh_mark) {
        config_free(intent->fresh[--intent->fresh_count]);
    }
    while (intent->dropped.count > intent->dropped_mark) {
        free(intent->dropped.items[--intent->dropped.count]);
    }
    while (intent->note_count > intent->note_mark) {
        json_free(&event_json, &intent->notes[--intent->note_count]);
    }
}

void intent_discard(struct intent *intent) {
    intent->staged_mark = intent->fresh_mark = intent->dropped_mark = intent->note_mark = 0;
    intent_undo(intent);
    strings_free(&intent->dropped);
}

static void put_row(struct intent *intent, struct intent_staged *staged) {
    if (!staged->row) {
        row_free(map_remove(&intent->apps, staged->name));
        return;
    }
    struct app_row *old = map_get(&intent->apps, staged->name);
    if (map_set(&intent->apps, staged->name, staged->row) == 0) {
        row_free(old);
    } else {
        row_free(staged->row);
    }
}

void intent_commit(struct intent *intent) {
    for (size_t i = 0; i < intent->fresh_count; i++) {
        if (map_set(&intent->configs, intent->fresh[i]->digest, intent->fresh[i]) < 0) {
            config_free(intent->fresh[i]);
        }
    }
    for (size_t i = 0; i < intent->staged_count; i++) {
        put_row(intent, &intent->staged[i]);
    }
    for (size_t i = 0; i < intent->dropped.count; i++) {
        config_free(map_remove(&intent->configs, intent->dropped.items[i]));
    }
    intent->staged_count = intent->fresh_count = 0;
    intent_discard(intent);
}

static int stage(struct intent *intent, const char *name, struct app_row *row, struct err *err) {
    if (reserve(&intent->staged, intent->staged_count, &intent->staged_cap, sizeof(*intent->staged),
            err) < 0) {
        return -1;
    }
    struct intent_staged *staged = &intent->staged[intent->staged_count++];
    memset(staged, 0, sizeof(*staged));
    memcpy(staged->name, name, strlen(name) + 1);
    staged->row = row;
    return 0;
}

struct app_row *intent_edit(struct intent *intent, const char *name, struct err *err) {
    const struct app_row *newest = intent_newest(intent, name);
    if (!newest) {
        err_set(err, ERR_NOT_FOUND, "there is no app \"%.64s\"", name);
        err_hint(err, "paas apps lists them");
        return NULL;
    }
    for (size_t i = intent->staged_mark; i < intent->staged_count; i++) {
        if (intent->staged[i].row == newest) {
            return intent->staged[i].row;
        }
    }
    struct app_row *copy = calloc(1, sizeof(*copy));
    if (!copy) {
        err_no_memory(err);
        return NULL;
    }
    if (json_clone(&app_row_json, newest, copy, err) < 0 || stage(intent, name, copy, err) < 0) {
        row_free(copy);
        return NULL;
    }
    copy->version++;
    return copy;
}

void app_tag(const struct app_row *row, char tag[APP_TAG_SIZE]) {
    snprintf(tag, APP_TAG_SIZE, "%" PRId64 "-%" PRId64, row->created_at, row->version);
}

struct app_row *intent_create(struct intent *intent, const char *name, struct err *err) {
    size_t count = intent->apps.count;
    for (size_t i = 0; i < intent->staged_count; i++) {
        count += intent->staged[i].row && !intent_app(intent, intent->staged[i].name);
    }
    if (count >= APPS_MAX) {
        err_set(err, ERR_TOO_LARGE, "there are %d apps already", APPS_MAX);
        err_hint(err, "paas destroy APP removes one");
        return NULL;
    }
    struct app_row *row = calloc(1, sizeof(*row));
    if (!row || stage(intent, name, row, err) < 0) {
        free(row);
        err_no_memory(err);
        return NULL;
    }
    json_defaults(&app_row_json, row);
    memcpy(row->name, name, strlen(name) + 1);
    return row;
}

int intent_remove(struct intent *intent, const char *name, struct err *err) {
    return stage(intent, name, NULL, err);
}

int intent_add_config(struct intent *intent, struct config *config, struct err *err) {
    if (reserve(&intent->fresh, intent->fresh_count, &intent->fresh_cap, sizeof(*intent->fresh),
            err) < 0) {
        config_free(config);
        return -1;
    }
    intent->fresh[intent->fresh_count++] = config;
    return 0;
}

int intent_drop_config(struct intent *intent, const char *digest, struct err *err) {
    return strings_add(&intent->dropped, digest) < 0 ? err_no_memory(err) : 0;
}

int intent_note(struct intent *intent, const struct event *event, struct err *err) {
    if (reserve(&intent->notes, intent->note_count, &intent->note_cap, sizeof(*intent->notes),
            err) < 0 ||
        json_clone(&event_json, event, &intent->notes[intent->note_count], err) < 0) {
        return -1;
    }
    intent->note_count++;
    return 0;
}
