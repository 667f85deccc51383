/* An instance's directory: what is written is read, what is not whole is refused, and ends in
 * words. SPDX-License-Identifier: Apache-2.0 */
#include <paas/reserve.h>

#include "record.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const char id[] = "abcdefghi2";

struct scene {
    char path[64];
    int dir;
};

static int set_up(void **state) {
    struct scene *scene = calloc(1, sizeof *scene);
    strcpy(scene->path, "/tmp/paas-test-record-XXXXXX");
    assert_non_null(mkdtemp(scene->path));
    scene->dir = open(scene->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *state = scene;
    return 0;
}

static int tear_down(void **state) {
    struct scene *scene = *state;
    struct err err;
    assert_int_equal(record_remove(scene->dir, id, &err), 0);
    unlinkat(scene->dir, RESERVE_NAME, 0);
    close(scene->dir);
    assert_int_equal(rmdir(scene->path), 0);
    free(scene);
    return 0;
}

static int make(struct scene *scene) {
    struct err err;
    int fd = record_make(scene->dir, id, &err);
    assert_true(fd >= 0);
    return fd;
}

static const struct record sample = { .row = { .id = "abcdefghi2",
                                          .slot = "web.3",
                                          .app = "hello",
                                          .process = "web",
                                          .release = 4,
                                          .state = INSTANCE_HEALTHY,
                                          .pid = 77,
                                          .port = 8080,
                                          .restarts = 2,
                                          .last_exit = { .code = 3, .reason = END_EXITED } },
    .number = 3,
    .failures = 2,
    .attempt = 9,
    .healthy_since = 5000,
    .not_before = 6000,
    .init_pid = 76,
    .start_time = 1234567,
    .reason = END_HEALTH,
    .acknowledged = true };

static void record_is_read_as_it_was_written(void **state) {
    struct scene *scene = *state;
    struct record read;
    struct err err;
    struct stat st;
    int fd = make(scene);
    assert_int_equal(record_read(scene->dir, id, &read, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_int_equal(record_write(scene->dir, id, &sample, &err), 0);
    assert_int_equal(record_read(scene->dir, id, &read, &err), 0);
    assert_string_equal(read.row.slot, "web.3");
    assert_int_equal(read.row.state, INSTANCE_HEALTHY);
    assert_int_equal(read.row.last_exit.code, 3);
    assert_int_equal(read.init_pid, 76);
    assert_int_equal(read.attempt, 9);
    assert_int_equal(read.healthy_since, 5000);
    assert_int_equal(read.not_before, 6000);
    assert_int_equal(read.start_time, 1234567);
    assert_int_equal(read.reason, END_HEALTH);
    assert_true(read.acknowledged);
    assert_int_equal(fstatat(fd, "record", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    close(fd);
}

static void put(int dir, const char *name, const void *bytes, size_t len) {
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, bytes, len), len);
    close(fd);
}

static void edit(int dir, const char *from, const char *to) {
    char text[8192] = { 0 }, out[8192];
    int fd = openat(dir, "record", O_RDONLY | O_CLOEXEC);
    assert_true(read(fd, text, sizeof text - 1) > 0);
    close(fd);
    char *at = strstr(text, from);
    assert_non_null(at);
    int n = snprintf(out, sizeof out, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    put(dir, "record", out, (size_t)n);
}

static void record_of_another_boot_names_no_process(void **state) {
    struct scene *scene = *state;
    struct record read;
    struct err err;
    int fd = make(scene);
    assert_int_equal(record_write(scene->dir, id, &sample, &err), 0);
    char boot[BOOT_ID_SIZE];
    assert_int_equal(file_boot_id(boot, &err), 0);
    edit(fd, boot, "00000000-0000-0000-0000-000000000000");
    assert_int_equal(record_read(scene->dir, id, &read, &err), 0);
    assert_int_equal(read.init_pid, 0);
    assert_int_equal(read.healthy_since, 0); /* its clock began anew */
    assert_int_equal(read.not_before, 0);
    close(fd);
}

static void other_versions_and_damage_are_refused(void **state) {
    struct scene *scene = *state;
    struct record read;
    struct err err;
    int fd = make(scene);
    assert_int_equal(record_write(scene->dir, id, &sample, &err), 0);
    edit(fd, "\"version\":1", "\"version\":2");
    assert_int_equal(record_read(scene->dir, id, &read, &err), -1);
    assert_int_equal(err.code, ERR_VERSION_NOT_SUPPORTED);
    put(fd, "record", "{\"version\":", 11);
    assert_int_equal(record_read(scene->dir, id, &read, &err), -1);
    close(fd);
}

static void bad_ids_reach_no_file(void **state) {
    struct scene *scene = *state;
    static const char *const ids[] = { "", ".", "..", "../x", "abcdefghi", "abcdefghi22",
        "ABCDEFGHI2", "abcdefgh/2" };
    struct record read;
    struct err err;
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        assert_int_equal(record_make(scene->dir, ids[i], &err), -1);
        assert_int_equal(err.code, ERR_BAD_VALUE);
        assert_int_equal(record_open(scene->dir, ids[i], &err), -1);
        assert_int_equal(record_read(scene->dir, ids[i], &read, &err), -1);
        assert_int_equal(record_remove(scene->dir, ids[i], &err), -1);
    }
}

static void exit_record_must_be_whole(void **state) {
    struct scene *scene = *state;
    struct err err;
    struct init_exit exit = { .magic = INIT_EXIT_MAGIC,
        .version = INIT_VERSION,
        .bytes = sizeof exit,
        .end = INIT_END_EXITED,
        .code = 5 };
    struct init_exit read;
    int fd = make(scene);
    assert_int_equal(record_read_exit(scene->dir, id, &read, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    put(fd, INIT_NAME_EXIT, "", 0);
    assert_int_equal(record_read_exit(scene->dir, id, &read, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    put(fd, INIT_NAME_EXIT, &exit, sizeof exit);
    assert_int_equal(record_read_exit(scene->dir, id, &read, &err), -1);
    assert_int_equal(err.code, ERR_DIGEST);
    exit.checksum = init_checksum(INIT_CHECKSUM_START, &exit, offsetof(struct init_exit, checksum));
    put(fd, INIT_NAME_EXIT, &exit, sizeof exit);
    assert_int_equal(record_read_exit(scene->dir, id, &read, &err), 0);
    assert_int_equal(read.code, 5);
    put(fd, INIT_NAME_EXIT, &exit, sizeof exit - 1);
    assert_int_equal(record_read_exit(scene->dir, id, &read, &err), -1);
    assert_int_equal(err.code, ERR_DIGEST);
    close(fd);
}

static void count(void *arg, const char *found) {
    assert_string_equal(found, id);
    ++*(int *)arg;
}

static void list_has_directories_with_ids_only(void **state) {
    struct scene *scene = *state;
    struct err err;
    int found = 0;
    close(make(scene));
    assert_int_equal(mkdirat(scene->dir, "lost+found", 0700), 0);
    assert_int_equal(record_list(scene->dir, count, &found, &err), 0);
    assert_int_equal(found, 1);
    assert_int_equal(unlinkat(scene->dir, "lost+found", AT_REMOVEDIR), 0);
    assert_int_equal(record_make(scene->dir, id, &err), -1); /* an id is used once */
}

static void ends_have_words(void **state) {
    (void)state;
    static const struct {
        struct init_exit exit;
        enum end_reason reason;
        const char *words;
    } ends[] = {
        { { .end = INIT_END_EXITED, .code = 1 }, END_EXITED, "exited with code 1" },
        { { .end = INIT_END_EXITED, .flags = INIT_EXIT_STOPPED }, END_STOPPED,
            "exited with code 0" },
        { { .end = INIT_END_SIGNALED, .signal = 11 }, END_SIGNALED, "killed by SIGSEGV" },
        { { .end = INIT_END_SIGNALED, .signal = 15, .flags = INIT_EXIT_STOPPED }, END_STOPPED,
            "stopped by SIGTERM" },
        { { .end = INIT_END_SIGNALED, .signal = 9, .flags = INIT_EXIT_STOPPED | INIT_EXIT_KILLED },
            END_STOPPED, "did not stop in time, so it was killed" },
        { { .end = INIT_END_SIGNALED, .signal = 9, .flags = INIT_EXIT_DEADLINE }, END_KILLED,
            "its lease ran out, so it was killed" },
        { { .end = INIT_END_OOM, .signal = 9, .max_rss_kib = 65536 }, END_OOM,
            "ran out of memory: its limit is 64M, its largest process had 64M" },
        { { .end = INIT_END_EXEC_FAILED,
              .stage = INIT_STAGE_EXEC,
              .sys = ENOENT,
              .text = "server" },
            END_COMMAND, "can't run the command server: there is no such command" },
        { { .end = INIT_END_EXEC_FAILED,
              .stage = INIT_STAGE_LOADER,
              .sys = ENOENT,
              .text = "/app/x" },
            END_COMMAND, "can't run the command: its interpreter or loader is missing: /app/x" },
        { { .end = INIT_END_EXEC_FAILED,
              .stage = INIT_STAGE_DIRECTORY,
              .sys = ENOENT,
              .text = "/srv" },
            END_COMMAND, "can't enter the working directory /srv: No such file or directory" },
        { { .end = INIT_END_INIT_ERROR, .stage = 9999, .sys = EPERM, .text = "x" }, END_START,
            "can't go on x: Operation not permitted" },
        { { .end = 9999 }, END_UNKNOWN, "ended without a word" },
    };
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        char words[200];
        enum end_reason reason = record_end_reason(&ends[i].exit, 64 << 20, words, sizeof words);
        assert_string_equal(words, ends[i].words);
        assert_int_equal(reason, ends[i].reason);
    }
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(record_is_read_as_it_was_written),
        TEST(record_of_another_boot_names_no_process),
        TEST(other_versions_and_damage_are_refused),
        TEST(bad_ids_reach_no_file),
        TEST(exit_record_must_be_whole),
        TEST(list_has_directories_with_ids_only),
        TEST(ends_have_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
