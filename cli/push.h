/* `paas push`: from files to a release that serves. SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_PUSH_H
#define CLI_PUSH_H

#include <paas/err.h>

#include "cli.h"

extern const struct option_row push_options[];
int push_run(struct cli *cli, struct err *err);

#endif
