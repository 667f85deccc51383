/* From any older file to the present schema. SPDX-License-Identifier: Apache-2.0
 *
 * user_version of the file's header is the schema's; steps[n] leads from version n to n + 1. A step
 * that has been released is never changed. All steps and the new number are one transaction, so a
 * crash leaves the old file or the new one.
 */
#include "migrate.h"

#include <stdio.h>

#include <paas/store.h>

#include "schema.h"

static const char *const steps[STORE_VERSION] = {
    SCHEMA_SQL,
};

int store_error(sqlite3 *db, struct err *err, const char *tried) {
    int code = sqlite3_errcode(db);
    const char *words = sqlite3_errmsg(db);
    switch (code & 0xff) {
    case SQLITE_FULL:
        err_set(err, ERR_FULL, "%s: the disk is full", tried);
        return err_hint(err, "make room in the data directory");
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return err_set(err, ERR_RUNNING, "%s: another process uses the file", tried);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        err_set(err, ERR_SYSTEM, "%s: the file is damaged (%s)", tried, words);
        return err_hint(err, "restore a backup, or move the file away to begin with nothing");
    case SQLITE_NOMEM:
        return err_no_memory(err);
    default:
        return err_set(err, ERR_SYSTEM, "%s: %s", tried, words);
    }
}

static int read_pragma(sqlite3 *db, const char *sql, int64_t *out, struct err *err) {
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    if (rc == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW) {
        *out = sqlite3_column_int64(statement, 0);
        sqlite3_finalize(statement);
        return 0;
    }
    store_error(db, err, "reading the store's version");
    sqlite3_finalize(statement);
    return -1;
}

static int run(sqlite3 *db, const char *sql, struct err *err) {
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) {
        return store_error(db, err, "updating the store");
    }
    return 0;
}

static int run_steps(sqlite3 *db, int64_t version, struct err *err) {
    char mark[96];
    snprintf(mark, sizeof(mark), "PRAGMA user_version=%d; PRAGMA application_id=%d", STORE_VERSION,
        STORE_APPLICATION_ID);
    if (run(db, "BEGIN IMMEDIATE", err) < 0) {
        return -1;
    }
    for (int64_t i = version; i < STORE_VERSION; i++) {
        if (run(db, steps[i], err) < 0) {
            return -1;
        }
    }
    return run(db, mark, err) < 0 || run(db, "COMMIT", err) < 0 ? -1 : 0;
}

int store_migrate(sqlite3 *db, const char *path, struct err *err) {
    int64_t version, application, tables;
    if (read_pragma(db, "PRAGMA user_version", &version, err) < 0 ||
        read_pragma(db, "PRAGMA application_id", &application, err) < 0 ||
        read_pragma(db, "SELECT count(*) FROM sqlite_master", &tables, err) < 0) {
        return -1;
    }
    if (application != STORE_APPLICATION_ID && (application != 0 || version != 0 || tables != 0)) {
        return err_set(err, ERR_CONFLICT, "%s: this file is another program's", path);
    }
    if (version > STORE_VERSION) {
        err_set(err, ERR_CONFLICT, "%s: written by a newer version (%d, this one knows %d)", path,
            (int)version, STORE_VERSION);
        return err_hint(err, "start the newer version, or restore a backup made before it");
    }
    if (version == STORE_VERSION) {
        return 0;
    }
    if (run_steps(db, version, err) < 0) {
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
        return -1;
    }
    return 0;
}
