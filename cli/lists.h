/* How lists of the API look as tables. SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_LISTS_H
#define CLI_LISTS_H

#include <paas/err.h>

#include "cli.h"
#include "show.h"

extern const struct column app_columns[], instance_columns[], release_columns[];
extern const struct option_row ps_options[];

/* `paas ps [APP]`. */
int ps_run(struct cli *cli, struct err *err);

#endif
