/* The start block: what the agent makes is what paas-init reads, and nothing else passes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "start.h"
#include "start_block.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

static const char *const argv[] = { "/bin/app", "", "two words", NULL };
static const char *const env[] = { "A=1", "EMPTY=", "PATH=/bin", NULL };

static const struct start_block full = { .argv = argv,
    .env = env,
    .cwd = "/srv",
    .user = "web:logs",
    .flags = INIT_START_LISTENER,
    .stop_signal = 2,
    .grace_ms = 1500,
    .port = 8080,
    .segment_bytes = LOG_SEGMENT_MIN,
    .log_rate = 1000,
    .deadline_boot_ms = 77 };

static void block_is_read_as_it_was_made(void **state) {
    (void)state;
    static struct start start;
    struct failure failure;
    struct err err;
    int fd = start_block_make(&full, &err);
    assert_true(fd >= 0);
    assert_int_equal(start_read(&start, fd, &failure), 0);
    close(fd);
    for (int i = 0; i < 4; i++) {
        assert_true(argv[i] ? strcmp(argv[i], start.argv[i]) == 0 : !start.argv[i]);
        assert_true(env[i] ? strcmp(env[i], start.envp[i]) == 0 : !start.envp[i]);
    }
    assert_string_equal(start.cwd, "/srv");
    assert_string_equal(start.user, "web:logs");
    assert_int_equal(start.header->port, 8080);
    assert_int_equal(start.header->grace_ms, 1500);
    assert_int_equal(start.header->deadline_boot_ms, 77);
    assert_string_equal(start_env(&start, "PATH"), "/bin");
    assert_string_equal(start_env(&start, "EMPTY"), "");
    assert_null(start_env(&start, "PAT"));
    start_close(&start);
    assert_null(start.header);
}

static void maker_refuses_what_the_reader_would(void **state) {
    (void)state;
    struct err err;
    const char *const none[] = { NULL };
    const char *const nameless[] = { "=x", NULL };
    const char *const no_value[] = { "HOME", NULL };
    struct start_block bad[8];
    for (size_t i = 0; i < 8; i++) {
        bad[i] = full;
    }
    bad[0].argv = none;
    bad[1].cwd = "srv";
    bad[2].env = nameless;
    bad[3].env = no_value;
    bad[4].stop_signal = 65;
    bad[5].grace_ms = INIT_GRACE_MAX_MS + 1;
    bad[6].port = 65536;
    bad[7].segment_bytes = LOG_SEGMENT_MIN - 1;
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(start_block_make(&bad[i], &err), -1);
        assert_int_equal(err.code, ERR_BAD_VALUE);
    }
    const char **many = calloc(INIT_ARGS_MAX + 2, sizeof *many);
    for (int i = 0; i <= INIT_ARGS_MAX; i++) {
        many[i] = "x";
    }
    bad[0].argv = many;
    assert_int_equal(start_block_make(&bad[0], &err), -1);
    assert_int_equal(err.code, ERR_TOO_LARGE);
    free(many);
    char *huge = malloc(INIT_START_MAX + 1);
    memset(huge, 'x', INIT_START_MAX);
    huge[INIT_START_MAX] = '\0';
    const char *const large[] = { huge, NULL };
    bad[0].argv = large;
    assert_int_equal(start_block_make(&bad[0], &err), -1);
    assert_int_equal(err.code, ERR_TOO_LARGE);
    free(huge);
}

/* A sealed memfd of any bytes. */
static int sealed(const void *bytes, size_t len, int seals) {
    int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_int_equal(write(fd, bytes, len), len);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
    return fd;
}

enum { ALL = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW };

static int read_bytes(const void *bytes, size_t len, int seals, struct failure *failure) {
    static struct start start;
    int fd = sealed(bytes, len, seals);
    int result = start_read(&start, fd, failure);
    close(fd);
    start_close(&start);
    return result;
}

static size_t good_bytes(char *bytes, size_t size) {
    struct err err;
    int fd = start_block_make(&full, &err);
    ssize_t n = pread(fd, bytes, size, 0);
    close(fd);
    assert_true(n > 0 && (size_t)n < size);
    return (size_t)n;
}

static void unsealed_block_is_refused(void **state) {
    (void)state;
    char bytes[1024];
    struct failure failure;
    size_t len = good_bytes(bytes, sizeof bytes);
    assert_int_equal(read_bytes(bytes, len, ALL, &failure), 0);
    assert_int_equal(read_bytes(bytes, len, F_SEAL_WRITE | F_SEAL_GROW, &failure), -1);
    assert_int_equal(failure.stage, INIT_STAGE_START_BLOCK);
    assert_int_equal(read_bytes(bytes, len, F_SEAL_SHRINK | F_SEAL_GROW, &failure), -1);
}

static void every_shorter_and_longer_block_is_refused(void **state) {
    (void)state;
    char bytes[1024] = { 0 };
    struct failure failure;
    size_t len = good_bytes(bytes, sizeof bytes);
    for (size_t cut = 0; cut < len; cut++) {
        assert_int_equal(read_bytes(bytes, cut, ALL, &failure), -1);
    }
    bytes[len] = '\0';
    assert_int_equal(read_bytes(bytes, len + 1, ALL, &failure), -1);
}

/* Random damage, under the sanitizers: it is refused or read, and never read past its end. */
static void damaged_blocks_do_no_harm(void **state) {
    (void)state;
    char good[1024], bytes[1024];
    struct failure failure;
    size_t len = good_bytes(good, sizeof good), passed = 0;
    srandom(1);
    for (int round = 0; round < 20000; round++) {
        memcpy(bytes, good, len);
        for (int i = 0; i <= round % 4; i++) {
            bytes[(size_t)random() % len] = (char)random();
        }
        passed += read_bytes(bytes, len, ALL, &failure) == 0;
    }
    assert_in_range(passed, 100, 19900);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(block_is_read_as_it_was_made),
        cmocka_unit_test(maker_refuses_what_the_reader_would),
        cmocka_unit_test(unsealed_block_is_refused),
        cmocka_unit_test(every_shorter_and_longer_block_is_refused),
        cmocka_unit_test(damaged_blocks_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
