/* init.sock, from paas-init's side. SPDX-License-Identifier: Apache-2.0 */
#include "link.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The kernel shows ids that the instance's user namespace doesn't map as this one. */
enum { OVERFLOW_ID = 65534 };

void link_init(struct link *link, int listen_fd) {
    memset(link, 0, sizeof *link);
    link->listen_fd = listen_fd;
    for (int i = 0; i < INIT_CONNECTIONS_MAX; i++) {
        link->peers[i].fd = -1;
    }
}

static void close_peer(struct link_peer *peer) {
    close(peer->fd);
    *peer = (struct link_peer){ .fd = -1 };
}

/* A process of the instance has a pid here; one outside has none, and an id that is not mapped. */
static bool from_outside(int fd) {
    struct ucred peer;
    socklen_t len = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && peer.pid == 0 &&
           peer.uid == OVERFLOW_ID;
}

void link_accept(struct link *link) {
    int fd = accept4(link->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
        return;
    }
    struct link_peer *free_peer = NULL;
    for (int i = 0; i < INIT_CONNECTIONS_MAX; i++) {
        if (link->peers[i].fd < 0) {
            free_peer = &link->peers[i];
        }
    }
    if (!free_peer || !from_outside(fd)) {
        close(fd);
        return;
    }
    *free_peer = (struct link_peer){ .fd = fd, .dirty = true };
}

int link_receive(struct link_peer *peer, struct init_request *request) {
    ssize_t n = recv(peer->fd, request, sizeof *request, MSG_DONTWAIT | MSG_TRUNC);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return 0;
    }
    if (n != (ssize_t)sizeof *request || request->magic != INIT_MESSAGE_MAGIC ||
        request->version != INIT_VERSION || request->bytes != sizeof *request) {
        close_peer(peer);
        return -1;
    }
    peer->acknowledged = request->sequence;
    peer->dirty = true;
    return 1;
}

void link_changed(struct link *link) {
    for (int i = 0; i < INIT_CONNECTIONS_MAX; i++) {
        link->peers[i].dirty = link->peers[i].fd >= 0;
    }
}

bool link_send(struct link *link, const struct init_state *state) {
    bool all = true;
    for (int i = 0; i < INIT_CONNECTIONS_MAX; i++) {
        struct link_peer *peer = &link->peers[i];
        if (peer->fd < 0 || !peer->dirty) {
            continue;
        }
        struct init_state message = *state;
        message.acknowledged = peer->acknowledged;
        message.result = peer->result;
        ssize_t n = send(peer->fd, &message, sizeof message, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n == (ssize_t)sizeof message) {
            peer->dirty = false;
        } else if (n < 0 && errno == EAGAIN) {
            all = false;
        } else {
            close_peer(peer);
        }
    }
    return all;
}
