/* Commands that change an app. SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_CHANGE_H
#define CLI_CHANGE_H

#include <paas/err.h>

#include "cli.h"

extern const struct option_row change_options[], kill_options[], destroy_options[],
    autoscale_options[];

int scale_run(struct cli *cli, struct err *err);
int autoscale_run(struct cli *cli, struct err *err);
int rollback_run(struct cli *cli, struct err *err);
int restart_run(struct cli *cli, struct err *err);
int stop_run(struct cli *cli, struct err *err);
int start_run(struct cli *cli, struct err *err);
int env_run(struct cli *cli, struct err *err);
int route_run(struct cli *cli, struct err *err);
int kill_run(struct cli *cli, struct err *err);
int destroy_run(struct cli *cli, struct err *err);

#endif
