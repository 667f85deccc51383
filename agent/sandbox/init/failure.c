/* Why an instance could not start. SPDX-License-Identifier: Apache-2.0 */
#include "failure.h"

#include <string.h>

int failure_set(struct failure *failure, enum init_stage stage, int sys, const char *text) {
    memset(failure, 0, sizeof *failure);
    failure->stage = stage;
    failure->sys = sys;
    if (text) {
        size_t len = strnlen(text, sizeof failure->text - 1);
        memcpy(failure->text, text, len);
    }
    return -1;
}
