/* The n-th allocation fails, for every n: each call then fails in words, or does without, and leaks
 * nothing (AddressSanitizer counts at the end). SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <paas/base64.h>
#include <paas/file.h>
#include <paas/oci.h>
#include <paas/unpack.h>

#include "bundle.h"

/* ---- allocation that fails on demand ---- */

static long left = -1; /* allocations that still succeed; negative: all do */

static int fails(void) {
    if (left == 0) {
        return 1;
    }
    left -= left > 0;
    return 0;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_reallocarray(void *old, size_t count, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_reallocarray(void *old, size_t count, size_t size);
char *__wrap_strdup(const char *text);

void *__wrap_malloc(size_t size) {
    return fails() ? NULL : __real_malloc(size);
}
void *__wrap_calloc(size_t count, size_t size) {
    return fails() ? NULL : __real_calloc(count, size);
}
void *__wrap_realloc(void *old, size_t size) {
    return fails() ? NULL : __real_realloc(old, size);
}
void *__wrap_reallocarray(void *old, size_t count, size_t size) {
    return fails() ? NULL : __real_reallocarray(old, count, size);
}
char *__wrap_strdup(const char *text) {
    return fails() ? NULL : __real_strdup(text);
}

/* ---- what is called ---- */

#define D "sha256:1111111111111111111111111111111111111111111111111111111111111111"
static const char manifest[] =
    "{\"schemaVersion\":2,\"config\":{\"mediaType\":\"" OCI_MEDIA_CONFIG "\",\"digest\":\"" D
    "\",\"size\":2,\"annotations\":{\"a\":\"b\"}},\"layers\":[{\"mediaType\":\"" OCI_MEDIA_LAYER
    "\",\"digest\":\"" D "\",\"size\":3}]}";
static const char config[] =
    "{\"os\":\"linux\",\"config\":{\"Env\":[\"A=1\",\"B=2\"],\"Cmd\":[\"x\"],\"ExposedPorts\":{"
    "\"80/tcp\":{}}},\"rootfs\":{\"diff_ids\":[\"" D "\"]}}";

static char directory[64];

static int decode_image(struct err *err) {
    struct oci_image image;
    if (oci_image_decode(D, manifest, sizeof manifest - 1, config, sizeof config - 1, &image, err) <
        0) {
        return -1;
    }
    oci_image_free(&image);
    return 0;
}

static int pack_directory(struct err *err) {
    struct bundle b;
    if (bundle_directory(directory, &b, err) < 0) {
        return -1;
    }
    bundle_free(&b);
    return 0;
}

static int recode_base64(struct err *err) {
    struct buf text, bytes;
    buf_init(&text, 1000);
    buf_init(&bytes, 1000);
    int result = base64_encode(config, sizeof config, &text) < 0
                     ? err_no_memory(err)
                     : base64_decode(buf_str(&text), text.len, &bytes, err);
    buf_free(&text);
    buf_free(&bytes);
    return result;
}

static int unpack_layer(struct err *err) {
    struct bundle b;
    struct unpack_report report;
    char path[] = "/tmp/paas-test-memory.XXXXXX";
    long kept = left;
    left = -1;
    assert_non_null(mkdtemp(path));
    assert_int_equal(bundle_directory(directory, &b, err), 0);
    assert_int_equal(lseek(b.blobs[0].fd, 0, SEEK_SET), 0);
    int base = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(mkdirat(base, "layer", 0755) | mkdirat(base, "hidden", 0755), 0);
    struct unpack_job job = { .tar = b.blobs[0].fd,
        .layer = openat(base, "layer", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
        .hidden = openat(base, "hidden", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
        .report = -1 };
    memcpy(job.diff_id, digest_hex(b.blobs[0].digest), DIGEST_HEX_SIZE);
    left = kept;
    int result = unpack_unconfined(&job, &unpack_limits_default, &report, err);
    kept = left;
    left = -1;
    close(job.layer);
    close(job.hidden);
    close(base);
    bundle_free(&b);
    assert_int_equal(file_remove_tree(AT_FDCWD, path, NULL), 0);
    left = kept;
    return result;
}

/* ---- the loop over n ---- */

static void try_all(const char *name, int (*call)(struct err *err)) {
    enum { MOST = 100000 };
    for (long n = 0; n < MOST; n++) {
        struct err err = { 0 };
        left = n;
        int result = call(&err);
        int unused = left > 0;
        left = -1;
        if (result < 0 && err.code != ERR_NO_MEMORY) {
            fail_msg("%s, allocation %ld: %s: %s", name, n, err_name(err.code), err.text);
        }
        if (unused) {
            assert_int_equal(result, 0);
            return;
        }
    }
    fail_msg("%s never ends", name);
}

static void test_every_allocation_may_fail(void **state) {
    (void)state;
    try_all("decoding an image", decode_image);
    try_all("packing a directory", pack_directory);
    try_all("base64", recode_base64);
    try_all("unpacking", unpack_layer);
}

static int setup(void **state) {
    char path[128];
    (void)state;
    strcpy(directory, "/tmp/paas-test-memory.XXXXXX");
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/.dockerignore", directory);
    assert_int_equal(file_write_whole(AT_FDCWD, path, "*.o\n!b\n", 7, 0600, 0, NULL), 0);
    snprintf(path, sizeof path, "%s/sub", directory);
    assert_int_equal(mkdir(path, 0755), 0);
    snprintf(path, sizeof path, "%s/sub/file", directory);
    return file_write_whole(AT_FDCWD, path, "x", 1, 0600, 0, NULL);
}

static int teardown(void **state) {
    (void)state;
    return file_remove_tree(AT_FDCWD, directory, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_every_allocation_may_fail) };
    return cmocka_run_group_tests(tests, setup, teardown);
}
