/* Lines that tell how long work goes, on standard error. SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <paas/clock.h>

#include "cli.h"

/* "  upload    2 of 3 layers, 18K                            0.03 s"; `ms` below 0: no time. */
void progress_step(const struct cli *cli, msec ms, const char *step, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* "    | text": a line of an app. */
void progress_quote(const struct cli *cli, const char *text);

#endif
