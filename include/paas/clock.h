/* Time. SPDX-License-Identifier: Apache-2.0
 *
 * Decisions use the monotonic clock, given to pure code as an argument; the wall clock is only
 * shown to people.
 */
#ifndef PAAS_CLOCK_H
#define PAAS_CLOCK_H

#include <stdint.h>

typedef int64_t msec; /* milliseconds */
typedef int64_t usec; /* microseconds */

/* Since some fixed moment, never backwards, not counting suspend (CLOCK_MONOTONIC). */
msec clock_msec(void);
usec clock_usec(void);
/* Since boot, with suspend (CLOCK_BOOTTIME): for leases. */
msec clock_boot_msec(void);
/* Since 1970, for people (CLOCK_REALTIME). */
msec clock_wall_msec(void);

enum { CLOCK_TEXT_MAX = 32 };
/* Writes `wall` as RFC 3339 in UTC with milliseconds. Returns `text`. */
const char *clock_format(msec wall, char text[CLOCK_TEXT_MAX]);

#endif
