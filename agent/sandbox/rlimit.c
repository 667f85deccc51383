/* Resource limits. SPDX-License-Identifier: Apache-2.0 */
#include "rlimit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static const struct {
    int resource;
    const char *name;
    rlim_t most;
} limits[] = {
    { RLIMIT_CORE, "core", 0 },
    { RLIMIT_SIGPENDING, "sigpending", 4096 }, /* queued signals, of some 100 bytes each */
    { RLIMIT_MSGQUEUE, "msgqueue", 819200 },   /* the kernel's own default */
    { RLIMIT_MEMLOCK, "memlock", 8 << 20 },    /* the kernel's own default since 5.16 */
    { RLIMIT_NICE, "nice", 0 },
    { RLIMIT_RTPRIO, "rtprio", 0 },
};

static int lower(int resource, const char *name, rlim_t most, struct err *err) {
    struct rlimit now;
    if (getrlimit((__rlimit_resource_t)resource, &now) < 0) {
        return err_sys(err, errno, "read limit %s", name);
    }
    rlim_t value = most < now.rlim_max ? most : now.rlim_max;
    struct rlimit limit = { value, value };
    if (setrlimit((__rlimit_resource_t)resource, &limit) < 0) {
        return err_sys(err, errno, "set limit %s", name);
    }
    return 0;
}

int rlimit_apply(uint32_t files, struct err *err) {
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        if (lower(limits[i].resource, limits[i].name, limits[i].most, err) < 0) {
            return -1;
        }
    }
    return lower(RLIMIT_NOFILE, "nofile", files, err);
}

int rlimit_oom_score(int fd, int score, struct err *err) {
    char text[16];
    int len = snprintf(text, sizeof text, "%d", score);
    return pwrite(fd, text, (size_t)len, 0) != len ? err_sys(err, errno, "set oom_score_adj") : 0;
}

int rlimit_read_oom_score(int fd, int *score, struct err *err) {
    char text[16];
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    if (n < 0) {
        return err_sys(err, errno, "read oom_score_adj");
    }
    text[n] = '\0';
    *score = atoi(text);
    return 0;
}

int rlimit_most_files(struct err *err) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) {
        return err_sys(err, errno, "read limit nofile");
    }
    limit.rlim_cur = limit.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &limit) < 0 ? err_sys(err, errno, "set limit nofile") : 0;
}
