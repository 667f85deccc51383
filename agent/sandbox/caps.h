/* Privileges given up. SPDX-License-Identifier: Apache-2.0 */
#ifndef SANDBOX_CAPS_H
#define SANDBOX_CAPS_H

#include <paas/err.h>

#include <stdint.h>

/* Keeps of all capabilities exactly those in `keep` (a mask of 1 << CAP_…): permitted, effective,
 * inheritable and ambient, so that the next execve has them; the bounding set becomes empty. The
 * securebits NOROOT and NO_CAP_AMBIENT_RAISE and all locks are set: being uid 0 means nothing.
 * Sets no_new_privs. The caller has all capabilities of its user namespace. */
int caps_keep(uint64_t keep, struct err *err);

#endif
