/* The sockets that the world connects to. SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_LISTENERS_H
#define CLI_LISTENERS_H

#include <stddef.h>
#include <stdint.h>

#include <paas/err.h>

#include "process.h"

/* Binds and listens on a Unix socket at `path`, open to all: who the peer is decides what it may.
 * Replaces what is there. Returns the descriptor. */
int listener_open_unix(const char *path, struct err *err);
/* The same on "ADDRESS:PORT" or "[ADDRESS]:PORT" (port 0: any). ERR_CONFLICT when it is in use. */
int listener_open_tcp(const char *address, struct err *err);
/* Writes "ADDRESS:PORT" of a TCP listener to `text`. */
int listener_address(int fd, char *text, size_t size, struct err *err);
/* The socket's inode number: by it the socket is known in any process. */
uint64_t listener_inode(int fd);
/* Takes a copy of the socket `inode` from a process that has it (pidfd_getfd(2)). Returns the
 * descriptor; ERR_NOT_FOUND when the process has none. */
int listener_take(const struct process *from, uint64_t inode, struct err *err);

#endif
