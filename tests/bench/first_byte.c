/* Times a command from its exec to the first byte that it writes. SPDX-License-Identifier: Apache-2.0
 *
 *   first_byte COUNT GAP_MS COMMAND [ARG]…
 *
 * Runs the command COUNT times, waits GAP_MS before each, and prints one line of microseconds a
 * run. Any "%" in an argument becomes the number of the run, for commands that want a new name. */
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static long now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000L + t.tv_nsec / 1000;
}

/* A copy of `text` with the first '%' replaced by the number. */
static char *numbered(const char *text, int number) {
    const char *mark = strchr(text, '%');
    char *copy;
    if (!mark) {
        return strdup(text);
    }
    return asprintf(&copy, "%.*s%d-%d%s", (int)(mark - text), text, (int)getpid(), number,
               mark + 1) < 0
               ? NULL
               : copy;
}

static long run_once(char **command, int number) {
    int ends[2];
    char *argv[64] = { 0 };
    char byte;
    pid_t pid;
    for (int i = 0; command[i] && i < 63; i++) {
        argv[i] = numbered(command[i], number);
    }
    if (pipe(ends) < 0) {
        return -1;
    }
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    posix_spawn_file_actions_addclose(&actions, ends[1]);
    long began = now_us();
    int failed = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
    close(ends[1]);
    ssize_t n = failed ? -1 : read(ends[0], &byte, 1);
    long took = now_us() - began;
    while (!failed && read(ends[0], &byte, 1) > 0) {
    }
    close(ends[0]);
    if (!failed) {
        waitpid(pid, NULL, 0);
    }
    posix_spawn_file_actions_destroy(&actions);
    for (int i = 0; argv[i]; i++) {
        free(argv[i]);
    }
    return n == 1 ? took : -1;
}

int main(int argc, char **argv) {
    if (argc < 4) {
        fprintf(stderr, "usage: first_byte COUNT GAP_MS COMMAND [ARG]...\n");
        return 2;
    }
    int count = atoi(argv[1]), gap = atoi(argv[2]);
    for (int i = 0; i < count; i++) {
        struct timespec pause = { gap / 1000, gap % 1000 * 1000000L };
        nanosleep(&pause, NULL);
        long took = run_once(argv + 3, i);
        if (took < 0) {
            fprintf(stderr, "first_byte: %s wrote nothing\n", argv[3]);
            return 1;
        }
        printf("%ld\n", took);
    }
    return 0;
}
