/* The proxy's own endpoints: /metrics, /healthz, /readyz. SPDX-License-Identifier: Apache-2.0 */
#ifndef PAAS_PROXY_STATUS_H
#define PAAS_PROXY_STATUS_H

#include <uv.h>

#include <paas/err.h>
#include <paas/loop.h>

struct fleet;
struct proxy;
struct status;

struct status_options {
    uv_loop_t *loop;
    struct proxy *proxy;
    const struct fleet *fleet;
    const struct loop_watch *watch; /* of the control loop */
    const char *path;               /* of the socket */
    int platform;
};

/* NULL with *err filled. */
struct status *status_open(const struct status_options *options, struct err *err);
/* Frees itself from the loop. NULL is fine. */
void status_close(struct status *s);

#endif
