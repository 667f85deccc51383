/* One run of `paas`: what was asked, and how to answer. SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>
#include <stdio.h>

#include <paas/err.h>

#include "options.h"

enum output {
    OUTPUT_TEXT, /* for people; tables fit the terminal */
    OUTPUT_WIDE, /* all columns */
    OUTPUT_JSON, /* stable JSON on standard output and nothing else */
};

struct client;

struct cli {
    const struct command *command;
    struct options options;
    enum output output;
    bool color;            /* standard error is a terminal that wants it */
    int width;             /* of standard output in columns; 0: not a terminal */
    struct client *client; /* made when first needed: cli_client() */
    int exit_status;       /* of a run that succeeded: `exec` passes its program's */
};

/* The argument number `index`, or NULL. */
const char *cli_arg(const struct cli *cli, size_t index);
/* Where words for people go: standard output, but standard error with JSON there. */
FILE *cli_words(const struct cli *cli);
/* The client of the platform that --api, PAAS_API or the default name. NULL with *err. */
struct client *cli_client(struct cli *cli, struct err *err);
/* Writes an error as people read it (what, why, what to try), or as a problem document. */
void cli_print_error(const struct cli *cli, const struct err *err);

#endif
