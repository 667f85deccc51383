/* Directories that layers use and do not describe. SPDX-License-Identifier: Apache-2.0 */
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
#include <sys/xattr.h>
#include <unistd.h>

#include <paas/buf.h>
#include <paas/digest.h>
#include <paas/file.h>
#include <paas/unpack.h>

#include "cover.h"
#include "tar_maker.h"

struct fixture {
    char base[64];
    int base_fd;
    struct buf tar;
    struct unpack_cover job;
    struct unpack_report report; /* of the last layer */
};

static int make_dir(struct fixture *f, const char *kind, size_t number) {
    char name[32];
    snprintf(name, sizeof name, "%s%zu", kind, number);
    assert_int_equal(mkdirat(f->base_fd, name, 0755), 0);
    return openat(f->base_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int setup(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    snprintf(f->base, sizeof f->base, "/tmp/paas-test-cover.XXXXXX");
    assert_non_null(mkdtemp(f->base));
    f->base_fd = open(f->base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    f->job.cover = make_dir(f, "cover", 0);
    buf_init(&f->tar, 1 << 20);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    for (size_t i = 0; i < f->job.count; i++) {
        close(f->job.layers[i].layer);
        close(f->job.layers[i].hidden);
    }
    close(f->job.cover);
    close(f->base_fd);
    buf_free(&f->tar);
    assert_int_equal(file_remove_tree(AT_FDCWD, f->base, NULL), 0);
    free(f);
    return 0;
}

#define ADD(F, ...) tar_add(&(F)->tar, &(struct tar_entry){ __VA_ARGS__ })

/* What was added since the last one becomes the next layer. */
static void end_layer(struct fixture *f) {
    struct err err;
    char digest[DIGEST_SIZE];
    int pipes[2];
    tar_end(&f->tar);
    assert_int_equal(digest_of(f->tar.data, f->tar.len, digest), 0);
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    fcntl(pipes[1], F_SETPIPE_SZ, 1 << 20);
    assert_int_equal(file_write_all(pipes[1], f->tar.data, f->tar.len, NULL), 0);
    close(pipes[1]);
    struct unpack_layer *l = &f->job.layers[f->job.count];
    *l = (struct unpack_layer){ make_dir(f, "layer", f->job.count),
        make_dir(f, "hidden", f->job.count) };
    f->job.count++;
    struct unpack_job job = { .tar = pipes[0], .layer = l->layer, .hidden = l->hidden };
    memcpy(job.diff_id, digest_hex(digest), DIGEST_HEX_SIZE);
    if (unpack_unconfined(&job, &unpack_limits_default, &f->report, &err) < 0) {
        fail_msg("%s", err.text);
    }
    close(pipes[0]);
    f->tar.len = 0;
}

static void cover(struct fixture *f) {
    struct err err;
    if (cover_make(&f->job, 100, &err) < 0) {
        fail_msg("%s", err.text);
    }
}

static void expect(struct fixture *f, const char *path, unsigned mode, unsigned uid) {
    struct stat st;
    if (fstatat(f->job.cover, path, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        fail_msg("%s is not in the cover", path);
    }
    assert_true(S_ISDIR(st.st_mode));
    assert_int_equal(st.st_mode & 07777, mode);
    assert_int_equal(st.st_uid, uid);
}

static void expect_none(struct fixture *f, const char *path) {
    struct stat st;
    assert_int_equal(fstatat(f->job.cover, path, &st, AT_SYMLINK_NOFOLLOW), -1);
}

static void base_layer(struct fixture *f) {
    ADD(f, .name = "./", .type = '5', .mode = 0755);
    ADD(f, .name = "var/", .type = '5', .mode = 0711, .uid = 1);
    ADD(f, .name = "var/lib/", .type = '5', .mode = 0750, .uid = 2);
    ADD(f, .name = "var/lib/x/", .type = '5', .mode = 0700, .uid = 33,
        .pax = "SCHILY.xattr.user.note=kept\n");
    ADD(f, .name = "var/lib/x/old", .type = '0', .data = "old");
    end_layer(f);
    assert_int_equal(f->report.hides, 0);
}

static void test_the_layer_that_describes_a_directory_counts(void **state) {
    struct fixture *f = *state;
    struct stat st;
    char note[8];
    base_layer(f);
    ADD(f, .name = "var/lib/x/file", .type = '0', .data = "x");
    end_layer(f);
    assert_true(f->report.hides > 0);
    ADD(f, .name = "var/lib/x/other", .type = '0', .data = "x");
    ADD(f, .name = "var/lib/", .type = '5', .mode = 0755, .uid = 5);
    end_layer(f);
    cover(f);
    expect(f, "var", 0711, 1);
    expect(f, "var/lib", 0755, 5); /* the topmost says so itself */
    expect(f, "var/lib/x", 0700, 33);
    assert_int_equal(fstatat(f->job.cover, "var/lib/x", &st, 0), 0);
    assert_int_equal(st.st_mtime, 1000000000);
    int fd = openat(f->job.cover, "var/lib/x", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ssize_t len = fgetxattr(fd, "user.note", note, sizeof note);
    assert_true(len < 0 || (len == 4 && memcmp(note, "kept", 4) == 0)); /* where disks have them */
    close(fd);
    expect_none(f, "var/lib/x/old");
}

static void test_what_was_removed_comes_back_new(void **state) {
    struct fixture *f = *state;
    base_layer(f);
    ADD(f, .name = "var/lib/.wh.x", .type = '0');
    ADD(f, .name = "var/lib/x/file", .type = '0', .data = "x");
    end_layer(f);
    ADD(f, .name = "var/lib/x/more", .type = '0', .data = "x");
    end_layer(f);
    cover(f);
    expect(f, "var/lib", 0750, 2);
    expect(f, "var/lib/x", 0755, 0);
}

static void test_a_whiteout_alone_changes_no_directory(void **state) {
    struct fixture *f = *state;
    base_layer(f);
    ADD(f, .name = "var/lib/x/.wh.old", .type = '0');
    end_layer(f);
    assert_int_equal(f->report.hides, 1 + 3);
    cover(f);
    expect(f, "var", 0711, 1);
    expect(f, "var/lib/x", 0700, 33);
}

static void test_what_is_gone_is_not_brought_back(void **state) {
    struct fixture *f = *state;
    base_layer(f);
    ADD(f, .name = "var/lib/x/file", .type = '0', .data = "x");
    end_layer(f);
    ADD(f, .name = "var/", .type = '5', .mode = 0700, .uid = 7);
    ADD(f, .name = "var/.wh.lib", .type = '0');
    end_layer(f);
    cover(f);
    expect(f, "var", 0700, 7);
    expect_none(f, "var/lib");
}

static void test_below_another_kind_of_file_it_is_new(void **state) {
    struct fixture *f = *state;
    base_layer(f);
    ADD(f, .name = "var/", .type = '5', .mode = 0711, .uid = 1);
    ADD(f, .name = "var/lib", .type = '2', .link = "tmp");
    end_layer(f);
    ADD(f, .name = "var/lib/x/file", .type = '0', .data = "x");
    end_layer(f);
    cover(f);
    expect(f, "var", 0711, 1);
    expect(f, "var/lib", 0755, 0);
    expect(f, "var/lib/x", 0755, 0);
}

static void test_an_entry_after_its_files_describes_it(void **state) {
    struct fixture *f = *state;
    base_layer(f);
    ADD(f, .name = "srv/file", .type = '0', .data = "x");
    ADD(f, .name = "srv/", .type = '5', .mode = 0700, .uid = 9);
    end_layer(f);
    assert_int_equal(f->report.hides, 0);
}

static void test_their_number_is_bounded(void **state) {
    struct fixture *f = *state;
    struct err err;
    ADD(f, .name = "a/b/c/d", .type = '0', .data = "x");
    end_layer(f);
    assert_int_equal(cover_make(&f->job, 2, &err), -1);
    assert_int_equal(err.code, ERR_TOO_LARGE);
    cover(f);
    expect(f, "a/b/c", 0755, 0);
}

int main(void) {
    if (geteuid() != 0) {
        printf("skipped: files of other owners need root\n");
        return 77;
    }
    umask(0);
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_the_layer_that_describes_a_directory_counts),
        TEST(test_what_was_removed_comes_back_new),
        TEST(test_a_whiteout_alone_changes_no_directory),
        TEST(test_what_is_gone_is_not_brought_back),
        TEST(test_below_another_kind_of_file_it_is_new),
        TEST(test_an_entry_after_its_files_describes_it),
        TEST(test_their_number_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
