/* The line before a chunk: its size and extensions. SPDX-License-Identifier: Apache-2.0
 *
 * Read here and not by llhttp: 8.1.0 refuses a valid quoted extension with a space, and no version
 * bounds the line. Extensions are checked and dropped, as RFC 9112 7.1.1 allows.
 */
#ifndef COMMON_HTTP_CHUNK_H
#define COMMON_HTTP_CHUNK_H

#include <stdint.h>

/* States of the line; CHUNK_SIZE_FIRST begins it. */
enum chunk_state {
    CHUNK_SIZE_FIRST,
    CHUNK_SIZE,
    CHUNK_SPACE,      /* white space that a ';' must follow */
    CHUNK_NAME_FIRST, /* after ';' */
    CHUNK_NAME,
    CHUNK_NAME_SPACE,  /* white space that '=' or ';' must follow */
    CHUNK_VALUE_FIRST, /* after '=' */
    CHUNK_VALUE,
    CHUNK_QUOTED,
    CHUNK_ESCAPE,
    CHUNK_QUOTED_END,
    CHUNK_LINE_FEED,
    CHUNK_WHOLE,
    CHUNK_WRONG,
};

/* Takes one byte; *size gathers the chunk's size, which never passes INT64_MAX. */
enum chunk_state chunk_step(enum chunk_state state, char c, uint64_t *size);

#endif
