/* Base64 with padding (RFC 4648 section 4). Pure. SPDX-License-Identifier: Apache-2.0 */
#ifndef PAAS_BASE64_H
#define PAAS_BASE64_H

#include <stddef.h>

#include <paas/buf.h>
#include <paas/err.h>

/* Appends the text of `len` bytes; 0, or -1 when it does not fit. */
int base64_encode(const void *bytes, size_t len, struct buf *out);
/* Appends the bytes that `len` characters of text stand for. Strict: no white space, full padding,
 * no stray bits. ERR_BAD_VALUE, or ERR_TOO_LARGE past out->max; then `out` holds a part. */
int base64_decode(const char *text, size_t len, struct buf *out, struct err *err);

#endif
