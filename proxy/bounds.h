/* Every bound of the proxy, with its unit and its reason. SPDX-License-Identifier: Apache-2.0 */
#ifndef PAAS_PROXY_BOUNDS_H
#define PAAS_PROXY_BOUNDS_H

enum {
    WORKERS_MAX = 64, /* threads: more loops than cores of a large host gain nothing */

    /* Memory, in bytes. */
    BLOCK_SIZE = 64 * 1024,      /* one read; also the most that is kept of a peer's input */
    FLOW_HIGH = 128 * 1024,      /* queued output that stops the other side's reading */
    OUTBOX_SCRATCH = 128 * 1024, /* heads made in one turn of a callback */
    OUTBOX_BUFS = 64,            /* slices of one write: far below IOV_MAX */
    BLOCKS_KEPT = 256,           /* spare blocks of a worker: 16 MiB */
    ARENAS_KEPT = 1024,          /* spare header arenas of a worker */
    REQUEST_BODY_MAX = 1 << 30,  /* of one request: uploads of a GiB; more is 413 */
    REQUEST_ID_MAX = 64,         /* of a client's own X-Request-Id; a longer one is replaced */

    /* Connections. */
    CLIENTS_MAX = 10000,          /* of a worker, if its descriptors allow as many */
    CLIENTS_PER_ADDRESS = 1024,   /* of a worker, so that one address cannot take them all */
    ADDRESS_SLOTS = 4096,         /* counters of addresses; a power of two; those that meet in one
                                     slot share it, so a bound is never missed, only met early */
    ACCEPTS_A_TURN = 8,           /* then the other workers and connections get their turn */
    DESCRIPTORS_SPARE = 64,       /* not for clients and upstreams: loops, files, control */
    UPSTREAM_IDLE_MAX = 256,      /* idle connections to one instance */
    BACKEND_IN_FLIGHT_MAX = 1024, /* requests at once on one instance from one worker: its listen
                                     backlog and descriptors are about as many */

    /* Retries. */
    ATTEMPTS_MAX = 4,         /* instances tried for one request */
    RETRY_TOKENS_MAX = 1000,  /* hundredths: a burst of 10 retries of sent requests */
    RETRY_TOKENS_EARNED = 20, /* hundredths that a request adds: a fifth may be retried */

    /* Requests that wait for an instance. */
    HELD_PER_APP = 1024,     /* of a worker */
    HELD_MAX = 4096,         /* of a worker: some 16 KiB of touched memory each */
    QUEUE_LANE_SLOTS = 1024, /* of the hash table of lanes; a power of two */
    QUEUE_SERVICES = 4,      /* a request waits for as many service times, if that is longer than
                                QUEUE_DEADLINE: slow apps have slow queues */

    /* Times, in ms. */
    WHEEL_TICK = 100,
    ACCEPT_PAUSE = 100,            /* after descriptors ran out */
    ACCEPT_AT_LATEST = 1000,       /* from the start, whatever routes and rows are known */
    CLIENT_HEADER_TIMEOUT = 10000, /* first byte to whole head */
    CLIENT_IDLE_TIMEOUT =
        75000, /* between requests: longer than what load balancers in front use */
    CLIENT_STALL_TIMEOUT = 30000, /* a body, or the reading of an answer, without any progress */
    CLIENT_LINGER = 1000, /* for the peer to read our last answer before a reset could come */
    UPSTREAM_CONNECT_TIMEOUT = 1000, /* it is on this host */
    UPSTREAM_ANSWER_TIMEOUT = 60000, /* from the request to the answer's head: 504 */
    UPSTREAM_STALL_TIMEOUT = 300000, /* between two pieces of an answer: event streams pause */
    UPSTREAM_IDLE_TIMEOUT = 60000,
    UPSTREAM_FRESH = 1000,       /* idle for less is safe enough for a request that can't be
                                    repeated, unless the app was seen to close sooner */
    UPSTREAM_ENDED_GRACE = 1000, /* an instance is gone: what it sent before may still be read */
    TUNNEL_IDLE_TIMEOUT = 3600000,
    HOLD_TIMEOUT = 30000,   /* a request waits for an instance: what browsers' users bear */
    QUEUE_TARGET = 100,     /* a queue younger than that is a burst; or one service time */
    QUEUE_DEADLINE = 2000,  /* in a queue that stands: clients give up at 5 to 10 s */
    QUEUE_GROWTH = 10000,   /* instances that are on their way for longer do not come */
    SUSPECT_TIME = 1000,    /* an instance that failed is passed over */
    DEMAND_INTERVAL = 100,  /* between reports of load to the agent */
    DEMAND_PAUSE = 5,       /* between those at once, because requests wait */
    DRAIN_IDLE = 500,       /* at a planned stop idle clients may still send a request */
    DRAIN_TIMEOUT = 10000,  /* at a planned stop: then what is left is cut */
    LOCAL_BACKOFF_MIN = 20, /* to the agent's socket */
    LOCAL_BACKOFF_MAX = 1000,
    LOCAL_LINE_MAX = 4096, /* bytes of one line of the agent */
};

#endif
