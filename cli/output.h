/* Commands that print what apps and the platform said: logs and events.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include <paas/err.h>

#include "cli.h"

extern const struct option_row logs_options[], events_options[];

int logs_run(struct cli *cli, struct err *err);
int events_run(struct cli *cli, struct err *err);

#endif
