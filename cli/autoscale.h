/* `paas autoscale`. SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_AUTOSCALE_H
#define CLI_AUTOSCALE_H

#include <paas/err.h>

#include "cli.h"

extern const struct option_row autoscale_options[];

int autoscale_run(struct cli *cli, struct err *err);

#endif
