/* The app's process, from clone to execve. SPDX-License-Identifier: Apache-2.0 */
#ifndef PAAS_INIT_APP_H
#define PAAS_INIT_APP_H

#include "failure.h"
#include "start.h"
#include "user.h"

#include <sys/types.h>

struct app {
    pid_t pid;
    int output[2]; /* read ends of its standard output and error, non-blocking */
    int launch_fd; /* what the child says before execve; end of file means that it runs */
};

struct app_plan {
    const struct start *start;
    const struct user *user;
    int joins; /* descriptors from INIT_FD_JOIN on */
};

enum app_news {
    APP_NEWS_NONE,     /* nothing yet */
    APP_NEWS_LISTENER, /* *listener_fd is the seccomp notifier, now the caller's */
    APP_NEWS_RUNNING,  /* execve succeeded, or the child died before it could tell */
    APP_NEWS_FAILED,   /* *failure says why it never ran */
};

/* Makes the process in its cgroup and lets it become the app; returns at once. Call with all
 * signals blocked. */
int app_launch(struct app *app, const struct app_plan *plan, struct failure *failure);
/* The next news on launch_fd, without waiting. After RUNNING or FAILED there is none: close it. */
enum app_news app_news(struct app *app, int *listener_fd, struct failure *failure);

#endif
