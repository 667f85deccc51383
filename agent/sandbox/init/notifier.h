/* The seccomp notifier of the app. SPDX-License-Identifier: Apache-2.0 */
#ifndef PAAS_INIT_NOTIFIER_H
#define PAAS_INIT_NOTIFIER_H

#include <stdbool.h>
#include <stdint.h>

enum {
    NOTIFIER_BURST = 256,         /* calls answered in one window */
    NOTIFIER_WINDOW_US = 1000000, /* a flood waits for the next one, and costs only itself */
};

struct notifier {
    int fd;               /* -1: none */
    int64_t window_start; /* monotonic µs */
    uint32_t answered;    /* in this window */
    uint32_t listen_calls;
    uint32_t refused_calls;
    int32_t refused_last; /* number of the last refused call, or -1 */
};

void notifier_init(struct notifier *notifier);
/* Takes the listener descriptor. */
void notifier_attach(struct notifier *notifier, int fd);
void notifier_close(struct notifier *notifier);
/* May it be polled now? If not, *wait_us is set to when it may. */
bool notifier_ready(struct notifier *notifier, int64_t now_us, int64_t *wait_us);

enum notifier_news {
    NOTIFIER_NONE,
    NOTIFIER_LISTEN,  /* a call of listen goes on; it acts after this answer */
    NOTIFIER_REFUSED, /* another call got EPERM */
};

/* Receives and answers one call. Only after poll said POLLIN: it would wait. */
enum notifier_news notifier_answer(struct notifier *notifier);

#endif
