/* The sockets that the world connects to. SPDX-License-Identifier: Apache-2.0 */
#include "listeners.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <paas/file.h>
#include <paas/str.h>

enum { BACKLOG = 4096 /* connections that wait while a daemon starts again; net.core.somaxconn */ };

int listener_open_unix(const char *path, struct err *err) {
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (str_copy(address.sun_path, sizeof address.sun_path, path) < 0) {
        return err_set(err, ERR_BAD_VALUE, "%s is too long for a socket", path);
    }
    CLEANUP_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    unlink(path);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        chmod(path, 0666) < 0 || listen(fd, BACKLOG) < 0) {
        return err_sys(err, errno, "listening on %s", path);
    }
    int result = fd;
    fd = -1;
    return result;
}

/* Splits "ADDRESS:PORT". */
static int parse_address(
    const char *text, struct sockaddr_storage *out, socklen_t *len, struct err *err) {
    char host[64];
    const char *colon = strrchr(text, ':');
    int64_t port;
    size_t host_len = colon ? (size_t)(colon - text) : 0;
    bool bracketed = host_len > 2 && text[0] == '[' && colon[-1] == ']';
    if (!colon || host_len == 0 || host_len >= sizeof host) {
        err_set(err, ERR_USAGE, "\"%s\" is not ADDRESS:PORT", text);
        return err_hint(err, "for example 127.0.0.1:8080");
    }
    if (str_int(colon + 1, 0, 65535, "port", &port, err) < 0) {
        return err_wrap(err, "%s", text);
    }
    snprintf(
        host, sizeof host, "%.*s", (int)host_len - (bracketed ? 2 : 0), text + (bracketed ? 1 : 0));
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
    *out = (struct sockaddr_storage){ 0 };
    if (!bracketed && inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        *len = sizeof *v4;
        return 0;
    }
    if (bracketed && inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)port);
        *len = sizeof *v6;
        return 0;
    }
    err_set(err, ERR_USAGE, "\"%s\" is not an IP address", host);
    return err_hint(err, "for example 127.0.0.1:8080, 0.0.0.0:80 or [::1]:8080");
}

int listener_open_tcp(const char *text, struct err *err) {
    struct sockaddr_storage address;
    socklen_t len = 0;
    if (parse_address(text, &address, &len, err) < 0) {
        return -1;
    }
    CLEANUP_FD int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int on = 1;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0) {
        return err_sys(err, errno, "making a socket for %s", text);
    }
    if (bind(fd, (struct sockaddr *)&address, len) < 0 || listen(fd, BACKLOG) < 0) {
        int sys = errno;
        err_sys(err, sys, "listening on %s", text);
        if (err && sys == EADDRINUSE) {
            err->code = ERR_CONFLICT;
            return err_hint(err, "ss -ltnp 'sport = :%s' shows who has it; or choose another port",
                strrchr(text, ':') + 1);
        }
        return -1;
    }
    int result = fd;
    fd = -1;
    return result;
}

int listener_address(int fd, char *text, size_t size, struct err *err) {
    struct sockaddr_storage address;
    socklen_t len = sizeof address;
    char host[INET6_ADDRSTRLEN];
    if (getsockname(fd, (struct sockaddr *)&address, &len) < 0) {
        return err_sys(err, errno, "asking a socket for its address");
    }
    if (address.ss_family == AF_INET6) {
        struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address;
        inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host);
        snprintf(text, size, "[%s]:%d", host, ntohs(v6->sin6_port));
    } else {
        struct sockaddr_in *v4 = (struct sockaddr_in *)&address;
        inet_ntop(AF_INET, &v4->sin_addr, host, sizeof host);
        snprintf(text, size, "%s:%d", host, ntohs(v4->sin_port));
    }
    return 0;
}

uint64_t listener_inode(int fd) {
    struct stat facts;
    return fd >= 0 && fstat(fd, &facts) == 0 ? facts.st_ino : 0;
}

int listener_take(const struct process *from, uint64_t inode, struct err *err) {
    char path[64], wanted[64], found[64];
    snprintf(path, sizeof path, "/proc/%d/fd", (int)from->pid);
    snprintf(wanted, sizeof wanted, "socket:[%" PRIu64 "]", inode);
    DIR *entries = inode && from->pidfd >= 0 ? opendir(path) : NULL;
    int taken = -1;
    struct dirent *entry;
    while (taken < 0 && entries && (entry = readdir(entries))) {
        ssize_t n = readlinkat(dirfd(entries), entry->d_name, found, sizeof found - 1);
        if (n <= 0 || (found[n] = '\0', strcmp(found, wanted)) != 0) {
            continue;
        }
        taken = (int)syscall(SYS_pidfd_getfd, from->pidfd, atoi(entry->d_name), 0);
        /* The process may have closed it in between: what came must be what was looked for. */
        if (taken >= 0 && listener_inode(taken) != inode) {
            file_close(&taken);
        }
    }
    if (entries) {
        closedir(entries);
    }
    return taken < 0 ? err_set(err, ERR_NOT_FOUND, "process %d has no socket %" PRIu64,
                           (int)from->pid, inode)
                     : taken;
}
