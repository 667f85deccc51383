/* Directories that a layer uses and does not describe. SPDX-License-Identifier: Apache-2.0
 *
 * The unpacker leaves them as marks in the directory of what the layer hides (<paas/unpack.h>); an
 * image's cover is made of these.
 */
#ifndef IMAGE_COVER_H
#define IMAGE_COVER_H

#include <sys/stat.h>

#include <paas/unpack.h>

/* The mode of a mark: a directory of the same path, whose own mode nobody sees. */
#define COVER_IMPLIED_MODE (S_ISVTX | 0755)

/* Makes the cover in the calling process, at most `paths_max` directories. -1 with *err. */
int cover_make(const struct unpack_cover *job, uint64_t paths_max, struct err *err);

#endif
