/* Help, completion and reference, printed from the table of commands.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_HELP_H
#define CLI_HELP_H

#include <stdio.h>

#include "cli.h"
#include "commands.h"

/* All commands in a line each. */
void help_overview(FILE *to);
/* One command: examples first, then what it does and its options. */
void help_command(FILE *to, const struct command *command);

/* `paas help [COMMAND|exit-codes]`, `paas explain CODE`, `paas completion SHELL`. */
int help_run(struct cli *cli, struct err *err);
int explain_run(struct cli *cli, struct err *err);
int completion_run(struct cli *cli, struct err *err);

/* ERR_USAGE for a word that is no command, with the nearest. */
int help_unknown(const char *word, struct err *err);

#endif
