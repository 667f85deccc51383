/* DNS messages and the plan from resolv.conf. SPDX-License-Identifier: Apache-2.0 */
#include "test_dns.h"

#include "dns.h"
#include "dns_message.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define QUESTION "\3wWw\7example\3com\0\0\1\0\1"
#define QUERY "\x12\x34\1\0\0\1\0\0\0\0\0\0" QUESTION
#define ANSWER "\x12\x34\x81\x80\0\1\0\0\0\0\0\0" QUESTION
enum { QUERY_LEN = sizeof(QUERY) - 1, ANSWER_LEN = sizeof(ANSWER) - 1 };

static size_t query_of(const void *bytes, size_t len) {
    uint8_t *exact = test_malloc(len + 1); /* so that a read past the end is seen */
    memcpy(exact, bytes, len);
    size_t result = dns_message_query(exact, len);
    test_free(exact);
    return result;
}

static void a_plain_question_is_understood(void **state) {
    (void)state;
    assert_int_equal(query_of(QUERY, QUERY_LEN), QUERY_LEN);
    assert_int_equal(query_of(QUERY "and more", QUERY_LEN + 8), QUERY_LEN);
}

static void what_is_no_plain_question_is_not(void **state) {
    (void)state;
    for (size_t len = 0; len < QUERY_LEN; len++) {
        assert_int_equal(query_of(QUERY, len), 0);
    }
    assert_int_equal(query_of(ANSWER, ANSWER_LEN), 0);
    uint8_t m[600] = QUERY;
    m[5] = 2; /* two questions */
    assert_int_equal(query_of(m, QUERY_LEN), 0);
    memcpy(m, QUERY, QUERY_LEN);
    m[2] = 0x28; /* an update */
    assert_int_equal(query_of(m, QUERY_LEN), 0);
    memcpy(m, QUERY, QUERY_LEN);
    m[12] = 0xc0; /* a compressed name */
    assert_int_equal(query_of(m, QUERY_LEN), 0);
    memcpy(m, QUERY, 12);
    memset(m + 12, 1, sizeof(m) - 12); /* a name without end */
    assert_int_equal(query_of(m, sizeof(m)), 0);
}

static bool answers(const void *bytes, size_t len) {
    uint8_t *exact = test_malloc(len + 1);
    memcpy(exact, bytes, len);
    bool result = dns_message_answers((const uint8_t *)QUERY, QUERY_LEN, exact, len);
    test_free(exact);
    return result;
}

static void only_the_question_s_own_answer_counts(void **state) {
    (void)state;
    assert_true(answers(ANSWER, ANSWER_LEN));
    assert_true(answers("\x12\x34\x81\x81\0\0\0\0\0\0\0\0", 12)); /* FORMERR without a question */
    uint8_t m[ANSWER_LEN];
    memcpy(m, ANSWER, sizeof(m));
    m[13] = 'W'; /* names know no case */
    assert_true(answers(m, sizeof(m)));
    for (size_t at = 0; at < ANSWER_LEN; at++) {
        bool free_choice = at == 2 || at == 3 || (at >= 6 && at < 12);
        memcpy(m, ANSWER, sizeof(m));
        m[at] ^= 0x01;
        assert_true(free_choice || !answers(m, sizeof(m)));
        assert_false(answers(ANSWER, at));
    }
}

static void refusals_keep_the_question(void **state) {
    (void)state;
    uint8_t m[QUERY_LEN];
    memcpy(m, QUERY, sizeof(m));
    assert_int_equal(dns_message_fail(m, sizeof(m)), QUERY_LEN);
    assert_memory_equal(m, "\x12\x34\x81\x82\0\1\0\0\0\0\0\0" QUESTION, QUERY_LEN);
    memcpy(m, QUERY, sizeof(m));
    assert_int_equal(dns_message_truncate(m, sizeof(m)), QUERY_LEN);
    assert_memory_equal(m, "\x12\x34\x83\x80\0\1\0\0\0\0\0\0" QUESTION, QUERY_LEN);
}

/* The plan as words: "direct 192.0.2.1 192.0.2.2" or "forward to 127.0.0.53". */
static const char *plan(const char *resolv_conf, char text[256]) {
    struct dns_plan p;
    dns_plan_make(resolv_conf, (struct in_addr){ inet_addr("10.200.0.2") }, &p);
    size_t n = (size_t)snprintf(text, 256, p.forward ? "forward to" : "direct");
    for (unsigned i = 0; i < (p.forward ? p.server_count : p.instance_count); i++) {
        char address[INET6_ADDRSTRLEN] = "";
        if (!p.forward) {
            inet_ntop(AF_INET, &p.instances[i], address, sizeof(address));
        } else if (p.servers[i].ss_family == AF_INET) {
            inet_ntop(AF_INET, &((struct sockaddr_in *)&p.servers[i])->sin_addr, address,
                sizeof(address));
        } else {
            inet_ntop(AF_INET6, &((struct sockaddr_in6 *)&p.servers[i])->sin6_addr, address,
                sizeof(address));
        }
        n += (size_t)snprintf(text + n, 256 - n, " %s", address);
    }
    if (p.forward) {
        assert_int_equal(p.instance_count, 1);
        assert_int_equal(p.instances[0].s_addr, inet_addr("10.200.0.2"));
    }
    return text;
}

static void instances_ask_the_host_s_servers_if_they_can(void **state) {
    (void)state;
    char t[256];
    assert_string_equal(plan("nameserver 192.0.2.1\n", t), "direct 192.0.2.1");
    assert_string_equal(plan("# nameserver 192.0.2.9\nsearch x\n\tnameserver 192.0.2.8\n"
                             "nameserver\t192.0.2.1 # first\r\nnameserver 192.0.2.2",
                            t),
        "direct 192.0.2.1 192.0.2.2");
    assert_string_equal(
        plan("nameserver 127.0.0.53\nnameserver 192.0.2.1\n", t), "direct 192.0.2.1");
    assert_string_equal(plan("nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\n"
                             "nameserver 192.0.2.4\n",
                            t),
        "direct 192.0.2.1 192.0.2.2 192.0.2.3");
}

static void else_they_ask_the_forwarder(void **state) {
    (void)state;
    char t[256];
    assert_string_equal(plan("", t), "forward to 127.0.0.1");
    assert_string_equal(plan("nameserver 127.0.0.53\noptions edns0\n", t), "forward to 127.0.0.53");
    assert_string_equal(
        plan("nameserver 2001:db8::1\nnameserver ::1\n", t), "forward to 2001:db8::1 ::1");
    assert_string_equal(plan("nameserver fe80::1%lo\n", t), "forward to fe80::1");
    assert_string_equal(plan("nameserver 0.0.0.0\n", t), "forward to 0.0.0.0");
}

static void nonsense_in_resolv_conf_is_passed_over(void **state) {
    (void)state;
    char t[256], line[4096];
    assert_string_equal(plan("nameserver\nnameserver \nnameserver x\nnameservers 192.0.2.1\n"
                             "nameserver 192.0.2.1.2\nnameserver 300.1.1.1\n",
                            t),
        "forward to 127.0.0.1");
    memset(line, '1', sizeof(line));
    memcpy(line, "nameserver ", 11);
    strcpy(line + sizeof(line) - 25, "\nnameserver 192.0.2.7\n");
    assert_string_equal(plan(line, t), "direct 192.0.2.7");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_question_is_understood),
        cmocka_unit_test(what_is_no_plain_question_is_not),
        cmocka_unit_test(only_the_question_s_own_answer_counts),
        cmocka_unit_test(refusals_keep_the_question),
        cmocka_unit_test(instances_ask_the_host_s_servers_if_they_can),
        cmocka_unit_test(else_they_ask_the_forwarder),
        cmocka_unit_test(nonsense_in_resolv_conf_is_passed_over),
    };
    int failed = cmocka_run_group_tests_name("dns", tests, NULL, NULL);
    return failed + run_forward_tests();
}
