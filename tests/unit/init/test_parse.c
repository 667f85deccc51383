/* What the kernel says about listeners and memory. SPDX-License-Identifier: Apache-2.0 */
#include "listeners.h"
#include "oom.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static const char tcp[] =
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout\n"
    "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0\n"
    "   1: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0\n"
    "   2: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0\n";
static const char tcp_established[] =
    "   3: 0100007F:1F90 0100007F:9999 01 00000000:00000000 00:00000000 00000000  1000        0\n"
    "   4: 00000000:0051 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0\n";
static const char tcp6[] = "   0: 00000000000000000000000001000000:1F91 "
                           "00000000000000000000000000000000:0000 0A 00000000:00000000\n";

static void tables_of_proc_are_read(void **state) {
    (void)state;
    struct listeners listeners = { .count = 0 };
    char text[INET6_ADDRSTRLEN];
    assert_true(listeners_parse(&listeners, 4, tcp, strlen(tcp)));
    assert_int_equal(listeners.count, 2);
    assert_int_equal(listeners.list[0].port, 8080);
    assert_string_equal(
        inet_ntop(AF_INET, listeners.list[0].address, text, sizeof text), "127.0.0.1");
    assert_int_equal(listeners.list[1].port, 80);
    assert_true(listeners_parse(&listeners, 6, tcp6, strlen(tcp6)));
    assert_int_equal(listeners.count, 3);
    assert_int_equal(listeners.list[2].port, 8081);
    assert_string_equal(inet_ntop(AF_INET6, listeners.list[2].address, text, sizeof text), "::1");
    assert_false(listeners_parse(&listeners, 4, tcp_established, strlen(tcp_established)));
    assert_int_equal(listeners.count, 3);
}

static void torn_tables_do_no_harm(void **state) {
    (void)state;
    srandom(2);
    for (int round = 0; round < 5000; round++) {
        size_t len = (size_t)random() % sizeof tcp;
        char *copy = malloc(len ? len : 1); /* its end is the sanitizer's business */
        memcpy(copy, tcp, len);
        if (len) {
            copy[(size_t)random() % len] = (char)random();
        }
        struct listeners listeners = { .count = 0 };
        listeners_parse(&listeners, round % 2 ? 4 : 6, copy, len);
        assert_true(listeners.count <= 3);
        free(copy);
    }
}

static int listen_somewhere(uint16_t *port) {
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

static bool has_port(const struct listeners *listeners, uint16_t port) {
    for (uint32_t i = 0; i < listeners->count && i < INIT_LISTENERS_MAX; i++) {
        if (listeners->list[i].port == port) {
            return true;
        }
    }
    return false;
}

/* Both ways must say the same of a living socket. */
static void living_sockets_are_found_both_ways(void **state) {
    (void)state;
    struct listeners listeners;
    uint16_t port;
    listeners_init(&listeners);
    listeners_scan(&listeners);
    if (listeners.count >= INIT_LISTENERS_MAX) {
        skip(); /* this machine listens on too much to tell */
    }
    int fd = listen_somewhere(&port);
    assert_true(listeners_scan(&listeners));
    assert_true(has_port(&listeners, port));
    assert_false(listeners_scan(&listeners));
    if (listeners.diag >= 0) {
        close(listeners.diag);
        listeners.diag = -1;
    }
    listeners_scan(&listeners);
    assert_true(has_port(&listeners, port));
    close(fd);
    assert_true(listeners_scan(&listeners));
    assert_false(has_port(&listeners, port));
    close(listeners.tables[0]);
    close(listeners.tables[1]);
}

static void oom_kills_are_read(void **state) {
    (void)state;
    static const char events[] = "low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 1\n";
    assert_int_equal(oom_parse_events(events, strlen(events)), 2);
    assert_int_equal(
        oom_parse_events(events, strlen("low 0\nhigh 0\nmax 12\noom 3\noom_kill ")), 0);
    assert_int_equal(oom_parse_events("", 0), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_of_proc_are_read),
        cmocka_unit_test(torn_tables_do_no_harm),
        cmocka_unit_test(living_sockets_are_found_both_ways),
        cmocka_unit_test(oom_kills_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
