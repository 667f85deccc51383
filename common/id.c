/* Random and readable ids. SPDX-License-Identifier: Apache-2.0 */
#include <paas/id.h>

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

static int random_bytes(void *to, size_t len, struct err *err) {
    /* Up to 256 bytes come whole once the pool is ready (getrandom(2)). */
    if (getrandom(to, len, 0) != (ssize_t)len) {
        return err_sys(err, errno, "getting %zu random bytes", len);
    }
    return 0;
}

int id_make(char id[ID_SIZE], struct err *err) {
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";
    uint8_t bytes[ID_LENGTH];
    if (random_bytes(bytes, sizeof bytes, err) < 0) {
        return -1;
    }
    for (int i = 0; i < ID_LENGTH; i++) {
        id[i] = alphabet[bytes[i] & 31];
    }
    id[ID_LENGTH] = '\0';
    return 0;
}

bool id_is_valid(const char *text) {
    size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyz234567");
    return n == ID_LENGTH && !text[n];
}

int id_make_token(char token[TOKEN_SIZE], struct err *err) {
    uint8_t bytes[TOKEN_BYTES];
    if (random_bytes(bytes, sizeof bytes, err) < 0) {
        return -1;
    }
    for (int i = 0; i < TOKEN_BYTES; i++) {
        snprintf(token + 2 * i, 3, "%02x", bytes[i]);
    }
    return 0;
}

bool id_same_token(const char *a, const char *b) {
    size_t len = strlen(a);
    if (len != strlen(b)) {
        return false;
    }
    volatile unsigned char differs = 0;
    for (size_t i = 0; i < len; i++) {
        differs |= (unsigned char)(a[i] ^ b[i]);
    }
    return !differs;
}
