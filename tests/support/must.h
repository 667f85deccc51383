/* Checks that end the program: a client's thread cannot jump back into cmocka's.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_MUST_H
#define TEST_MUST_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define must(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* `part` is in `text`. */
#define must_have(text, part)                                                                      \
    do {                                                                                           \
        const char *text_ = (text), *part_ = (part);                                               \
        if (!strstr(text_, part_)) {                                                               \
            fprintf(stderr, "%s:%d: %s is not in: %s\n", __FILE__, __LINE__, part_, text_);        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

#endif
