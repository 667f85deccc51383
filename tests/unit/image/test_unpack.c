/* Layers of every kind, unpacked by a real helper in a user namespace of its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <paas/buf.h>
#include <paas/file.h>
#include <paas/unpack.h>

#include "tar_maker.h"

enum { IDS = 0x7f000000 /* first id of the tests' range: above every platform's */ };

struct fixture {
    char base[64]; /* a directory with "layer", "hidden", and "outside", which must stay as it is */
    int base_fd, layer, hidden;
    struct buf tar;
    struct unpack_limits limits;
    struct unpack_report report;
    struct err err;
};

static int setup(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    signal(SIGPIPE, SIG_IGN); /* helpers may end before they have read all */
    snprintf(f->base, sizeof f->base, "/tmp/paas-test-unpack.XXXXXX");
    assert_non_null(mkdtemp(f->base));
    f->base_fd = open(f->base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (const char **name = (const char *[]){ "layer", "hidden", "outside", NULL }; *name;
         name++) {
        assert_int_equal(mkdirat(f->base_fd, *name, 0755), 0);
    }
    f->layer = openat(f->base_fd, "layer", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    f->hidden = openat(f->base_fd, "hidden", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(fchown(f->layer, IDS, IDS) | fchown(f->hidden, IDS, IDS), 0);
    assert_int_equal(chmod(f->base, 0711), 0);
    buf_init(&f->tar, 64 << 20);
    f->limits = unpack_limits_default;
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    close(f->layer);
    close(f->hidden);
    close(f->base_fd);
    buf_free(&f->tar);
    assert_int_equal(file_remove_tree(AT_FDCWD, f->base, NULL), 0);
    free(f);
    return 0;
}

/* ---- the helper, as the spawner makes it ---- */

static void write_map(pid_t pid, const char *name) {
    char path[64], text[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    int len = snprintf(text, sizeof text, "0 %d 65537", IDS);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, (size_t)len), len);
    close(fd);
}

static pid_t start_helper(int (*job)(void *), void *data) {
    int ready[2], go[2];
    char byte;
    assert_int_equal(pipe2(ready, O_CLOEXEC) | pipe2(go, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        int failed = unshare(CLONE_NEWUSER) < 0 || write(ready[1], "", 1) != 1 ||
                     read(go[0], &byte, 1) != 1 || setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0;
        _exit(failed ? 99 : job(data));
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    write_map(pid, "uid_map");
    write_map(pid, "gid_map");
    assert_int_equal(write(go[1], "", 1), 1);
    close(ready[0]);
    close(ready[1]);
    close(go[0]);
    close(go[1]);
    return pid;
}

struct task {
    struct unpack_job job;
    const struct unpack_limits *limits;
};

static int run_unpack(void *data) {
    struct task *t = data;
    return unpack_main(&t->job, t->limits);
}

static int run_remove(void *data) {
    struct task *t = data;
    return unpack_remove_main(t->job.layer, t->job.report);
}

/* Feeds `bytes` to a helper that must find `diff_id`. Returns its exit status. */
static int unpack_bytes(struct fixture *f, const struct buf *bytes, const char *diff_id) {
    int tar[2], report[2], status;
    assert_int_equal(pipe2(tar, O_CLOEXEC) | pipe2(report, O_CLOEXEC), 0);
    struct task task = { { tar[0], f->layer, f->hidden, report[1], "" }, &f->limits };
    snprintf(task.job.diff_id, sizeof task.job.diff_id, "%s", diff_id);
    pid_t pid = start_helper(run_unpack, &task);
    close(tar[0]);
    close(report[1]);
    file_write_all(tar[1], bytes->data, bytes->len, NULL);
    close(tar[1]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    unpack_report_read(report[0], &f->report, &f->err);
    close(report[0]);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int unpack_tar(struct fixture *f) {
    char digest[DIGEST_SIZE];
    tar_end(&f->tar);
    assert_int_equal(digest_of(f->tar.data, f->tar.len, digest), 0);
    return unpack_bytes(f, &f->tar, digest_hex(digest));
}

static void add(struct fixture *f, const struct tar_entry *e) {
    tar_add(&f->tar, e);
    assert_false(f->tar.failed);
}
#define ADD(F, ...) add(F, &(struct tar_entry){ __VA_ARGS__ })

static void expect_unpacked(struct fixture *f) {
    int status = unpack_tar(f);
    if (status) {
        fail_msg("exit %d: %s: %s", status, err_name(f->err.code), f->err.text);
    }
}

static void expect_refused(struct fixture *f, enum err_code code, const char *words) {
    int status = unpack_tar(f);
    if (f->err.code != code || !strstr(f->err.text, words) || status == 0) {
        fail_msg(
            "%s: %s (expected %s: %s)", err_name(f->err.code), f->err.text, err_name(code), words);
    }
    /* Nothing outside. */
    struct stat outside;
    assert_int_equal(fstatat(f->base_fd, "outside", &outside, 0), 0);
    assert_int_equal(outside.st_nlink, 2);
    assert_int_equal(unlinkat(f->base_fd, "outside", AT_REMOVEDIR), 0);
    assert_int_equal(mkdirat(f->base_fd, "outside", 0755), 0);
}

static struct stat look(int dir, const char *path) {
    struct stat st;
    if (fstatat(dir, path, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        fail_msg("%s is not there", path);
    }
    return st;
}

static void expect_content(struct fixture *f, const char *path, const char *content) {
    struct buf got;
    buf_init(&got, 1 << 20);
    assert_int_equal(file_read_whole(f->layer, path, &got, NULL), 0);
    assert_string_equal(buf_str(&got), content);
    buf_free(&got);
}

static void expect_whiteout(struct fixture *f, const char *path) {
    struct stat st = look(f->hidden, path);
    assert_true(S_ISCHR(st.st_mode));
    assert_int_equal(st.st_rdev, makedev(0, 0));
}

/* ---- what must work ---- */

static void test_files_keep_owner_mode_time_and_content(void **state) {
    struct fixture *f = *state;
    ADD(f, .name = "./", .type = '5', .mode = 0755);
    ADD(f, .name = "etc/", .type = '5', .mode = 0750, .uid = 3, .gid = 4);
    ADD(f, .name = "etc/motd", .type = '0', .data = "hello", .mode = 04711, .uid = 1000,
        .gid = 65535);
    ADD(f, .name = "bin", .type = '2', .link = "/usr/bin");
    ADD(f, .name = "etc/again", .type = '1', .link = "etc/motd");
    ADD(f, .name = "pipe", .type = '6');
    ADD(f, .name = "deep/er/than/described", .type = '0', .data = "x");
    expect_unpacked(f);
    struct stat st = look(f->layer, "etc/motd");
    assert_int_equal(st.st_uid, IDS + 1000);
    assert_int_equal(st.st_gid, IDS + 65535);
    assert_int_equal(st.st_mode, S_IFREG | 04711);
    assert_int_equal(st.st_mtime, 1000000000);
    assert_int_equal(st.st_nlink, 2);
    expect_content(f, "etc/again", "hello");
    st = look(f->layer, "etc");
    assert_int_equal(st.st_mode, S_IFDIR | 0750);
    assert_int_equal(st.st_mtime, 1000000000);
    assert_true(S_ISLNK(look(f->layer, "bin").st_mode));
    assert_true(S_ISFIFO(look(f->layer, "pipe").st_mode));
    assert_int_equal(look(f->layer, "deep/er/than").st_uid, IDS);
    assert_int_equal(f->report.hides, 3); /* marks, which hide nothing */
    assert_true(S_ISDIR(look(f->hidden, "deep/er/than").st_mode));
}

static void test_gzip(void **state) {
    struct fixture *f = *state;
    char digest[DIGEST_SIZE];
    struct buf packed;
    buf_init(&packed, 1 << 20);
    ADD(f, .name = "a", .type = '0', .data = "content");
    tar_end(&f->tar);
    digest_of(f->tar.data, f->tar.len, digest);
    tar_gzip(&f->tar, &packed);
    assert_int_equal(unpack_bytes(f, &packed, digest_hex(digest)), 0);
    expect_content(f, "a", "content");
    /* Cut anywhere, it is refused. */
    for (size_t cut = 0; cut < packed.len; cut += 7) {
        struct buf part = packed;
        part.len = cut;
        assert_int_not_equal(unpack_bytes(f, &part, digest_hex(digest)), 0);
        assert_true(f->err.code == ERR_BAD_IMAGE || f->err.code == ERR_DIGEST);
    }
    buf_free(&packed);
}

static void test_empty_layer(void **state) {
    struct fixture *f = *state;
    expect_unpacked(f);
    assert_int_equal(f->report.entries, 0);
}

static void test_later_entries_replace_earlier_ones(void **state) {
    struct fixture *f = *state;
    ADD(f, .name = "a", .type = '0', .data = "one");
    ADD(f, .name = "a", .type = '0', .data = "two");
    ADD(f, .name = "b", .type = '2', .link = "a");
    ADD(f, .name = "b", .type = '0', .data = "three");
    ADD(f, .name = "c", .type = '5', .mode = 0755);
    ADD(f, .name = "c", .type = '0', .data = "four");
    ADD(f, .name = "d", .type = '0', .data = "five");
    ADD(f, .name = "d", .type = '5', .mode = 0711);
    expect_unpacked(f);
    expect_content(f, "a", "two");
    expect_content(f, "b", "three");
    expect_content(f, "c", "four");
    assert_int_equal(look(f->layer, "d").st_mode, S_IFDIR | 0711);
}

static void test_whiteouts_lie_in_the_second_directory(void **state) {
    struct fixture *f = *state;
    ADD(f, .name = "etc/.wh.passwd", .type = '0');
    ADD(f, .name = ".wh.gone", .type = '0');
    ADD(f, .name = "var/.wh..wh..opq", .type = '0');
    ADD(f, .name = "var/new", .type = '0', .data = "n");
    ADD(f, .name = "x/.wh.y", .type = '0');
    ADD(f, .name = ".wh.x", .type = '0');
    ADD(f, .name = ".wh.x", .type = '0');
    ADD(f, .name = "x/.wh.z", .type = '0');
    ADD(f, .name = "x", .type = '0', .data = "back");
    ADD(f, .name = ".wh..wh.plnk/1.2", .type = '0', .data = "aufs");
    expect_unpacked(f);
    expect_whiteout(f, "etc/passwd");
    expect_whiteout(f, "gone");
    expect_whiteout(f, "var");
    expect_whiteout(f, "x");
    expect_content(f, "var/new", "n");
    expect_content(f, "x", "back");
    assert_int_equal(f->report.hides, 7 + 1 /* a mark */);
    assert_int_equal(faccessat(f->layer, ".wh..wh.plnk", F_OK, 0), -1);
}

static void test_an_opaque_root_is_marked(void **state) {
    struct fixture *f = *state;
    ADD(f, .name = ".wh..wh..opq", .type = '0');
    expect_unpacked(f);
    expect_whiteout(f, ".wh..wh..opq");
}

static void test_long_names_and_attributes(void **state) {
    struct fixture *f = *state;
    char record[700], path[600] = "";
    for (int i = 0; i < 5; i++) {
        snprintf(path + strlen(path), sizeof path - strlen(path), "%s%0100d", i ? "/" : "", i);
    }
    snprintf(record, sizeof record,
        "path=%s\nSCHILY.xattr.user.note=kept\n"
        "SCHILY.xattr.user.overlay.opaque=y\nSCHILY.xattr.trusted.overlay.opaque=y\n",
        path);
    ADD(f, .name = "short", .type = '0', .data = "long", .pax = record);
    ADD(f, .name = "utf", .type = '0', .data = "8", .pax = "path=gr\xc3\xbc\xc3\x9f\n");
    expect_unpacked(f);
    expect_content(f, path, "long");
    expect_content(f, "gr\xc3\xbc\xc3\x9f", "8");
    int fd = openat(f->layer, path, O_RDONLY | O_CLOEXEC);
    char names[256];
    ssize_t len = flistxattr(fd, names, sizeof names);
    close(fd);
    assert_int_equal(len, sizeof "user.note");
    assert_string_equal(names, "user.note");
}

static void test_devices_are_left_out(void **state) {
    struct fixture *f = *state;
    ADD(f, .name = "dev/null", .type = '3');
    ADD(f, .name = "dev/sda", .type = '4');
    expect_unpacked(f);
    assert_int_equal(faccessat(f->layer, "dev/null", F_OK, 0), -1);
}

static void test_removal_empties_the_directory(void **state) {
    struct fixture *f = *state;
    ADD(f, .name = "a/b/c/d", .type = '0', .data = "x", .uid = 77);
    ADD(f, .name = "a/locked/", .type = '5', .mode = 0500, .uid = 12);
    ADD(f, .name = "a/link", .type = '2', .link = "../../outside");
    expect_unpacked(f);
    int report[2], status;
    assert_int_equal(pipe2(report, O_CLOEXEC), 0);
    struct task task = { .job = { .layer = f->layer, .report = report[1] } };
    pid_t pid = start_helper(run_remove, &task);
    close(report[1]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(unpack_report_read(report[0], &f->report, &f->err), 0);
    assert_int_equal(status, 0);
    close(report[0]);
    assert_int_equal(look(f->layer, ".").st_nlink, 2);
    assert_int_equal(faccessat(f->layer, "a", F_OK, 0), -1);
}

/* ---- what must not ---- */

static void test_hostile_paths(void **state) {
    static const struct {
        struct tar_entry first, second;
        const char *words;
    } cases[] = {
        { { .name = "../outside/x", .type = '0' }, { 0 }, "\"..\"" },
        { { .name = "a/../../outside/x", .type = '0' }, { 0 }, "\"..\"" },
        { { .name = "..", .type = '5' }, { 0 }, "\"..\"" },
        { { .name = "/outside", .type = '0' }, { 0 }, "absolute" },
        { { .name = "l", .type = '2', .link = "../outside" }, { .name = "l/x", .type = '0' },
            "symbolic link" },
        { { .name = "l", .type = '2', .link = "." }, { .name = "l/x", .type = '0' },
            "symbolic link" },
        { { .name = "l", .type = '2', .link = "/" }, { .name = "l/x/y", .type = '5' },
            "symbolic link" },
        { { .name = "f", .type = '0' }, { .name = "f/x", .type = '0' }, "through a file" },
        { { .name = "h", .type = '1', .link = "../outside" }, { 0 }, "\"..\"" },
        { { .name = "h", .type = '1', .link = "/etc/passwd" }, { 0 }, "absolute" },
        { { .name = "h", .type = '1', .link = "nothing" }, { 0 }, "not in this layer" },
        { { .name = "l", .type = '2', .link = "/etc" },
            { .name = "h", .type = '1', .link = "l/passwd" }, "symbolic link" },
        { { .name = "d/", .type = '5', .mode = 0755 }, { .name = "h", .type = '1', .link = "d" },
            "is a directory" },
        { { .name = "d/f", .type = '0' }, { .name = "d", .type = '0' }, "directory with files" },
        { { .name = ".", .type = '0' }, { 0 }, "root directory" },
        { { .name = ".wh.", .type = '0' }, { 0 }, "whiteout of nothing" },
        { { .name = ".wh...", .type = '0' }, { 0 }, "whiteout of nothing" },
        { { .name = "../.wh.x", .type = '0' }, { 0 }, "\"..\"" },
        { { .name = "u", .type = '0', .uid = 65536 }, { 0 }, "can't be mapped" },
        { { .name = "u", .type = '0', .uid = UINT64_C(1) << 32 }, { 0 }, "can't be mapped" },
        { { .name = "g", .type = '0', .gid = UINT64_MAX >> 8 }, { 0 }, "can't be mapped" },
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        buf_reset(&f->tar);
        add(f, &cases[i].first);
        if (cases[i].second.name) {
            add(f, &cases[i].second);
        }
        expect_refused(f, ERR_BAD_IMAGE, cases[i].words);
        teardown(state);
        setup(state);
        f = *state;
    }
}

static void test_a_hard_link_to_a_link_does_not_follow_it(void **state) {
    struct fixture *f = *state;
    ADD(f, .name = "l", .type = '2', .link = "/etc/passwd");
    ADD(f, .name = "h", .type = '1', .link = "l");
    expect_unpacked(f);
    assert_true(S_ISLNK(look(f->layer, "h").st_mode));
}

static void test_depth_and_length_are_bounded(void **state) {
    struct fixture *f = *state;
    char record[4200];
    int len = snprintf(record, sizeof record, "path=");
    for (int i = 0; i < 200; i++) {
        len += snprintf(record + len, sizeof record - (size_t)len, "d/");
    }
    strcat(record, "\n");
    ADD(f, .name = "x", .type = '0', .pax = record);
    expect_refused(f, ERR_BAD_IMAGE, "deeper");
    buf_reset(&f->tar);
    memset(record + 5, 'n', 300);
    memcpy(record + 305, "\n", 2);
    ADD(f, .name = "x", .type = '0', .pax = record);
    expect_refused(f, ERR_BAD_IMAGE, "too long");
}

static void test_a_sparse_terabyte_is_refused_before_it_is_made(void **state) {
    struct fixture *f = *state;
    ADD(f, .name = "huge", .type = '0', .data = "x",
        .pax = "GNU.sparse.major=0\nGNU.sparse.minor=1\nGNU.sparse.map=0,1\n"
               "GNU.sparse.size=1099511627776\n");
    expect_refused(f, ERR_TOO_LARGE, "larger than 16G");
    assert_int_equal(faccessat(f->layer, "huge", F_OK, 0), -1);
}

static void test_a_sparse_file_keeps_its_size(void **state) {
    struct fixture *f = *state;
    ADD(f, .name = "holes", .type = '0', .data = "x",
        .pax = "GNU.sparse.major=0\nGNU.sparse.minor=1\nGNU.sparse.map=1000000,1\n"
               "GNU.sparse.size=5000000\n");
    expect_unpacked(f);
    struct stat st = look(f->layer, "holes");
    assert_int_equal(st.st_size, 5000000);
    assert_true(st.st_blocks < 100);
    assert_int_equal(f->report.bytes, 5000000);
}

static void test_a_claimed_size_is_refused_at_once(void **state) {
    struct fixture *f = *state;
    ADD(f, .name = "huge", .type = '0', .data = "x", .size = UINT64_C(1) << 40);
    expect_refused(f, ERR_TOO_LARGE, "larger than 16G");
}

static void test_a_cut_tar_is_refused(void **state) {
    struct fixture *f = *state;
    ADD(f, .name = "a", .type = '0', .data = "content", .size = 4096);
    expect_refused(f, ERR_BAD_IMAGE, "damaged");
}

static void test_a_tar_without_an_end_is_whole(void **state) {
    struct fixture *f = *state;
    char digest[DIGEST_SIZE];
    ADD(f, .name = "a", .type = '0', .data = "content");
    f->tar.len = 512 + strlen("content");
    digest_of(f->tar.data, f->tar.len, digest);
    assert_int_equal(unpack_bytes(f, &f->tar, digest_hex(digest)), 0);
    expect_content(f, "a", "content");
    f->tar.len--;
    digest_of(f->tar.data, f->tar.len, digest);
    assert_int_not_equal(unpack_bytes(f, &f->tar, digest_hex(digest)), 0);
    assert_int_equal(f->err.code, ERR_BAD_IMAGE);
}

static void test_a_bomb_is_refused(void **state) {
    struct fixture *f = *state;
    char digest[DIGEST_SIZE];
    struct buf packed;
    buf_init(&packed, 64 << 20);
    f->limits.ratio_free = 1 << 20;
    enum { ZEROES = 32 << 20 };
    ADD(f, .name = "zero", .type = '0', .size = ZEROES);
    char *to = buf_reserve(&f->tar, ZEROES);
    memset(to, 0, ZEROES);
    f->tar.len += ZEROES;
    tar_end(&f->tar);
    digest_of(f->tar.data, f->tar.len, digest);
    tar_gzip(&f->tar, &packed);
    assert_int_not_equal(unpack_bytes(f, &packed, digest_hex(digest)), 0);
    assert_int_equal(f->err.code, ERR_TOO_LARGE);
    assert_non_null(strstr(f->err.text, "times its size"));
    buf_free(&packed);
}

static void test_many_entries_are_refused(void **state) {
    struct fixture *f = *state;
    f->limits.entries = 100;
    /* Directories that nobody describes count, too. */
    for (int i = 0; i < 20; i++) {
        char name[64];
        snprintf(name, sizeof name, "%d/a/b/c/d/e/f/g/h/i/j", i);
        ADD(f, .name = name, .type = '0');
    }
    expect_refused(f, ERR_TOO_LARGE, "more than 100 files");
}

static void test_a_wrong_digest_is_refused(void **state) {
    struct fixture *f = *state;
    char digest[DIGEST_SIZE];
    ADD(f, .name = "a", .type = '0', .data = "x");
    digest_of("", 0, digest);
    tar_end(&f->tar);
    assert_int_not_equal(unpack_bytes(f, &f->tar, digest_hex(digest)), 0);
    assert_int_equal(f->err.code, ERR_DIGEST);
}

static void test_garbage_is_refused(void **state) {
    struct fixture *f = *state;
    for (unsigned seed = 1; seed < 40; seed++) {
        buf_reset(&f->tar);
        unsigned x = seed * 2654435761U;
        for (int i = 0; i < 3000; i++) {
            x = x * 1664525U + 1013904223U;
            buf_putc(&f->tar, (char)(x >> 24));
        }
        if (seed % 3 == 1) {
            memcpy(f->tar.data, "\x1f\x8b\x08\x00", 4);
        } else if (seed % 3 == 2) {
            memcpy(f->tar.data, "\x28\xb5\x2f\xfd", 4);
        }
        expect_refused(f, ERR_BAD_IMAGE, "");
    }
}

static void test_a_full_disk_is_named(void **state) {
    struct fixture *f = *state;
    char path[80];
    snprintf(path, sizeof path, "%s/layer", f->base);
    if (mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, "size=1m") < 0) {
        skip();
    }
    close(f->layer);
    f->layer = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(fchown(f->layer, IDS, IDS), 0);
    enum { LARGE = 4 << 20 };
    ADD(f, .name = "large", .type = '0', .size = LARGE);
    memset(buf_reserve(&f->tar, LARGE), 'x', LARGE);
    f->tar.len += LARGE;
    int status = unpack_tar(f);
    umount2(path, MNT_DETACH);
    assert_int_equal(status, 1);
    assert_int_equal(f->err.code, ERR_FULL);
}

static void test_a_slow_sender_is_ended(void **state) {
    struct fixture *f = *state;
    int tar[2], report[2], status;
    f->limits.seconds = 1;
    assert_int_equal(pipe2(tar, O_CLOEXEC) | pipe2(report, O_CLOEXEC), 0);
    struct task task = { { tar[0], f->layer, f->hidden, report[1], "" }, &f->limits };
    pid_t pid = start_helper(run_unpack, &task);
    close(report[1]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(unpack_report_read(report[0], &f->report, &f->err), -1);
    assert_int_equal(f->err.code, ERR_INTERNAL);
    close(tar[0]);
    close(tar[1]);
    close(report[0]);
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_files_keep_owner_mode_time_and_content),
        T(test_gzip),
        T(test_empty_layer),
        T(test_later_entries_replace_earlier_ones),
        T(test_whiteouts_lie_in_the_second_directory),
        T(test_an_opaque_root_is_marked),
        T(test_long_names_and_attributes),
        T(test_devices_are_left_out),
        T(test_removal_empties_the_directory),
        T(test_hostile_paths),
        T(test_a_hard_link_to_a_link_does_not_follow_it),
        T(test_depth_and_length_are_bounded),
        T(test_a_sparse_terabyte_is_refused_before_it_is_made),
        T(test_a_sparse_file_keeps_its_size),
        T(test_a_claimed_size_is_refused_at_once),
        T(test_a_cut_tar_is_refused),
        T(test_a_tar_without_an_end_is_whole),
        T(test_a_bomb_is_refused),
        T(test_many_entries_are_refused),
        T(test_a_wrong_digest_is_refused),
        T(test_garbage_is_refused),
        T(test_a_full_disk_is_named),
        T(test_a_slow_sender_is_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
