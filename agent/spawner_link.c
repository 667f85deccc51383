/* The agent's end of the socket to its spawner. SPDX-License-Identifier: Apache-2.0 */
#include "spawner_link.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <paas/file.h>
#include <paas/list.h>
#include <paas/log.h>

enum {
    ANSWERS_A_TURN = 32,     /* the loop's other work comes in between */
    SOCKET_BUFFER = 1 << 20, /* bytes: some hundred requests while the spawner is at work */
};

struct open_request {
    struct list link;
    uint32_t sequence;
    uint32_t operation;
    spawner_done done; /* NULL: forgotten */
    void *data;
};

struct spawner_link {
    uv_poll_t poll;
    int socket;
    uint32_t last_sequence;
    struct list open;
    void (*lost)(void *data);
    void *data;
};

static struct open_request *find(struct spawner_link *link, uint32_t sequence) {
    LIST_FOREACH (item, &link->open) {
        struct open_request *r = LIST_ITEM(item, struct open_request, link);
        if (r->sequence == sequence) {
            return r;
        }
    }
    return NULL;
}

static void on_answer(struct spawner_link *link, struct spawner_answer *answer, int *fds) {
    struct open_request *r = find(link, answer->sequence);
    struct err err = { .code = (enum err_code)answer->code, .sys = answer->sys };
    answer->text[sizeof answer->text - 1] = '\0';
    memcpy(err.text, answer->text, sizeof err.text);
    spawner_done done = r ? r->done : NULL;
    void *data = r ? r->data : NULL;
    bool more = r && answer->operation == SPAWNER_EXEC && answer->code == ERR_OK;
    if (r && !more) {
        list_remove(&r->link);
        free(r);
    }
    if (done) {
        done(data, answer, fds, &err);
    }
    for (int n = 0; n < SPAWNER_ANSWER_FDS; n++) {
        file_close(&fds[n]);
    }
}

static void on_lost(struct spawner_link *link) {
    void (*lost)(void *) = link->lost;
    link->lost = NULL;
    uv_poll_stop(&link->poll);
    if (lost) {
        lost(link->data);
    }
}

static void on_readable(uv_poll_t *poll, int status, int events) {
    struct spawner_link *link = poll->data;
    (void)events;
    for (int i = 0; status >= 0 && i < ANSWERS_A_TURN; i++) {
        struct spawner_answer answer;
        int fds[SPAWNER_FDS_MAX];
        size_t fd_count;
        ssize_t n = spawner_receive(link->socket, &answer, sizeof answer, fds, &fd_count);
        if (n < 0 && errno == EAGAIN) {
            return;
        }
        if (n != sizeof answer || answer.magic != SPAWNER_MAGIC || fd_count > SPAWNER_ANSWER_FDS) {
            status = -1;
            break;
        }
        for (size_t at = fd_count; at < SPAWNER_ANSWER_FDS; at++) {
            fds[at] = -1;
        }
        on_answer(link, &answer, fds);
        if (link->socket < 0) {
            return;
        }
    }
    if (status < 0) {
        on_lost(link);
    }
}

struct spawner_link *spawner_link_create(
    uv_loop_t *loop, int socket, void (*lost)(void *data), void *data, struct err *err) {
    struct spawner_link *link = calloc(1, sizeof *link);
    if (!link) {
        err_no_memory(err);
        return NULL;
    }
    list_init(&link->open);
    link->socket = socket;
    link->lost = lost;
    link->data = data;
    link->poll.data = link;
    const int size = SOCKET_BUFFER;
    setsockopt(socket, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    int failed =
        fcntl(socket, F_SETFL, O_NONBLOCK) < 0 ? -errno : uv_poll_init(loop, &link->poll, socket);
    if (failed) {
        free(link);
        err_sys(err, -failed, "watching the spawner's socket");
        return NULL;
    }
    uv_poll_start(&link->poll, UV_READABLE, on_readable);
    return link;
}

static void on_closed(uv_handle_t *handle) {
    struct spawner_link *link = handle->data;
    LIST_FOREACH_SAFE (item, after, &link->open) {
        free(LIST_ITEM(item, struct open_request, link));
    }
    free(link);
}

void spawner_link_close(struct spawner_link *link) {
    if (link && link->socket >= 0) {
        link->lost = NULL;
        LIST_FOREACH (item, &link->open) {
            LIST_ITEM(item, struct open_request, link)->done = NULL;
        }
        uv_poll_stop(&link->poll);
        close(link->socket);
        link->socket = -1;
        uv_close((uv_handle_t *)&link->poll, on_closed);
    }
}

int spawner_ask(struct spawner_link *link, struct spawner_request *request, const int *fds,
    spawner_done done, void *data, struct err *err) {
    struct open_request *r = calloc(1, sizeof *r);
    if (!r) {
        return err_no_memory(err);
    }
    *r = (struct open_request){
        .sequence = ++link->last_sequence,
        .operation = request->operation,
        .done = done,
        .data = data,
    };
    request->magic = SPAWNER_MAGIC;
    request->sequence = r->sequence;
    if (spawner_send(link->socket, request, spawner_request_size(request->operation), fds,
            spawner_request_fds(request->operation)) < 0) {
        int sys = errno;
        free(r);
        err_sys(err, sys, "asking the spawner");
        if (err && sys == EAGAIN) {
            err->code = ERR_BUSY;
        }
        return -1;
    }
    list_append(&link->open, &r->link);
    return 0;
}

void spawner_forget(struct spawner_link *link, void *data) {
    LIST_FOREACH (item, &link->open) {
        struct open_request *r = LIST_ITEM(item, struct open_request, link);
        if (r->data == data) {
            r->done = NULL;
        }
    }
}
