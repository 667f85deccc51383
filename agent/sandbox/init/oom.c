/* Out of memory, as the kernel tells it. SPDX-License-Identifier: Apache-2.0 */
#include "oom.h"

#include "now.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EVENTS_BYTES = 1024 /* memory.events has seven short lines */ };

uint32_t oom_parse_events(const char *text, size_t len) {
    static const char key[] = "oom_kill ";
    const char *end = text + len;
    while (text < end) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        const char *stop = newline ? newline : end;
        if ((size_t)(stop - text) > strlen(key) && memcmp(text, key, strlen(key)) == 0) {
            uint32_t value = 0;
            for (text += strlen(key); text < stop && *text >= '0' && *text <= '9'; text++) {
                value = value * 10 + (uint32_t)(*text - '0');
            }
            return value;
        }
        text = stop + (newline ? 1 : 0);
    }
    return 0;
}

static uint32_t read_kills(const struct oom *oom) {
    if (oom->v2) {
        char text[EVENTS_BYTES];
        ssize_t n = lseek(oom->fd, 0, SEEK_SET) < 0 ? -1 : read(oom->fd, text, sizeof text);
        return n > 0 ? oom_parse_events(text, (size_t)n) : oom->kills;
    }
    uint64_t events = 0;
    ssize_t n = read(oom->fd, &events, sizeof events);
    return oom->kills + (n == (ssize_t)sizeof events ? (uint32_t)events : 0);
}

void oom_init(struct oom *oom, int fd) {
    struct stat st;
    *oom = (struct oom){ .fd = fstat(fd, &st) == 0 ? fd : -1 };
    if (oom->fd >= 0) {
        oom->v2 = S_ISREG(st.st_mode);
        oom->kills = read_kills(oom);
    }
}

short oom_poll_events(const struct oom *oom) {
    return oom->v2 ? POLLPRI : POLLIN;
}

bool oom_check(struct oom *oom) {
    if (oom->fd < 0) {
        return false;
    }
    uint32_t kills = read_kills(oom);
    bool news = kills > oom->kills;
    if (news && oom->boot_ms == 0) {
        oom->boot_ms = now_boot_ms();
    }
    oom->kills = kills;
    return news;
}
