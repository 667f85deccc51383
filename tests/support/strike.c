/* Kills a process at the moment when a file appears or says something.
 * SPDX-License-Identifier: Apache-2.0
 *
 *     strike PID PATTERN [TEXT]
 *
 * Says "ready" once it has seen which paths fit PATTERN already (and have TEXT in them), then kills
 * PID with SIGKILL as soon as another does, and says which. It looks as often as it can: the time
 * between a file and the kill is tens of microseconds. Status 1 when nothing came in 20 s.
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PATHS_MAX = 512, PATH_SIZE = 256, TEXT_SIZE = 8192, PATIENCE_S = 20 };

struct strike {
    const char *pattern, *text;
    char known[PATHS_MAX][PATH_SIZE];
    size_t count;
};

static bool has_text(const char *path, const char *text) {
    char bytes[TEXT_SIZE];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, bytes, sizeof bytes - 1);
    if (fd >= 0) {
        close(fd);
    }
    bytes[n > 0 ? n : 0] = '\0';
    return strstr(bytes, text) != NULL;
}

static bool is_known(const struct strike *s, const char *path) {
    for (size_t i = 0; i < s->count; i++) {
        if (strcmp(s->known[i], path) == 0) {
            return true;
        }
    }
    return false;
}

/* Copies the first path that is new, if there is one; with `learn` all are remembered instead. */
static bool look(struct strike *s, bool learn, char found[PATH_SIZE]) {
    glob_t paths;
    bool hit = false;
    if (glob(s->pattern, GLOB_NOSORT, NULL, &paths) != 0) {
        return false;
    }
    for (size_t i = 0; i < paths.gl_pathc && !hit; i++) {
        const char *path = paths.gl_pathv[i];
        if (is_known(s, path) || (s->text && !has_text(path, s->text))) {
            continue;
        }
        if (learn && s->count < PATHS_MAX) {
            snprintf(s->known[s->count++], PATH_SIZE, "%s", path);
        } else {
            snprintf(found, PATH_SIZE, "%s", path);
            hit = true;
        }
    }
    globfree(&paths);
    return hit && !learn;
}

int main(int argc, char **argv) {
    static struct strike s;
    char found[PATH_SIZE];
    if (argc < 3 || atoi(argv[1]) <= 1) {
        fprintf(stderr, "usage: strike PID PATTERN [TEXT]\n");
        return 2;
    }
    s.pattern = argv[2];
    s.text = argc > 3 ? argv[3] : NULL;
    look(&s, true, found);
    printf("ready\n");
    fflush(stdout);
    time_t deadline = time(NULL) + PATIENCE_S;
    while (!look(&s, false, found)) {
        if (time(NULL) > deadline) {
            printf("nothing came\n");
            return 1;
        }
    }
    if (kill(atoi(argv[1]), SIGKILL) < 0) {
        printf("kill: %s\n", strerror(errno));
        return 1;
    }
    printf("struck at %s\n", found);
    return 0;
}
