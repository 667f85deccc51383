/* Random and readable ids. SPDX-License-Identifier: Apache-2.0 */
#ifndef PAAS_ID_H
#define PAAS_ID_H

#include <stdbool.h>
#include <stddef.h>

#include <paas/err.h>

enum {
    ID_LENGTH = 10, /* 50 random bits: no clash among a million ids with p > 1 - 5e-4 */
    ID_SIZE = ID_LENGTH + 1,
    TOKEN_BYTES = 32, /* 256 random bits */
    TOKEN_SIZE = TOKEN_BYTES * 2 + 1,
};

/* Writes 10 characters of a-z and 2-7 from getrandom(2) (RFC 4648 base32 in lower case). */
int id_make(char id[ID_SIZE], struct err *err);
bool id_is_valid(const char *text);
/* Writes 64 hexadecimal digits of randomness: a secret. */
int id_make_token(char token[TOKEN_SIZE], struct err *err);
/* Equal, in a time that does not tell where they differ. */
bool id_same_token(const char *a, const char *b);

#endif
