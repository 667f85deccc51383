/* Accepts clients. SPDX-License-Identifier: Apache-2.0 */
#include "listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "bounds.h"
#include "client.h"
#include "hash.h"
#include "worker.h"

struct addresses {
    uint32_t seed; /* so that nobody can choose an address that shares another's slot */
    uint16_t counts[ADDRESS_SLOTS];
};

struct addresses *addresses_create(void) {
    struct addresses *a = calloc(1, sizeof *a);
    if (a && getrandom(&a->seed, sizeof a->seed, 0) != sizeof a->seed) {
        free(a);
        return NULL;
    }
    return a;
}

void addresses_destroy(struct addresses *a) {
    free(a);
}

/* An IPv4 address, or the /64 that one host of IPv6 has. */
static uint32_t address_hash(const struct addresses *a, const struct sockaddr *peer) {
    uint32_t hash = hash_bytes(HASH_START, &a->seed, sizeof a->seed);
    if (peer->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)peer;
        return hash_bytes(hash, &v4->sin_addr, sizeof v4->sin_addr);
    }
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)peer;
    bool mapped = IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr);
    return hash_bytes(hash, &v6->sin6_addr.s6_addr[mapped ? 12 : 0], mapped ? 4 : 8);
}

int addresses_enter(struct addresses *a, const struct sockaddr *peer) {
    uint32_t hash = address_hash(a, peer);
    unsigned slot = (hash ^ hash >> 16) & (ADDRESS_SLOTS - 1);
    if (a->counts[slot] >= CLIENTS_PER_ADDRESS) {
        return -1;
    }
    a->counts[slot]++;
    return (int)slot;
}

void addresses_leave(struct addresses *a, unsigned slot) {
    a->counts[slot]--;
}

/* ---- Accepting ---- */

static void on_readable(uv_poll_t *poll, int status, int events);

static void poll_start(struct listener *l) {
    if (l->open && !l->polling) {
        l->polling = uv_poll_start(&l->poll, UV_READABLE, on_readable) == 0;
    }
}

static void poll_stop(struct listener *l) {
    if (l->polling) {
        uv_poll_stop(&l->poll);
        l->polling = false;
    }
}

static void on_pause_over(struct wheel_timer *t) {
    poll_start(LIST_ITEM(t, struct listener, pause));
}

/* Descriptors ran out: those that wait stay in the backlog for a moment. */
static void pause_accepting(struct listener *l) {
    poll_stop(l);
    worker_timer(l->worker, &l->pause, ACCEPT_PAUSE);
}

static void serve(struct listener *l, int fd, const struct sockaddr *peer) {
    struct proxy_worker *w = l->worker;
    if (peer->sa_family != AF_INET && peer->sa_family != AF_INET6) {
        close(fd);
        return;
    }
    int slot = addresses_enter(w->addresses, peer);
    if (slot < 0) {
        count_add(&w->counters.connections_refused_total, 1);
        close(fd);
        return;
    }
    client_accept(w, fd, peer, (unsigned)slot);
}

static void on_readable(uv_poll_t *poll, int status, int events) {
    struct listener *l = poll->data;
    struct proxy_worker *w = l->worker;
    (void)events;
    if (status < 0) {
        pause_accepting(l);
        return;
    }
    for (int i = 0; i < ACCEPTS_A_TURN; i++) {
        struct sockaddr_storage peer;
        socklen_t len = sizeof peer;
        if (w->client_count >= w->client_max && !client_reap(w)) {
            poll_stop(l); /* listener_room() goes on */
            break;
        }
        int fd = accept4(l->fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            serve(l, fd, (const struct sockaddr *)&peer);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            pause_accepting(l);
            break;
        } else if (errno == EAGAIN) {
            break;
        }
    }
    flow_settle(w);
}

int listener_init(struct listener *l, struct proxy_worker *w, int fd, struct err *err) {
    *l = (struct listener){ .worker = w, .fd = fcntl(fd, F_DUPFD_CLOEXEC, 0) };
    if (l->fd < 0) {
        return err_sys(err, errno, "duplicating a listening socket");
    }
    int flags = fcntl(l->fd, F_GETFL);
    if (flags < 0 || fcntl(l->fd, F_SETFL, flags | O_NONBLOCK) < 0) {
        int saved = errno;
        close(l->fd);
        return err_sys(err, saved, "preparing a listening socket");
    }
    int failed = uv_poll_init(&w->loop, &l->poll, l->fd);
    if (failed) {
        close(l->fd);
        return err_sys(err, -failed, "polling a listening socket");
    }
    l->poll.data = l;
    l->open = true;
    wheel_timer_init(&l->pause, on_pause_over);
    return 0;
}

void listener_start(struct listener *l) {
    poll_start(l);
}

static void on_closed(uv_handle_t *handle) {
    struct listener *l = handle->data;
    close(l->fd);
    worker_maybe_done(l->worker);
}

void listener_stop(struct listener *l) {
    if (l->open) {
        l->open = l->polling = false;
        wheel_remove(&l->worker->wheel, &l->pause);
        uv_close((uv_handle_t *)&l->poll, on_closed);
    }
}

void listener_room(struct proxy_worker *w) {
    if (!w->accepting || w->client_count >= w->client_max) {
        return;
    }
    for (unsigned i = 0; i < w->listener_count; i++) {
        if (!w->listeners[i].pause.deadline) {
            poll_start(&w->listeners[i]);
        }
    }
}
