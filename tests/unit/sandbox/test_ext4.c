/* What is written as a fresh file system is one, in the eyes of those who know the format.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ext4.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define KIB (UINT64_C(1) << 10)
#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

enum { OWNER = 0x40010203, SUPER_AT = 1024, BYTES_A_FILE = 16384, FILES_MIN = 256 };

static const uint64_t sizes[] = {
    EXT4_BYTES_MIN,
    EXT4_BYTES_MIN + 4095, /* no whole number of blocks */
    2 * MIB,
    128 * MIB - 4 * KIB, /* one group but for a block; one; one and a block that is no group */
    128 * MIB,
    128 * MIB + 4 * KIB,
    130 * MIB + 100 * KIB, /* a second group whose records hardly fit; a whole one */
    133 * MIB,
    256 * MIB,
    512 * MIB, /* three groups and more: those between first and last are not written */
    16 * GIB,  /* descriptors in exactly one block; in two */
    16 * GIB + 128 * MIB,
    EXT4_BYTES_MAX,
};

static int format(uint64_t bytes, struct err *err) {
    struct ext4_options options = { .bytes = bytes, .owner = OWNER, .now = 1700000000 };
    memset(options.uuid, 0x5a, sizeof options.uuid);
    memset(options.hash, 0xa5, sizeof options.hash);
    int fd = memfd_create("ext4", 0); /* inherited by the checker */
    assert_true(fd >= 0);
    if (ext4_format(fd, &options, err) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static uint32_t super(int fd, off_t at) {
    uint8_t b[4];
    assert_int_equal(pread(fd, b, sizeof b, SUPER_AT + at), sizeof b);
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

/* Runs `program` on the image; returns its exit status. */
static int run_on(int fd, const char *program, const char *flags) {
    char path[32];
    snprintf(path, sizeof path, "/dev/fd/%d", fd);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(STDERR_FILENO, STDOUT_FILENO);
        execl(program, program, flags, path, (char *)NULL);
        _exit(127);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void every_size_is_clean(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct err err;
        int fd = format(sizes[i], &err);
        assert_true(fd >= 0);
        int status = run_on(fd, "/usr/sbin/e2fsck", "-fn");
        if (status != 0) {
            fail_msg("e2fsck of %llu bytes: %d", (unsigned long long)sizes[i], status);
        }
        close(fd);
    }
}

static void a_fault_would_be_seen(void **state) {
    (void)state;
    struct err err;
    int fd = format(64 * MIB, &err);
    assert_int_equal(pwrite(fd, "x", 1, EXT4_BLOCK), 1); /* of the first descriptor */
    assert_int_not_equal(run_on(fd, "/usr/sbin/e2fsck", "-fn"), 0);
    close(fd);
}

static void it_is_sparse_and_as_large_as_asked_for(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct err err;
        struct stat st;
        int fd = format(sizes[i], &err);
        assert_true(fd >= 0 && fstat(fd, &st) == 0);
        uint64_t size = (uint64_t)st.st_size;
        assert_int_equal(size, (uint64_t)super(fd, 0x04) * EXT4_BLOCK);
        assert_true(size <= sizes[i] && sizes[i] - size < 2 * MIB);
        assert_true((uint64_t)st.st_blocks * 512 < 400 * KIB);
        uint64_t files = super(fd, 0x00);
        assert_true(files >= FILES_MIN && files + FILES_MIN >= size / BYTES_A_FILE);
        close(fd);
    }
}

static void other_sizes_are_refused(void **state) {
    (void)state;
    static const uint64_t bad[] = { 0, EXT4_BYTES_MIN - 1, EXT4_BYTES_MAX + 1, UINT64_MAX };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct err err;
        assert_int_equal(format(bad[i], &err), -1);
        assert_int_equal(err.code, ERR_BAD_VALUE);
    }
}

static void an_error_names_what_was_tried(void **state) {
    (void)state;
    struct err err;
    struct ext4_options options = { .bytes = EXT4_BYTES_MIN };
    assert_int_equal(ext4_format(-1, &options, &err), -1);
    assert_non_null(strstr(err.text, "size a file system"));
    int fd = memfd_create("sealed", MFD_ALLOW_SEALING | MFD_CLOEXEC);
    assert_int_equal(ftruncate(fd, (off_t)EXT4_BYTES_MIN), 0);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
    assert_int_equal(ext4_format(fd, &options, &err), -1);
    assert_non_null(strstr(err.text, "write a file system"));
    close(fd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_size_is_clean),
        cmocka_unit_test(a_fault_would_be_seen),
        cmocka_unit_test(it_is_sparse_and_as_large_as_asked_for),
        cmocka_unit_test(other_sizes_are_refused),
        cmocka_unit_test(an_error_names_what_was_tried),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
