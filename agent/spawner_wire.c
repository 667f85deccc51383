/* Packets between the agent and its spawner. SPDX-License-Identifier: Apache-2.0 */
#include "spawner_wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const unsigned request_fds[] = {
#define X(id, fds) [SPAWNER_##id] = fds,
    SPAWNER_OPERATIONS(X)
#undef X
};

struct in_addr spawner_forwarder(uint32_t platform) {
    return (struct in_addr){ .s_addr = htonl(0x0ac80002u + (platform << 16)) };
}

unsigned spawner_request_fds(uint32_t operation) {
    return operation < SPAWNER_OPERATION_COUNT ? request_fds[operation] : 0;
}

size_t spawner_request_size(uint32_t operation) {
    size_t head = offsetof(struct spawner_request, start);
    switch ((enum spawner_operation)operation) {
    case SPAWNER_HELLO:
    case SPAWNER_BIND_DNS:
        return head;
    case SPAWNER_START:
        return head + sizeof(struct sandbox_spec);
    case SPAWNER_EXEC:
    case SPAWNER_DESTROY:
        return head + SANDBOX_ID_MAX;
    case SPAWNER_END_EXEC:
        return head + sizeof(int32_t);
    case SPAWNER_SWEEP:
        return head + sizeof(struct spawner_keep);
    case SPAWNER_UNPACK:
    case SPAWNER_REMOVE_LAYER:
        return head + SPAWNER_LAYER_SIZE;
    case SPAWNER_COVER:
        return head + sizeof(struct spawner_cover);
    case SPAWNER_ENDED:
    case SPAWNER_OPERATION_COUNT:
        break;
    }
    return 0;
}

union control {
    char bytes[CMSG_SPACE(sizeof(int) * SPAWNER_FDS_MAX)];
    struct cmsghdr align;
};

int spawner_send(int socket, const void *packet, size_t len, const int *fds, size_t fd_count) {
    union control control = { 0 };
    struct iovec io = { .iov_base = (void *)packet, .iov_len = len };
    struct msghdr message = { .msg_iov = &io, .msg_iovlen = 1 };
    if (fd_count) {
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
        memcpy(CMSG_DATA(c), fds, sizeof(int) * fd_count);
    }
    ssize_t n;
    do {
        n = sendmsg(socket, &message, MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -1 : 0;
}

ssize_t spawner_receive(
    int socket, void *packet, size_t size, int fds[SPAWNER_FDS_MAX], size_t *fd_count) {
    union control control;
    struct iovec io = { .iov_base = packet, .iov_len = size };
    struct msghdr message = {
        .msg_iov = &io,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = sizeof control.bytes,
    };
    ssize_t n;
    do {
        n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    *fd_count = 0;
    for (struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(&message); c;
         c = CMSG_NXTHDR(&message, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
            *fd_count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
            memcpy(fds, CMSG_DATA(c), *fd_count * sizeof(int));
        }
    }
    if (n >= 0 && (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
        while (*fd_count > 0) {
            close(fds[--*fd_count]);
        }
        errno = EMSGSIZE;
        return -1;
    }
    return n;
}
