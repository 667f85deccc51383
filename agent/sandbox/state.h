/* The files that paas-init writes in an instance's directory. SPDX-License-Identifier: Apache-2.0
 *
 * The directory belongs to the agent, so nothing in it is followed or overwritten: each file is
 * made anew, for the agent alone. */
#ifndef SANDBOX_STATE_H
#define SANDBOX_STATE_H

#include <paas/err.h>

#include <sys/types.h>

enum state_file {
    STATE_EXIT, /* the exit record */
    STATE_LOG0, /* the two log segments */
    STATE_LOG1,
    STATE_SOCKET, /* init.sock, listening */
    STATE_COUNT
};

struct state {
    int fds[STATE_COUNT]; /* -1 when not open */
};

void state_init(struct state *s);
void state_close(struct state *s);
/* Makes all four in `dir`, owned by `uid` and its group. Changes the working directory to "/". */
int state_make(struct state *s, int dir, uid_t uid, struct err *err);
/* Removes those that this state made. */
void state_unmake(struct state *s, int dir);

#endif
