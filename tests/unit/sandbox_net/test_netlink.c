/* Netlink batches. SPDX-License-Identifier: Apache-2.0 */
#include "netlink.h"
#include "rtnetlink.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static int setup(void **state) {
    *state = malloc(sizeof(struct netlink_batch));
    netlink_reset(*state);
    return *state ? 0 : -1;
}

static int teardown(void **state) {
    free(*state);
    return 0;
}

static void attributes_nest_and_are_padded(void **state) {
    struct netlink_batch *b = *state;
    uint32_t header = 7;
    netlink_message(b, "first", 16, NLM_F_CREATE, &header, sizeof(header));
    size_t outer = netlink_nest(b, 1);
    netlink_put_text(b, 2, "ab");
    netlink_put_be32(b, 3, 0x01020304);
    netlink_nest_end(b, outer);
    netlink_put_u8(b, 4, 9);
    netlink_message(b, "second", 17, 0, NULL, 0);
    static const unsigned char expected[] = {
        48, 0, 0, 0, 16, 0, 1, 4, 0, 0, 0, 0, 0, 0, 0, 0, /* nlmsghdr: length, type, flags */
        7, 0, 0, 0,                                       /* fixed header */
        20, 0, 1, 0x80,                                   /* nest of 20 bytes */
        7, 0, 2, 0, 'a', 'b', 0, 0,                       /* text with its NUL, padded */
        8, 0, 3, 0, 1, 2, 3, 4,                           /* network byte order */
        5, 0, 4, 0, 9, 0, 0, 0,                           /* one byte, padded */
        16, 0, 0, 0, 17, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* the second message */
    };
    assert_int_equal(b->len, sizeof(expected));
    assert_memory_equal(b->bytes, expected, sizeof(expected));
    assert_false(b->full);
}

static void what_does_not_fit_is_reported_once_by_send(void **state) {
    struct netlink_batch *b = *state;
    struct netlink nl;
    struct err err = { 0 };
    static char large[NETLINK_BATCH_BYTES / 2];
    assert_int_equal(netlink_open(&nl, NETLINK_ROUTE, &err), 0);
    netlink_message(b, "large", RTM_NEWLINK, 0, NULL, 0);
    netlink_put(b, 1, large, sizeof(large));
    assert_false(b->full);
    size_t nest = netlink_nest(b, 2);
    netlink_put(b, 1, large, sizeof(large));
    netlink_nest_end(b, nest);
    assert_true(b->full);
    netlink_put_u8(b, 3, 1);
    assert_int_equal(netlink_send(&nl, b, &err), -1);
    assert_int_equal(err.code, ERR_INTERNAL);
    netlink_reset(b);
    for (int i = 0; i <= NETLINK_BATCH_MESSAGES; i++) {
        netlink_message(b, "many", RTM_NEWLINK, 0, NULL, 0);
    }
    assert_int_equal(netlink_send(&nl, b, &err), -1);
    netlink_reset(b);
    assert_int_equal(netlink_send(&nl, b, &err), -1); /* nothing to send is a mistake, too */
    netlink_close(&nl);
    netlink_close(&nl);
}

static const struct nlattr *find(const void *bytes, size_t len, uint16_t type, size_t min) {
    static _Alignas(4) char exact[64];
    memset(exact, 0xff, sizeof(exact));
    memcpy(exact, bytes, len);
    return netlink_find(exact, len, type, min);
}

static void attributes_are_found_within_their_bounds(void **state) {
    (void)state;
    static const unsigned char two[] = { 5, 0, 1, 0, 9, 0, 0, 0, 8, 0, 2, 0x80, 1, 2, 3, 4 };
    assert_non_null(find(two, sizeof(two), 1, 1));
    assert_non_null(find(two, sizeof(two), 2, 4)); /* NLA_F_NESTED is no part of the type */
    assert_null(find(two, sizeof(two), 2, 5));
    assert_null(find(two, sizeof(two), 3, 0));
    assert_null(find(two, sizeof(two) - 1, 2, 4));
    assert_null(find(two, 3, 1, 0));
    assert_null(find("\0\0\1\0", 4, 1, 0));         /* shorter than its own header */
    assert_null(find("\x03\0\1\0", 4, 1, 0));       /* likewise */
    assert_null(find("\xff\xff\1\0", 4, 1, 0));     /* longer than what is there */
    assert_non_null(find("\x05\0\1\0\1", 5, 1, 1)); /* the last needs no padding */
}

static void a_refusal_names_the_message_and_the_reason(void **state) {
    struct netlink_batch *b = *state;
    struct netlink nl;
    struct err err = { 0 };
    assert_int_equal(netlink_open(&nl, NETLINK_ROUTE, &err), 0);
    rtnetlink_link_get(b, RTNETLINK_LO);
    rtnetlink_link_get(b, 0x7ffffffe);
    rtnetlink_link_get(b, RTNETLINK_LO);
    assert_int_equal(netlink_send(&nl, b, &err), -1);
    assert_int_equal(err.sys, ENODEV);
    assert_non_null(strstr(err.text, "look at an interface"));
    /* The socket is clean: the next question gets its own answer. */
    netlink_reset(b);
    rtnetlink_link_get(b, RTNETLINK_LO);
    assert_int_equal(netlink_send(&nl, b, &err), 0);
    netlink_close(&nl);
}

static int stop_at_once(void *arg, const struct nlmsghdr *message) {
    (void)message;
    ++*(int *)arg;
    return 5;
}

static void a_dump_can_be_left_early(void **state) {
    struct netlink_batch *b = *state;
    struct netlink nl;
    struct err err = { 0 };
    int calls = 0;
    assert_int_equal(netlink_open(&nl, NETLINK_ROUTE, &err), 0);
    rtnetlink_routes(b);
    int result = netlink_dump(&nl, b, stop_at_once, &calls, &err);
    assert_int_equal(result, calls ? 5 : 0); /* a namespace may have no route */
    assert_true(calls <= 1);
    netlink_reset(b);
    rtnetlink_link_get(b, RTNETLINK_LO);
    assert_int_equal(netlink_send(&nl, b, &err), 0);
    netlink_close(&nl);
}

int main(void) {
#define WITH_BATCH(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH_BATCH(attributes_nest_and_are_padded),
        WITH_BATCH(what_does_not_fit_is_reported_once_by_send),
        WITH_BATCH(attributes_are_found_within_their_bounds),
        WITH_BATCH(a_refusal_names_the_message_and_the_reason),
        WITH_BATCH(a_dump_can_be_left_early),
    };
#undef WITH_BATCH
    return cmocka_run_group_tests_name("netlink", tests, NULL, NULL);
}
