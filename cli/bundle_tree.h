/* A directory becomes one layer. SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_BUNDLE_TREE_H
#define CLI_BUNDLE_TREE_H

#include <stddef.h>

#include <paas/err.h>

#include "tar_writer.h"

struct bundle_count {
    size_t files, skipped;
};

/* Writes everything under `path` that is not ignored to `w`, below BUNDLE_APP_DIR, sorted by
 * name. See bundle_directory(). */
int bundle_tree(
    const char *path, struct tar_writer *w, struct bundle_count *count, struct err *err);

#endif
