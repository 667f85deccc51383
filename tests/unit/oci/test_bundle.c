/* Directories and image layouts as uploads. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <paas/digest.h>
#include <paas/file.h>
#include <paas/oci.h>

#include "bundle.h"

struct fixture {
    char dir[64];
    int fd;
    struct bundle bundle;
    struct err err;
    struct buf list;
};

static int setup(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    snprintf(f->dir, sizeof f->dir, "/tmp/paas-test-bundle.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    f->fd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    buf_init(&f->list, 1 << 20);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    bundle_free(&f->bundle);
    buf_free(&f->list);
    close(f->fd);
    assert_int_equal(file_remove_tree(AT_FDCWD, f->dir, NULL), 0);
    free(f);
    return 0;
}

static void make(struct fixture *f, const char *path, const char *content, mode_t mode) {
    char all[4096];
    snprintf(all, sizeof all, "%s/%s", f->dir, path);
    char *slash = strrchr(all, '/');
    *slash = '\0';
    assert_int_equal(file_make_dirs(all, 0700, NULL), 0);
    *slash = '/';
    int fd = open(all, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    assert_true(fd >= 0);
    assert_int_equal(file_write_all(fd, content, strlen(content), NULL), 0);
    close(fd);
}

/* The entries of the layer as lines, as an independent reader sees them. */
static const char *list(struct fixture *f) {
    int fd = f->bundle.blobs[0].fd;
    struct archive_entry *entry;
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    struct archive *a = archive_read_new();
    archive_read_support_format_tar(a);
    assert_int_equal(archive_read_open_fd(a, fd, 10240), ARCHIVE_OK);
    buf_reset(&f->list);
    while (archive_read_next_header(a, &entry) == ARCHIVE_OK) {
        const char *link = archive_entry_symlink(entry);
        buf_printf(&f->list, "%s %o %d:%d %d%s%s\n", archive_entry_pathname(entry),
            (unsigned)archive_entry_perm(entry), (int)archive_entry_uid(entry),
            (int)archive_entry_gid(entry), (int)archive_entry_size(entry), link ? " " : "",
            link ? link : "");
    }
    archive_read_free(a);
    return buf_str(&f->list);
}

static void pack(struct fixture *f) {
    bundle_free(&f->bundle);
    if (bundle_directory(f->dir, &f->bundle, &f->err) < 0) {
        fail_msg("%s", f->err.text);
    }
}

static void test_a_directory_becomes_a_sorted_layer(void **state) {
    struct fixture *f = *state;
    make(f, "b", "bb", 0600);
    make(f, "a/run.sh", "x", 0700);
    make(f, ".git/config", "secret", 0644);
    assert_int_equal(symlinkat("run.sh", f->fd, "a/link"), 0);
    assert_int_equal(mkfifoat(f->fd, "pipe", 0600), 0);
    pack(f);
    assert_string_equal(list(f), "app/ 755 1000:1000 0\n"
                                 "app/a/ 755 1000:1000 0\n"
                                 "app/a/link 777 1000:1000 0 run.sh\n"
                                 "app/a/run.sh 755 1000:1000 1\n"
                                 "app/b 644 1000:1000 2\n");
    assert_int_equal(f->bundle.files, 5);
    assert_int_equal(f->bundle.skipped, 1);
}

static void test_the_same_files_give_the_same_image(void **state) {
    struct fixture *f = *state;
    char first[DIGEST_SIZE];
    make(f, "one", "1", 0644);
    make(f, "two", "2", 0644);
    pack(f);
    strcpy(first, f->bundle.digest);
    make(f, "one", "1", 0644);
    struct timespec times[2] = { { .tv_sec = 5 }, { .tv_sec = 6 } };
    assert_int_equal(utimensat(f->fd, "two", times, 0), 0);
    pack(f);
    assert_string_equal(first, f->bundle.digest);
    make(f, "two", "3", 0644);
    pack(f);
    assert_string_not_equal(first, f->bundle.digest);
}

static void test_long_names_survive(void **state) {
    struct fixture *f = *state;
    char path[700] = "", expected[800];
    for (int i = 0; i < 4; i++) {
        snprintf(path + strlen(path), sizeof path - strlen(path), "%s%0120d", i ? "/" : "", i);
    }
    make(f, path, "deep", 0644);
    snprintf(expected, sizeof expected, "app/%s 644 1000:1000 4\n", path);
    char split[300];
    snprintf(split, sizeof split, "%0120d/%090d", 9, 9);
    make(f, split, "cut", 0644);
    pack(f);
    assert_non_null(strstr(list(f), expected));
    assert_non_null(strstr(list(f), split));
}

static void test_the_config_fits_the_layer(void **state) {
    struct fixture *f = *state;
    struct oci_image image;
    char config[4096] = "";
    make(f, "x", "y", 0644);
    pack(f);
    assert_int_equal(f->bundle.count, 2);
    assert_true(pread(f->bundle.blobs[1].fd, config, sizeof config, 0) > 0);
    if (oci_image_decode(f->bundle.digest, buf_str(&f->bundle.manifest), f->bundle.manifest.len,
            config, strlen(config), &image, &f->err) < 0) {
        fail_msg("%s", f->err.text);
    }
    assert_string_equal(image.config.run.user, "1000:1000");
    assert_string_equal(image.config.run.working_dir, "/app");
    assert_string_equal(image.config.rootfs.diff_ids.items[0], f->bundle.blobs[0].digest);
    oci_image_free(&image);
}

static void test_dockerignore(void **state) {
    struct fixture *f = *state;
    make(f, ".dockerignore", "# comment\nnode_modules\n*.log\n**/*.tmp\n/build/\n!build/keep/me\n",
        0600);
    make(f, "node_modules/a/b", "", 0600);
    make(f, "x.log", "", 0600);
    make(f, "sub/x.log", "", 0600);
    make(f, "sub/deep/y.tmp", "", 0600);
    make(f, "build/out", "", 0600);
    make(f, "build/keep/me", "", 0600);
    make(f, "build/keep/not", "", 0600);
    pack(f);
    assert_string_equal(list(f), "app/ 755 1000:1000 0\n"
                                 "app/.dockerignore 644 1000:1000 61\n"
                                 "app/build/ 755 1000:1000 0\n"
                                 "app/build/keep/ 755 1000:1000 0\n"
                                 "app/build/keep/me 644 1000:1000 0\n"
                                 "app/sub/ 755 1000:1000 0\n"
                                 "app/sub/deep/ 755 1000:1000 0\n"
                                 "app/sub/x.log 644 1000:1000 0\n");
}

static void test_missing_directory(void **state) {
    struct fixture *f = *state;
    assert_int_equal(bundle_directory("/nonexistent/x", &f->bundle, &f->err), -1);
    assert_int_equal(f->err.code, ERR_NOT_FOUND);
}

/* ---- layouts ---- */

static void blob(struct fixture *f, const char *content, char digest[DIGEST_SIZE]) {
    char path[200];
    digest_of(content, strlen(content), digest);
    snprintf(path, sizeof path, "blobs/sha256/%s", digest_hex(digest));
    make(f, path, content, 0600);
}

/* A layout with one image, whose layer says that it has `layer_size` bytes. */
static void make_layout(struct fixture *f, const char *layer, size_t layer_size,
    const char *platform, char layer_digest[DIGEST_SIZE]) {
    char config[1024], manifest[2048], index[2048], digest[DIGEST_SIZE];
    blob(f, layer, layer_digest);
    snprintf(config, sizeof config,
        "{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":null,\"history\":[{}],"
        "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"%s\"]}}",
        layer_digest);
    blob(f, config, digest);
    snprintf(manifest, sizeof manifest,
        "{\"schemaVersion\":2,\"config\":{\"mediaType\":\"" OCI_MEDIA_CONFIG
        "\",\"digest\":\"%s\",\"size\":%zu},\"layers\":[{\"mediaType\":\"" OCI_MEDIA_LAYER
        "\",\"digest\":\"%s\",\"size\":%zu}]}",
        digest, strlen(config), layer_digest, layer_size);
    blob(f, manifest, digest);
    snprintf(index, sizeof index,
        "{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"" OCI_MEDIA_MANIFEST
        "\",\"digest\":\"%s\",\"size\":%zu,\"annotations\":{\"" OCI_ANNOTATION_REF
        "\":\"v1\"}%s}]}",
        digest, strlen(manifest), platform);
    make(f, "index.json", index, 0600);
    make(f, "oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}", 0600);
}

static void expect_layout(
    struct fixture *f, const char *tag, enum err_code code, const char *words) {
    char reference[128];
    snprintf(reference, sizeof reference, "%s%s", f->dir, tag);
    bundle_free(&f->bundle);
    f->err = (struct err){ 0 };
    int result = bundle_oci_layout(reference, &f->bundle, &f->err);
    if ((result < 0) != (code != ERR_OK) || f->err.code != code || !strstr(f->err.text, words)) {
        fail_msg("%s: %s", err_name(f->err.code), f->err.text);
    }
}

static void test_layouts(void **state) {
    struct fixture *f = *state;
    char layer[DIGEST_SIZE], path[200];
    expect_layout(f, "", ERR_NOT_FOUND, "no OCI image layout");
    make_layout(f, "layer", 5, "", layer);
    expect_layout(f, "", ERR_OK, "");
    assert_int_equal(f->bundle.count, 2);
    assert_string_equal(f->bundle.blobs[1].digest, layer);
    expect_layout(f, ":v1", ERR_OK, "");
    expect_layout(f, ":v2", ERR_BAD_IMAGE, "there is: v1");
    snprintf(path, sizeof path, "blobs/sha256/%s", digest_hex(layer));
    make(f, path, "lAyer", 0600);
    expect_layout(f, "", ERR_DIGEST, "its content is");
    make(f, path, "laye", 0600);
    expect_layout(f, "", ERR_BAD_IMAGE, "shorter than its 5 bytes");
    make(f, path, "layerlayer", 0600);
    expect_layout(f, "", ERR_BAD_IMAGE, "longer than its 5 bytes");
    assert_int_equal(unlinkat(f->fd, path, 0), 0);
    expect_layout(f, "", ERR_BAD_IMAGE, "no blob");
    assert_int_equal(symlinkat("/etc/passwd", f->fd, path), 0);
    expect_layout(f, "", ERR_BAD_IMAGE, "no blob");
    make_layout(
        f, "other", 5, ",\"platform\":{\"os\":\"linux\",\"architecture\":\"s390x\"}", layer);
    expect_layout(f, "", ERR_BAD_IMAGE, "s390x");
    make(f, "index.json", "{\"schemaVersion\":2}", 0600);
    expect_layout(f, "", ERR_BAD_IMAGE, "manifests: it is missing");
    make(f, "index.json", "[", 0600);
    expect_layout(f, "", ERR_BAD_IMAGE, "not JSON");
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_a_directory_becomes_a_sorted_layer),
        T(test_the_same_files_give_the_same_image),
        T(test_long_names_survive),
        T(test_the_config_fits_the_layer),
        T(test_dockerignore),
        T(test_missing_directory),
        T(test_layouts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
