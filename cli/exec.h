/* `paas exec`: a command in a running instance. SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_EXEC_H
#define CLI_EXEC_H

#include <paas/err.h>

#include "cli.h"

extern const struct option_row exec_options[];
int exec_run(struct cli *cli, struct err *err);

#endif
