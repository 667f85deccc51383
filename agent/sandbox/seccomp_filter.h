/* The filter on system calls, compiled from seccomp.def. SPDX-License-Identifier: Apache-2.0
 *
 * libseccomp knows the numbers; the program is our own: a binary tree over ranges of numbers with
 * equal verdicts. It is a third of the size of libseccomp's and attaches three times as fast.
 */
#ifndef SANDBOX_SECCOMP_FILTER_H
#define SANDBOX_SECCOMP_FILTER_H

#include <paas/err.h>

#include <linux/filter.h>
#include <stddef.h>

enum seccomp_verdict {
    SECCOMP_ABSENT, /* ENOSYS; the default */
    SECCOMP_ALLOW,  /* carried out */
    SECCOMP_REFUSE, /* EPERM */
    SECCOMP_NOTIFY, /* told to the listener; in a program without one: carried out */
    SECCOMP_CLONE,  /* EPERM with any flag that makes a namespace */
    SECCOMP_SOCKET, /* families UNIX, INET, INET6, and NETLINK for routes; else EAFNOSUPPORT */
    SECCOMP_IOCTL,  /* EPERM for requests that put input into a terminal or change its driver */
    SECCOMP_PERSONALITY, /* EPERM but for the few that only change how uname and memory look */
    SECCOMP_KILL,        /* another architecture's calls: the process ends with SIGSYS */
    SECCOMP_VERDICTS
};

enum {
    SECCOMP_NUMBERS = 1024, /* system call numbers looked at; all above are absent */
    SECCOMP_INSNS_MAX = 600 /* instructions; about 320 are needed */
};

enum seccomp_variant {
    SECCOMP_WITH_LISTENER,    /* for the app */
    SECCOMP_WITHOUT_LISTENER, /* for commands beside it */
};

struct seccomp_program {
    struct sock_filter insns[SECCOMP_INSNS_MAX];
    size_t count;
};

/* Compiles the table for the native architecture. 0, or -1 with *err. */
int seccomp_compile(enum seccomp_variant variant, struct seccomp_program *out, struct err *err);

/* Writes a program into a sealed memfd, as paas-init takes it. Returns the descriptor. */
int seccomp_memfd(const struct seccomp_program *program, struct err *err);

#endif
