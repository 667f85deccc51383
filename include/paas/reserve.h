/* Room on a disk, kept for what must be written when it is full. SPDX-License-Identifier:
 * Apache-2.0
 *
 * A file of zeros. Who finds the disk full where that must not be gives it up, writes, and keeps
 * what is left; with room again it grows to its size.
 */
#ifndef PAAS_RESERVE_H
#define PAAS_RESERVE_H

#include <stddef.h>

/* Keeps `bytes` in the file `path`, or as much as there is room for. Blocks. */
void reserve_keep(const char *path, size_t bytes);
/* Gives up what is kept. */
void reserve_give(const char *path);

#endif
