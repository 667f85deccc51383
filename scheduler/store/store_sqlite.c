/* The store on SQLite: one file, one writer thread. SPDX-License-Identifier: Apache-2.0
 *
 * A commit: the batch goes to the worker as a job; there BEGIN, one statement a write, COMMIT,
 * which with synchronous=FULL returns after the log is on the disk; then `done` on the loop. On any
 * error ROLLBACK: nothing of the batch is there.
 */
#include <paas/store.h>

#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <paas/file.h>
#include <paas/loop.h>

#include "migrate.h"

enum operation { OP_PUT, OP_DELETE, OP_DELETE_BEFORE, OPERATIONS };

static const char *const operation_sql[OPERATIONS] = {
    [OP_PUT] = ("INSERT INTO object (kind, key, body) VALUES (?1, ?2, ?3)"
                " ON CONFLICT (kind, key) DO UPDATE SET body = excluded.body"),
    [OP_DELETE] = "DELETE FROM object WHERE kind = ?1 AND key = ?2",
    [OP_DELETE_BEFORE] = "DELETE FROM object WHERE kind = ?1 AND key < ?2",
};

struct write {
    enum operation operation;
    enum store_kind kind;
    char *key;
    void *body;
    size_t len;
};

struct store_batch {
    struct write *writes;
    size_t count, cap;
    bool broken;
};

struct store {
    sqlite3 *db;
    sqlite3_stmt *statements[OPERATIONS];
    struct worker *worker;
};

struct commit {
    struct worker_job job;
    struct store *store;
    struct store_batch *batch;
    void (*done)(void *data, const struct err *err);
    void *data;
    struct err err;
};

/* --- batches ---------------------------------------------------------------------------------- */

struct store_batch *store_batch_create(void) {
    return calloc(1, sizeof(struct store_batch));
}

static int batch_add(struct store_batch *b, const struct write *from) {
    if (b->count == b->cap) {
        size_t cap = b->cap ? b->cap * 2 : 8;
        struct write *writes = realloc(b->writes, cap * sizeof(*writes));
        if (!writes) {
            b->broken = true;
            return -1;
        }
        b->writes = writes;
        b->cap = cap;
    }
    struct write write = *from;
    write.key = strlen(from->key) <= STORE_KEY_MAX ? strdup(from->key) : NULL;
    write.body = from->len <= STORE_BODY_MAX ? malloc(from->len + 1) : NULL;
    if (!write.key || !write.body) {
        free(write.key);
        free(write.body);
        b->broken = true;
        return -1;
    }
    if (from->len) {
        memcpy(write.body, from->body, from->len);
    }
    b->writes[b->count++] = write;
    return 0;
}

int store_batch_put(
    struct store_batch *b, enum store_kind kind, const char *key, const void *body, size_t len) {
    return batch_add(b, &(struct write){ .operation = OP_PUT,
                            .kind = kind,
                            .key = (char *)key,
                            .body = (void *)body,
                            .len = len });
}

int store_batch_delete(struct store_batch *b, enum store_kind kind, const char *key) {
    return batch_add(
        b, &(struct write){ .operation = OP_DELETE, .kind = kind, .key = (char *)key });
}

int store_batch_delete_before(struct store_batch *b, enum store_kind kind, const char *key) {
    return batch_add(
        b, &(struct write){ .operation = OP_DELETE_BEFORE, .kind = kind, .key = (char *)key });
}

size_t store_batch_count(const struct store_batch *b) {
    return b->count;
}

void store_batch_free(struct store_batch *b) {
    if (!b) {
        return;
    }
    for (size_t i = 0; i < b->count; i++) {
        free(b->writes[i].key);
        free(b->writes[i].body);
    }
    free(b->writes);
    free(b);
}

/* --- opening ---------------------------------------------------------------------------------- */

/* SQLite gives the log beside the file the file's own mode. */
static int make_private_file(const char *path, struct err *err) {
    CLEANUP_FD int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return err_sys(err, errno, "opening %s", path);
    }
    return 0;
}

/* The exclusive lock is taken by the first write and kept; it needs no shared-memory file. */
static int prepare(struct store *s, const char *path, struct err *err) {
    static const char setup[] = "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL;"
                                "PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"
                                "PRAGMA trusted_schema=OFF; PRAGMA wal_autocheckpoint=1000";
    if (sqlite3_exec(s->db, setup, NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_exec(s->db, "BEGIN IMMEDIATE; COMMIT", NULL, NULL, NULL) != SQLITE_OK) {
        return store_error(s->db, err, path);
    }
    if (store_migrate(s->db, path, err) < 0) {
        return -1;
    }
    for (int i = 0; i < OPERATIONS; i++) {
        if (sqlite3_prepare_v3(s->db, operation_sql[i], -1, SQLITE_PREPARE_PERSISTENT,
                &s->statements[i], NULL) != SQLITE_OK) {
            return store_error(s->db, err, path);
        }
    }
    return 0;
}

/* Reads the whole file once, so that damage is found now and not in the middle of a change. */
static int check(struct store *s, const char *path, struct err *err) {
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(s->db, "PRAGMA quick_check(1)", -1, &statement, NULL);
    if (rc == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW) {
        const char *verdict = (const char *)sqlite3_column_text(statement, 0);
        if (verdict && strcmp(verdict, "ok") == 0) {
            sqlite3_finalize(statement);
            return 0;
        }
        err_set(err, ERR_SYSTEM, "%s: the file is damaged (%s)", path, verdict ? verdict : "?");
        err_hint(err, "restore a backup, or move the file away to begin with nothing");
    } else {
        store_error(s->db, err, path);
    }
    sqlite3_finalize(statement);
    return -1;
}

static void close_file(struct store *s) {
    for (int i = 0; i < OPERATIONS; i++) {
        sqlite3_finalize(s->statements[i]);
    }
    sqlite3_close(s->db);
    free(s);
}

int store_open(uv_loop_t *loop, const char *path, struct store **out, struct err *err) {
    if (make_private_file(path, err) < 0) {
        return -1;
    }
    struct store *s = calloc(1, sizeof(*s));
    if (!s) {
        return err_no_memory(err);
    }
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_FULLMUTEX;
    if (sqlite3_open_v2(path, &s->db, flags, NULL) != SQLITE_OK) {
        store_error(s->db, err, path);
        close_file(s);
        return -1;
    }
    sqlite3_extended_result_codes(s->db, 1);
    if (prepare(s, path, err) < 0 || check(s, path, err) < 0 ||
        !(s->worker = worker_create(loop, "store", err))) {
        close_file(s);
        return -1;
    }
    *out = s;
    return 0;
}

void store_close(struct store *s) {
    if (s) {
        worker_destroy(s->worker);
        close_file(s);
    }
}

/* SQLite gives no text without memory, and none for a key that is no text. */
static int load_row(struct store *s, sqlite3_stmt *statement,
    int (*row)(void *data, const char *key, const char *body, size_t len, struct err *err),
    void *data, struct err *err) {
    const char *key = (const char *)sqlite3_column_text(statement, 0);
    const char *body = sqlite3_column_blob(statement, 1);
    size_t len = (size_t)sqlite3_column_bytes(statement, 1);
    if (sqlite3_errcode(s->db) == SQLITE_NOMEM) {
        return err_no_memory(err);
    }
    if (!key) {
        err_set(err, ERR_SYSTEM, "the store is damaged: it has an object without a key");
        return err_hint(err, "restore a backup, or move the file away to begin with nothing");
    }
    return row(data, key, body ? body : "", len, err);
}

int store_load(struct store *s, enum store_kind kind,
    int (*row)(void *data, const char *key, const char *body, size_t len, struct err *err),
    void *data, struct err *err) {
    sqlite3_stmt *statement = NULL;
    const char *sql = "SELECT key, body FROM object WHERE kind = ?1 ORDER BY key";
    if (sqlite3_prepare_v2(s->db, sql, -1, &statement, NULL) != SQLITE_OK ||
        sqlite3_bind_int(statement, 1, (int)kind) != SQLITE_OK) {
        store_error(s->db, err, "reading the store");
        sqlite3_finalize(statement);
        return -1;
    }
    int rc, failed = 0;
    while (!failed && (rc = sqlite3_step(statement)) == SQLITE_ROW) {
        failed = load_row(s, statement, row, data, err);
    }
    if (!failed && rc != SQLITE_DONE) {
        failed = store_error(s->db, err, "reading the store");
    }
    sqlite3_finalize(statement);
    return failed ? -1 : 0;
}

/* --- committing ------------------------------------------------------------------------------- */

static int write_one(struct store *s, const struct write *write, struct err *err) {
    sqlite3_stmt *statement = s->statements[write->operation];
    int rc = sqlite3_bind_int(statement, 1, (int)write->kind);
    if (rc == SQLITE_OK) {
        rc = sqlite3_bind_text(statement, 2, write->key, -1, SQLITE_STATIC);
    }
    if (rc == SQLITE_OK && write->operation == OP_PUT) {
        rc = sqlite3_bind_blob64(statement, 3, write->body, write->len, SQLITE_STATIC);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(statement);
    }
    int failed = rc == SQLITE_DONE ? 0 : store_error(s->db, err, "writing to the store");
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return failed;
}

static int write_all(struct store *s, const struct store_batch *batch, struct err *err) {
    if (sqlite3_exec(s->db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK) {
        return store_error(s->db, err, "writing to the store");
    }
    for (size_t i = 0; i < batch->count; i++) {
        if (write_one(s, &batch->writes[i], err) < 0) {
            return -1;
        }
    }
    if (sqlite3_exec(s->db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK) {
        return store_error(s->db, err, "committing to the store");
    }
    return 0;
}

static int write_or_roll_back(struct store *s, const struct store_batch *batch, struct err *err) {
    if (write_all(s, batch, err) < 0) {
        if (!sqlite3_get_autocommit(s->db)) {
            sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
        }
        return -1;
    }
    return 0;
}

/* On a full disk the log may hold old versions of rows: folded into the file, it gives room back.
 */
static int write_batch(struct store *s, const struct store_batch *batch, struct err *err) {
    struct err why = { 0 };
    int rc = write_or_roll_back(s, batch, &why);
    if (rc < 0 && why.code == ERR_FULL) {
        sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
        rc = write_or_roll_back(s, batch, &why);
    }
    if (rc < 0 && err) {
        *err = why;
    }
    return rc;
}

static void on_run(struct worker_job *job) {
    struct commit *commit = (struct commit *)job;
    write_batch(commit->store, commit->batch, &commit->err);
}

static void on_done(struct worker_job *job) {
    struct commit *commit = (struct commit *)job;
    if (job->cancelled) {
        err_set(&commit->err, ERR_CANCELLED, "writing to the store: it closes");
    }
    commit->done(commit->data, &commit->err);
    store_batch_free(commit->batch);
    free(commit);
}

int store_commit(struct store *s, struct store_batch *batch,
    void (*done)(void *data, const struct err *err), void *data, struct err *err) {
    struct commit *commit = batch && !batch->broken ? calloc(1, sizeof(*commit)) : NULL;
    if (!commit) {
        store_batch_free(batch);
        return err_no_memory(err);
    }
    commit->job.run = on_run;
    commit->job.done = on_done;
    commit->store = s;
    commit->batch = batch;
    commit->done = done;
    commit->data = data;
    if (worker_submit(s->worker, &commit->job, err) < 0) {
        store_batch_free(batch);
        free(commit);
        return -1;
    }
    return 0;
}

int store_commit_now(struct store *s, struct store_batch *batch, struct err *err) {
    int rc = batch && !batch->broken ? write_batch(s, batch, err) : err_no_memory(err);
    store_batch_free(batch);
    return rc;
}
