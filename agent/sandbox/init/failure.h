/* Why an instance could not start: a stage, an errno value, a word.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PAAS_INIT_FAILURE_H
#define PAAS_INIT_FAILURE_H

#include <paas/init.h>

#include <stdint.h>

struct failure {
    uint32_t stage; /* enum init_stage */
    int32_t sys;    /* errno, or 0 */
    char text[INIT_TEXT_MAX];
};

/* Fills *failure; `text` may be NULL and is cut to fit. Returns -1. */
int failure_set(struct failure *failure, enum init_stage stage, int sys, const char *text);

#endif
