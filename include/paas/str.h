/* Checked parsing of what people and peers write. SPDX-License-Identifier: Apache-2.0
 *
 * Pure: no allocation, no locale. Each parser takes the whole text or nothing: trailing bytes are
 * an error. `what` names the value in the error's words ("--memory").
 */
#ifndef PAAS_STR_H
#define PAAS_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <paas/err.h>

/* Copies `from` into `to` of `size` bytes. 0, or -1 when it does not fit (then `to` is ""). */
int str_copy(char *to, size_t size, const char *from);
bool str_starts(const char *text, const char *prefix);
/* Equal without regard to ASCII case. */
bool str_same_word(const char *a, const char *b);

/* A decimal integer in min..max. */
int str_int(
    const char *text, int64_t min, int64_t max, const char *what, int64_t *out, struct err *err);
/* A time with a unit: "500ms", "10s", "5m", "2h", to milliseconds in 0..max. */
int str_duration(const char *text, int64_t max_ms, const char *what, int64_t *out, struct err *err);
/* A size: "65536", "128K", "128M", "2G" (powers of 1024, "KiB" and "KB" read alike), in
 * min..max bytes. */
int str_size(
    const char *text, int64_t min, int64_t max, const char *what, int64_t *out, struct err *err);
/* A decimal fraction to thousandths: "0.5" is 500; in min..max thousandths. */
int str_milli(
    const char *text, int64_t min, int64_t max, const char *what, int64_t *out, struct err *err);
/* A name of ours: ^[a-z][a-z0-9-]{0,62}$. */
bool str_is_name(const char *text);
int str_name(const char *text, const char *what, struct err *err);
/* A host name as a route may have it: labels of letters, digits and '-', in lower case, at most
 * 253 bytes, no empty label, no port. */
bool str_is_host(const char *text);
/* "sha256:" and 64 lower-case hexadecimal digits. */
bool str_is_digest(const char *text);

/* Which of `count` words is nearest to `word` by edit distance, or NULL when none is near enough
 * to be a guess (distance > 2, or more than half of the word). */
const char *str_nearest(const char *word, const char *const *words, size_t count);

enum { STR_AMOUNT_MAX = 16 };
/* "128M", "1.5G", "12K", "17": for people. Returns `text`. */
const char *str_format_size(int64_t bytes, char text[STR_AMOUNT_MAX]);
/* "12ms", "3.4s", "5m", "2h", "3d": for people. Returns `text`. */
const char *str_format_duration(int64_t ms, char text[STR_AMOUNT_MAX]);

#endif
