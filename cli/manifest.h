/* What a directory says about its app: paas.json, or a Procfile. SPDX-License-Identifier:
 * Apache-2.0 */
#ifndef CLI_MANIFEST_H
#define CLI_MANIFEST_H

#include <stddef.h>

#include <paas/err.h>
#include <paas/model.h>

struct manifest_source {
    const char *file; /* "paas.json" or "Procfile" */
};

/* Reads the description of the app in the directory `path`. Free with json_free(&manifest_json,
 * out). Errors name the file, the place in it, and the nearest key. ERR_NOT_FOUND when there is no
 * such directory or no description in it. */
int manifest_load(
    const char *path, struct manifest *out, struct manifest_source *source, struct err *err);

/* The command of a Procfile's line as words. What needs a shell (variables, pipes, globs) becomes
 * {"/bin/sh", "-c", line}. Pure. ERR_BAD_MANIFEST for a quote without its end. */
int manifest_command(const char *line, struct strings *out, struct err *err);
/* A whole Procfile. Pure. */
int manifest_procfile(const char *text, struct manifest *out, struct err *err);

/* Where the member that `place` names ("processes.web.port") stands in JSON text: line and column
 * from 1 on, or 0 when it is not found. Pure. */
void manifest_locate(const char *text, const char *place, int *line, int *column);

/* `paas config check [DIR]`. */
struct cli;
int manifest_check_run(struct cli *cli, struct err *err);

#endif
