/* The lowest layer of stack `host`: what is in the root beside the host's /usr.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SANDBOX_SKELETON_H
#define SANDBOX_SKELETON_H

#include <paas/err.h>

/* Fills the existing directory `name` below `dir`. Nothing of the host's /etc is in it but a few
 * public tables that programs in /usr need. */
int skeleton_make(int dir, const char *name, struct err *err);

#endif
