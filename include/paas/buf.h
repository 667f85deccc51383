/* Growable bytes with a maximum. SPDX-License-Identifier: Apache-2.0
 *
 * A buffer never holds more than `max` bytes. Appending past it, or without memory, fails, sets
 * `failed`, and leaves what was there: a writer may append many times and check once. The bytes are
 * always followed by a NUL that does not count, so text can be used as a string.
 */
#ifndef PAAS_BUF_H
#define PAAS_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct buf {
    char *data; /* NULL or `len` bytes and a NUL */
    size_t len;
    size_t cap;
    size_t max;
    bool failed; /* an append was refused since the last buf_reset */
};

/* Makes an empty buffer that may grow to `max` bytes. Allocates nothing. */
void buf_init(struct buf *b, size_t max);
/* Frees the bytes; the buffer is empty and usable afterwards. */
void buf_free(struct buf *b);
/* Empties it, keeps the memory. */
void buf_reset(struct buf *b);
/* Makes room for `more` bytes after the end and returns where they go, or NULL. */
char *buf_reserve(struct buf *b, size_t more);
/* Appends; 0, or -1 when it is full or memory is out. */
int buf_append(struct buf *b, const void *bytes, size_t len);
int buf_puts(struct buf *b, const char *text);
int buf_putc(struct buf *b, char c);
int buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
int buf_vprintf(struct buf *b, const char *format, va_list args);
/* Appends `text` as a JSON string with its quotes; bytes that are not UTF-8 become U+FFFD. */
int buf_json_string(struct buf *b, const char *text, size_t len);
/* Drops the first `len` bytes (at most all). Linear in what stays. */
void buf_consume(struct buf *b, size_t len);
/* The bytes as a NUL-terminated string, "" when empty. Valid until the next change. */
const char *buf_str(const struct buf *b);
/* Hands the bytes to the caller (free with free(3)); the buffer is empty afterwards. NULL when it
 * failed or memory is out. */
char *buf_take(struct buf *b);

#endif
