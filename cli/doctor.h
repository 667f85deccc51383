/* `paas doctor`: what a platform needs of its host. SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_DOCTOR_H
#define CLI_DOCTOR_H

#include <paas/err.h>

#include "cli.h"

extern const struct option_row doctor_options[];
int doctor_run(struct cli *cli, struct err *err);

#endif
