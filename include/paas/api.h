/* The REST API over what a scheduler knows and can do. SPDX-License-Identifier: Apache-2.0
 *
 * Handlers read intent and core directly, and act through the operations that the driver gives.
 */
#ifndef PAAS_API_H
#define PAAS_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <paas/core.h>
#include <paas/digest.h>
#include <paas/http_client.h>
#include <paas/http_server.h>
#include <paas/intent.h>
#include <paas/rest.h>
#include <paas/stream.h>

struct registry;

enum role {
    ROLE_OPERATOR = 1, /* root, group paas, holders of the token */
    ROLE_AGENT = 2,    /* this host's agent */
    ROLE_PROXY = 4,    /* this host's proxy */
};

/* One change of intent on its way: applied to the staged rows, committed with others as a batch,
 * then answered. The driver owns it from submission until `done`, which frees it. */
struct change {
    /* `now` is wall time. Fails: nothing of it is staged. */
    int (*apply)(struct change *change, struct intent *intent, int64_t now, struct err *err);
    /* err->code ERR_OK: it is durable; `sequence` is the last event before its own. */
    void (*done)(struct change *change, int64_t sequence, const struct err *err);
    struct change *next; /* the driver's */
};

struct api_ops {
    /* Queues a change; ERR_BUSY when too many wait. */
    int (*change)(void *owner, struct change *change, struct err *err);
    /* A node's report, as lines; `answer` is the caller's to free. */
    int (*report)(void *owner, const char *node, struct http_text text,
        struct report_answer *answer, struct err *err);
    struct feed *(*grants)(void *owner, const char *node, struct err *err);
    /* Instances that run, and with `ended` also the last ones that ended; by app, slot, id. */
    void (*each_instance)(void *owner, bool ended,
        void (*each)(void *data, const struct instance *instance), void *data);
    void (*each_node)(
        void *owner, void (*each)(void *data, const struct node_summary *node), void *data);
    /* Lines of events after `after`, oldest first; `app` NULL: of all. */
    void (*each_event)(void *owner, const char *app, int64_t after,
        void (*each)(void *data, const char *line, size_t len), void *data);
    void (*status)(void *owner, struct status_answer *out);
    void (*metrics)(void *owner, struct buf *out);
};

struct api {
    const struct api_ops *ops;
    void *owner;
    const struct intent *intent;
    struct core *core;
    struct registry *registry;
    struct http_client *client;
    struct feed *routes, *events;
    char node[NAME_SIZE];   /* the host's own */
    char agent_socket[108]; /* R/agent/agent.sock */
    int http_port;          /* where apps answer; 0: not known */
    uid_t agent_uid, proxy_uid;
    gid_t operators;                  /* group paas; (gid_t)-1: there is none */
    char token_hash[DIGEST_HEX_SIZE]; /* SHA-256 of the TCP token, "": TCP is refused */
};

/* Opens what the API keeps itself: the registry, in `directory`. -1 with *err on failure. */
int api_open(struct api *api, uv_loop_t *loop, const char *directory, struct err *err);
/* Removes images that are not among `keep` and not young; `done` hears how many bytes are free. */
int api_collect(struct api *api, const char *const *keep, size_t keep_count,
    void (*done)(void *data, uint64_t freed), void *data, struct err *err);
/* Closes it, once the server is closed. */
void api_close(struct api *api);

/* The table of all endpoints; the server's ctx must be a struct api. */
extern const struct endpoint api_endpoints[];
/* Who is at the other end: by uid on the Unix socket, by token on TCP. For http_server_options. */
int api_identify(
    void *ctx, const struct http_peer *peer, struct http_identity *who, struct err *err);

#endif
