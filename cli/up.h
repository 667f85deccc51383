/* `paas up` and `paas down`. SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_UP_H
#define CLI_UP_H

#include <paas/err.h>

#include "cli.h"

/* ERR_FORBIDDEN unless we are root. */
int up_need_root(struct err *err);
int up_run(struct cli *cli, struct err *err);
int down_run(struct cli *cli, struct err *err);

#endif
