/* The socket to this host's proxy: instances down, demand and acknowledgements up.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The agent listens; the proxy's uid alone may speak. A proxy that connects hears every row again.
 * Rows are gathered and leave with local_proxy_sync(), which numbers them: when the proxy
 * acknowledges that number, all of them are in force. Runs on one loop.
 */
#ifndef PAAS_LOCAL_PROXY_H
#define PAAS_LOCAL_PROXY_H

#include <stdbool.h>
#include <sys/types.h>
#include <uv.h>

#include <paas/err.h>
#include <paas/model.h>

struct local_proxy;

struct local_proxy_options {
    uv_loop_t *loop;
    const char *path; /* of the socket; replaced if it is there */
    uid_t proxy_uid;
    /* A proxy has come: send every row and local_proxy_sync(). */
    void (*connected)(void *data);
    /* It went away: nothing waits for it any more. */
    void (*lost)(void *data);
    /* A line of it: ACK, DRAINED, DEMAND, ROUTES or SUSPECT. */
    void (*message)(void *data, const struct local_message *message);
    void *data;
};

/* NULL with *err. */
struct local_proxy *local_proxy_open(const struct local_proxy_options *options, struct err *err);
/* No callback comes afterwards; memory goes in a later turn. NULL is fine. */
void local_proxy_close(struct local_proxy *lp);
/* NULL, as before the sockets are opened, is nobody. */
bool local_proxy_is_connected(const struct local_proxy *lp);
/* Gathers a row; nothing happens without a proxy. */
void local_proxy_send(struct local_proxy *lp, const struct local_message *row);
/* Sends what was gathered and returns its number, which an ACK names. Grows with every call. */
int64_t local_proxy_sync(struct local_proxy *lp);

#endif
