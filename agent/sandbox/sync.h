/* What parent and child say to each other between clone3 and execve.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The parent sends one message: the descriptors that were made while the child built its root. The
 * child sends READY just before execve, or FAILED with its error. The end of the stream after READY
 * means that execve succeeded. */
#ifndef SANDBOX_SYNC_H
#define SANDBOX_SYNC_H

#include <paas/err.h>

enum {
    SYNC_FDS_MAX = 32,        /* descriptors in the parent's message */
    SYNC_TIMEOUT_SECONDS = 30 /* of either side for the other: then something is badly stuck */
};

/* Makes the two connected ends. */
int sync_open(int ends[2], struct err *err);
/* Parent: sends `count` descriptors. A child that has failed already does not take them, and that is
 * no error here: sync_wait says why it failed. */
int sync_send(int end, const int *fds, int count, struct err *err);
/* Child: receives exactly `count` descriptors. */
int sync_receive(int end, int *fds, int count, struct err *err);
/* Child: about to exec. */
int sync_ready(int end, struct err *err);
/* Child: has failed. */
void sync_failed(int end, const struct err *why);
/* Parent: waits until the child has exec'ed. -1 with the child's error, or one that says that it
 * died. */
int sync_wait(int end, struct err *err);

#endif
