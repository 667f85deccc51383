/* Buffers, maps, files, workers, errors. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <paas/buf.h>
#include <paas/file.h>
#include <paas/id.h>
#include <paas/loop.h>
#include <paas/map.h>

static void a_buffer_keeps_its_bound(void **state) {
    (void)state;
    struct buf b;
    buf_init(&b, 4);
    assert_int_equal(buf_puts(&b, "abc"), 0);
    assert_int_equal(buf_puts(&b, "de"), -1);
    assert_true(b.failed);
    assert_string_equal(buf_str(&b), "abc");
    buf_consume(&b, 2);
    assert_string_equal(buf_str(&b), "c");
    buf_free(&b);
    assert_string_equal(buf_str(&b), "");
}

static void a_map_keeps_its_order(void **state) {
    (void)state;
    struct map m;
    char key[16];
    static int value;
    map_init(&m);
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof key, "k%d", i);
        assert_int_equal(map_set(&m, key, &value), 0);
    }
    for (int i = 0; i < 1000; i += 2) {
        snprintf(key, sizeof key, "k%d", i);
        assert_ptr_equal(map_remove(&m, key), &value);
    }
    assert_null(map_get(&m, "k0"));
    assert_ptr_equal(map_get(&m, "k999"), &value);
    assert_int_equal(map_set(&m, "last", &value), 0);
    int expected = 1;
    MAP_FOREACH (e, &m) {
        snprintf(key, sizeof key, "k%d", expected);
        assert_string_equal(e->key, expected > 999 ? "last" : key);
        expected += 2;
    }
    assert_int_equal(m.count, 501);
    map_free(&m);
}

static void churn_does_not_grow_a_map(void **state) {
    (void)state;
    struct map m;
    char key[16];
    static int value;
    map_init(&m);
    for (int i = 0; i < 100000; i++) {
        snprintf(key, sizeof key, "k%d", i);
        assert_int_equal(map_set(&m, key, &value), 0);
        assert_ptr_equal(map_remove(&m, key), &value);
    }
    assert_true(m.cap < 100);
    map_free(&m);
}

static void files_are_whole_and_beneath(void **state) {
    (void)state;
    char directory[] = "/tmp/paas-unit.XXXXXX";
    struct err err;
    struct buf text;
    assert_non_null(mkdtemp(directory));
    int dir = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(file_write_whole(dir, "a", "one", 3, 0600, FILE_DURABLE, &err), 0);
    assert_int_equal(file_write_whole(dir, "a", "two", 3, 0640, 0, &err), 0);
    struct stat st;
    assert_int_equal(fstatat(dir, "a", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    buf_init(&text, 100);
    assert_int_equal(file_read_whole(dir, "a", &text, &err), 0);
    assert_string_equal(buf_str(&text), "two");
    assert_int_equal(file_read_whole(dir, "none", &text, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    buf_free(&text);
    buf_init(&text, 2);
    assert_int_equal(file_read_whole(dir, "a", &text, &err), -1);
    assert_int_equal(err.code, ERR_TOO_LARGE);
    buf_free(&text);
    assert_int_equal(symlinkat("/etc", dir, "link"), 0);
    static const char *const outside[] = { "../x", "/etc/passwd", "link/passwd", "link" };
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++) {
        assert_int_equal(file_open_beneath(dir, outside[i], O_RDONLY, 0, &err), -1);
    }
    char deep[sizeof directory + 16];
    snprintf(deep, sizeof deep, "%s/b/c/d", directory);
    assert_int_equal(file_make_dirs(deep, 0700, &err), 0);
    assert_int_equal(file_remove_tree(AT_FDCWD, directory, &err), 0);
    assert_int_equal(access(directory, F_OK), -1);
    assert_int_equal(access("/etc/passwd", F_OK), 0);
    close(dir);
}

struct job {
    struct worker_job job;
    int *runs, *ends, *cancelled;
};

static void run_job(struct worker_job *job) {
    ++*((struct job *)job)->runs;
}

static void end_job(struct worker_job *job) {
    struct job *j = (struct job *)job;
    ++*j->ends;
    *j->cancelled += job->cancelled;
    free(j);
}

static void every_job_ends_once(void **state) {
    (void)state;
    uv_loop_t loop;
    struct err err;
    int runs = 0, ends = 0, cancelled = 0;
    uv_loop_init(&loop);
    struct worker *w = worker_create(&loop, "test", &err);
    assert_non_null(w);
    int submitted = 0;
    for (int i = 0; i < 5000; i++) {
        struct job *j = calloc(1, sizeof *j);
        *j = (struct job){ { .run = run_job, .done = end_job }, &runs, &ends, &cancelled };
        if (worker_submit(w, &j->job, &err) == 0) {
            submitted++;
        } else {
            assert_int_equal(err.code, ERR_BUSY);
            free(j);
        }
    }
    assert_true(submitted >= WORKER_QUEUE_MAX);
    worker_destroy(w);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(ends, submitted);
    assert_int_equal(runs + cancelled, submitted);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void errors_gather_context(void **state) {
    (void)state;
    struct err err;
    assert_int_equal(err_sys(&err, 2, "opening %s", "x"), -1);
    err_wrap(&err, "reading %s", "y");
    assert_string_equal(err.text, "reading y: opening x: No such file or directory");
    assert_int_equal(err.sys, 2);
    assert_string_equal(err_name(ERR_APP_EXITS), "app-exits");
    assert_int_equal(err_by_name("app-exits"), ERR_APP_EXITS);
    assert_int_equal(err_exit_status(ERR_NOT_FOUND), 3);
}

static void ids_are_ids(void **state) {
    (void)state;
    char id[ID_SIZE], token[TOKEN_SIZE];
    struct err err;
    assert_int_equal(id_make(id, &err), 0);
    assert_true(id_is_valid(id));
    assert_false(id_is_valid("abc"));
    assert_false(id_is_valid("aaaaaaaaa/"));
    assert_int_equal(id_make_token(token, &err), 0);
    assert_int_equal(strlen(token), 64);
    assert_true(id_same_token(token, token));
    assert_false(id_same_token(token, "x"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_buffer_keeps_its_bound),
        cmocka_unit_test(a_map_keeps_its_order),
        cmocka_unit_test(churn_does_not_grow_a_map),
        cmocka_unit_test(files_are_whole_and_beneath),
        cmocka_unit_test(every_job_ends_once),
        cmocka_unit_test(errors_gather_context),
        cmocka_unit_test(ids_are_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
