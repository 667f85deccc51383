/* Intent, durable: rows of JSON by kind and key. SPDX-License-Identifier: Apache-2.0
 *
 * One SQLite file in WAL mode with synchronous=FULL. A batch is one transaction: whole or absent
 * after any crash, and readable for ever once `done` says so. Commits run on the store's own thread
 * in their order; the loop never waits for a disk. The file belongs to one process: a second one is
 * refused.
 */
#ifndef PAAS_STORE_H
#define PAAS_STORE_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include <paas/err.h>

struct store;
struct store_batch;

#define STORE_FILE "paas.db" /* in the scheduler's data directory, mode 0600 */

/* What there is; the numbers stand in the file and never change. */
enum store_kind {
    STORE_META = 1,   /* key "term" */
    STORE_APP = 2,    /* key: name */
    STORE_CONFIG = 3, /* key: digest; holds secrets */
    STORE_NODE = 4,   /* key: name */
    STORE_EVENT = 5,  /* key: sequence in 19 digits, so that order is that of numbers */
};

enum {
    STORE_KEY_MAX = 256,               /* bytes */
    STORE_BODY_MAX = 64 << 20,         /* bytes of one row: far above what limits.h allows */
    STORE_VERSION = 1,                 /* of the schema; see migrate.c */
    STORE_APPLICATION_ID = 0x50616153, /* "PaaS" in the file's header: nobody else's file */
};

/* Opens or makes `path`, brings an older one up to date, and checks it. Blocks. Errors: ERR_RUNNING
 * (another process has it), ERR_CONFLICT (a newer version wrote it, or it is not ours), ERR_SYSTEM
 * (corrupt: the words say what to do), ERR_FULL. */
int store_open(uv_loop_t *loop, const char *path, struct store **out, struct err *err);
/* Waits for the running commit, hands the queued ones back as cancelled (their `done` is called
 * before it returns), and closes the file. NULL is allowed. */
void store_close(struct store *s);

/* Calls `row` for every row of a kind, by key. Blocks; for the start, before the first commit.
 * `row` may fail with its own error, which ends the walk. */
int store_load(struct store *s, enum store_kind kind,
    int (*row)(void *data, const char *key, const char *body, size_t len, struct err *err),
    void *data, struct err *err);

/* NULL without memory. */
struct store_batch *store_batch_create(void);
/* Sets a row; key and body are copied. 0, or -1 without memory or over a bound; then the batch is
 * broken, and committing it fails. */
int store_batch_put(
    struct store_batch *b, enum store_kind kind, const char *key, const void *body, size_t len);
int store_batch_delete(struct store_batch *b, enum store_kind kind, const char *key);
/* Deletes all rows of a kind whose key is before `key`. */
int store_batch_delete_before(struct store_batch *b, enum store_kind kind, const char *key);
size_t store_batch_count(const struct store_batch *b);
void store_batch_free(struct store_batch *b);

/* Commits on the store's thread; takes the batch, also when it fails. `done` is called once, from
 * the loop: err->code ERR_OK when it is durable, else nothing of it is there. Returns -1, without
 * calling `done`, when the queue is full (ERR_BUSY) or the batch is broken. */
int store_commit(struct store *s, struct store_batch *batch,
    void (*done)(void *data, const struct err *err), void *data, struct err *err);
/* Commits here and now; for the start. Takes the batch. */
int store_commit_now(struct store *s, struct store_batch *batch, struct err *err);

#endif
