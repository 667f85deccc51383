/* The programs that belong together. SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_PROGRAMS_H
#define CLI_PROGRAMS_H

#include <limits.h>

#include <paas/err.h>

/* Writes the path of `name` in the directory of the running program. ERR_UNAVAILABLE, with the
 * path, when it is not there or can't be run. */
int program_find(const char *name, char path[PATH_MAX], struct err *err);

#endif
