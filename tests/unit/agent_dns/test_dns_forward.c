/* The forwarder between scripted servers and clients, on the loopback.
 * SPDX-License-Identifier: Apache-2.0 */
#include "test_dns.h"

#include "dns.h"
#include "dns_message.h"

#include <arpa/inet.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define QUERY "\x12\x34\1\0\0\1\0\0\0\0\0\0\3www\7example\3com\0\0\1\0\1"
#define RECORD "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\1"
enum { QUERY_LEN = sizeof(QUERY) - 1, WAIT_MS = 8000, CLIENT_PORT_ANY = 0 };

struct lab {
    uv_loop_t loop;
    struct dns *dns;
    struct sockaddr_in forwarder_udp, forwarder_tcp;
    int servers[2]; /* UDP */
    struct sockaddr_in server_addresses[2];
};

static struct sockaddr_in loopback(const char *host) {
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = inet_addr(host) };
    return a;
}

/* A socket bound to some port of `host`; the address as bound goes to *out. */
static int bound(const char *host, int type, struct sockaddr_in *out) {
    struct sockaddr_in a = loopback(host);
    socklen_t len = sizeof(a);
    int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    assert_return_code(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_return_code(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    *out = a;
    return fd;
}

static int setup(void **state) {
    struct lab *lab = test_calloc(1, sizeof(*lab));
    assert_int_equal(uv_loop_init(&lab->loop), 0);
    struct dns_options options = {
        .loop = &lab->loop, .network.s_addr = inet_addr("127.0.1.0"), .bits = 24, .server_count = 2
    };
    for (int i = 0; i < 2; i++) {
        lab->servers[i] = bound("127.0.0.1", SOCK_DGRAM, &lab->server_addresses[i]);
        memcpy(&options.servers[i], &lab->server_addresses[i], sizeof(struct sockaddr_in));
    }
    options.udp = bound("127.0.0.1", SOCK_DGRAM, &lab->forwarder_udp);
    options.tcp = bound("127.0.0.1", SOCK_STREAM, &lab->forwarder_tcp);
    struct err err = { 0 };
    lab->dns = dns_create(&options, &err);
    assert_string_equal(err.text, "");
    assert_non_null(lab->dns);
    *state = lab;
    return 0;
}

static int teardown(void **state) {
    struct lab *lab = *state;
    dns_destroy(lab->dns);
    uv_run(&lab->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&lab->loop), 0);
    close(lab->servers[0]);
    close(lab->servers[1]);
    test_free(lab);
    return 0;
}

/* Runs the loop until `fd` has something to read; false after WAIT_MS. */
static bool readable(struct lab *lab, int fd, int wait_ms) {
    uint64_t deadline = uv_hrtime() / 1000000 + (uint64_t)wait_ms;
    while (uv_hrtime() / 1000000 < deadline) {
        uv_run(&lab->loop, UV_RUN_NOWAIT);
        struct pollfd p = { .fd = fd, .events = POLLIN };
        if (poll(&p, 1, 1) == 1) {
            return true;
        }
    }
    return false;
}

static int client(struct lab *lab, const char *host) {
    struct sockaddr_in own;
    int fd = bound(host, SOCK_DGRAM, &own);
    assert_return_code(
        connect(fd, (struct sockaddr *)&lab->forwarder_udp, sizeof(lab->forwarder_udp)), 0);
    return fd;
}

static void ask(int fd) {
    assert_int_equal(send(fd, QUERY, QUERY_LEN, 0), QUERY_LEN);
}

/* Takes the question that reached a server; returns where it came from. */
static struct sockaddr_in take(struct lab *lab, int server, uint8_t message[QUERY_LEN]) {
    struct sockaddr_in from;
    socklen_t len = sizeof(from);
    assert_true(readable(lab, lab->servers[server], WAIT_MS));
    assert_int_equal(
        recvfrom(lab->servers[server], message, QUERY_LEN, 0, (void *)&from, &len), QUERY_LEN);
    assert_memory_equal(message + 2, &QUERY[2], QUERY_LEN - 2);
    return from;
}

/* Answers with one record; `message` is the question as it came. */
static void answer(struct lab *lab, int server, const uint8_t *message, struct sockaddr_in to) {
    uint8_t out[QUERY_LEN + sizeof(RECORD) - 1];
    memcpy(out, message, QUERY_LEN);
    memcpy(out + QUERY_LEN, RECORD, sizeof(RECORD) - 1);
    out[2] |= 0x80;
    out[7] = 1;
    sendto(lab->servers[server], out, sizeof(out), 0, (void *)&to, sizeof(to));
}

static void expect_record(struct lab *lab, int fd) {
    uint8_t in[512];
    assert_true(readable(lab, fd, WAIT_MS));
    assert_int_equal(recv(fd, in, sizeof(in), 0), QUERY_LEN + sizeof(RECORD) - 1);
    assert_memory_equal(in, "\x12\x34", 2);
    assert_memory_equal(in + QUERY_LEN, RECORD, sizeof(RECORD) - 1);
    close(fd);
}

static void expect_code(struct lab *lab, int fd, uint8_t code) {
    uint8_t in[512];
    assert_true(readable(lab, fd, WAIT_MS));
    assert_int_equal(recv(fd, in, sizeof(in), 0), QUERY_LEN);
    assert_memory_equal(in, "\x12\x34", 2);
    assert_int_equal(in[3] & 15, code);
    close(fd);
}

static void an_answer_comes_back_under_the_client_s_id(void **state) {
    struct lab *lab = *state;
    uint8_t message[QUERY_LEN];
    int fd = client(lab, "127.0.1.7");
    ask(fd);
    struct sockaddr_in from = take(lab, 0, message);
    answer(lab, 0, message, from);
    expect_record(lab, fd);
    assert_int_equal(dns_stats(lab->dns)->answered, 1);
}

static void each_question_has_its_own_port_and_id(void **state) {
    struct lab *lab = *state;
    enum { ROUNDS = 16 };
    unsigned same_port = 0, same_id = 0;
    in_port_t port = 0;
    uint16_t id = 0;
    for (int i = 0; i < ROUNDS; i++) {
        uint8_t message[QUERY_LEN];
        int fd = client(lab, "127.0.1.7");
        ask(fd);
        struct sockaddr_in from = take(lab, 0, message);
        same_port += from.sin_port == port;
        same_id += dns_message_id(message) == id;
        port = from.sin_port;
        id = dns_message_id(message);
        answer(lab, 0, message, from);
        expect_record(lab, fd);
    }
    assert_true(same_port <= 2 && same_id <= 2);
}

static void forged_answers_are_passed_over(void **state) {
    struct lab *lab = *state;
    uint8_t message[QUERY_LEN], forged[QUERY_LEN];
    int fd = client(lab, "127.0.1.7");
    ask(fd);
    struct sockaddr_in from = take(lab, 0, message);
    answer(lab, 1, message, from); /* from another address */
    memcpy(forged, message, sizeof(forged));
    forged[0] ^= 1; /* of another id */
    answer(lab, 0, forged, from);
    memcpy(forged, message, sizeof(forged));
    forged[14] ^= 1; /* to another question */
    answer(lab, 0, forged, from);
    assert_false(readable(lab, fd, 100));
    answer(lab, 0, message, from);
    expect_record(lab, fd);
}

static void a_silent_server_is_followed_by_the_next(void **state) {
    struct lab *lab = *state;
    uint8_t message[QUERY_LEN];
    int fd = client(lab, "127.0.1.7");
    ask(fd);
    take(lab, 0, message);
    struct sockaddr_in from = take(lab, 1, message);
    answer(lab, 1, message, from);
    expect_record(lab, fd);
}

static void servers_that_are_not_there_are_not_waited_for(void **state) {
    struct lab *lab = *state;
    close(lab->servers[0]);
    close(lab->servers[1]);
    uint64_t start = uv_hrtime();
    int fd = client(lab, "127.0.1.7");
    ask(fd);
    expect_code(lab, fd, 2);
    assert_true(uv_hrtime() - start < DNS_TRY_MS * 1000000ull);
    assert_int_equal(dns_stats(lab->dns)->failed, 1);
    lab->servers[0] = lab->servers[1] = -1;
}

static void a_long_answer_is_said_to_be_cut(void **state) {
    struct lab *lab = *state;
    uint8_t message[QUERY_LEN], in[512];
    static uint8_t out[DNS_ANSWER_BYTES + 1];
    int fd = client(lab, "127.0.1.7");
    ask(fd);
    struct sockaddr_in from = take(lab, 0, message);
    memcpy(out, message, QUERY_LEN);
    out[2] |= 0x80;
    sendto(lab->servers[0], out, sizeof(out), 0, (void *)&from, sizeof(from));
    assert_true(readable(lab, fd, WAIT_MS));
    assert_int_equal(recv(fd, in, sizeof(in), 0), QUERY_LEN);
    assert_int_equal(in[2] & 2, 2);
    close(fd);
}

static void strangers_and_nonsense_get_nothing(void **state) {
    struct lab *lab = *state;
    int stranger = client(lab, "127.0.2.7");
    int fd = client(lab, "127.0.1.7");
    ask(stranger);
    send(fd, "", 0, 0);
    send(fd, QUERY, 11, 0);
    static const char large[DNS_QUERY_BYTES + 1] = QUERY;
    send(fd, large, sizeof(large), 0);
    assert_false(readable(lab, lab->servers[0], 100));
    assert_int_equal(dns_stats(lab->dns)->queries, 0);
    assert_int_equal(dns_stats(lab->dns)->refused, 4);
    close(stranger);
    close(fd);
}

static void one_client_can_t_take_all_of_it(void **state) {
    struct lab *lab = *state;
    uint8_t message[QUERY_LEN];
    int greedy = client(lab, "127.0.1.7");
    for (int i = 0; i < 2 * DNS_QUERIES_CLIENT; i++) {
        ask(greedy);
    }
    for (int i = 0; i < DNS_QUERIES_CLIENT; i++) {
        take(lab, 0, message);
    }
    assert_false(readable(lab, lab->servers[0], 100));
    int other = client(lab, "127.0.1.8");
    ask(other);
    struct sockaddr_in from = take(lab, 0, message);
    answer(lab, 0, message, from);
    expect_record(lab, other);
    close(greedy);
}

/* --- TCP --------------------------------------------------------------------------------- */

static int tcp_client(struct lab *lab, const char *host) {
    struct sockaddr_in own;
    int fd = bound(host, SOCK_STREAM, &own);
    (void)!connect(fd, (struct sockaddr *)&lab->forwarder_tcp, sizeof(lab->forwarder_tcp));
    return fd;
}

/* Makes server 1 listen on TCP, and no longer on UDP; server 0 refuses. */
static void listen_tcp(struct lab *lab) {
    close(lab->servers[1]);
    lab->servers[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_return_code(bind(lab->servers[1], (struct sockaddr *)&lab->server_addresses[1],
                           sizeof(lab->server_addresses[1])),
        0);
    assert_return_code(listen(lab->servers[1], 8), 0);
}

static void bytes_pass_both_ways_over_tcp(void **state) {
    struct lab *lab = *state;
    enum { LONG = 200000 };
    static char out[LONG], in[LONG];
    memset(out, 'x', sizeof(out));
    listen_tcp(lab);
    int fd = tcp_client(lab, "127.0.1.7");
    assert_true(readable(lab, lab->servers[1], WAIT_MS)); /* the second: the first refuses */
    int server = accept4(lab->servers[1], NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(server >= 0);
    assert_int_equal(send(fd, QUERY, QUERY_LEN, 0), QUERY_LEN);
    assert_true(readable(lab, server, WAIT_MS));
    assert_int_equal(recv(server, in, sizeof(in), 0), QUERY_LEN);
    assert_memory_equal(in, QUERY, QUERY_LEN);
    size_t sent = 0, got = 0;
    while (got < LONG) {
        ssize_t n = sent < LONG ? send(server, out + sent, LONG - sent, 0) : 0;
        sent += n > 0 ? (size_t)n : 0;
        assert_true(readable(lab, fd, WAIT_MS));
        n = recv(fd, in + got, LONG - got, 0);
        assert_true(n > 0);
        got += (size_t)n;
    }
    assert_memory_equal(in, out, LONG);
    close(server);
    assert_true(readable(lab, fd, WAIT_MS));
    assert_int_equal(recv(fd, in, sizeof(in), 0), 0);
    close(fd);
}

static void a_connection_that_may_not_be_is_closed(void **state) {
    struct lab *lab = *state;
    char in[16];
    listen_tcp(lab);
    int stranger = tcp_client(lab, "127.0.2.7");
    assert_true(readable(lab, stranger, WAIT_MS));
    assert_true(recv(stranger, in, sizeof(in), 0) <= 0);
    close(stranger);
    int fds[DNS_CONNECTIONS_CLIENT + 1];
    for (int i = 0; i <= DNS_CONNECTIONS_CLIENT; i++) {
        fds[i] = tcp_client(lab, "127.0.1.7");
        assert_int_equal(readable(lab, fds[i], 100), i == DNS_CONNECTIONS_CLIENT);
    }
    for (int i = 0; i <= DNS_CONNECTIONS_CLIENT; i++) {
        close(fds[i]);
    }
}

static void a_silent_connection_ends(void **state) {
    struct lab *lab = *state;
    char in[16];
    listen_tcp(lab);
    int fd = tcp_client(lab, "127.0.1.7");
    assert_true(readable(lab, fd, DNS_CONNECTION_IDLE_MS + WAIT_MS));
    assert_true(recv(fd, in, sizeof(in), 0) <= 0);
    close(fd);
}

static void no_server_over_tcp_ends_it(void **state) {
    struct lab *lab = *state;
    char in[16];
    int fd = tcp_client(lab, "127.0.1.7");
    assert_true(readable(lab, fd, WAIT_MS));
    assert_true(recv(fd, in, sizeof(in), 0) <= 0);
    close(fd);
}

static void ending_gives_up_what_is_under_way(void **state) {
    struct lab *lab = *state;
    uint8_t message[QUERY_LEN];
    int fd = client(lab, "127.0.1.7");
    listen_tcp(lab);
    int tcp = tcp_client(lab, "127.0.1.7");
    ask(fd);
    take(lab, 0, message);
    assert_true(readable(lab, lab->servers[1], WAIT_MS));
    dns_destroy(lab->dns); /* the sanitizer sees what is lost */
    lab->dns = NULL;
    close(fd);
    close(tcp);
}

int run_forward_tests(void) {
#define IN_LAB(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        IN_LAB(an_answer_comes_back_under_the_client_s_id),
        IN_LAB(each_question_has_its_own_port_and_id),
        IN_LAB(forged_answers_are_passed_over),
        IN_LAB(a_silent_server_is_followed_by_the_next),
        IN_LAB(servers_that_are_not_there_are_not_waited_for),
        IN_LAB(a_long_answer_is_said_to_be_cut),
        IN_LAB(strangers_and_nonsense_get_nothing),
        IN_LAB(one_client_can_t_take_all_of_it),
        IN_LAB(bytes_pass_both_ways_over_tcp),
        IN_LAB(a_connection_that_may_not_be_is_closed),
        IN_LAB(a_silent_connection_ends),
        IN_LAB(no_server_over_tcp_ends_it),
        IN_LAB(ending_gives_up_what_is_under_way),
    };
#undef IN_LAB
    return cmocka_run_group_tests_name("dns forward", tests, NULL, NULL);
}
