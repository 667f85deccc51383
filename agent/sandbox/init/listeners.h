/* The sockets that listen in this network namespace. SPDX-License-Identifier: Apache-2.0 */
#ifndef PAAS_INIT_LISTENERS_H
#define PAAS_INIT_LISTENERS_H

#include <paas/init.h>

#include <stdbool.h>
#include <stddef.h>

enum { LISTENERS_FAMILIES = 2 };

struct listeners {
    int diag;                       /* NETLINK_SOCK_DIAG: 30 µs a look, or -1 */
    int tables[LISTENERS_FAMILIES]; /* /proc/self/net/tcp and tcp6, or -1: 2 ms a look, as the
                                     * kernel goes through the connections of the whole machine */
    uint32_t count;                 /* all; those past the array are only counted */
    struct init_listener list[INIT_LISTENERS_MAX];
};

/* Opens what tells, while it may still be opened. A table that is missing is an empty one. */
void listeners_init(struct listeners *listeners);
/* Looks again; true when the list is another one than before. */
bool listeners_scan(struct listeners *listeners);
/* Adds the listening sockets in `text`, `len` bytes of whole lines of /proc/net/tcp (family 4) or
 * tcp6 (6), headline included or not. Without duplicates. False when a socket that doesn't listen
 * came: the kernel lists those after all others. */
bool listeners_parse(struct listeners *listeners, uint8_t family, const char *text, size_t len);

#endif
