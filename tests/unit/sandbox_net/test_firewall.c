/* The firewall's installation; what its rules do is shown by the lab in tests/system/network.
 * SPDX-License-Identifier: Apache-2.0 */
#include "firewall.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { PLATFORM = 28, OTHER = 27 };

static struct err err;

static int setup(void **state) {
    (void)state;
    if (geteuid() == 0) {
        assert_return_code(unshare(CLONE_NEWNET), errno);
    }
    return 0;
}

#define NEEDS_ROOT()                                                                               \
    do {                                                                                           \
        if (geteuid() != 0) {                                                                      \
            skip();                                                                                \
        }                                                                                          \
    } while (0)

static bool present(unsigned platform) {
    bool out = false;
    assert_int_equal(firewall_present(platform, &out, &err), 0);
    return out;
}

/* As much as a spec can have. */
static struct firewall_spec full_spec(unsigned platform) {
    struct firewall_spec spec = {
        .platform = platform, .resolver_count = FIREWALL_RESOLVERS, .uplink_count = NETNS_UPLINKS
    };
    for (unsigned i = 0; i < FIREWALL_RESOLVERS; i++) {
        spec.resolvers[i].s_addr = htonl(0x0a000001 + i);
    }
    for (unsigned i = 0; i < NETNS_UPLINKS; i++) {
        spec.uplinks[i] = (struct netns_uplink){ .ifindex = i + 2, .guarded = true };
    }
    return spec;
}

static void the_table_is_installed_replaced_and_removed(void **state) {
    (void)state;
    NEEDS_ROOT();
    struct firewall_spec spec = full_spec(PLATFORM);
    assert_false(present(PLATFORM));
    for (int i = 0; i < 3; i++) {
        int result = firewall_set(&spec, &err);
        assert_string_equal(err.text, "");
        assert_int_equal(result, 0);
        assert_true(present(PLATFORM));
    }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(firewall_clear(PLATFORM, &err), 0);
        assert_false(present(PLATFORM));
    }
}

static void platforms_have_tables_of_their_own(void **state) {
    (void)state;
    NEEDS_ROOT();
    struct firewall_spec ours = { .platform = PLATFORM }, theirs = { .platform = OTHER };
    assert_int_equal(firewall_set(&ours, &err), 0);
    assert_int_equal(firewall_set(&theirs, &err), 0);
    assert_int_equal(firewall_clear(PLATFORM, &err), 0);
    assert_false(present(PLATFORM));
    assert_true(present(OTHER));
}

static void a_spec_out_of_bounds_is_refused(void **state) {
    (void)state;
    struct firewall_spec spec = full_spec(PLATFORM);
    spec.resolver_count = FIREWALL_RESOLVERS + 1;
    assert_int_equal(firewall_set(&spec, &err), -1);
    assert_int_equal(err.code, ERR_BAD_VALUE);
    spec = full_spec(PLATFORM);
    spec.uplink_count = NETNS_UPLINKS + 1;
    assert_int_equal(firewall_set(&spec, &err), -1);
    assert_int_equal(err.code, ERR_BAD_VALUE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_table_is_installed_replaced_and_removed, setup),
        cmocka_unit_test_setup(platforms_have_tables_of_their_own, setup),
        cmocka_unit_test(a_spec_out_of_bounds_is_refused),
    };
    return cmocka_run_group_tests_name("firewall", tests, NULL, NULL);
}
