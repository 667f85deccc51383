/* What a daemon gives up before it reads a byte of anybody else's. SPDX-License-Identifier:
 * Apache-2.0 */
#ifndef PAAS_PRIVILEGES_H
#define PAAS_PRIVILEGES_H

#include <stdint.h>

#include <paas/err.h>

/* For a daemon that serves: no capability in any set, no new privileges, not dumpable (but under
 * the sanitizers, whose leak check traces the process at its end), and only the system calls of
 * common/daemon_calls.def and of `more` (names, the last one NULL; may be NULL). Sockets are local
 * or of the Internet, what is cloned is a thread. Any other call fails with EPERM, clone3, whose
 * flags no filter can read, with ENOSYS. The filter holds for threads that run already, the loss of
 * capabilities only for those to come: call it first. */
int privileges_drop(const char *const *more, struct err *err);

/* For a process that stays root: of its capabilities only those in `keep` (bit 1 << CAP_X), in no
 * set any other, none inheritable or ambient; no new privileges; and none of the system calls of
 * common/root_refused.def, which fail with EPERM, nor may what it starts. Capabilities that it does
 * not have to begin with it does not get. */
int privileges_keep(uint64_t keep, struct err *err);

#endif
