/* Parent and child. SPDX-License-Identifier: Apache-2.0 */
#include "sync.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum kind { READY = 1, FAILED };

struct news {
    enum kind kind;
    struct err err;
};

int sync_open(int ends[2], struct err *err) {
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
        return err_sys(err, errno, "socketpair");
    }
    struct timeval limit = { .tv_sec = SYNC_TIMEOUT_SECONDS };
    for (int i = 0; i < 2; i++) {
        if (setsockopt(ends[i], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) < 0) {
            err_sys(err, errno, "set a time limit");
            close(ends[0]);
            close(ends[1]);
            return -1;
        }
    }
    return 0;
}

union control {
    char bytes[CMSG_SPACE(sizeof(int) * SYNC_FDS_MAX)];
    struct cmsghdr align;
};

int sync_send(int end, const int *fds, int count, struct err *err) {
    assert(count <= SYNC_FDS_MAX);
    size_t bytes = sizeof(int) * (size_t)count;
    union control control = { .bytes = { 0 } };
    char word = 0;
    struct iovec iov = { &word, 1 };
    struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
    if (count) {
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(bytes);
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(bytes);
        memcpy(CMSG_DATA(head), fds, bytes);
    }
    if (sendmsg(end, &message, MSG_NOSIGNAL) < 0 && errno != EPIPE) {
        return err_sys(err, errno, "send descriptors");
    }
    return 0;
}

int sync_receive(int end, int *fds, int count, struct err *err) {
    assert(count <= SYNC_FDS_MAX);
    union control control;
    char word;
    struct iovec iov = { &word, 1 };
    struct msghdr message = { .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = sizeof control.bytes };
    ssize_t n = recvmsg(end, &message, MSG_CMSG_CLOEXEC);
    if (n < 0) {
        return err_sys(err, errno, "receive descriptors");
    }
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    size_t bytes = sizeof(int) * (size_t)count;
    bool complete =
        count == 0 || (head && head->cmsg_type == SCM_RIGHTS && head->cmsg_len == CMSG_LEN(bytes));
    if (n == 0 || !complete) {
        return err_set(err, ERR_CANCELLED, "the parent gave up");
    }
    if (count) {
        memcpy(fds, CMSG_DATA(head), bytes);
    }
    return 0;
}

int sync_ready(int end, struct err *err) {
    struct news news = { .kind = READY };
    return send(end, &news, sizeof news, MSG_NOSIGNAL) < 0 ? err_sys(err, errno, "tell the parent")
                                                           : 0;
}

void sync_failed(int end, const struct err *why) {
    struct news news = { .kind = FAILED, .err = *why };
    /* Nothing is left to do when this fails; the parent then sees the stream end. */
    (void)!send(end, &news, sizeof news, MSG_NOSIGNAL);
}

int sync_wait(int end, struct err *err) {
    bool ready = false;
    for (;;) {
        struct news news;
        ssize_t n = recv(end, &news, sizeof news, 0);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return err_sys(err, errno, "wait for the child");
        }
        if (n == 0) {
            return ready ? 0 : err_set(err, ERR_INTERNAL, "the child died on its way");
        }
        if (n != sizeof news || news.kind == FAILED) {
            if (err) {
                *err = news.err;
            }
            return -1;
        }
        ready = true;
    }
}
