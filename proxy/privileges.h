/* What the proxy gives up once it runs. SPDX-License-Identifier: Apache-2.0 */
#ifndef PAAS_PROXY_PRIVILEGES_H
#define PAAS_PROXY_PRIVILEGES_H

#include <paas/err.h>

/* No new privileges, no capabilities, not dumpable, and for this thread and all that it starts a
 * list of system calls outside of which each call fails with EPERM (an unknown one with ENOSYS, so
 * that a newer libc falls back). Call it before threads are started. */
int privileges_drop(struct err *err);

#endif
