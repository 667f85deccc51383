/* The agent's end of the socket to its spawner. SPDX-License-Identifier: Apache-2.0
 *
 * Requests are answered in any order; each answer calls `done` once, from the loop. When the
 * spawner is gone the agent ends too (`lost`): the pair is restarted together.
 */
#ifndef PAAS_SPAWNER_LINK_H
#define PAAS_SPAWNER_LINK_H

#include <uv.h>

#include <paas/err.h>

#include "spawner_wire.h"

struct spawner_link;

/* `err->code` is ERR_OK when it went well. `fds` are the answer's SPAWNER_ANSWER_FDS descriptors,
 * each -1 when there is none; those that the callee wants it makes -1, the rest are closed. */
typedef void (*spawner_done)(
    void *data, const struct spawner_answer *answer, int *fds, const struct err *err);

/* Takes over `socket`. `lost` is called once when the spawner is gone. NULL with *err. */
struct spawner_link *spawner_link_create(
    uv_loop_t *loop, int socket, void (*lost)(void *data), void *data, struct err *err);
/* No callback comes afterwards; memory goes in a later turn. NULL is fine. */
void spawner_link_close(struct spawner_link *link);
/* Sends a request (`magic` and `sequence` are filled in); descriptors are borrowed. For EXEC,
 * `done` is called twice: for the start, and, if that went well, for the end. -1 with *err when it
 * could not be sent: then `done` is not called. */
int spawner_ask(struct spawner_link *link, struct spawner_request *request, const int *fds,
    spawner_done done, void *data, struct err *err);
/* Calls of `data` that are still open are answered to nobody; their descriptors are closed. */
void spawner_forget(struct spawner_link *link, void *data);

#endif
