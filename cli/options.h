/* Options and arguments of a command line, by table. Pure. SPDX-License-Identifier: Apache-2.0
 *
 * "--name VALUE", "--name=VALUE", "-x VALUE", "-xVALUE"; flags of one letter may be joined; "--"
 * ends options and begins what is passed on; "-" is an argument. Abbreviations are refused.
 */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include <paas/err.h>

struct option_row {
    const char *name;  /* without "--" */
    char letter;       /* 0: none */
    const char *value; /* what its value is called; NULL: a flag */
    const char *doc;
};

enum { OPTIONS_MAX = 1024 /* options and arguments of one command line */ };

struct option_given {
    const struct option_row *row;
    const char *value; /* NULL: a flag */
};

/* Points into argv; nothing to free but the arrays. */
struct options {
    struct option_given *given;
    size_t given_count;
    const char **args;
    size_t arg_count;
    const char **rest; /* behind "--", ended by NULL; NULL when there was no "--" */
    size_t rest_count;
};

/* Reads argv[0..argc) by the rows of `own` and `common` (each ended by a row without a name).
 * ERR_USAGE with the nearest option. On failure *out holds nothing. */
int options_parse(const struct option_row *own, const struct option_row *common, int argc,
    char *const *argv, struct options *out, struct err *err);
void options_free(struct options *options);

/* The last value of an option, or NULL. */
const char *options_value(const struct options *options, const char *name);
bool options_flag(const struct options *options, const char *name);
/* The values of an option in order: start with *cursor 0, ends with NULL. */
const char *options_next(const struct options *options, const char *name, size_t *cursor);

#endif
