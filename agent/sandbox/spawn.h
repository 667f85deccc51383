/* A child's way to its program. SPDX-License-Identifier: Apache-2.0
 *
 * As vfork(2): the child shares our memory, on a stack of its own, and we wait until it executes a
 * program or ends. Copying the page tables of a daemon, and copying the pages that both of them
 * touch afterwards, was the dearest part of a start.
 *
 * So the child may change no memory but its own stack. It allocates nothing either: killed in the
 * midst of it, it would leave us a broken heap. Between its change of user and its program it still
 * shares the memory of this privileged process, which is safe because nobody is there to use it: it
 * is alone in its process namespace and under its user id, no program of others runs in it, and the
 * kernel has made the memory undumpable.
 *
 * Where a group of processes dies as one of a lack of memory, all die that share the memory of one
 * of them: a child that is born into such a group gets a copy. So does every child under
 * sanitizers, whose shadow would not survive it, and on machines whose calls we don't know; all
 * else is the same.
 */
#ifndef SANDBOX_SPAWN_H
#define SANDBOX_SPAWN_H

#include <paas/err.h>

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct spawn_news;

/* Where children run, one at a time. */
struct spawn_place {
    unsigned char *stack;    /* SPAWN_STACK bytes, and a page that nobody may touch before them */
    struct spawn_news *news; /* what the last child said; shared memory */
};

/* Zeroed to begin with. -1 without memory for it. */
int spawn_place_make(struct spawn_place *place, struct err *err);
void spawn_place_free(struct spawn_place *place);

struct spawn {
    uint64_t flags; /* of clone(2): namespaces */
    int cgroup;     /* directory of the cgroup to be born in; -1: the caller's */
    bool copies;    /* the child gets a copy of the memory */
    /* Runs in the child, with all signal handlers reset. -1 with *err ends it. */
    int (*prepare)(const void *arg, struct err *err);
    const void *arg;
    int program; /* a descriptor, which prepare() keeps open: executed without an environment */
    char *const *argv;
};

/* Returns the child, which has executed its program by now; *pidfd is the caller's. -1 with the
 * child's error, or one that says that it died on its way: then it is reaped and *pidfd is -1.
 * `err` may be NULL. Waits without a limit, as for any call of the kernel's that the child makes.
 */
pid_t spawn_child(
    const struct spawn_place *place, const struct spawn *how, int *pidfd, struct err *err);

#endif
