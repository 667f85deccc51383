/* Time. SPDX-License-Identifier: Apache-2.0 */
#include <paas/clock.h>

#include <stdio.h>
#include <time.h>

static usec read_clock(clockid_t id) {
    struct timespec now;
    clock_gettime(id, &now);
    return (usec)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

msec clock_msec(void) {
    return read_clock(CLOCK_MONOTONIC) / 1000;
}

usec clock_usec(void) {
    return read_clock(CLOCK_MONOTONIC);
}

msec clock_boot_msec(void) {
    return read_clock(CLOCK_BOOTTIME) / 1000;
}

msec clock_wall_msec(void) {
    return read_clock(CLOCK_REALTIME) / 1000;
}

const char *clock_format(msec wall, char text[CLOCK_TEXT_MAX]) {
    time_t seconds = (time_t)(wall / 1000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    size_t used = strftime(text, CLOCK_TEXT_MAX, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text + used, CLOCK_TEXT_MAX - used, ".%03dZ", (int)(wall % 1000));
    return text;
}
