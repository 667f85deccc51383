/* The store: what is acknowledged stays, what is not is whole or absent. SPDX-License-Identifier:
 * Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <paas/file.h>
#include <paas/store.h>

/* SQLite as it is when it has no memory for a text, where told so. */
static bool no_text;
const unsigned char *__real_sqlite3_column_text(sqlite3_stmt *statement, int column);
const unsigned char *__wrap_sqlite3_column_text(sqlite3_stmt *statement, int column);
const unsigned char *__wrap_sqlite3_column_text(sqlite3_stmt *statement, int column) {
    return no_text ? NULL : __real_sqlite3_column_text(statement, column);
}

enum { BATCH_ROWS = 3, KILLS = 25, DEADLINE_MS = 20000 };

struct place {
    char dir[64], path[128];
    uv_loop_t loop;
    struct store *store;
};

static int begin(void **state) {
    struct place *p = calloc(1, sizeof(*p));
    assert_non_null(p);
    strcpy(p->dir, "/tmp/paas-store-XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    snprintf(p->path, sizeof(p->path), "%s/%s", p->dir, STORE_FILE);
    assert_int_equal(uv_loop_init(&p->loop), 0);
    *state = p;
    return 0;
}

static void open_store(struct place *p) {
    struct err err = { 0 };
    if (store_open(&p->loop, p->path, &p->store, &err) < 0) {
        fail_msg("%s", err.text);
    }
}

static void close_store(struct place *p) {
    store_close(p->store);
    p->store = NULL;
    uv_run(&p->loop, UV_RUN_DEFAULT);
}

static int end(void **state) {
    struct place *p = *state;
    struct err err;
    close_store(p);
    assert_int_equal(uv_loop_close(&p->loop), 0);
    assert_int_equal(file_remove_tree(AT_FDCWD, p->dir, &err), 0);
    free(p);
    return 0;
}

/* --- helpers ---------------------------------------------------------------------------------- */

struct commit {
    bool done;
    struct err err;
};

static void on_done(void *data, const struct err *err) {
    struct commit *c = data;
    c->done = true;
    c->err = *err;
}

static void on_deadline(uv_timer_t *timer) {
    (void)timer;
    fail_msg("a commit did not end");
}

/* Commits and waits; the error's code. */
static enum err_code commit(struct place *p, struct store_batch *batch) {
    struct commit c = { 0 };
    uv_timer_t deadline; /* keeps the loop alive, too: an idle store does not */
    uv_timer_init(&p->loop, &deadline);
    uv_timer_start(&deadline, on_deadline, DEADLINE_MS, 0);
    assert_int_equal(store_commit(p->store, batch, on_done, &c, NULL), 0);
    while (!c.done) {
        uv_run(&p->loop, UV_RUN_ONCE);
    }
    uv_close((uv_handle_t *)&deadline, NULL);
    uv_run(&p->loop, UV_RUN_NOWAIT);
    return c.err.code;
}

static struct store_batch *put(
    struct store_batch *b, enum store_kind kind, const char *key, const char *body) {
    b = b ? b : store_batch_create();
    assert_int_equal(store_batch_put(b, kind, key, body, strlen(body)), 0);
    return b;
}

static int add_row(void *data, const char *key, const char *body, size_t len, struct err *err) {
    char *text = data;
    (void)err;
    sprintf(text + strlen(text), "%s=%.*s\n", key, (int)len, body);
    return 0;
}

static void rows_are(struct place *p, enum store_kind kind, const char *expected) {
    char text[4096] = "";
    assert_int_equal(store_load(p->store, kind, add_row, text, NULL), 0);
    assert_string_equal(text, expected);
}

/* --- example tests ---------------------------------------------------------------------------- */

static void rows_are_read_back_by_kind_and_key(void **state) {
    struct place *p = *state;
    open_store(p);
    struct store_batch *b = put(NULL, STORE_APP, "b", "2");
    put(b, STORE_APP, "a", "1");
    put(b, STORE_NODE, "a", "node");
    assert_int_equal(commit(p, b), ERR_OK);
    close_store(p);
    open_store(p);
    rows_are(p, STORE_APP, "a=1\nb=2\n");
    rows_are(p, STORE_NODE, "a=node\n");
    b = put(NULL, STORE_APP, "a", "new");
    assert_int_equal(store_batch_delete(b, STORE_APP, "b"), 0);
    assert_int_equal(commit(p, b), ERR_OK);
    rows_are(p, STORE_APP, "a=new\n");
}

static void old_events_are_cut_by_key(void **state) {
    struct place *p = *state;
    open_store(p);
    struct store_batch *b = put(NULL, STORE_EVENT, "0001", "a");
    put(b, STORE_EVENT, "0002", "b");
    put(b, STORE_EVENT, "0003", "c");
    assert_int_equal(store_batch_delete_before(b, STORE_EVENT, "0003"), 0);
    assert_int_equal(commit(p, b), ERR_OK);
    rows_are(p, STORE_EVENT, "0003=c\n");
}

static void the_file_is_private(void **state) {
    struct place *p = *state;
    struct stat st;
    char log[160];
    open_store(p);
    assert_int_equal(commit(p, put(NULL, STORE_CONFIG, "k", "secret")), ERR_OK);
    snprintf(log, sizeof(log), "%s-wal", p->path);
    assert_int_equal(stat(p->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(stat(log, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
}

static void a_second_process_is_refused(void **state) {
    struct place *p = *state;
    open_store(p);
    pid_t child = fork();
    if (child == 0) {
        uv_loop_t loop;
        struct store *other;
        struct err err = { 0 };
        uv_loop_init(&loop);
        _exit(store_open(&loop, p->path, &other, &err) < 0 && err.code == ERR_RUNNING ? 0 : 1);
    }
    int status;
    waitpid(child, &status, 0);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void bounds_break_a_batch(void **state) {
    struct place *p = *state;
    struct err err = { 0 };
    char key[STORE_KEY_MAX + 2];
    memset(key, 'k', sizeof(key));
    key[sizeof(key) - 1] = '\0';
    open_store(p);
    struct store_batch *b = store_batch_create();
    assert_int_equal(store_batch_put(b, STORE_APP, key, "x", 1), -1);
    assert_int_equal(store_commit(p->store, b, on_done, NULL, &err), -1);
}

/* --- files that are not right ------------------------------------------------------------------
 */

static void refuses_to_open(struct place *p, enum err_code code, const char *words) {
    struct err err = { 0 };
    assert_int_equal(store_open(&p->loop, p->path, &p->store, &err), -1);
    p->store = NULL;
    assert_int_equal(err.code, code);
    if (!strstr(err.text, words)) {
        fail_msg("\"%s\" says nothing of \"%s\"", err.text, words);
    }
}

static void run_sql(struct place *p, const char *sql) {
    sqlite3 *db;
    assert_int_equal(sqlite3_open(p->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void a_newer_file_is_refused(void **state) {
    struct place *p = *state;
    open_store(p);
    close_store(p);
    run_sql(p, "PRAGMA user_version=99");
    refuses_to_open(p, ERR_CONFLICT, "newer version");
    refuses_to_open(p, ERR_CONFLICT, "newer version");
}

static void another_program_s_file_is_refused(void **state) {
    struct place *p = *state;
    run_sql(p, "CREATE TABLE theirs (x)");
    refuses_to_open(p, ERR_CONFLICT, "another program");
}

static void a_damaged_file_is_refused(void **state) {
    struct place *p = *state;
    open_store(p);
    struct store_batch *b = NULL;
    char body[2000];
    memset(body, 'x', sizeof(body) - 1);
    body[sizeof(body) - 1] = '\0';
    for (int i = 0; i < 100; i++) {
        char key[16];
        snprintf(key, sizeof(key), "%03d", i);
        b = put(b, STORE_APP, key, body);
    }
    assert_int_equal(commit(p, b), ERR_OK);
    close_store(p);
    int fd = open(p->path, O_RDWR | O_CLOEXEC);
    char noise[8192];
    memset(noise, 0x5a, sizeof(noise));
    assert_int_equal(pwrite(fd, noise, sizeof(noise), 4096), sizeof(noise));
    close(fd);
    refuses_to_open(p, ERR_SYSTEM, "damaged");
}

static void a_text_file_is_refused(void **state) {
    struct place *p = *state;
    struct err err;
    char noise[4096];
    memset(noise, 'n', sizeof(noise));
    assert_int_equal(file_write_whole(AT_FDCWD, p->path, noise, sizeof(noise), 0600, 0, &err), 0);
    refuses_to_open(p, ERR_SYSTEM, "damaged");
}

/* --- crashes ---------------------------------------------------------------------------------- */

/* Commits batches 1, 2, … of BATCH_ROWS equal rows, and writes each number to `out` when it is
 * acknowledged; until it is killed. */
static void commit_for_ever(struct place *p, int out) {
    uv_loop_init(&p->loop); /* the parent's does not work across a fork */
    open_store(p);
    for (uint32_t n = 1;; n++) {
        char body[16];
        struct store_batch *b = NULL;
        snprintf(body, sizeof(body), "%u", n);
        for (int i = 0; i < BATCH_ROWS; i++) {
            char key[8];
            snprintf(key, sizeof(key), "k%d", i);
            b = put(b, STORE_APP, key, body);
        }
        if (commit(p, b) != ERR_OK || write(out, &n, sizeof(n)) != sizeof(n)) {
            _exit(1);
        }
    }
}

static uint32_t last_of(int fd) {
    uint32_t n = 0, last = 0;
    while (read(fd, &n, sizeof(n)) == sizeof(n)) {
        last = n;
    }
    return last;
}

static void what_was_acknowledged_survives_every_kill(void **state) {
    struct place *p = *state;
    uint32_t total = 0;
    for (int i = 0; i < KILLS; i++) {
        int pipes[2];
        assert_int_equal(pipe(pipes), 0);
        pid_t child = fork();
        if (child == 0) {
            close(pipes[0]);
            commit_for_ever(p, pipes[1]);
        }
        close(pipes[1]);
        uint32_t first;
        assert_int_equal(read(pipes[0], &first, sizeof(first)), sizeof(first));
        struct timespec moment = { .tv_nsec = (i * 7919L % 40) * 250000 };
        nanosleep(&moment, NULL);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        uint32_t acknowledged = last_of(pipes[0]);
        acknowledged = acknowledged ? acknowledged : first;
        close(pipes[0]);
        open_store(p);
        char text[256] = "";
        assert_int_equal(store_load(p->store, STORE_APP, add_row, text, NULL), 0);
        unsigned rows[BATCH_ROWS];
        assert_int_equal(
            sscanf(text, "k0=%u\nk1=%u\nk2=%u\n", &rows[0], &rows[1], &rows[2]), BATCH_ROWS);
        assert_int_equal(rows[0], rows[1]);
        assert_int_equal(rows[1], rows[2]);
        assert_true(rows[0] == acknowledged || rows[0] == acknowledged + 1);
        total += acknowledged;
        close_store(p);
    }
    assert_true(total > KILLS);
}

static void a_full_disk_is_an_error_and_then_it_goes_on(void **state) {
    struct place *p = *state;
    if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("tmpfs", p->dir, "tmpfs", 0, "size=1m") < 0) {
        skip();
    }
    open_store(p);
    assert_int_equal(commit(p, put(NULL, STORE_APP, "small", "1")), ERR_OK);
    char *large = malloc(2 << 20);
    memset(large, 'x', (2 << 20) - 1);
    large[(2 << 20) - 1] = '\0';
    assert_int_equal(commit(p, put(NULL, STORE_APP, "large", large)), ERR_FULL);
    free(large);
    rows_are(p, STORE_APP, "small=1\n");
    assert_int_equal(commit(p, put(NULL, STORE_APP, "small", "2")), ERR_OK);
    rows_are(p, STORE_APP, "small=2\n");
    close_store(p);
    assert_int_equal(umount(p->dir), 0);
}

static void a_key_that_can_t_be_had_is_an_error(void **state) {
    struct place *p = *state;
    struct err err = { 0 };
    char text[64] = "";
    open_store(p);
    assert_int_equal(commit(p, put(NULL, STORE_APP, "a", "1")), ERR_OK);
    no_text = true;
    assert_int_equal(store_load(p->store, STORE_APP, add_row, text, &err), -1);
    no_text = false;
    assert_int_equal(err.code, ERR_SYSTEM);
    assert_string_equal(text, "");
    rows_are(p, STORE_APP, "a=1\n");
}

static void closing_hands_back_what_waits(void **state) {
    struct place *p = *state;
    struct commit commits[20] = { 0 };
    open_store(p);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(
            store_commit(p->store, put(NULL, STORE_APP, "k", "v"), on_done, &commits[i], NULL), 0);
    }
    close_store(p);
    for (int i = 0; i < 20; i++) {
        assert_true(commits[i].done);
        assert_true(commits[i].err.code == ERR_OK || commits[i].err.code == ERR_CANCELLED);
    }
}

#define TEST(F) cmocka_unit_test_setup_teardown(F, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(rows_are_read_back_by_kind_and_key),
        TEST(old_events_are_cut_by_key),
        TEST(the_file_is_private),
        TEST(a_second_process_is_refused),
        TEST(bounds_break_a_batch),
        TEST(a_newer_file_is_refused),
        TEST(another_program_s_file_is_refused),
        TEST(a_damaged_file_is_refused),
        TEST(a_text_file_is_refused),
        TEST(what_was_acknowledged_survives_every_kill),
        TEST(a_key_that_can_t_be_had_is_an_error),
        TEST(closing_hands_back_what_waits),
        TEST(a_full_disk_is_an_error_and_then_it_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
