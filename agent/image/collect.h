/* Finds layers on disk that nobody uses. SPDX-License-Identifier: Apache-2.0 */
#ifndef IMAGE_COLLECT_H
#define IMAGE_COLLECT_H

#include <stddef.h>

#include <paas/err.h>
#include <paas/map.h>
#include <paas/strings.h>

enum { COLLECT_MAX = 10000 /* directories looked at; more are left for the next time */ };

/* Appends to `out` the layers below `directory` that are no key of `wanted`, but for the `spare`
 * ones whose value in `used` is greatest. */
int collect_unused(int directory, const struct map *wanted, const struct map *used, size_t spare,
    struct strings *out, struct err *err);

#endif
