/* From any older file to the present schema. SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_MIGRATE_H
#define STORE_MIGRATE_H

#include <sqlite3.h>

#include <paas/err.h>

/* Makes an empty file ours, or brings ours up to STORE_VERSION, in one transaction. ERR_CONFLICT
 * for a file of a newer version or of somebody else. */
int store_migrate(sqlite3 *db, const char *path, struct err *err);
/* Fills *err from the connection's last error: "tried: words of SQLite". Returns -1. */
int store_error(sqlite3 *db, struct err *err, const char *tried);

#endif
