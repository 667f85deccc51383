/* Where the control server is reached, and who reaches it. SPDX-License-Identifier: Apache-2.0 */
#include <paas/http_server.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "http_call.h"

enum {
    BACKLOG = 511,  /* connections that wait to be accepted; the kernel may hold fewer */
    USER_SHARE = 4, /* a local user has one part in so many of the connections: whoever may reach
                       the socket, and no more than that, must not keep out those who operate */
};

struct listener {
    struct list link;
    struct http_server *server;
    int number;
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } io;
};

static void look_at_unix_peer(struct peer *peer, int fd) {
    struct ucred ucred = { .uid = (uid_t)-1, .gid = (gid_t)-1 };
    socklen_t size = sizeof ucred;
    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &ucred, &size);
    peer->is.is_unix = true;
    peer->is.pid = ucred.pid;
    peer->is.uid = ucred.uid;
    peer->is.gid = ucred.gid;
    size = sizeof peer->is.groups;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, peer->is.groups, &size) == 0) {
        peer->is.group_count = size / sizeof *peer->is.groups;
    }
    snprintf(peer->address, sizeof peer->address, "unix");
}

static void look_at_tcp_peer(struct peer *peer, const uv_tcp_t *tcp) {
    struct sockaddr_storage address;
    int size = sizeof address;
    char ip[INET6_ADDRSTRLEN] = "";
    peer->is.uid = (uid_t)-1;
    peer->is.gid = (gid_t)-1;
    if (uv_tcp_getpeername(tcp, (struct sockaddr *)&address, &size)) {
        return;
    }
    bool six = address.ss_family == AF_INET6;
    uv_ip_name((struct sockaddr *)&address, ip, sizeof ip);
    snprintf(peer->address, sizeof peer->address, six ? "[%s]:%d" : "%s:%d", ip,
        ntohs(((struct sockaddr_in *)&address)->sin_port));
}

static int look_at_peer(struct http_conn *conn, int number) {
    struct peer *peer = calloc(1, sizeof *peer);
    uv_os_fd_t fd;
    if (!peer) {
        return -1;
    }
    conn->peer = peer;
    peer->is.address = peer->address;
    peer->is.listener = number;
    if (conn->io.handle.type == UV_TCP) {
        look_at_tcp_peer(peer, &conn->io.tcp);
    } else if (uv_fileno(&conn->io.handle, &fd) == 0) {
        look_at_unix_peer(peer, fd);
    }
    return 0;
}

/* Whether a user who is neither root nor we has more connections than its share. */
static bool is_over_share(const struct http_server *s, const struct http_conn *conn) {
    const struct peer *peer = conn->peer;
    unsigned count = 0;
    if (!peer->is.is_unix || peer->is.uid == 0 || peer->is.uid == geteuid()) {
        return false;
    }
    LIST_FOREACH (item, &s->group.all) {
        const struct peer *other = LIST_ITEM(item, struct http_conn, link)->peer;
        count += other && other->is.is_unix && other->is.uid == peer->is.uid;
    }
    return count > s->options.connections_max / USER_SHARE;
}

static void refuse_busy(struct http_conn *conn) {
    static const char body[] =
        "{\"status\":503,\"code\":\"busy\",\"detail\":\"too many connections are open now\"}";
    char head[192];
    int len = snprintf(head, sizeof head,
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\n"
        "Content-Length: %zu\r\nRetry-After: 1\r\nConnection: close\r\n\r\n",
        sizeof body - 1);
    conn_send(conn, head, (size_t)len);
    conn_send(conn, body, sizeof body - 1);
    conn_finish(conn, false);
}

static void on_connection(uv_stream_t *stream, int status) {
    struct listener *l = stream->data;
    struct http_server *s = l->server;
    if (status < 0) {
        return; /* no descriptor left: the next one may find one */
    }
    struct http_conn *conn = conn_accept(&s->group, stream);
    if (!conn) {
        return;
    }
    if (look_at_peer(conn, l->number) < 0 || is_over_share(s, conn)) {
        conn_close(conn);
    } else if (s->group.count > s->options.connections_max) {
        refuse_busy(conn);
    }
}

static int is_unix_socket(int fd) {
    int domain = 0;
    socklen_t size = sizeof domain;
    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) ? -1 : domain == AF_UNIX;
}

static void on_listener_closed(uv_handle_t *handle) {
    struct listener *l = handle->data;
    struct http_server *s = l->server;
    free(l);
    server_release(s);
}

int http_server_listen_fd(struct http_server *s, int fd, int number, struct err *err) {
    int is_unix = is_unix_socket(fd);
    struct listener *l = is_unix < 0 ? NULL : calloc(1, sizeof *l);
    if (!l) {
        int failed = is_unix < 0 ? errno : ENOMEM;
        close(fd);
        return err_sys(err, failed, "serving a socket");
    }
    l->server = s;
    l->number = number;
    if (is_unix) {
        uv_pipe_init(s->options.loop, &l->io.pipe, 0);
    } else {
        uv_tcp_init(s->options.loop, &l->io.tcp);
    }
    l->io.handle.data = l;
    s->open++;
    int failed = is_unix ? uv_pipe_open(&l->io.pipe, fd) : uv_tcp_open(&l->io.tcp, fd);
    if (failed) {
        close(fd);
    } else {
        failed = uv_listen(&l->io.stream, BACKLOG, on_connection);
    }
    if (failed) {
        uv_close(&l->io.handle, on_listener_closed);
        return err_sys(err, -failed, "serving a socket");
    }
    list_append(&s->listeners, &l->link);
    return 0;
}

/* Whether somebody accepts at `address`; a socket file without a listener refuses. */
static bool is_served(const struct sockaddr_un *address) {
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool served = fd >= 0 && (connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 ||
                                 errno == EAGAIN);
    if (fd >= 0) {
        close(fd);
    }
    return served;
}

int http_server_listen_unix(
    struct http_server *s, const char *path, mode_t mode, int number, struct err *err) {
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof address.sun_path) {
        return err_set(err, ERR_BAD_VALUE, "the path of the socket is too long: %s", path);
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    if (is_served(&address)) {
        return err_set(err, ERR_RUNNING, "somebody serves %s already", path);
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return err_sys(err, errno, "making the socket %s", path);
    }
    unlink(path);
    /* Nobody can connect before listen(), so the mode is in time. */
    if (bind(fd, (struct sockaddr *)&address, sizeof address) || chmod(path, mode)) {
        err_sys(err, errno, "making the socket %s", path);
        close(fd);
        return -1;
    }
    return http_server_listen_fd(s, fd, number, err);
}

static int parse_address(const char *text, struct sockaddr_storage *out, struct err *err) {
    struct http_authority parts;
    char host[INET6_ADDRSTRLEN] = "";
    struct http_text whole = http_text_of(text);
    if (!http_check_authority(whole, &parts).status && parts.port >= 0) {
        bool six = parts.host.len > 2 && parts.host.at[0] == '[';
        struct http_text name = six ? http_slice(parts.host, 1, parts.host.len - 1) : parts.host;
        if (name.len < sizeof host) {
            memcpy(host, name.at, name.len);
        }
        if (six ? !uv_ip6_addr(host, parts.port, (struct sockaddr_in6 *)out)
                : !uv_ip4_addr(host, parts.port, (struct sockaddr_in *)out)) {
            return 0;
        }
    }
    return err_set(err, ERR_BAD_VALUE, "%s is not ADDRESS:PORT", text);
}

int http_server_listen_tcp(
    struct http_server *s, const char *address, int number, int *port, struct err *err) {
    struct sockaddr_storage at = { 0 };
    if (parse_address(address, &at, err)) {
        return -1;
    }
    int yes = 1, fd = socket(at.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    socklen_t size =
        at.ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) ||
        bind(fd, (struct sockaddr *)&at, size) || getsockname(fd, (struct sockaddr *)&at, &size)) {
        err_sys(err, errno, "binding %s", address);
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    if (port) {
        *port = ntohs(((struct sockaddr_in *)&at)->sin_port);
    }
    return http_server_listen_fd(s, fd, number, err);
}

void server_stop_listening(struct http_server *s) {
    LIST_FOREACH_SAFE (item, next, &s->listeners) {
        struct listener *l = LIST_ITEM(item, struct listener, link);
        list_remove(item);
        uv_close(&l->io.handle, on_listener_closed);
    }
}
