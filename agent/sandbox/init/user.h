/* The user of an image's configuration, as numbers. SPDX-License-Identifier: Apache-2.0 */
#ifndef PAAS_INIT_USER_H
#define PAAS_INIT_USER_H

#include "failure.h"

#include <sys/types.h>

enum {
    USER_GROUPS_MAX = 32, /* supplementary groups; more are left out */
    USER_HOME_MAX = 256,
};

struct user {
    uid_t uid;
    gid_t gid;
    uint32_t group_count;
    gid_t groups[USER_GROUPS_MAX];
    char home[USER_HOME_MAX]; /* absolute, or "" when the image doesn't say */
};

enum user_flags {
    USER_NEED_HOME = 1 << 0, /* the home directory is wanted */
};

/* Resolves "", "user" or "user:group", names or numbers, as Docker does: "" is 0; a user without
 * group has its own and its supplementary ones; a number need not be in /etc/passwd. The image's
 * files are read by a process that has nothing left but the right to read them; what it says is
 * checked. Blocks for at most USER_WAIT_MS. */
int user_resolve(
    const char *text, enum user_flags flags, struct user *user, struct failure *failure);

#endif
