/* What the files of changes share. SPDX-License-Identifier: Apache-2.0 */
#ifndef API_CHANGES_H
#define API_CHANGES_H

#include <paas/intent.h>

/* Notes an event about the app. */
int change_note(struct intent *intent, const char *type, const struct app_row *row, int64_t release,
    struct err *err, const char *format, ...) __attribute__((format(printf, 6, 7)));
/* Grows an array of `size`d items by one zeroed item; NULL without memory. */
void *change_array_add(struct json_array *array, size_t size, struct err *err);
void change_array_remove(struct json_array *array, size_t size, size_t index);
/* The release that a change of environment or a restart starts from: the one that rolls, else the
 * one that serves, else the one that failed. */
int64_t change_current(const struct app_row *row);
const struct config *change_current_config(const struct intent *intent, const struct app_row *row);
/* Fills the answer of a change that is about `release`. */
void change_answer_fill(const struct app_row *row, int64_t release, struct change_answer *out);
/* A new release from the present one, with `env` over the environment of image and paas.json. */
int change_renew(struct intent *intent, struct app_row *row, const struct pairs *env, int64_t now,
    struct err *err);
/* Adds a route unless the app has it. ERR_CONFLICT names the app that does. */
int change_add_route(struct intent *intent, struct app_row *row, const char *host, const char *path,
    struct err *err);

#endif
