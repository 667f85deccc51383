/* The files that paas-init writes. SPDX-License-Identifier: Apache-2.0 */
#include "state.h"

#include <paas/file.h>
#include <paas/init.h>

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    BACKLOG = INIT_CONNECTIONS_MAX, /* connections not yet accepted */
};

static const char *const names[STATE_COUNT] = {
    [STATE_EXIT] = INIT_NAME_EXIT,
    [STATE_LOG0] = INIT_NAME_LOG0,
    [STATE_LOG1] = INIT_NAME_LOG1,
    [STATE_SOCKET] = INIT_NAME_SOCKET,
};

void state_init(struct state *s) {
    for (int i = 0; i < STATE_COUNT; i++) {
        s->fds[i] = -1;
    }
}

void state_close(struct state *s) {
    for (int i = 0; i < STATE_COUNT; i++) {
        file_close(&s->fds[i]);
    }
}

static int make_file(int dir, const char *name, uid_t uid, struct err *err) {
    CLEANUP_FD int fd = openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 || fchown(fd, uid, uid) < 0) {
        return err_sys(err, errno, "make %s", name);
    }
    int made = fd;
    fd = -1;
    return made;
}

/* A socket is bound by path alone, and a path longer than 107 bytes has no room: so bind it from
 * within its directory. */
static int bind_in(int fd, int dir, const char *name) {
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    memcpy(address.sun_path, name, strlen(name));
    if (fchdir(dir) < 0) {
        return -1;
    }
    int result = bind(fd, (struct sockaddr *)&address, sizeof address), sys = errno;
    if (chdir("/") < 0) {
        return -1;
    }
    errno = sys;
    return result;
}

static int make_socket(int dir, const char *name, uid_t uid, struct err *err) {
    CLEANUP_FD int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    /* The mode comes from the descriptor: changing it later by name could hit what the owner of the
     * directory puts there. */
    if (fd < 0 || fchmod(fd, 0600) < 0 || bind_in(fd, dir, name) < 0 ||
        fchownat(dir, name, uid, uid, AT_SYMLINK_NOFOLLOW) < 0 || listen(fd, BACKLOG) < 0) {
        return err_sys(err, errno, "make %s", name);
    }
    int made = fd;
    fd = -1;
    return made;
}

int state_make(struct state *s, int dir, uid_t uid, struct err *err) {
    for (int i = 0; i < STATE_COUNT; i++) {
        s->fds[i] = (i == STATE_SOCKET ? make_socket : make_file)(dir, names[i], uid, err);
        if (s->fds[i] < 0) {
            return -1;
        }
    }
    return 0;
}

void state_unmake(struct state *s, int dir) {
    for (int i = 0; i < STATE_COUNT; i++) {
        if (s->fds[i] >= 0) {
            unlinkat(dir, names[i], 0);
        }
    }
    state_close(s);
}
