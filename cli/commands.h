/* The table of commands. SPDX-License-Identifier: Apache-2.0
 *
 * A row is all that help, completion, docs/cli.md and the dispatcher know of a command. Most
 * commands are one request to the API: the row has it. `run` is for those that are more.
 */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include <paas/http_words.h>
#include <paas/json_bind.h>

#include "cli.h"
#include "options.h"

struct column;

struct command {
    const char *name;    /* one word, or two: "config check" */
    const char *args;    /* "APP [N]" */
    const char *doc;     /* one line, begins with a capital, no full stop */
    const char *about;   /* more, or NULL */
    const char *example; /* lines of "paas …" */
    size_t args_min, args_max;
    const struct option_row *options; /* beside the common ones; NULL: none */

    int (*run)(struct cli *cli, struct err *err);

    /* Without `run`: one request. {0}, {1} in the path are arguments. */
    enum http_method method;
    const char *path;
    const struct json_type *type; /* of the answer, or of its items */
    const struct column *columns; /* a table of items; NULL: the answer is one object */
    const char *said;             /* what is said when it is done; {0} as in the path */
};

extern const struct command commands[]; /* ended by a row without a name */
extern const struct option_row common_options[];

/* The command that argv begins with; *words is how many of them name it. NULL when none. */
const struct command *command_find(int argc, char *const *argv, int *words);

#endif
