/* Structs for people and for programs: tables that fit the terminal, JSON.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_SHOW_H
#define CLI_SHOW_H

#include <stddef.h>
#include <stdio.h>

#include <paas/buf.h>
#include <paas/json_bind.h>

#include "cli.h"

enum column_form {
    FORM_PLAIN,   /* by the field's kind: "128M", "0.5", "healthy" */
    FORM_MS,      /* an integer of ms as a duration; negative is "-" */
    FORM_AGE,     /* a wall time as the duration since */
    FORM_RELEASE, /* a release: "v3", "-" for 0 */
    FORM_TIME,    /* a wall time as hour, minute, second, ms */
};

/* A column of a table. Rows that end a table have no title. */
struct column {
    const char *title;
    const char *field; /* "last_exit.reason": members of the type, by name */
    enum column_form form;
    int minor; /* the greater, the sooner it is dropped from a narrow terminal; 0: never */
};

/* Appends the text of one field of `value` to `out`; nothing when it is empty. */
void show_field(
    const struct json_type *type, const void *value, const struct column *column, struct buf *out);
/* Prints a table of `items`, with a head line. A terminal of `width` columns loses minor columns
 * first, then cells are cut in the middle; width 0 shows all. */
void show_table(FILE *to, const struct column *columns, const struct json_type *type,
    const struct json_array *items, int width);
/* Prints a list of structs as one line of JSON. */
void show_json_list(const struct json_type *type, const struct json_array *items);
/* Prints one struct as a line of JSON, on standard output. */
void show_json(const struct json_type *type, const void *value);

#endif
