/* Commands that change an app. SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_CHANGE_H
#define CLI_CHANGE_H

#include <paas/err.h>
#include <paas/http_parse.h>
#include <paas/rest.h>

#include "cli.h"

extern const struct option_row change_options[], kill_options[], destroy_options[];

/* Sends the struct `in` of `type` to `what` of the app in the first argument. */
int change_send(struct cli *cli, enum http_method method, const char *what,
    const struct json_type *type, const void *in, struct change_answer *out, struct err *err);

int scale_run(struct cli *cli, struct err *err);
int rollback_run(struct cli *cli, struct err *err);
int restart_run(struct cli *cli, struct err *err);
int stop_run(struct cli *cli, struct err *err);
int start_run(struct cli *cli, struct err *err);
int env_run(struct cli *cli, struct err *err);
int route_run(struct cli *cli, struct err *err);
int kill_run(struct cli *cli, struct err *err);
int destroy_run(struct cli *cli, struct err *err);

#endif
