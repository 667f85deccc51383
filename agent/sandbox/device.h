/* /dev of every instance: one small read-only tree, made once and cloned.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SANDBOX_DEVICE_H
#define SANDBOX_DEVICE_H

#include <paas/err.h>

/* Makes the tree as a detached, read-only mount: six device nodes, the usual links, and the
 * directories `pts` and `shm` to mount on. Returns the mount. */
int device_tree(struct err *err);

#endif
