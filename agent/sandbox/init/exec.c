/* A command beside the app: `paas-init exec`. SPDX-License-Identifier: Apache-2.0 */
#include "exec.h"

#include "become.h"
#include "guard.h"

#include <errno.h>
#include <linux/close_range.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    STATUS_NOT_RUN = 126, /* as a shell has them */
    STATUS_NOT_FOUND = 127,
    MESSAGE_MAX = 512,
};

static const char *const stage_words[INIT_STAGE_COUNT] = {
#define X(id, words) [INIT_STAGE_##id] = words,
    INIT_STAGES(X)
#undef X
};

static int try_command(struct start *start, struct failure *failure) {
    struct user user;
    struct sock_fprog filter;
    if (guard_early(failure) < 0 || start_read(start, INIT_FD_START, failure) < 0 ||
        start_home(start, &user, failure) < 0 || become_map_filter(&filter, failure) < 0 ||
        become_user(&user, failure) < 0 || become_resident(start->cwd, failure) < 0) {
        return -1;
    }
    if (syscall(SYS_close_range, 3, ~0u, CLOSE_RANGE_CLOEXEC) < 0) {
        return failure_set(failure, INIT_STAGE_DESCRIPTORS, errno, "close_range");
    }
    if (become_filtered(&filter, 0, failure) < 0) {
        return -1;
    }
    become_command(start, failure);
    return -1;
}

int exec_command(void) {
    static struct start start;
    struct failure failure;
    umask(022);
    try_command(&start, &failure);
    char text[MESSAGE_MAX];
    int n = snprintf(text, sizeof text, "paas: can't %s %s: %s\n", stage_words[failure.stage],
        failure.text, strerror(failure.sys));
    ssize_t written = write(STDERR_FILENO, text, (size_t)n);
    (void)written;
    return failure.stage == INIT_STAGE_EXEC && failure.sys == ENOENT ? STATUS_NOT_FOUND
                                                                     : STATUS_NOT_RUN;
}
