/* Checked parsing of what people and peers write. SPDX-License-Identifier: Apache-2.0 */
#include <paas/str.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    NAME_MAX_BYTES = 63,  /* a DNS label: the name becomes one in NAME.localhost (RFC 1035 2.3.4) */
    HOST_MAX_BYTES = 253, /* RFC 1035 2.3.4, without the root's dot */
    WORD_MAX_BYTES = 63,  /* longest word for which a nearest one is looked for */
};

int str_copy(char *to, size_t size, const char *from) {
    size_t len = strlen(from);
    if (len >= size) {
        to[0] = '\0';
        return -1;
    }
    memcpy(to, from, len + 1);
    return 0;
}

bool str_starts(const char *text, const char *prefix) {
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
}

bool str_same_word(const char *a, const char *b) {
    while (*a && lower(*a) == lower(*b)) {
        a++;
        b++;
    }
    return lower(*a) == lower(*b);
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* Reads digits at *text into *out; false when there are none or they exceed int64. */
static bool read_digits(const char **text, int64_t *out) {
    const char *p = *text;
    int64_t value = 0;
    while (is_digit(*p)) {
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, *p - '0', &value)) {
            return false;
        }
        p++;
    }
    bool any = p != *text;
    *text = p;
    *out = value;
    return any;
}

static int in_range(int64_t value, int64_t min, int64_t max, const char *text, const char *what,
    int64_t *out, struct err *err) {
    if (value < min || value > max) {
        return err_set(
            err, ERR_BAD_VALUE, "%s: %.40s is not in %" PRId64 "..%" PRId64, what, text, min, max);
    }
    *out = value;
    return 0;
}

int str_int(
    const char *text, int64_t min, int64_t max, const char *what, int64_t *out, struct err *err) {
    const char *p = text;
    bool negative = *p == '-';
    int64_t value;
    p += negative;
    if (!read_digits(&p, &value) || *p) {
        return err_set(err, ERR_BAD_VALUE, "%s: \"%.40s\" is not a whole number", what, text);
    }
    return in_range(negative ? -value : value, min, max, text, what, out, err);
}

struct unit {
    const char *name;
    int64_t factor;
};

/* A decimal number with up to three places and a unit of the table, in units of factor 1. */
static bool read_amount(const char *text, const struct unit *units, size_t count, int64_t *out) {
    int64_t whole, thousandths = 0;
    if (!read_digits(&text, &whole)) {
        return false;
    }
    if (*text == '.') {
        text++;
        int64_t scale = 100;
        if (!is_digit(*text)) {
            return false;
        }
        for (; is_digit(*text); text++, scale /= 10) {
            if (scale == 0) {
                return false;
            }
            thousandths += (*text - '0') * scale;
        }
    }
    for (size_t i = 0; i < count; i++) {
        int64_t value, part;
        if (str_same_word(text, units[i].name)) {
            if (__builtin_mul_overflow(whole, units[i].factor, &value) ||
                __builtin_mul_overflow(thousandths, units[i].factor, &part) || part % 1000 != 0) {
                return false;
            }
            return !__builtin_add_overflow(value, part / 1000, out);
        }
    }
    return false;
}

int str_duration(
    const char *text, int64_t max_ms, const char *what, int64_t *out, struct err *err) {
    static const struct unit units[] = {
        { "ms", 1 },
        { "s", 1000 },
        { "m", 60000 },
        { "h", 3600000 },
    };
    int64_t value;
    if (!read_amount(text, units, sizeof units / sizeof *units, &value)) {
        return err_set(
            err, ERR_BAD_VALUE, "%s: \"%.40s\" is not a time such as 500ms, 10s or 5m", what, text);
    }
    if (value > max_ms) {
        return err_set(err, ERR_BAD_VALUE, "%s: %.40s is over %" PRId64 " ms", what, text, max_ms);
    }
    *out = value;
    return 0;
}

int str_size(
    const char *text, int64_t min, int64_t max, const char *what, int64_t *out, struct err *err) {
    enum { KI = 1 << 10, MI = 1 << 20, GI = 1 << 30 };
    static const struct unit units[] = {
        { "", 1 },
        { "k", KI },
        { "kb", KI },
        { "kib", KI },
        { "m", MI },
        { "mb", MI },
        { "mib", MI },
        { "g", GI },
        { "gb", GI },
        { "gib", GI },
    };
    int64_t value;
    if (!read_amount(text, units, sizeof units / sizeof *units, &value)) {
        return err_set(
            err, ERR_BAD_VALUE, "%s: \"%.40s\" is not a size such as 128M or 1G", what, text);
    }
    return in_range(value, min, max, text, what, out, err);
}

int str_milli(
    const char *text, int64_t min, int64_t max, const char *what, int64_t *out, struct err *err) {
    static const struct unit one[] = { { "", 1000 } };
    int64_t value;
    if (!read_amount(text, one, 1, &value) || value < min || value > max) {
        return err_set(err, ERR_BAD_VALUE,
            "%s: \"%.40s\" is not a number from %" PRId64 ".%03" PRId64 " to %" PRId64, what, text,
            min / 1000, min % 1000, max / 1000);
    }
    *out = value;
    return 0;
}

static bool is_lower_or_digit(char c) {
    return (c >= 'a' && c <= 'z') || is_digit(c);
}

bool str_is_name(const char *text) {
    if (!(text[0] >= 'a' && text[0] <= 'z')) {
        return false;
    }
    size_t i = 1;
    while (is_lower_or_digit(text[i]) || text[i] == '-') {
        i++;
    }
    return !text[i] && i <= NAME_MAX_BYTES;
}

int str_name(const char *text, const char *what, struct err *err) {
    if (str_is_name(text)) {
        return 0;
    }
    return err_set(err, ERR_BAD_VALUE,
        "%s: \"%.70s\" is not a name: a lower-case letter, then up to 62 of a-z, 0-9 and '-'", what,
        text);
}

bool str_is_host(const char *text) {
    size_t label = 0, i = 0;
    for (; text[i]; i++) {
        if (text[i] == '.') {
            if (label == 0 || text[i - 1] == '-') {
                return false;
            }
            label = 0;
        } else if (is_lower_or_digit(text[i]) || (text[i] == '-' && label > 0)) {
            if (++label > NAME_MAX_BYTES) {
                return false;
            }
        } else {
            return false;
        }
    }
    return label > 0 && text[i - 1] != '-' && i <= HOST_MAX_BYTES;
}

bool str_is_digest(const char *text) {
    static const char prefix[] = "sha256:";
    if (!str_starts(text, prefix)) {
        return false;
    }
    const char *hex = text + sizeof prefix - 1;
    size_t n = strspn(hex, "0123456789abcdef");
    return n == 64 && !hex[n];
}

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

/* Levenshtein distance; both words are at most WORD_MAX_BYTES long. */
static size_t distance(const char *a, const char *b) {
    size_t row[WORD_MAX_BYTES + 1];
    size_t len_b = strlen(b);
    for (size_t j = 0; j <= len_b; j++) {
        row[j] = j;
    }
    for (size_t i = 0; a[i]; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < len_b; j++) {
            size_t above = row[j + 1];
            size_t change = diagonal + (lower(a[i]) != lower(b[j]));
            row[j + 1] = smaller(change, smaller(above, row[j]) + 1);
            diagonal = above;
        }
    }
    return row[len_b];
}

const char *str_nearest(const char *word, const char *const *words, size_t count) {
    size_t len = strlen(word);
    size_t best = smaller(2, len / 2) + 1;
    const char *nearest = NULL;
    if (len > WORD_MAX_BYTES) {
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        if (strlen(words[i]) <= WORD_MAX_BYTES) {
            size_t d = distance(word, words[i]);
            if (d < best) {
                best = d;
                nearest = words[i];
            }
        }
    }
    return nearest;
}

static const char *format_amount(
    int64_t value, const struct unit *units, size_t count, char text[STR_AMOUNT_MAX]) {
    size_t i = 0;
    while (i + 1 < count && value < units[i].factor) {
        i++;
    }
    int64_t tenths = value / units[i].factor * 10 + value % units[i].factor * 10 / units[i].factor;
    if (tenths % 10 && tenths < 1000) {
        snprintf(text, STR_AMOUNT_MAX, "%" PRId64 ".%d%s", tenths / 10, (int)(tenths % 10),
            units[i].name);
    } else {
        snprintf(text, STR_AMOUNT_MAX, "%" PRId64 "%s", tenths / 10, units[i].name);
    }
    return text;
}

const char *str_format_size(int64_t bytes, char text[STR_AMOUNT_MAX]) {
    static const struct unit units[] = {
        { "G", 1 << 30 },
        { "M", 1 << 20 },
        { "K", 1 << 10 },
        { "", 1 },
    };
    return format_amount(bytes, units, sizeof units / sizeof *units, text);
}

const char *str_format_duration(int64_t ms, char text[STR_AMOUNT_MAX]) {
    static const struct unit units[] = {
        { "d", 86400000 },
        { "h", 3600000 },
        { "m", 60000 },
        { "s", 1000 },
        { "ms", 1 },
    };
    return format_amount(ms, units, sizeof units / sizeof *units, text);
}
