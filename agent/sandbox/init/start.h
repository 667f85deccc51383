/* The start block, read and checked. SPDX-License-Identifier: Apache-2.0 */
#ifndef PAAS_INIT_START_H
#define PAAS_INIT_START_H

#include "failure.h"
#include "user.h"

#include <paas/init.h>

#include <stddef.h>

struct start {
    const struct init_start *header; /* mapped read-only */
    size_t mapped;                   /* bytes */
    char *argv[INIT_ARGS_MAX + 1];   /* point into the map; NULL ends them */
    char *envp[INIT_ENV_MAX + 2];    /* ... with room for HOME */
    char home[sizeof "HOME=" + USER_HOME_MAX];
    const char *cwd;
    const char *user;
};

/* Where descriptor `fd` is a socket, waits for the memfd that it brings and puts it in its place;
 * ends the process when the other end closes instead. -1 with *failure when what comes is none. */
int start_await(int fd, struct failure *failure);
/* Maps the sealed memfd `fd` and checks all of it. -1 with *failure filled when it isn't a start
 * block, isn't sealed, or a value is out of range. */
int start_read(struct start *start, int fd, struct failure *failure);
/* Unmaps it: the app's secrets leave this process. Pointers into it are gone. */
void start_close(struct start *start);
/* Resolves the block's user, and sets HOME from it where the block has none, as Docker does. */
int start_home(struct start *start, struct user *user, struct failure *failure);
/* The value of a variable, or NULL. */
const char *start_env(const struct start *start, const char *name);

#endif
