/* The delegated cgroup is found from what the kernel says. SPDX-License-Identifier: Apache-2.0 */
#include "cgroup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const char hybrid_mounts[] =
    "24 1 0:20 / /proc rw,relatime - proc proc rw\n"
    "30 24 0:25 / /sys/fs/cgroup/cpu rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
    "31 24 0:26 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
    "32 24 0:27 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate\n";
static const char hybrid_membership[] = "8:pids:/\n4:memory:/a/b\n1:cpu,cpuacct:/\n0::/\n";

static void finds(
    const char *mounts, const char *membership, const char *controller, const char *expected) {
    char path[CGROUP_PATH_MAX];
    assert_int_equal(cgroup_find(mounts, membership, controller, "paas3", path), 0);
    assert_string_equal(path, expected);
}

static void each_hierarchy_of_a_hybrid_host(void **state) {
    (void)state;
    finds(hybrid_mounts, hybrid_membership, "memory", "/sys/fs/cgroup/memory/a/b");
    finds(hybrid_mounts, hybrid_membership, "cpu", "/sys/fs/cgroup/cpu");
    finds(hybrid_mounts, hybrid_membership, NULL, "/sys/fs/cgroup/unified");
}

static void a_missing_hierarchy(void **state) {
    (void)state;
    char path[CGROUP_PATH_MAX];
    assert_int_equal(cgroup_find(hybrid_mounts, hybrid_membership, "pids", "paas3", path), -1);
    assert_int_equal(cgroup_find(hybrid_mounts, "4:memory:/\n", NULL, "paas3", path), -1);
    assert_int_equal(cgroup_find("", "", NULL, "paas3", path), -1);
    assert_int_equal(cgroup_find("x\n1 2\n- - -\n", "1\n:\n", NULL, "paas3", path), -1);
}

static void from_inside_the_platform_it_is_the_part_above(void **state) {
    (void)state;
    static const char mounts[] = "32 24 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
    finds(mounts, "0::/system.slice/paas.service/paas3/system/agent\n", NULL,
        "/sys/fs/cgroup/system.slice/paas.service");
    finds(mounts, "0::/paas3/system/agent\n", NULL, "/sys/fs/cgroup");
    finds(mounts, "0::/a/paas3\n", NULL, "/sys/fs/cgroup/a");
    /* Only a whole component counts. */
    finds(mounts, "0::/paas31/x\n", NULL, "/sys/fs/cgroup/paas31/x");
    finds(mounts, "0::/xpaas3/x\n", NULL, "/sys/fs/cgroup/xpaas3/x");
}

static void a_mount_that_shows_a_part(void **state) {
    (void)state;
    static const char mounts[] = "32 24 0:27 /box /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
    finds(mounts, "0::/box/inner\n", NULL, "/sys/fs/cgroup/inner");
    finds(mounts, "0::/box\n", NULL, "/sys/fs/cgroup");
    finds(mounts, "0::/elsewhere\n", NULL, "/sys/fs/cgroup");
}

static void a_path_too_long_is_refused(void **state) {
    (void)state;
    char membership[CGROUP_PATH_MAX + 16] = "0::/", path[CGROUP_PATH_MAX];
    memset(membership + 4, 'x', CGROUP_PATH_MAX);
    static const char mounts[] = "32 24 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
    assert_int_equal(cgroup_find(mounts, membership, NULL, "paas3", path), -1);
}

static void values_are_read_by_key(void **state) {
    (void)state;
    static const char events[] = "low 0\noom 3\noom_kill 2\noom_group_kill 1\n";
    assert_int_equal(cgroup_value(events, "oom_kill"), 2);
    assert_int_equal(cgroup_value(events, "oom"), 3);
    assert_int_equal(cgroup_value(events, "kill"), 0);
    assert_int_equal(cgroup_value("", "oom"), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_hierarchy_of_a_hybrid_host),
        cmocka_unit_test(a_missing_hierarchy),
        cmocka_unit_test(from_inside_the_platform_it_is_the_part_above),
        cmocka_unit_test(a_mount_that_shows_a_part),
        cmocka_unit_test(a_path_too_long_is_refused),
        cmocka_unit_test(values_are_read_by_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
