/* What one supervisor leaves for the next. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <paas/file.h>
#include <paas/str.h>

#include "run_state.h"

static int make_dir(void **state) {
    static char dir[] = "/tmp/paas-state.XXXXXX";
    *state = mkdtemp(dir);
    return *state ? 0 : -1;
}

static int remove_dir(void **state) {
    return file_remove_tree(AT_FDCWD, *state, NULL);
}

static struct run_state sample(void) {
    struct run_state s = {
        .platform = 7,
        .id_base = 0x5c000000,
        .data = "/data with space",
        .http = "127.0.0.1:8080",
        .supervisor = { 10, 1000, 0 },
        .parts = { { 11, 1001, 1 }, { 12, 1002, 2 }, { 13, 1003, 3 }, { 0, 0, 4 } },
        .sockets = { 100, 0, UINT64_C(18446744073709551615) },
        .groups = { .dirs = { "/sys/fs/cgroup/paas7", "/sys/fs/cgroup/cpu/paas7" },
            .count = 2,
            .cpu = 1 },
    };
    assert_int_equal(file_boot_id(s.boot_id, NULL), 0);
    return s;
}

static void it_reads_what_it_wrote(void **state) {
    struct run_state wrote = sample(), read;
    assert_int_equal(run_state_write(&wrote, *state, NULL), 0);
    assert_int_equal(run_state_read(&read, *state, NULL), 0);
    assert_memory_equal(&wrote, &read, sizeof read);
}

static void another_boot_is_not_believed(void **state) {
    struct run_state wrote = sample(), read;
    struct err err;
    wrote.boot_id[0] = wrote.boot_id[0] == '0' ? '1' : '0';
    assert_int_equal(run_state_write(&wrote, *state, NULL), 0);
    assert_int_equal(run_state_read(&read, *state, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

static void rubbish_does_no_harm(void **state) {
    char path[128];
    struct run_state read;
    static const char text[] =
        "=\n\n.\n..=\nversion=1\ncgroup=\nx.pid=1\nsocket.=1\ncgroup.cpu=99\n";
    snprintf(path, sizeof path, "%s/supervisor", (char *)*state);
    assert_int_equal(file_write_whole(AT_FDCWD, path, text, strlen(text), 0644, 0, NULL), 0);
    assert_int_equal(run_state_read(&read, *state, NULL), -1);
    unlink(path);
    assert_int_equal(run_state_read(&read, *state, NULL), -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_reads_what_it_wrote),
        cmocka_unit_test(another_boot_is_not_believed),
        cmocka_unit_test(rubbish_does_no_harm),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
