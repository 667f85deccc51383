/* One line per event. SPDX-License-Identifier: Apache-2.0 */
#include <paas/log.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *const level_names[] = { "debug", "info", "warn", "error" };
static const char *part_name = "paas";
static enum log_level lowest = LOG_INFO;

void log_init(const char *part) {
    part_name = part;
    const char *wanted = getenv("PAAS_LOG");
    for (size_t i = 0; wanted && i < sizeof level_names / sizeof *level_names; i++) {
        if (strcmp(wanted, level_names[i]) == 0) {
            lowest = (enum log_level)i;
        }
    }
}

void log_write(enum log_level level, const char *format, ...) {
    if (level < lowest) {
        return;
    }
    int saved = errno;
    char line[LOG_LINE_MAX];
    struct timespec now;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    size_t used = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &tm);
    used += (size_t)snprintf(line + used, sizeof line - used, ".%03ldZ %s %s ",
        now.tv_nsec / 1000000, level_names[level], part_name);
    size_t start = used;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line + used, sizeof line - used, format, args);
    va_end(args);
    if (n > 0) {
        size_t room = sizeof line - used - 1;
        used += (size_t)n < room ? (size_t)n : room;
    }
    for (size_t i = start; i < used; i++) {
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f) {
            line[i] = '?';
        }
    }
    line[used++] = '\n';
    /* A log that cannot be written has nowhere to say so. */
    ssize_t written = write(STDERR_FILENO, line, used);
    (void)written;
    errno = saved;
}
