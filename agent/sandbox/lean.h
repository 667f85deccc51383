/* Children without the libraries that they never use. SPDX-License-Identifier: Apache-2.0
 *
 * A child of the host process calls the C library alone until it execs. Yet fork copies, and execve
 * takes down again, the page tables of every library that the program around us is linked with: in
 * a daemon with fifty of them that is most of what a start costs (three times a lean fork). So
 * their mappings are marked MADV_DONTFORK while such a child is cloned, and unmarked after it:
 * other children of the program are whole.
 *
 * It is only done where the child can't stumble over what is missing: the program binds its symbols
 * at start (-z now), is not preloaded and not sanitized. Elsewhere it does nothing. */
#ifndef SANDBOX_LEAN_H
#define SANDBOX_LEAN_H

#include <stddef.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LEAN_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define LEAN_SANITIZED 1
#endif
#ifndef LEAN_SANITIZED
#define LEAN_SANITIZED 0
#endif

enum { LEAN_RANGES_MAX = 512 /* a library has up to five mappings; beyond it we leave the rest */ };

struct lean {
    size_t count;
    struct {
        void *at;
        size_t len;
    } ranges[LEAN_RANGES_MAX];
};

/* Finds the mappings. Libraries that are loaded later are copied as ever; none may be unloaded. */
void lean_find(struct lean *lean);
/* Around a clone: leaves them out of it, and puts them back. NULL is fine. */
void lean_begin(const struct lean *lean);
void lean_end(const struct lean *lean);

#endif
