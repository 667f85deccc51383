/* Growable bytes with a maximum. SPDX-License-Identifier: Apache-2.0 */
#include <paas/buf.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUF_FIRST = 256 /* bytes of the first allocation: most lines fit */ };

void buf_init(struct buf *b, size_t max) {
    *b = (struct buf){ .max = max };
}

void buf_free(struct buf *b) {
    free(b->data);
    buf_init(b, b->max);
}

void buf_reset(struct buf *b) {
    b->len = 0;
    b->failed = false;
    if (b->data) {
        b->data[0] = '\0';
    }
}

char *buf_reserve(struct buf *b, size_t more) {
    if (more > b->max || b->len > b->max - more) {
        b->failed = true;
        return NULL;
    }
    size_t need = b->len + more + 1;
    if (need > b->cap) {
        size_t cap = b->cap ? b->cap : BUF_FIRST;
        while (cap < need) {
            cap *= 2;
        }
        char *data = realloc(b->data, cap);
        if (!data) {
            b->failed = true;
            return NULL;
        }
        b->data = data;
        b->cap = cap;
    }
    return b->data + b->len;
}

int buf_append(struct buf *b, const void *bytes, size_t len) {
    char *to = buf_reserve(b, len);
    if (!to) {
        return -1;
    }
    if (len) {
        memcpy(to, bytes, len);
    }
    b->len += len;
    b->data[b->len] = '\0';
    return 0;
}

int buf_puts(struct buf *b, const char *text) {
    return buf_append(b, text, strlen(text));
}

int buf_putc(struct buf *b, char c) {
    return buf_append(b, &c, 1);
}

int buf_vprintf(struct buf *b, const char *format, va_list args) {
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    char *to = n < 0 ? NULL : buf_reserve(b, (size_t)n);
    if (to) {
        vsnprintf(to, (size_t)n + 1, format, again);
        b->len += (size_t)n;
    }
    va_end(again);
    return to ? 0 : -1;
}

int buf_printf(struct buf *b, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int result = buf_vprintf(b, format, args);
    va_end(args);
    return result;
}

/* The length of the valid UTF-8 sequence at `p` (RFC 3629), or 0. */
static size_t utf8_length(const unsigned char *p, size_t left) {
    static const struct {
        unsigned char low, high, second_low, second_high;
        size_t len;
    } forms[] = {
        { 0xc2, 0xdf, 0x80, 0xbf, 2 },
        { 0xe0, 0xe0, 0xa0, 0xbf, 3 },
        { 0xe1, 0xec, 0x80, 0xbf, 3 },
        { 0xed, 0xed, 0x80, 0x9f, 3 },
        { 0xee, 0xef, 0x80, 0xbf, 3 },
        { 0xf0, 0xf0, 0x90, 0xbf, 4 },
        { 0xf1, 0xf3, 0x80, 0xbf, 4 },
        { 0xf4, 0xf4, 0x80, 0x8f, 4 },
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if (p[0] < forms[i].low || p[0] > forms[i].high) {
            continue;
        }
        if (left < forms[i].len || p[1] < forms[i].second_low || p[1] > forms[i].second_high) {
            return 0;
        }
        for (size_t k = 2; k < forms[i].len; k++) {
            if ((p[k] & 0xc0) != 0x80) {
                return 0;
            }
        }
        return forms[i].len;
    }
    return 0;
}

int buf_json_string(struct buf *b, const char *text, size_t len) {
    const unsigned char *p = (const unsigned char *)text;
    buf_putc(b, '"');
    for (size_t i = 0; i < len;) {
        size_t run = i;
        while (run < len && p[run] >= 0x20 && p[run] < 0x7f && p[run] != '"' && p[run] != '\\') {
            run++;
        }
        buf_append(b, p + i, run - i);
        i = run;
        if (i == len) {
            break;
        }
        size_t sequence = p[i] < 0x80 ? 1 : utf8_length(p + i, len - i);
        if (p[i] == '"' || p[i] == '\\') {
            buf_printf(b, "\\%c", p[i]);
        } else if (p[i] == '\n') {
            buf_puts(b, "\\n");
        } else if (p[i] < 0x80) {
            buf_printf(b, "\\u%04x", p[i]);
        } else if (sequence) {
            buf_append(b, p + i, sequence);
        } else {
            buf_puts(b, "\xef\xbf\xbd");
            sequence = 1;
        }
        i += sequence;
    }
    return buf_putc(b, '"');
}

void buf_consume(struct buf *b, size_t len) {
    if (len > b->len) {
        len = b->len;
    }
    if (len) {
        memmove(b->data, b->data + len, b->len - len + 1);
        b->len -= len;
    }
}

const char *buf_str(const struct buf *b) {
    return b->data ? b->data : "";
}

char *buf_take(struct buf *b) {
    if (b->failed || !buf_reserve(b, 0)) {
        buf_free(b);
        return NULL;
    }
    char *data = b->data;
    data[b->len] = '\0';
    buf_init(b, b->max);
    return data;
}
