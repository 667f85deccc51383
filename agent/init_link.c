/* The socket to an instance's paas-init. SPDX-License-Identifier: Apache-2.0
 *
 * Story: connect; on success watch the socket and say again what is wanted; every packet that comes
 * is a state for the owner. When the connection ends or was refused, the timer tries again, a
 * little later each time. paas-init gone for good looks like a refusal for ever: the owner watches
 * the process and closes the link.
 */
#include "init_link.h"

#include <paas/clock.h>

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    RETRY_FIRST_MS = 5,   /* paas-init may be about to accept */
    RETRY_LAST_MS = 1000, /* four connections are its most: another agent may be leaving */
    STATES_PER_TURN = 16, /* states delivered before other handles have their turn */
    SIGNAL_MAX = 64,
};

/* One connection; freed when its handle has closed, the link goes on without it. */
struct connection {
    int fd;
    uv_poll_t poll;
    struct init_link *link; /* NULL once it is given up */
};

struct init_link {
    struct sockaddr_un address;
    const struct init_link_events *events;
    void *data;
    struct connection *connection; /* NULL: none right now */
    uv_timer_t retry;
    uint64_t retry_ms;
    uint32_t sequence;
    bool stopping;
    int stop_signal;
    int64_t kill_boot_ms; /* when the grace is over; 0: the start block's grace */
    int64_t deadline_boot_ms;
};

static void on_retry(uv_timer_t *timer);

/* ---- sending ------------------------------------------------------------------------------ */

static int send_request(struct init_link *link, struct init_request *request) {
    request->magic = INIT_MESSAGE_MAGIC;
    request->version = INIT_VERSION;
    request->bytes = sizeof *request;
    request->sequence = ++link->sequence;
    if (!link->connection) {
        return -1;
    }
    ssize_t n = send(link->connection->fd, request, sizeof *request, MSG_NOSIGNAL | MSG_DONTWAIT);
    return n == (ssize_t)sizeof *request ? 0 : -1;
}

static int send_stop(struct init_link *link) {
    uint32_t grace_ms = INIT_GRACE_OF_START;
    if (link->kill_boot_ms) {
        int64_t left = link->kill_boot_ms - clock_boot_msec();
        grace_ms = left > 0 ? (uint32_t)left : 0;
    }
    struct init_request request = {
        .kind = INIT_REQUEST_STOP, .signal = link->stop_signal, .grace_ms = grace_ms
    };
    return send_request(link, &request);
}

static int send_deadline(struct init_link *link) {
    struct init_request request = { .kind = INIT_REQUEST_DEADLINE,
        .deadline_boot_ms = link->deadline_boot_ms };
    return send_request(link, &request);
}

static int send_wishes(struct init_link *link) {
    if (link->deadline_boot_ms && send_deadline(link) < 0) {
        return -1;
    }
    return link->stopping ? send_stop(link) : 0;
}

/* ---- connections -------------------------------------------------------------------------- */

static void on_connection_closed(uv_handle_t *handle) {
    struct connection *connection = handle->data;
    close(connection->fd);
    free(connection);
}

static void drop_connection(struct init_link *link) {
    struct connection *connection = link->connection;
    if (connection) {
        link->connection = NULL;
        connection->link = NULL;
        uv_close((uv_handle_t *)&connection->poll, on_connection_closed);
    }
}

static void try_later(struct init_link *link) {
    drop_connection(link);
    uv_timer_start(&link->retry, on_retry, link->retry_ms, 0);
    link->retry_ms = link->retry_ms * 2 < RETRY_LAST_MS ? link->retry_ms * 2 : RETRY_LAST_MS;
}

static bool is_state(const struct init_state *state, ssize_t n) {
    return n == (ssize_t)sizeof *state && state->magic == INIT_MESSAGE_MAGIC &&
           state->version == INIT_VERSION && state->bytes == sizeof *state;
}

static void on_readable(uv_poll_t *poll, int status, int events) {
    struct connection *connection = poll->data;
    (void)status;
    (void)events;
    for (int i = 0; i < STATES_PER_TURN; i++) {
        struct init_state state;
        ssize_t n = recv(connection->fd, &state, sizeof state, MSG_DONTWAIT | MSG_TRUNC);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            return;
        }
        if (n < 0 && errno == ECONNRESET) {
            continue; /* it ended with requests unread; what it said before is still there */
        }
        if (!is_state(&state, n)) {
            try_later(connection->link);
            return;
        }
        connection->link->retry_ms = RETRY_FIRST_MS;
        connection->link->events->state(connection->link->data, &state);
        if (!connection->link) {
            return; /* the owner closed the link */
        }
    }
}

/* A connected socket, or -1. Local sockets connect at once or not at all. */
static int connect_socket(const struct sockaddr_un *address) {
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof *address) < 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static struct connection *watch(struct init_link *link, int fd) {
    struct connection *connection = calloc(1, sizeof *connection);
    if (!connection || uv_poll_init(link->retry.loop, &connection->poll, fd) < 0) {
        free(connection);
        return NULL;
    }
    connection->fd = fd;
    connection->link = link;
    connection->poll.data = connection;
    uv_poll_start(&connection->poll, UV_READABLE | UV_DISCONNECT, on_readable);
    return connection;
}

static void try_connect(struct init_link *link) {
    int fd = connect_socket(&link->address);
    link->connection = fd < 0 ? NULL : watch(link, fd);
    if (!link->connection) {
        if (fd >= 0) {
            close(fd);
        }
        try_later(link);
        return;
    }
    if (send_wishes(link) < 0) {
        try_later(link);
    }
}

static void on_retry(uv_timer_t *timer) {
    try_connect(timer->data);
}

/* ---- what the owner calls ------------------------------------------------------------------ */

struct init_link *init_link_open(uv_loop_t *loop, const char *path,
    const struct init_link_events *events, void *data, struct err *err) {
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof address.sun_path) {
        err_set(err, ERR_BAD_VALUE, "%s is too long for a socket's address", path);
        return NULL;
    }
    strcpy(address.sun_path, path);
    struct init_link *link = calloc(1, sizeof *link);
    if (!link) {
        err_no_memory(err);
        return NULL;
    }
    link->address = address;
    link->events = events;
    link->data = data;
    link->retry_ms = RETRY_FIRST_MS;
    uv_timer_init(loop, &link->retry);
    link->retry.data = link;
    try_connect(link);
    return link;
}

static void on_link_closed(uv_handle_t *handle) {
    free(handle->data);
}

void init_link_close(struct init_link *link) {
    if (link) {
        drop_connection(link);
        uv_close((uv_handle_t *)&link->retry, on_link_closed);
    }
}

int init_link_signal(struct init_link *link, int signal, struct err *err) {
    struct init_request request = { .kind = INIT_REQUEST_SIGNAL, .signal = signal };
    if (signal < 1 || signal > SIGNAL_MAX) {
        return err_set(err, ERR_BAD_VALUE, "signal %d is not in 1..%d", signal, SIGNAL_MAX);
    }
    if (send_request(link, &request) < 0) {
        return err_set(err, ERR_UNAVAILABLE, "the instance's init does not answer right now");
    }
    return 0;
}

int init_link_stop(struct init_link *link, int signal, uint32_t grace_ms, struct err *err) {
    bool own = grace_ms == INIT_GRACE_OF_START;
    if (signal < 0 || signal > SIGNAL_MAX || (!own && grace_ms > INIT_GRACE_MAX_MS)) {
        return err_set(
            err, ERR_BAD_VALUE, "stop signal %d or grace %u is out of range", signal, grace_ms);
    }
    int64_t at = own ? 0 : clock_boot_msec() + grace_ms;
    if (!link->stopping) {
        link->stop_signal = signal;
        link->kill_boot_ms = at;
    } else if (at && (!link->kill_boot_ms || at < link->kill_boot_ms)) {
        link->kill_boot_ms = at;
    }
    link->stopping = true;
    if (link->connection && send_stop(link) < 0) {
        try_later(link);
    }
    return 0;
}

void init_link_deadline(struct init_link *link, int64_t boot_ms) {
    if (boot_ms <= link->deadline_boot_ms) {
        return;
    }
    link->deadline_boot_ms = boot_ms;
    if (link->connection && send_deadline(link) < 0) {
        try_later(link);
    }
}

void init_link_listeners(struct init_link *link) {
    struct init_request request = { .kind = INIT_REQUEST_LISTENERS };
    send_request(link, &request); /* a new connection brings them anyway */
}
