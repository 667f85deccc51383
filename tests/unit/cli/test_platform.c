/* Which ranges are in use. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <paas/limits.h>

#include "platform.h"

static void ids_of_others_are_avoided(void **state) {
    (void)state;
    const uint32_t base = PLATFORM_ID_BASE, count = PLATFORM_ID_COUNT;
    assert_false(platform_ids_taken("", base, count));
    assert_false(platform_ids_taken("ann:100000:65536\nbob:165536:65536\n", base, count));
    assert_true(platform_ids_taken("ann:100000:65536\nbob:1073741824:1\n", base, count));
    assert_true(platform_ids_taken("ann:100000:4000000000\n", base, count));
    /* the last id, and the one behind it */
    assert_true(platform_ids_taken("ann:1141899263:1\n", base, count));
    assert_false(platform_ids_taken("ann:1141899264:1\n", base, count));
    assert_false(platform_ids_taken("rubbish\nann:x:1\nann:1073741824\n", base, count));
}

#define HEAD "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
#define ROUTE(DESTINATION, MASK)                                                                   \
    "eth0\t" DESTINATION "\t00000000\t0001\t0\t0\t0\t" MASK "\t0\t0\t0\n"

static void networks_of_others_are_avoided(void **state) {
    (void)state;
    assert_false(platform_network_taken(HEAD, 0, RANGE_WHOLE));
    assert_false(
        platform_network_taken(HEAD ROUTE("00000000", "00000000"), 0, RANGE_WHOLE)); /* default */
    assert_false(platform_network_taken(
        HEAD ROUTE("0000A8C0", "0000FFFF"), 0, RANGE_WHOLE)); /* 192.168/16 */
    assert_true(
        platform_network_taken(HEAD ROUTE("0000C80A", "0000FFFF"), 0, RANGE_WHOLE)); /* 10.200/16 */
    assert_false(platform_network_taken(HEAD ROUTE("0000C80A", "0000FFFF"), 1, RANGE_WHOLE));
    assert_true(
        platform_network_taken(HEAD ROUTE("0000000A", "000000FF"), 5, RANGE_WHOLE)); /* 10/8 */
    assert_true(platform_network_taken(
        HEAD ROUTE("0103C90A", "FFFFFFFF"), 1, RANGE_WHOLE)); /* 10.201.3.1 */
}

static void the_own_network_of_before_is_free(void **state) {
    (void)state;
    const char *dead = HEAD "*\t0000C80A\t00000000\t0201\t0\t0\t0\t0000FFFF\t0\t0\t0\n";
    assert_true(platform_network_taken(dead, 0, RANGE_WHOLE));
    assert_false(platform_network_taken(dead, 0, RANGE_BUT_LEFTOVERS));
    /* not what leads somewhere, nor what is of others, too */
    assert_true(platform_network_taken(HEAD ROUTE("0000C80A", "0000FFFF"), 0, RANGE_BUT_LEFTOVERS));
    assert_true(platform_network_taken(
        HEAD "*\t0000000A\t00000000\t0201\t0\t0\t0\t000000FF\t0\t0\t0\n", 0, RANGE_BUT_LEFTOVERS));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_of_others_are_avoided),
        cmocka_unit_test(networks_of_others_are_avoided),
        cmocka_unit_test(the_own_network_of_before_is_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
