/* Least numbers of instances by time of day. SPDX-License-Identifier: Apache-2.0
 *
 * Text of lines "DAYS FROM-TO MIN", separated by ';': "mon-fri 08:00-18:00 4; sat,sun 10:00-14:00
 * 2". DAYS is "daily", or days and ranges of days with commas between; a range may go over the end
 * of the week. Times are hours and minutes, 24:00 the end of the day; one that ends before it
 * begins goes on until the next day, and its days are those it begins on. Where several lines are
 * in force the largest number counts.
 *
 * Pure: the caller says which day and minute it is.
 */
#ifndef PAAS_SCHEDULE_H
#define PAAS_SCHEDULE_H

#include <stddef.h>
#include <stdint.h>

#include <paas/err.h>

enum { SCHEDULE_LINES = 16, DAY_MINUTES = 24 * 60 };

struct schedule {
    struct schedule_line {
        uint8_t days; /* bit 0: Sunday, as tm_wday counts */
        int from, to; /* minutes of the day; `to` is at most DAY_MINUTES */
        int64_t min;  /* 0..INSTANCES_PER_NODE */
    } lines[SCHEDULE_LINES];
    size_t count;
};

/* "" has no line. ERR_BAD_VALUE with the line that is wrong and how one looks. */
int schedule_parse(const char *text, struct schedule *out, struct err *err);
/* What is asked for on `weekday` (0: Sunday) at `minute` of that day; 0 when nothing is. */
int64_t schedule_min(const struct schedule *schedule, int weekday, int minute);
/* The largest number of all lines. */
int64_t schedule_most(const struct schedule *schedule);

#endif
