/* The three clocks of paas-init. SPDX-License-Identifier: Apache-2.0 */
#ifndef PAAS_INIT_NOW_H
#define PAAS_INIT_NOW_H

#include <stdint.h>
#include <time.h>

static inline int64_t now_us(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* With suspend: leases and deadlines. */
static inline int64_t now_boot_ms(void) {
    return now_us(CLOCK_BOOTTIME) / 1000;
}

/* For people. */
static inline int64_t now_wall_ms(void) {
    return now_us(CLOCK_REALTIME) / 1000;
}

/* For rates and short waits. */
static inline int64_t now_mono_us(void) {
    return now_us(CLOCK_MONOTONIC);
}

#endif
