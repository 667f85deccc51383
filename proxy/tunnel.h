/* An upgraded connection: bytes both ways. SPDX-License-Identifier: Apache-2.0
 *
 * Each side is read only while the other takes what came; the end of one side is passed on when its
 * last byte was, and the tunnel ends when both sides have.
 */
#ifndef PAAS_PROXY_TUNNEL_H
#define PAAS_PROXY_TUNNEL_H

#include <stdbool.h>
#include <stddef.h>

struct client;

/* The 101 is in the outbox: the client's exchange becomes a tunnel. */
void tunnel_begin(struct client *c);
void tunnel_from_client(struct client *c, const char *bytes, size_t len);
void tunnel_from_upstream(struct client *c, const char *bytes, size_t len);
/* One side ended. */
void tunnel_client_ended(struct client *c);
void tunnel_upstream_ended(struct client *c);
/* One side's queue is empty again: an end that waited for it is passed on. */
void tunnel_drained(struct client *c);

#endif
