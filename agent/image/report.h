/* How a helper writes its report. SPDX-License-Identifier: Apache-2.0 */
#ifndef IMAGE_REPORT_H
#define IMAGE_REPORT_H

#include <paas/unpack.h>

/* Writes `report` with the outcome `err`. Returns the helper's exit status. */
int report_write(int fd, struct unpack_report *report, const struct err *err);

#endif
