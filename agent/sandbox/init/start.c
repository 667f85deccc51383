/* The start block, read and checked. SPDX-License-Identifier: Apache-2.0
 *
 * It was made by the agent, which may have been taken over: nothing in it is believed, and the
 * seals keep it from changing while it is read.
 */
#include "start.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    SIGNAL_MAX = 64,
    SEALS = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW,
};

static int refuse(struct failure *failure, int sys, const char *text) {
    return failure_set(failure, INIT_STAGE_START_BLOCK, sys, text);
}

static int check_header(const struct init_start *h, size_t bytes, struct failure *failure) {
    if (h->magic != INIT_START_MAGIC || h->version != INIT_VERSION ||
        h->header_bytes != sizeof *h) {
        return refuse(failure, EPROTO, "unknown version");
    }
    if (h->strings_bytes != bytes - sizeof *h) {
        return refuse(failure, EINVAL, "wrong size");
    }
    if (h->args < 1 || h->args > INIT_ARGS_MAX || h->env > INIT_ENV_MAX) {
        return refuse(failure, E2BIG, "arguments or variables");
    }
    if (h->stop_signal > SIGNAL_MAX || h->grace_ms > INIT_GRACE_MAX_MS || h->port > 65535) {
        return refuse(failure, ERANGE, "stop signal, grace or port");
    }
    if (h->segment_bytes &&
        (h->segment_bytes < LOG_SEGMENT_MIN || h->segment_bytes > LOG_SEGMENT_MAX)) {
        return refuse(failure, ERANGE, "log segment size");
    }
    return 0;
}

/* The string at *at, which is moved past it; NULL when none ends before `end`. */
static char *next_string(char **at, char *end) {
    char *text = *at;
    char *nul = memchr(text, '\0', (size_t)(end - text));
    if (!nul) {
        return NULL;
    }
    *at = nul + 1;
    return text;
}

static int split_strings(struct start *start, struct failure *failure) {
    const struct init_start *h = start->header;
    char *at = (char *)(start->header + 1);
    char *end = at + h->strings_bytes;
    for (uint32_t i = 0; i < h->args; i++) {
        start->argv[i] = next_string(&at, end);
        if (!start->argv[i]) {
            return refuse(failure, EINVAL, "arguments");
        }
    }
    for (uint32_t i = 0; i < h->env; i++) {
        start->envp[i] = next_string(&at, end);
        const char *equals = start->envp[i] ? strchr(start->envp[i], '=') : NULL;
        if (!equals || equals == start->envp[i]) {
            return refuse(failure, EINVAL, "variables");
        }
    }
    start->cwd = next_string(&at, end);
    start->user = start->cwd ? next_string(&at, end) : NULL;
    if (!start->user || at != end) {
        return refuse(failure, EINVAL, "strings");
    }
    if (start->cwd[0] != '/') {
        return refuse(failure, EINVAL, "working directory is not absolute");
    }
    if (!start->argv[0][0]) {
        return refuse(failure, EINVAL, "no command");
    }
    return 0;
}

/* The descriptor in a message of one byte, or -1. */
static int passed_descriptor(struct msghdr *message) {
    const struct cmsghdr *c = CMSG_FIRSTHDR(message);
    int fd = -1;
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
        c->cmsg_len == CMSG_LEN(sizeof fd)) {
        memcpy(&fd, CMSG_DATA(c), sizeof fd);
    }
    return fd;
}

int start_await(int fd, struct failure *failure) {
    struct stat st;
    if (fstat(fd, &st) < 0) {
        return refuse(failure, errno, "descriptor");
    }
    if (!S_ISSOCK(st.st_mode)) {
        return 0;
    }
    char byte;
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec io = { &byte, sizeof byte };
    struct msghdr message = {
        .msg_iov = &io, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control
    };
    ssize_t n;
    do {
        n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n <= 0) {
        _exit(0); /* made ahead, and not needed */
    }
    int block = passed_descriptor(&message);
    if (block < 0) {
        return refuse(failure, EPROTO, "no descriptor");
    }
    if (dup3(block, fd, O_CLOEXEC) < 0) {
        return refuse(failure, errno, "descriptor");
    }
    close(block);
    return 0;
}

int start_read(struct start *start, int fd, struct failure *failure) {
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & SEALS) != SEALS) {
        return refuse(failure, seals < 0 ? errno : EPERM, "not sealed");
    }
    struct stat st;
    if (fstat(fd, &st) < 0) {
        return refuse(failure, errno, "size");
    }
    if (st.st_size <= (off_t)sizeof(struct init_start) || st.st_size > INIT_START_MAX) {
        return refuse(failure, EFBIG, "size");
    }
    void *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED) {
        return refuse(failure, errno, "map");
    }
    start->header = map;
    start->mapped = (size_t)st.st_size;
    if (check_header(start->header, start->mapped, failure) < 0) {
        return -1;
    }
    return split_strings(start, failure);
}

void start_close(struct start *start) {
    if (start->header) {
        munmap((void *)start->header, start->mapped);
    }
    memset(start, 0, sizeof *start);
}

const char *start_env(const struct start *start, const char *name) {
    size_t len = strlen(name);
    for (size_t i = 0; start->envp[i]; i++) {
        if (strncmp(start->envp[i], name, len) == 0 && start->envp[i][len] == '=') {
            return start->envp[i] + len + 1;
        }
    }
    return NULL;
}

int start_home(struct start *start, struct user *user, struct failure *failure) {
    bool has_home = start_env(start, "HOME") != NULL;
    if (user_resolve(start->user, has_home ? 0 : USER_NEED_HOME, user, failure) < 0) {
        return -1;
    }
    if (!has_home) {
        strcpy(start->home, "HOME=");
        strcat(start->home, user->home[0] ? user->home : "/");
        start->envp[start->header->env] = start->home;
    }
    return 0;
}
