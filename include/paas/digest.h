/* SHA-256, of bytes as they pass by. SPDX-License-Identifier: Apache-2.0 */
#ifndef PAAS_DIGEST_H
#define PAAS_DIGEST_H

#include <stddef.h>

#include <paas/err.h>
#include <paas/limits.h>

enum {
    DIGEST_HEX_LENGTH = 64, /* digits of a SHA-256 */
    DIGEST_HEX_SIZE = DIGEST_HEX_LENGTH + 1,
};

struct digest;

/* NULL without memory. */
struct digest *digest_create(void);
void digest_update(struct digest *d, const void *bytes, size_t len);
/* Writes "sha256:" and the digits of all bytes so far, and begins anew. */
void digest_finish(struct digest *d, char text[DIGEST_SIZE]);
/* NULL is allowed. */
void digest_destroy(struct digest *d);

/* The digest of `len` bytes; -1 without memory. */
int digest_of(const void *bytes, size_t len, char text[DIGEST_SIZE]);
/* The 64 digits of a valid digest: a part of `text`. */
const char *digest_hex(const char *text);

#endif
