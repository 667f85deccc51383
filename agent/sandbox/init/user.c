/* The user of an image's configuration, as numbers. SPDX-License-Identifier: Apache-2.0
 *
 * Story: numbers alone need no file. Else a child gives up ids and capabilities, opens /etc/passwd
 * and /etc/group, keeps no other call than read, write and exit, parses, writes a struct user
 * into a pipe, and ends. A file that hangs, lies or overruns costs the instance its start, no more.
 */
#include "user.h"

#include "guard.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    USER_WAIT_MS = 2000,
    FILE_MAX = 256 << 10, /* bytes of passwd or group that are looked at */
    NAME_MAX_BYTES = 64,
    FIELDS_MAX = 7, /* of passwd; group has 4 */
    NOBODY = 65534,
};

/* What the helper says. */
struct answer {
    int32_t sys; /* 0, ENOENT: no such name */
    struct user user;
};

struct wanted {
    char user[NAME_MAX_BYTES];
    char group[NAME_MAX_BYTES]; /* "" when none was given */
};

/* A decimal number up to INIT_APP_ID_MAX, or -1. */
static long parse_id(const char *text) {
    long value = 0;
    if (!*text) {
        return -1;
    }
    for (; *text; text++) {
        if (*text < '0' || *text > '9') {
            return -1;
        }
        value = value * 10 + (*text - '0');
        if (value > INIT_APP_ID_MAX) {
            return -1;
        }
    }
    return value;
}

static bool all_digits(const char *text) {
    return *text && text[strspn(text, "0123456789")] == '\0';
}

static int split(const char *text, struct wanted *wanted) {
    const char *colon = strchr(text, ':');
    size_t len = colon ? (size_t)(colon - text) : strlen(text);
    if (len >= sizeof wanted->user || (colon && strlen(colon + 1) >= sizeof wanted->group)) {
        return -1;
    }
    memset(wanted, 0, sizeof *wanted);
    memcpy(wanted->user, text, len);
    if (colon) {
        strcpy(wanted->group, colon + 1);
    }
    if (!wanted->user[0]) {
        strcpy(wanted->user, "0");
    }
    return 0;
}

/* ---- in the helper ------------------------------------------------------------------------ */

struct file {
    size_t len;
    char bytes[FILE_MAX + 1];
};

/* Opens a regular file without waiting for anyone; -1 when there is none that may be read. */
static int open_file(const char *path) {
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    struct stat st;
    if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static void read_file(int fd, struct file *file) {
    file->len = 0;
    ssize_t n = 1;
    while (n > 0 && file->len < FILE_MAX) {
        n = read(fd, file->bytes + file->len, FILE_MAX - file->len);
        file->len += n > 0 ? (size_t)n : 0;
    }
    file->bytes[file->len] = '\0';
}

/* Cuts the line at *at into NUL-terminated fields and moves *at past it; the number of fields, or
 * -1 at the end. */
static int next_line(struct file *file, size_t *at, char *fields[FIELDS_MAX]) {
    if (*at >= file->len) {
        return -1;
    }
    char *line = file->bytes + *at;
    char *end = memchr(line, '\n', file->len - *at);
    end = end ? end : file->bytes + file->len;
    *end = '\0';
    *at = (size_t)(end - file->bytes) + 1;
    int count = 0;
    while (line && count < FIELDS_MAX) {
        fields[count++] = line;
        line = strchr(line, ':');
        if (line) {
            *line++ = '\0';
        }
    }
    return count;
}

/* Finds the user by name, else by number; copies its line's name to `name` when there is one. */
static int find_user(
    struct file *passwd, const char *wanted, struct user *user, char name[NAME_MAX_BYTES]) {
    long number = parse_id(wanted);
    char *f[FIELDS_MAX];
    size_t at = 0;
    for (int n; (n = next_line(passwd, &at, f)) >= 0;) {
        long uid = n >= 4 ? parse_id(f[2]) : -1;
        long gid = n >= 4 ? parse_id(f[3]) : -1;
        if (uid < 0 || gid < 0 || (strcmp(f[0], wanted) != 0 && uid != number)) {
            continue;
        }
        user->uid = (uid_t)uid;
        user->gid = (gid_t)gid;
        if (strlen(f[0]) < NAME_MAX_BYTES) {
            strcpy(name, f[0]);
        }
        if (n >= 6 && f[5][0] == '/' && strlen(f[5]) < USER_HOME_MAX) {
            strcpy(user->home, f[5]);
        }
        return 0;
    }
    if (number < 0) {
        return -1;
    }
    user->uid = (uid_t)number;
    user->gid = 0;
    return 0;
}

/* Is `name` in a comma-separated list? */
static bool listed(const char *list, const char *name) {
    size_t len = strlen(name);
    while (*list) {
        size_t item = strcspn(list, ",");
        if (item == len && memcmp(list, name, len) == 0) {
            return true;
        }
        list += item + (list[item] == ',');
    }
    return false;
}

static int find_group(struct file *group, const char *wanted, struct user *user) {
    long number = parse_id(wanted);
    char *f[FIELDS_MAX];
    size_t at = 0;
    for (int n; (n = next_line(group, &at, f)) >= 0;) {
        long gid = n >= 3 ? parse_id(f[2]) : -1;
        if (gid >= 0 && (strcmp(f[0], wanted) == 0 || gid == number)) {
            user->gid = (gid_t)gid;
            return 0;
        }
    }
    user->gid = number < 0 ? 0 : (gid_t)number;
    return number < 0 ? -1 : 0;
}

static void find_memberships(struct file *group, const char *name, struct user *user) {
    char *f[FIELDS_MAX];
    size_t at = 0;
    for (int n; (n = next_line(group, &at, f)) >= 0 && user->group_count < USER_GROUPS_MAX;) {
        long gid = n >= 4 ? parse_id(f[2]) : -1;
        if (gid >= 0 && listed(f[3], name)) {
            user->groups[user->group_count++] = (gid_t)gid;
        }
    }
}

/* The helper's only descriptors; one that is -1 is closed. */
enum { HELPER_PASSWD, HELPER_GROUP, HELPER_ANSWER, HELPER_FDS };

static bool keep_descriptors(const int fds[HELPER_FDS]) {
    int aside[HELPER_FDS];
    for (int i = 0; i < HELPER_FDS; i++) {
        aside[i] = fds[i] < 0 ? -1 : fcntl(fds[i], F_DUPFD, HELPER_FDS);
    }
    for (int i = 0; i < HELPER_FDS; i++) {
        if (aside[i] < 0) {
            close(i);
        } else if (dup2(aside[i], i) < 0) {
            return false;
        }
    }
    return syscall(SYS_close_range, HELPER_FDS, ~0u, 0) == 0;
}

static void helper(const struct wanted *wanted, int answer_fd) {
    static struct file passwd, group;
    static struct answer answer;
    gid_t none = NOBODY;
    bool low = setgroups(0, NULL) == 0 && setresgid(none, none, none) == 0 &&
               setresuid(NOBODY, NOBODY, NOBODY) == 0 && guard_capabilities(0) == 0;
    int fds[HELPER_FDS] = { -1, -1, answer_fd };
    if (low) {
        fds[HELPER_PASSWD] = open_file("/etc/passwd");
        fds[HELPER_GROUP] = open_file("/etc/group");
    }
    if (!low || !keep_descriptors(fds) || guard_reader() < 0) {
        _exit(1);
    }
    read_file(HELPER_PASSWD, &passwd);
    read_file(HELPER_GROUP, &group);
    char name[NAME_MAX_BYTES] = "";
    if (find_user(&passwd, wanted->user, &answer.user, name) < 0) {
        answer.sys = ENOENT;
    } else if (wanted->group[0] && find_group(&group, wanted->group, &answer.user) < 0) {
        answer.sys = ENOENT;
    } else if (!wanted->group[0] && name[0]) {
        find_memberships(&group, name, &answer.user);
    }
    ssize_t n = write(HELPER_ANSWER, &answer, sizeof answer);
    (void)n;
    syscall(SYS_exit, 0); /* exit_group is not allowed */
}

/* ---- in paas-init ------------------------------------------------------------------------- */

/* 0, or an errno value: ECHILD when the helper ended without an answer. */
static int wait_answer(int fd, struct answer *answer) {
    struct pollfd p = { .fd = fd, .events = POLLIN };
    int ready = poll(&p, 1, USER_WAIT_MS);
    if (ready != 1) {
        return ready == 0 ? ETIMEDOUT : errno;
    }
    ssize_t n = read(fd, answer, sizeof *answer); /* shorter than PIPE_BUF: one piece */
    return n == (ssize_t)sizeof *answer ? 0 : ECHILD;
}

/* The helper read hostile files: only what is in range passes. */
static bool plausible(const struct user *user) {
    if (user->uid > INIT_APP_ID_MAX || user->gid > INIT_APP_ID_MAX ||
        user->group_count > USER_GROUPS_MAX || !memchr(user->home, '\0', sizeof user->home)) {
        return false;
    }
    for (uint32_t i = 0; i < user->group_count; i++) {
        if (user->groups[i] > INIT_APP_ID_MAX) {
            return false;
        }
    }
    return user->home[0] == '\0' || user->home[0] == '/';
}

/* 0, or an errno value. */
static int ask_helper(const struct wanted *wanted, struct answer *answer) {
    int pipe_fds[2];
    if (pipe2(pipe_fds, O_CLOEXEC) < 0) {
        return errno;
    }
    pid_t pid = fork();
    if (pid == 0) {
        helper(wanted, pipe_fds[1]);
        _exit(1);
    }
    int result = pid < 0 ? errno : 0;
    close(pipe_fds[1]);
    if (pid > 0) {
        result = wait_answer(pipe_fds[0], answer);
    }
    close(pipe_fds[0]);
    if (pid > 0) {
        kill(pid, SIGKILL);
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    return result;
}

int user_resolve(
    const char *text, enum user_flags flags, struct user *user, struct failure *failure) {
    struct wanted wanted;
    memset(user, 0, sizeof *user);
    if (split(text, &wanted) < 0) {
        return failure_set(failure, INIT_STAGE_USER, ENAMETOOLONG, text);
    }
    long uid = parse_id(wanted.user);
    long gid = wanted.group[0] ? parse_id(wanted.group) : 0;
    if ((uid < 0 && all_digits(wanted.user)) || (gid < 0 && all_digits(wanted.group))) {
        return failure_set(failure, INIT_STAGE_USER, ERANGE, text);
    }
    bool numbers = uid >= 0 && gid >= 0;
    bool complete = wanted.group[0] && !(flags & USER_NEED_HOME);
    if (numbers && (complete || access("/etc/passwd", F_OK) < 0)) {
        user->uid = (uid_t)uid;
        user->gid = (gid_t)gid;
        return 0;
    }
    struct answer answer = { 0 };
    int sys = ask_helper(&wanted, &answer);
    if (sys) {
        return failure_set(failure, INIT_STAGE_USER, sys, text);
    }
    if (answer.sys || !plausible(&answer.user)) {
        return failure_set(failure, INIT_STAGE_USER, ENOENT, text);
    }
    *user = answer.user;
    return 0;
}
