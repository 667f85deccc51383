/* The socket to this host's proxy. SPDX-License-Identifier: Apache-2.0
 *
 * One listening pipe, and the connection that came last: a proxy that restarts connects while its
 * predecessor still finishes requests, and the newer one is the one that gets new ones. A peer that
 * sends what is no message, or does not read, is cut off; it connects again and hears all rows.
 */
#include "local_proxy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <paas/buf.h>
#include <paas/log.h>
#include <paas/wire.h>

enum {
    LINE_MAX_BYTES = 4096, /* a message has under 1 KiB */
    GATHER_MAX = 4 << 20,  /* bytes of rows that wait: 10,000 rows */
    QUEUE_MAX = 8 << 20,   /* bytes that the proxy may lag behind before it is cut off */
};

struct link {
    struct local_proxy *owner; /* NULL once cut off */
    uv_pipe_t pipe;
    struct buf in;
    char chunk[16384];
};

struct local_proxy {
    struct local_proxy_options options;
    uv_pipe_t listener;
    struct link *link; /* the proxy, or NULL */
    struct buf gathered;
    int64_t revision;
};

struct sending {
    uv_write_t write;
    char *bytes;
};

static void on_link_closed(uv_handle_t *handle) {
    struct link *link = handle->data;
    buf_free(&link->in);
    free(link);
}

static void cut(struct link *link) {
    struct local_proxy *lp = link->owner;
    if (!lp) {
        return;
    }
    link->owner = NULL;
    uv_close((uv_handle_t *)&link->pipe, on_link_closed);
    if (lp->link == link) {
        lp->link = NULL;
        buf_reset(&lp->gathered);
        lp->options.lost(lp->options.data);
    }
}

/* One line; false when the peer is to be cut off. */
static bool on_line(struct link *link, const char *line, size_t len) {
    struct local_message message;
    struct err err;
    if (json_decode(&local_message_json, line, len, &message, &err) < 0) {
        log_warn("the proxy's socket: %s", err.text);
        return false;
    }
    if (message.type != LOCAL_HELLO) {
        link->owner->options.message(link->owner->options.data, &message);
    }
    return true;
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    struct link *link = handle->data;
    (void)suggested;
    *buf = uv_buf_init(link->chunk, sizeof link->chunk);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
    struct link *link = stream->data;
    if (n < 0 || buf_append(&link->in, buf->base, (size_t)n) < 0) {
        cut(link);
        return;
    }
    size_t used = 0;
    char *end;
    while (link->owner && (end = memchr(link->in.data + used, '\n', link->in.len - used))) {
        size_t len = (size_t)(end - link->in.data) - used;
        if (!on_line(link, link->in.data + used, len)) {
            cut(link);
            return;
        }
        used += len + 1;
    }
    buf_consume(&link->in, used);
}

/* The peer's uid is its right to speak. */
static bool is_proxy(const struct local_proxy *lp, const uv_pipe_t *pipe) {
    struct ucred peer;
    socklen_t len = sizeof peer;
    int fd;
    if (uv_fileno((const uv_handle_t *)pipe, &fd) ||
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0) {
        return false;
    }
    if (peer.uid != lp->options.proxy_uid && peer.uid != 0) {
        log_debug("uid %u is not the proxy", (unsigned)peer.uid);
        return false;
    }
    return true;
}

static void on_connection(uv_stream_t *listener, int status) {
    struct local_proxy *lp = listener->data;
    struct link *link = status < 0 ? NULL : calloc(1, sizeof *link);
    if (!link) {
        log_error("accepting the proxy: %s", status < 0 ? uv_strerror(status) : "out of memory");
        return;
    }
    link->owner = lp;
    link->pipe.data = link;
    buf_init(&link->in, sizeof link->chunk + LINE_MAX_BYTES);
    uv_pipe_init(lp->options.loop, &link->pipe, 0);
    if (uv_accept(listener, (uv_stream_t *)&link->pipe) || !is_proxy(lp, &link->pipe) ||
        uv_read_start((uv_stream_t *)&link->pipe, on_alloc, on_read)) {
        cut(link);
        return;
    }
    struct link *before = lp->link;
    lp->link = NULL;
    if (before) {
        cut(before);
        lp->options.lost(lp->options.data);
    }
    buf_reset(&lp->gathered);
    lp->link = link;
    struct local_message hello = { .type = LOCAL_HELLO };
    local_proxy_send(lp, &hello);
    lp->options.connected(lp->options.data);
}

struct local_proxy *local_proxy_open(const struct local_proxy_options *options, struct err *err) {
    struct local_proxy *lp = calloc(1, sizeof *lp);
    if (!lp) {
        err_no_memory(err);
        return NULL;
    }
    lp->options = *options;
    lp->listener.data = lp;
    buf_init(&lp->gathered, GATHER_MAX);
    if (unlink(options->path) < 0 && errno != ENOENT) {
        err_sys(err, errno, "replacing %s", options->path);
        free(lp);
        return NULL;
    }
    uv_pipe_init(options->loop, &lp->listener, 0);
    int failed = uv_pipe_bind(&lp->listener, options->path);
    if (!failed && chmod(options->path, 0666) < 0) {
        failed = -errno;
    }
    failed = failed ? failed : uv_listen((uv_stream_t *)&lp->listener, 16, on_connection);
    if (failed) {
        err_sys(err, -failed, "listening on %s", options->path);
        local_proxy_close(lp);
        return NULL;
    }
    return lp;
}

static void on_closed(uv_handle_t *handle) {
    free(handle->data);
}

void local_proxy_close(struct local_proxy *lp) {
    if (!lp) {
        return;
    }
    struct link *link = lp->link;
    lp->link = NULL;
    if (link) {
        cut(link);
    }
    buf_free(&lp->gathered);
    uv_close((uv_handle_t *)&lp->listener, on_closed);
}

bool local_proxy_is_connected(const struct local_proxy *lp) {
    return lp && lp->link;
}

void local_proxy_send(struct local_proxy *lp, const struct local_message *row) {
    if (lp && lp->link) {
        json_encode(&local_message_json, row, &lp->gathered);
        buf_putc(&lp->gathered, '\n');
    }
}

static void on_sent(uv_write_t *write, int status) {
    struct sending *sending = (struct sending *)write;
    struct link *link = write->handle->data;
    free(sending->bytes);
    free(sending);
    if (status < 0 && link->owner) {
        cut(link);
    }
}

int64_t local_proxy_sync(struct local_proxy *lp) {
    struct local_message sync = { .type = LOCAL_SYNC, .revision = ++lp->revision };
    struct link *link = lp->link;
    if (!link) {
        return sync.revision;
    }
    local_proxy_send(lp, &sync);
    unsigned len = (unsigned)lp->gathered.len;
    struct sending *sending = calloc(1, sizeof *sending);
    char *bytes = buf_take(&lp->gathered);
    if (!sending || !bytes || link->pipe.write_queue_size > QUEUE_MAX) {
        free(sending);
        free(bytes);
        log_warn("the proxy does not keep up, cutting it off");
        cut(link);
        return sync.revision;
    }
    sending->bytes = bytes;
    uv_buf_t buf = uv_buf_init(bytes, len);
    int failed = uv_write(&sending->write, (uv_stream_t *)&link->pipe, &buf, 1, on_sent);
    if (failed) {
        free(bytes);
        free(sending);
        cut(link);
    }
    return sync.revision;
}
