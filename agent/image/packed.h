/* A packed layer as the bytes of its tar: unpacked, counted and hashed as they pass.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef IMAGE_PACKED_H
#define IMAGE_PACKED_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <paas/unpack.h>

struct packed;

/* Looks at the first bytes of `fd` (borrowed) for what the rest is: gzip, zstd or plain. */
int packed_open(int fd, const struct unpack_limits *limits, struct packed **out, struct err *err);
/* The next bytes, valid until the next call: their number, 0 at the end, -1 with *err. Errors:
 * ERR_BAD_IMAGE when it is cut or damaged, ERR_TOO_LARGE when it grows past its bounds. */
ssize_t packed_read(struct packed *p, const void **bytes, struct err *err);
/* True when packed_read() has said that there is no more. */
bool packed_ended(const struct packed *p);
/* Reads what is left, of the input too, and writes the digest of all unpacked bytes. */
int packed_finish(struct packed *p, char digest[DIGEST_SIZE], struct err *err);
void packed_close(struct packed *p);

#endif
