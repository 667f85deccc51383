/* Base64 with padding. SPDX-License-Identifier: Apache-2.0 */
#include <paas/base64.h>

#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int base64_encode(const void *bytes, size_t len, struct buf *out) {
    const unsigned char *from = bytes;
    char *to = buf_reserve(out, (len + 2) / 3 * 4);
    if (!to) {
        return -1;
    }
    for (size_t i = 0; i < len; i += 3) {
        size_t left = len - i;
        unsigned group = (unsigned)from[i] << 16 | (left > 1 ? (unsigned)from[i + 1] << 8 : 0) |
                         (left > 2 ? from[i + 2] : 0);
        *to++ = alphabet[group >> 18];
        *to++ = alphabet[group >> 12 & 63];
        *to++ = left > 1 ? alphabet[group >> 6 & 63] : '=';
        *to++ = left > 2 ? alphabet[group & 63] : '=';
    }
    out->len += (len + 2) / 3 * 4;
    out->data[out->len] = '\0';
    return 0;
}

/* The six bits of a character, or -1. */
static int bits_of(char c) {
    const char *at = c ? strchr(alphabet, c) : NULL;
    return at ? (int)(at - alphabet) : -1;
}

/* Decodes one group of four; the last may be padded. Returns how many bytes, or -1. */
static int decode_group(const char *text, bool last, unsigned char bytes[3]) {
    int pad = text[3] != '=' ? 0 : text[2] != '=' ? 1 : 2;
    unsigned group = 0;
    if (pad && !last) {
        return -1;
    }
    for (int i = 0; i < 4; i++) {
        int bits = i < 4 - pad ? bits_of(text[i]) : 0;
        if (bits < 0) {
            return -1;
        }
        group = group << 6 | (unsigned)bits;
    }
    bytes[0] = (unsigned char)(group >> 16);
    bytes[1] = (unsigned char)(group >> 8);
    bytes[2] = (unsigned char)group;
    for (int i = 3 - pad; i < 3; i++) {
        if (bytes[i]) {
            return -1;
        }
    }
    return 3 - pad;
}

int base64_decode(const char *text, size_t len, struct buf *out, struct err *err) {
    if (len % 4 != 0) {
        return err_set(err, ERR_BAD_VALUE, "base64 of %zu characters is cut", len);
    }
    for (size_t i = 0; i < len; i += 4) {
        unsigned char bytes[3];
        int n = decode_group(text + i, i + 4 == len, bytes);
        if (n < 0) {
            return err_set(err, ERR_BAD_VALUE, "not base64 at character %zu", i + 1);
        }
        if ((size_t)n > out->max - out->len) {
            return err_set(err, ERR_TOO_LARGE, "over %zu bytes", out->max);
        }
        if (buf_append(out, bytes, (size_t)n) < 0) {
            return err_no_memory(err);
        }
    }
    return 0;
}
