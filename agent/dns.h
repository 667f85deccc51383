/* Name resolution for instances. SPDX-License-Identifier: Apache-2.0
 *
 * Where the host's name servers have addresses that an instance can reach, its resolv.conf names
 * them and nothing of ours is in between. Where the host has only a resolver on its loopback, or
 * only IPv6 ones, the agent runs this small forwarder on an address of the platform's range.
 *
 * The forwarder relays and keeps nothing: no cache, no parsing beyond the one question. It answers
 * the platform's instances alone; how much they may have under way is bounded, for each and for
 * all.
 */
#ifndef AGENT_DNS_H
#define AGENT_DNS_H

#include <paas/err.h>

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <uv.h>

enum {
    DNS_SERVERS_MAX = 3,        /* the C library reads no more from resolv.conf */
    DNS_PORT = 53,              /* RFC 1035 4.2 */
    DNS_QUERY_BYTES = 1232,     /* of a question, the size that EDNS flag day agreed on */
    DNS_ANSWER_BYTES = 4096,    /* of an answer over UDP; a longer one is cut, TCP has the rest */
    DNS_QUERIES_MAX = 256,      /* under way, of all instances; each costs a socket */
    DNS_QUERIES_CLIENT = 32,    /* and of one */
    DNS_TRY_MS = 1500,          /* until the next server is asked; a client gives up after 5 s */
    DNS_TRIES = 3,              /* servers asked, the only one again */
    DNS_CONNECTIONS_MAX = 64,   /* over TCP, of all instances; two sockets each */
    DNS_CONNECTIONS_CLIENT = 8, /* and of one */
    DNS_CONNECTION_IDLE_MS = 5000,
    DNS_CONNECTION_LIFE_MS = 30000,
};

/* How names are resolved on this host. */
struct dns_plan {
    struct in_addr instances[DNS_SERVERS_MAX]; /* for the instances' resolv.conf */
    unsigned instance_count;
    bool forward; /* `instances` is the forwarder, which asks `servers` */
    struct sockaddr_storage servers[DNS_SERVERS_MAX];
    unsigned server_count;
};

/* Makes the plan from the text of a resolv.conf. `forwarder` is the address that the forwarder has
 * if one is needed. An empty text means a server on the loopback, as resolv.conf(5) has it. Pure.
 */
void dns_plan_make(const char *resolv_conf, struct in_addr forwarder, struct dns_plan *out);
/* The same from a file; a missing one is an empty one. 0, or -1 with *err. */
int dns_plan_read(
    const char *path, struct in_addr forwarder, struct dns_plan *out, struct err *err);

/* Binds the forwarder's sockets, which needs a right that the forwarder itself can do without.
 * `address` must be the host's. 0 with both descriptors, the caller's; or -1 with *err. */
int dns_bind(struct in_addr address, int *udp, int *tcp, struct err *err);

struct dns;

struct dns_options {
    uv_loop_t *loop;
    int udp, tcp;           /* as bound; taken over, also when it fails */
    struct in_addr network; /* who is answered: addresses of this network … */
    unsigned bits;          /* … of this prefix length */
    struct sockaddr_storage servers[DNS_SERVERS_MAX]; /* who is asked */
    unsigned server_count;
};

/* What it did, for metrics. */
struct dns_stats {
    uint64_t queries;  /* taken on */
    uint64_t answered; /* by a server */
    uint64_t failed;   /* by none: SERVFAIL */
    uint64_t refused;  /* not from an instance, nonsense, or beyond a bound: dropped */
    uint64_t connections;
};

/* Starts the forwarder. NULL with *err on failure. */
struct dns *dns_create(const struct dns_options *options, struct err *err);
/* Ends it: what is under way is given up. Its memory goes in later turns of the loop. NULL is
 * allowed. */
void dns_destroy(struct dns *dns);
/* Asks others from now on: the host's resolv.conf has changed. */
void dns_set_servers(struct dns *dns, const struct sockaddr_storage *servers, unsigned count);
const struct dns_stats *dns_stats(const struct dns *dns);

#endif
