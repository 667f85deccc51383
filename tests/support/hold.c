/* Holds many connections to a Unix socket as another user. SPDX-License-Identifier: Apache-2.0
 *
 *     hold SOCKET COUNT UID [TEXT]
 *
 * Connects as UID up to COUNT times, sends TEXT on each (\r and \n as C has them), says how many it
 * holds, and ends when its standard input does.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { TEXT_MAX = 4096 };

static size_t unescape(const char *from, char *to) {
    size_t len = 0;
    for (; *from && len < TEXT_MAX; from++) {
        if (from[0] == '\\' && (from[1] == 'r' || from[1] == 'n')) {
            to[len++] = *++from == 'r' ? '\r' : '\n';
        } else {
            to[len++] = *from;
        }
    }
    return len;
}

int main(int argc, char **argv) {
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    char text[TEXT_MAX], byte;
    if (argc < 4 || strlen(argv[1]) >= sizeof at.sun_path) {
        fprintf(stderr, "usage: hold SOCKET COUNT UID [TEXT]\n");
        return 2;
    }
    strcpy(at.sun_path, argv[1]);
    int count = atoi(argv[2]), held = 0;
    uid_t uid = (uid_t)strtoul(argv[3], NULL, 10);
    size_t len = unescape(argc > 4 ? argv[4] : "", text);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    if (setgid(uid) < 0 || setuid(uid) < 0) {
        perror("setuid");
        return 2;
    }
    /* A full backlog answers EAGAIN: then it holds what it got. */
    for (; held < count; held++) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof at) < 0 ||
            send(fd, text, len, MSG_NOSIGNAL) < 0) {
            break;
        }
    }
    printf("holds %d\n", held);
    fflush(stdout);
    while (read(0, &byte, 1) > 0) {
    }
    return 0;
}
