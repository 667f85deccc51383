/* .dockerignore: which files of a directory stay behind. SPDX-License-Identifier: Apache-2.0
 *
 * One pattern a line, relative to the directory: '*' and '?' and [sets] within a name, "**" for any
 * number of directories, '!' takes back; the last pattern that matches a path, or a directory that
 * it is in, decides. Lines that begin with '#' say nothing. ".git" stays behind whatever they say.
 * Pure.
 */
#ifndef CLI_IGNORE_H
#define CLI_IGNORE_H

#include <stdbool.h>
#include <stddef.h>

#include <paas/err.h>
#include <paas/strings.h>

enum {
    IGNORE_PATTERNS_MAX = 1000,
    IGNORE_BYTES_MAX = 65536, /* of the file */
};

struct ignore {
    struct strings patterns; /* cleaned; '!' first where it takes back */
    bool takes_back;         /* some pattern does */
};

/* Reads the text of a .dockerignore. ERR_BAD_VALUE with the line when a pattern is none. Free with
 * ignore_free(), also after a failure. */
int ignore_parse(const char *text, size_t len, struct ignore *out, struct err *err);
/* True when `path` ("src/a.c") stays behind. */
bool ignore_matches(const struct ignore *ignore, const char *path);
/* True when nothing below the directory `path` can be wanted, so that it need not be looked at. */
bool ignore_skips_all(const struct ignore *ignore, const char *path);
void ignore_free(struct ignore *ignore);

#endif
