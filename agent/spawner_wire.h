/* What the agent asks of its spawner, and what that answers. SPDX-License-Identifier: Apache-2.0
 *
 * One SOCK_SEQPACKET socket between the two, one packet a message, fixed-size structs, both ends of
 * one build. The spawner trusts nothing in them: it checks size, magic, operation, number of
 * descriptors, and hands the rest to the sandbox, which checks every member.
 */
#ifndef PAAS_SPAWNER_WIRE_H
#define PAAS_SPAWNER_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include <paas/err.h>
#include <paas/limits.h>
#include <paas/sandbox.h>

enum {
    SPAWNER_MAGIC = 0x50534e31, /* changes with the layout: an agent and a spawner of different
                                   builds refuse each other, and the pair is restarted */
    SPAWNER_FDS_MAX = 4,
    SPAWNER_ANSWER_FDS = 2, /* descriptors that come with an answer, at most */
    SPAWNER_LAYER_SIZE = SANDBOX_DIGEST_LEN + 1,
};

/* id, descriptors that come with the request */
#define SPAWNER_OPERATIONS(X)                                                                      \
    X(HELLO, 0)        /* Answer: it is there, and so is what it keeps for the platform */         \
    X(START, 2)        /* `start`; block, directory. Answer: started, and the pidfd */             \
    X(EXEC, 4)         /* `id`; block, in, out, err. Answer: pid; then ENDED with its status */    \
    X(END_EXEC, 0)     /* `pid`: kills a command that EXEC started; ENDED follows */               \
    X(DESTROY, 0)      /* `id` */                                                                  \
    X(BIND_DNS, 0)     /* Answer: the forwarder's sockets, UDP and TCP */                          \
    X(SWEEP, 0)        /* `keep`: destroys all others */                                           \
    X(UNPACK, 1)       /* `layer`; its tar. Answer when it is whole in the store */                \
    X(REMOVE_LAYER, 0) /* `layer` */                                                               \
    X(COVER, 0)        /* `cover`. Answer when the cover of these is whole in the store */         \
    X(ENDED, 0)        /* only an answer: the command `pid` ended with `status` */

enum spawner_operation {
#define X(id, fds) SPAWNER_##id,
    SPAWNER_OPERATIONS(X)
#undef X
        SPAWNER_OPERATION_COUNT
};

struct spawner_keep {
    uint32_t count;
    char ids[INSTANCES_PER_NODE][SANDBOX_ID_MAX];
};

struct spawner_cover {
    uint32_t count;
    char layers[SANDBOX_LAYERS_MAX][SANDBOX_DIGEST_LEN]; /* lowest first, no NUL */
};

struct spawner_request {
    uint32_t magic;
    uint32_t operation;
    uint32_t sequence; /* comes back in the answer */
    uint32_t reserved;
    union {
        struct sandbox_spec start; /* `slot` is the spawner's to choose */
        char id[SANDBOX_ID_MAX];
        struct spawner_keep keep;
        int32_t pid;
        struct spawner_cover cover;
        char layer[SPAWNER_LAYER_SIZE]; /* hexadecimal digest, NUL-terminated */
    };
};

struct spawner_answer {
    uint32_t magic;
    uint32_t operation;
    uint32_t sequence;
    int32_t code; /* enum err_code */
    int32_t sys;
    int32_t pid;
    int32_t status; /* of wait(2), with ENDED */
    uint32_t slot;
    uint64_t start_time;
    uint32_t address; /* network byte order */
    uint32_t reserved;
    char text[ERR_TEXT_MAX];
};

/* The address of the name server for instances: .0.2 of the platform's network. */
struct in_addr spawner_forwarder(uint32_t platform);

/* How many bytes a request of this operation has, and how many descriptors come with it. 0 for an
 * operation that is none. */
size_t spawner_request_size(uint32_t operation);
unsigned spawner_request_fds(uint32_t operation);

/* Sends one packet with up to SPAWNER_FDS_MAX descriptors. -1 with errno set. */
int spawner_send(int socket, const void *packet, size_t len, const int *fds, size_t fd_count);
/* Receives one packet. The descriptors, close-on-exec, are the caller's, also when the packet is
 * cut (-1, errno EMSGSIZE, none are left then). Returns its length, 0 at the end, -1 with errno. */
ssize_t spawner_receive(
    int socket, void *packet, size_t size, int fds[SPAWNER_FDS_MAX], size_t *fd_count);

#endif
