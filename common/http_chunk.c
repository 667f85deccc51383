/* The line before a chunk. SPDX-License-Identifier: Apache-2.0 */
#include "http_chunk.h"

#include <paas/http_words.h>

static int hex_digit(char c) {
    return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

static enum chunk_state add_digit(char c, uint64_t *size) {
    if (*size > INT64_MAX >> 4) {
        return CHUNK_WRONG;
    }
    *size = *size * 16 + (uint64_t)hex_digit(c);
    return CHUNK_SIZE;
}

/* After a whole size, name or value: `space` is where white space leads. */
static enum chunk_state after_word(char c, enum chunk_state space) {
    switch (c) {
    case ';':
        return CHUNK_NAME_FIRST;
    case ' ':
    case '\t':
        return space;
    case '\r':
        return CHUNK_LINE_FEED;
    default:
        return CHUNK_WRONG;
    }
}

/* Before a name or a value: white space is passed over. */
static enum chunk_state before_word(char c, enum chunk_state here, enum chunk_state word) {
    if (c == ' ' || c == '\t') {
        return here;
    }
    return http_byte_is(c, CLASS_TOKEN) ? word : CHUNK_WRONG;
}

static enum chunk_state in_quotes(char c) {
    if (c == '"') {
        return CHUNK_QUOTED_END;
    }
    if (c == '\\') {
        return CHUNK_ESCAPE;
    }
    return http_byte_is(c, CLASS_VALUE) ? CHUNK_QUOTED : CHUNK_WRONG;
}

enum chunk_state chunk_step(enum chunk_state state, char c, uint64_t *size) {
    switch (state) {
    case CHUNK_SIZE_FIRST:
        *size = 0;
        return http_byte_is(c, CLASS_HEX) ? add_digit(c, size) : CHUNK_WRONG;
    case CHUNK_SIZE:
        return http_byte_is(c, CLASS_HEX) ? add_digit(c, size) : after_word(c, CHUNK_SPACE);
    case CHUNK_SPACE:
        return c == '\r' ? CHUNK_WRONG : after_word(c, CHUNK_SPACE);
    case CHUNK_NAME_FIRST:
        return before_word(c, CHUNK_NAME_FIRST, CHUNK_NAME);
    case CHUNK_NAME:
        if (http_byte_is(c, CLASS_TOKEN)) {
            return CHUNK_NAME;
        }
        return c == '=' ? CHUNK_VALUE_FIRST : after_word(c, CHUNK_NAME_SPACE);
    case CHUNK_NAME_SPACE:
        if (c == '=') {
            return CHUNK_VALUE_FIRST;
        }
        return c == '\r' ? CHUNK_WRONG : after_word(c, CHUNK_NAME_SPACE);
    case CHUNK_VALUE_FIRST:
        return c == '"' ? CHUNK_QUOTED : before_word(c, CHUNK_VALUE_FIRST, CHUNK_VALUE);
    case CHUNK_VALUE:
        return http_byte_is(c, CLASS_TOKEN) ? CHUNK_VALUE : after_word(c, CHUNK_SPACE);
    case CHUNK_QUOTED:
        return in_quotes(c);
    case CHUNK_ESCAPE:
        return http_byte_is(c, CLASS_VALUE) ? CHUNK_QUOTED : CHUNK_WRONG;
    case CHUNK_QUOTED_END:
        return after_word(c, CHUNK_SPACE);
    case CHUNK_LINE_FEED:
        return c == '\n' ? CHUNK_WHOLE : CHUNK_WRONG;
    case CHUNK_WHOLE:
    case CHUNK_WRONG:
        break;
    }
    return CHUNK_WRONG;
}
