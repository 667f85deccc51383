/* What is desired, in memory: apps, their releases and configurations, and every change of them.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Pure: no I/O, no clock. Rows are read from the store at the start. Changes are staged: each works
 * on copies, sees the changes staged before it, and leaves nothing when it fails. Several staged
 * changes are committed as one batch, and only then become what intent_app() shows.
 */
#ifndef PAAS_INTENT_H
#define PAAS_INTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <paas/err.h>
#include <paas/json_bind.h>
#include <paas/map.h>
#include <paas/model.h>
#include <paas/oci.h>
#include <paas/rest.h>

enum {
    CONFIG_TEXT_MAX = 1 << 20, /* bytes of a release's configuration */
    ENV_BYTES_MAX = 256 << 10, /* bytes of an app's environment: execve takes 2 MiB with all else */
    APP_TAG_SIZE = 42,         /* two numbers, a dash and a NUL */
    PUSH_KEYS_MAX = 32,        /* of an app: a client repeats the last ones */
};

#define VERDICTS(X)                                                                                \
    X(ROLLING, "rolling")                                                                          \
    X(DONE, "done")                                                                                \
    X(FAILED, "failed")                                                                            \
    X(SUPERSEDED, "superseded")
enum verdict {
#define X(id, name) VERDICT_##id,
    VERDICTS(X)
#undef X
};

struct release_entry {
    int64_t release;
    int64_t created_at;
    int verdict; /* enum verdict */
    char image[DIGEST_SIZE];
    char config[DIGEST_SIZE];
    char code[40]; /* why it failed: a stable name */
    char *reason;  /* and a sentence */
};

struct app_rule {
    char process[NAME_SIZE];
    struct scale_rule rule;
};

/* A push that named itself, so that asking for it twice is no second one. */
struct push_key {
    char key[DIGEST_SIZE];  /* of what the client called it */
    char body[DIGEST_SIZE]; /* of what it asked for */
    int64_t release, at;    /* at: wall clock */
};

struct app_row {
    char name[NAME_SIZE];
    int64_t created_at;
    int64_t version;      /* grows with each change */
    int64_t last_release; /* highest number given out */
    int64_t serving, target, attempt;
    int64_t kept; /* release that served before the serving one took over; 0: none */
    bool failed, stopped;
    struct json_array rules;    /* struct app_rule, set by commands */
    struct pairs env;           /* set by commands */
    struct json_array routes;   /* struct route_request */
    struct json_array releases; /* struct release_entry, oldest first */
    struct json_array pushes;   /* struct push_key, oldest first */
};

/* A release's configuration as it is kept: the text that agents read, and the environment of image
 * and paas.json, over which the app's goes again when it changes. */
struct config_row {
    char *text;
    struct pairs base_env;
};

struct config {
    char digest[DIGEST_SIZE]; /* of `text` */
    char *text;
    size_t len;
    struct release_config value; /* what `text` says */
    struct pairs base_env;
};

extern const struct json_type app_row_json, config_row_json;

struct intent_staged {
    char name[NAME_SIZE];
    struct app_row *row; /* NULL: destroyed */
};

struct intent {
    struct map apps;    /* name to struct app_row */
    struct map configs; /* digest to struct config */

    struct intent_staged *staged; /* in their order: the last one of a name counts */
    size_t staged_count, staged_cap;
    struct config **fresh; /* configurations that came */
    size_t fresh_count, fresh_cap;
    struct strings dropped; /* digests of configurations that go */
    struct event *notes;    /* what to tell people once it is durable; sequence and at are 0 */
    size_t note_count, note_cap;
    size_t staged_mark, fresh_mark, dropped_mark, note_mark; /* where the present change began */
};

void intent_init(struct intent *intent);
void intent_free(struct intent *intent);

/* Rows of the store. Errors: those of json_decode, ERR_DIGEST. */
int intent_load_config(
    struct intent *intent, const char *digest, const char *body, size_t len, struct err *err);
int intent_load_app(
    struct intent *intent, const char *name, const char *body, size_t len, struct err *err);
/* A config's row for the store. */
int config_encode(const struct config *config, struct buf *out);
void config_free(struct config *config);

/* Committed state; NULL when there is none. */
const struct app_row *intent_app(const struct intent *intent, const char *name);
const struct config *intent_config(const struct intent *intent, const char *digest);
const struct release_entry *app_release(const struct app_row *row, int64_t release);
bool app_rolls(const struct app_row *row);
/* Names this state of the app among all that ever were, for ETag and If-Match. */
void app_tag(const struct app_row *row, char tag[APP_TAG_SIZE]);

/* A change: begin, any calls below, then keep or undo. */
void intent_begin(struct intent *intent);
void intent_undo(struct intent *intent);
/* The batch is durable, or failed. */
void intent_commit(struct intent *intent);
void intent_discard(struct intent *intent);

/* A change's working copy of an app, after all that is staged. ERR_NOT_FOUND. */
struct app_row *intent_edit(struct intent *intent, const char *name, struct err *err);
/* The app as it is with all that is staged; NULL when there is none. */
const struct app_row *intent_newest(const struct intent *intent, const char *name);
const struct config *intent_newest_config(const struct intent *intent, const char *digest);
struct app_row *intent_create(struct intent *intent, const char *name, struct err *err);
int intent_remove(struct intent *intent, const char *name, struct err *err);
/* Takes the config. */
int intent_add_config(struct intent *intent, struct config *config, struct err *err);
int intent_drop_config(struct intent *intent, const char *digest, struct err *err);
/* Notes an event; texts are copied. */
int intent_note(struct intent *intent, const struct event *event, struct err *err);

/* --- the changes; `now` is wall time, the answer's sequence and url are the caller's ------------
 */

struct intent_push {
    const struct release_request *request;
    const struct oci_image *image; /* NULL: the current one */
    struct push_key key;           /* key "": it has no name; release and at do not count */
};
/* 1 when a push of this name and body was done within a day: *out is its answer; 0 when there was
 * none; -1, ERR_BAD_VALUE, when one of this name asked for something else. */
int intent_pushed(const struct intent *intent, const char *app, const struct intent_push *push,
    int64_t now, struct change_answer *out, struct err *err);
int intent_push(struct intent *intent, const char *app, const struct intent_push *push, int64_t now,
    struct change_answer *out, struct err *err);
int intent_restart(struct intent *intent, const char *app, int64_t now, struct change_answer *out,
    struct err *err);
/* `release` 0: back to the serving one when another rolls, else to the one before it. */
int intent_rollback(struct intent *intent, const char *app, int64_t release,
    struct change_answer *out, struct err *err);
int intent_stop(struct intent *intent, const char *app, struct change_answer *out, struct err *err);
int intent_start(
    struct intent *intent, const char *app, struct change_answer *out, struct err *err);
int intent_scale(struct intent *intent, const char *app, const struct scale_request *request,
    struct change_answer *out, struct err *err);
int intent_autoscale(struct intent *intent, const char *app,
    const struct autoscale_request *request, struct change_answer *out, struct err *err);
int intent_env(struct intent *intent, const char *app, const struct env_request *request,
    int64_t now, struct change_answer *out, struct err *err);
int intent_route_add(struct intent *intent, const char *app, const struct route_request *request,
    struct change_answer *out, struct err *err);
int intent_route_remove(struct intent *intent, const char *app, const char *host, const char *path,
    struct change_answer *out, struct err *err);
int intent_destroy(
    struct intent *intent, const char *app, struct change_answer *out, struct err *err);

struct intent_verdict {
    const char *app;
    int64_t release, attempt;
    bool done;
    enum err_code code; /* why not */
    const char *reason;
    const char *process;
    const char *instance; /* whose end decided it, or "" */
};
/* One that is not of the present rollout changes nothing. */
int intent_verdict(struct intent *intent, const struct intent_verdict *verdict, struct err *err);

#endif
