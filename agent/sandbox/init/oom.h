/* Out of memory, as the kernel tells it. SPDX-License-Identifier: Apache-2.0 */
#ifndef PAAS_INIT_OOM_H
#define PAAS_INIT_OOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct oom {
    int fd;          /* INIT_FD_OOM, or -1 */
    bool v2;         /* memory.events; else an eventfd of memory.oom_control */
    uint32_t kills;  /* v2: oom_kill of memory.events; v1: events */
    int64_t boot_ms; /* of the first sign, or 0 */
};

/* Tells v1 from v2, and reads once: v2 reports only what changes after a read. */
void oom_init(struct oom *oom, int fd);
/* What to poll `fd` for. */
short oom_poll_events(const struct oom *oom);
/* Looks without waiting; true when there was a new kill or event since the last look. */
bool oom_check(struct oom *oom);
/* The value of oom_kill in the text of memory.events, 0 when it is not there. */
uint32_t oom_parse_events(const char *text, size_t len);

#endif
