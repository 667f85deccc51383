/* The last steps of a process of ours that becomes one of the app's. SPDX-License-Identifier:
 * Apache-2.0
 *
 * In this order: become_map_filter while descriptors are there, become_user, become_resident,
 * become_filtered, become_command.
 */
#ifndef PAAS_INIT_BECOME_H
#define PAAS_INIT_BECOME_H

#include "failure.h"
#include "start.h"
#include "user.h"

#include <linux/filter.h>

/* Maps the filter in the sealed memfd INIT_FD_SECCOMP. */
int become_map_filter(struct sock_fprog *program, struct failure *failure);
/* Takes the user's ids and groups, and loses every capability. */
int become_user(const struct user *user, struct failure *failure);
/* Enters the working directory, as the user it has become, and makes sure that it is in the root.
 */
int become_resident(const char *cwd, struct failure *failure);
/* Installs the filter. Returns the notifier with SECCOMP_FILTER_FLAG_NEW_LISTENER in `flags`, else
 * 0; -1 with *failure filled. */
int become_filtered(const struct sock_fprog *program, unsigned flags, struct failure *failure);
/* Lets signals through again and executes the command, which is searched in PATH. Returns only when
 * that failed, with *failure filled. */
void become_command(const struct start *start, struct failure *failure);

#endif
