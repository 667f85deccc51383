/* Commands that are one request: the row of the table is all there is.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_REQUEST_H
#define CLI_REQUEST_H

#include <stddef.h>

#include <paas/err.h>

#include "cli.h"

/* Runs cli->command by its method, path, type and columns. */
int request_run(struct cli *cli, struct err *err);
/* Puts the arguments in the places {0}, {1} of `pattern`, escaped. */
int request_path(
    const struct cli *cli, const char *pattern, char *path, size_t size, struct err *err);
/* Does one request of a command and prints its answer: the body as it came with -o json, else the
 * command's table or its words. `in` of `in_type` is the body; NULL: none. */
struct json_type;
int request_send(struct cli *cli, const char *path, const struct json_type *in_type, const void *in,
    struct err *err);

#endif
