/* Follows the scheduler's routes, and keeps the last ones in a file. SPDX-License-Identifier:
 * Apache-2.0 */
#ifndef PAAS_PROXY_ROUTES_FEED_H
#define PAAS_PROXY_ROUTES_FEED_H

#include <uv.h>

#include <paas/err.h>

struct proxy;
struct routes_feed;

struct routes_feed_options {
    uv_loop_t *loop;
    struct proxy *proxy;
    const char *api_socket; /* path of the scheduler's socket */
    const char *data;       /* directory of the file "routes" */
};

/* Publishes the routes of the file, if there is one that can be read, and follows the scheduler's.
 * Blocks for the file. NULL with *err filled. */
struct routes_feed *routes_feed_open(const struct routes_feed_options *options, struct err *err);
/* Ends; frees itself from the loop. NULL is fine. */
void routes_feed_close(struct routes_feed *f);

#endif
