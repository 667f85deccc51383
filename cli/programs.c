/* The programs that belong together. SPDX-License-Identifier: Apache-2.0 */
#include "programs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int program_find(const char *name, char path[PATH_MAX], struct err *err) {
    char own[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", own, sizeof own - 1);
    if (n <= 0) {
        return err_sys(err, errno, "finding the own program");
    }
    own[n] = '\0';
    *strrchr(own, '/') = '\0';
    if (snprintf(path, PATH_MAX, "%s/%s", own, name) >= PATH_MAX) {
        return err_set(err, ERR_BAD_VALUE, "the path of %s is too long", name);
    }
    if (access(path, X_OK) < 0) {
        err_set(err, ERR_UNAVAILABLE, "the program %s is not there: %s", path, strerror(errno));
        return err_hint(err, "build it, or install it beside paas");
    }
    return 0;
}
