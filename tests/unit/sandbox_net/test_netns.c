/* Network namespaces of instances, for real: each test in a fresh namespace that plays the host.
 * SPDX-License-Identifier: Apache-2.0 */
#include "netns.h"
#include "rtnetlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { PLATFORM = 28, SLOT = 16, WAIT_MS = 5000 };

static struct err err;
#define assert_ok(call)                                                                            \
    do {                                                                                           \
        err_clear(&err);                                                                           \
        int result_ = (call);                                                                      \
        assert_string_equal(err.text, "");                                                         \
        assert_int_equal(result_, 0);                                                              \
    } while (0)

/* Sends what `put` writes, in the namespace of the test. */
static void configure(void (*put)(struct netlink_batch *)) {
    struct netlink nl;
    struct netlink_batch *b = malloc(sizeof(*b));
    assert_non_null(b);
    assert_ok(netlink_open(&nl, NETLINK_ROUTE, &err));
    netlink_reset(b);
    put(b);
    assert_ok(netlink_send(&nl, b, &err));
    netlink_close(&nl);
    free(b);
}

static void lo_up(struct netlink_batch *b) {
    rtnetlink_link_up(b, RTNETLINK_LO);
}

static int setup(void **state) {
    (void)state;
    if (geteuid() == 0) {
        assert_return_code(unshare(CLONE_NEWNET), errno);
        configure(lo_up);
    }
    return 0;
}

#define NEEDS_ROOT()                                                                               \
    do {                                                                                           \
        if (geteuid() != 0) {                                                                      \
            skip();                                                                                \
        }                                                                                          \
    } while (0)

static void slots_have_addresses_of_their_own(void **state) {
    (void)state;
    static bool seen[1 << 16];
    for (unsigned slot = 0; slot < PLATFORM_SLOTS; slot++) {
        uint32_t a = ntohl(netns_slot_address(PLATFORM, slot).s_addr);
        assert_int_equal(a >> 16, 10 << 8 | (200 + PLATFORM));
        assert_true((a & 0xff) != 0 && (a & 0xff) != 0xff && (a & 0xffff) > 0x3ff);
        assert_false(seen[a & 0xffff]);
        seen[a & 0xffff] = true;
    }
    assert_int_equal(netns_platform_address(0).s_addr, inet_addr("10.200.0.1"));
    assert_int_equal(netns_dns_address(31).s_addr, inet_addr("10.231.0.2"));
    assert_int_equal(netns_slot_address(1, 16).s_addr, inet_addr("10.201.4.17"));
    assert_int_equal(netns_slot_address(1, 1039).s_addr, inet_addr("10.201.20.16"));
}

/* Runs `f` in the instance's namespace. */
static void inside(
    const struct netns_host *host, const struct netns_made *made, void (*f)(void *), void *arg) {
    assert_return_code(setns(made->fd, CLONE_NEWNET), errno);
    f(arg);
    assert_return_code(setns(host->host_fd, CLONE_NEWNET), errno);
}

static void listen_on_80(void *arg) {
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(80) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_return_code(bind(fd, (struct sockaddr *)&a, sizeof(a)), errno);
    assert_return_code(listen(fd, 8), errno);
    *(int *)arg = fd;
}

static void check_settings(void *arg) {
    (void)arg;
    char text[64] = "";
    int fd = open("/proc/sys/net/ipv4/ip_unprivileged_port_start", O_RDONLY | O_CLOEXEC);
    assert_true(read(fd, text, sizeof(text) - 1) > 0);
    assert_string_equal(text, "0\n");
    close(fd);
    /* No IPv6 address but that of lo. */
    FILE *f = fopen("/proc/self/net/if_inet6", "re");
    while (f && fscanf(f, "%*s %*s %*s %*s %*s %63s", text) == 1) {
        assert_string_equal(text, "lo");
    }
    if (f) {
        fclose(f);
    }
}

/* Waits until the interface is gone, as it goes in the background. */
static void await_gone(unsigned ifindex) {
    char name[IFNAMSIZ];
    for (int i = 0; if_indextoname(ifindex, name); i++) {
        assert_true(i < WAIT_MS);
        usleep(1000);
    }
}

static int connect_to(struct in_addr address, struct sockaddr_in *source) {
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(80), .sin_addr = address };
    socklen_t len = sizeof(*source);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&a, sizeof(a)) != 0) {
        int failed = errno;
        close(fd);
        errno = failed;
        return -1;
    }
    getsockname(fd, (struct sockaddr *)source, &len);
    return fd;
}

static void an_instance_is_reached_at_once_from_the_platform_s_address(void **state) {
    (void)state;
    NEEDS_ROOT();
    struct netns_host host;
    struct netns_made made;
    struct sockaddr_in source;
    assert_ok(netns_host_open(&host, PLATFORM, &err));
    assert_ok(netns_create(&host, SLOT, &made, &err));
    assert_int_equal(made.address.s_addr, netns_slot_address(PLATFORM, SLOT).s_addr);
    assert_int_equal(if_nametoindex(made.name), made.ifindex);
    int listener = -1;
    inside(&host, &made, listen_on_80, &listener);
    inside(&host, &made, check_settings, NULL);
    int fd = connect_to(made.address, &source);
    assert_true(fd >= 0);
    assert_int_equal(source.sin_addr.s_addr, netns_platform_address(PLATFORM).s_addr);
    close(fd);
    close(listener);
    close(made.fd);
    await_gone(made.ifindex);
    /* An address that is gone fails at once. */
    assert_int_equal(connect_to(made.address, &source), -1);
    assert_int_equal(errno, EHOSTUNREACH);
    netns_host_close(&host);
    assert_ok(netns_host_remove(PLATFORM, &err));
}

static void a_slot_goes_to_its_next_owner_while_the_last_one_dies(void **state) {
    (void)state;
    NEEDS_ROOT();
    struct netns_host host;
    struct netns_made old, new;
    struct sockaddr_in source;
    int listener = -1;
    assert_ok(netns_host_open(&host, PLATFORM, &err));
    assert_ok(netns_create(&host, SLOT, &old, &err));
    close(old.fd);
    assert_ok(netns_create(&host, SLOT, &new, &err));
    assert_int_not_equal(new.ifindex, old.ifindex);
    inside(&host, &new, listen_on_80, &listener);
    await_gone(old.ifindex);
    int fd = connect_to(new.address, &source);
    assert_true(fd >= 0);
    close(fd);
    close(listener);
    close(new.fd);
    await_gone(new.ifindex);
    netns_host_close(&host);
}

static void a_name_in_use_costs_only_another_try(void **state) {
    (void)state;
    NEEDS_ROOT();
    struct netns_host host;
    struct netns_made first, second;
    assert_ok(netns_host_open(&host, PLATFORM, &err));
    assert_ok(netns_create(&host, SLOT, &first, &err));
    host.generation--; /* as a new process whose random start meets a living one */
    assert_ok(netns_create(&host, SLOT + 1, &second, &err));
    assert_int_not_equal(first.ifindex, second.ifindex);
    close(first.fd);
    close(second.fd);
    await_gone(second.ifindex);
    netns_host_close(&host);
}

static void a_failed_create_leaves_nothing(void **state) {
    (void)state;
    NEEDS_ROOT();
    struct netns_host host;
    struct netns_made made;
    assert_ok(netns_host_open(&host, PLATFORM, &err));
    int proc_fd = host.proc_fd;
    host.proc_fd = -1;
    int next = dup(0);
    close(next);
    assert_int_equal(netns_create(&host, SLOT, &made, &err), -1);
    assert_int_equal(made.fd, -1);
    assert_non_null(strstr(err.text, "network of slot 16"));
    host.proc_fd = proc_fd;
    await_gone(made.ifindex);
    int again = dup(0);
    assert_int_equal(again, next); /* no descriptor either */
    close(again);
    assert_int_equal(if_nametoindex("lo"), RTNETLINK_LO); /* and the thread is where it was */
    netns_host_close(&host);
}

/* The number of routes of ours. */
static int count_route(void *count, const struct nlmsghdr *message) {
    struct rtnetlink_route route;
    *(int *)count += rtnetlink_route_read(message, &route) && route.protocol == NETNS_PROTOCOL;
    return 0;
}

static int our_routes(void) {
    struct netlink nl;
    struct netlink_batch *b = malloc(sizeof(*b));
    int count = 0;
    assert_non_null(b);
    assert_ok(netlink_open(&nl, NETLINK_ROUTE, &err));
    netlink_reset(b);
    rtnetlink_routes(b);
    assert_ok(netlink_dump(&nl, b, count_route, &count, &err));
    netlink_close(&nl);
    free(b);
    return count;
}

static void the_host_s_side_can_be_opened_and_removed_again_and_again(void **state) {
    (void)state;
    NEEDS_ROOT();
    struct netns_host host;
    for (int i = 0; i < 3; i++) {
        assert_ok(netns_host_open(&host, PLATFORM, &err));
        assert_int_equal(our_routes(), 1);
        netns_host_close(&host);
        netns_host_close(&host);
    }
    assert_ok(netns_host_remove(PLATFORM, &err));
    assert_ok(netns_host_remove(PLATFORM, &err));
    assert_int_equal(our_routes(), 0);
}

static enum netns_range range(void) {
    enum netns_range out = NETNS_RANGE_TAKEN;
    assert_ok(netns_range_free(PLATFORM, &out, &err));
    return out;
}

static const struct rtnetlink_route *route_to_add;

static void add_route(struct netlink_batch *b) {
    rtnetlink_route_add(b, route_to_add);
}

static void remove_route(struct netlink_batch *b) {
    rtnetlink_route_remove(b, route_to_add);
}

static enum netns_range range_beside(uint32_t to, unsigned bits) {
    struct rtnetlink_route route = { .to = to,
        .bits = bits,
        .type = RTN_UNICAST,
        .protocol = RTPROT_STATIC,
        .scope = RT_SCOPE_LINK,
        .ifindex = RTNETLINK_LO };
    route_to_add = &route;
    configure(add_route);
    enum netns_range found = range();
    configure(remove_route);
    return found;
}

static void a_range_is_free_unless_a_route_leads_there(void **state) {
    (void)state;
    NEEDS_ROOT();
    const uint32_t base = 10u << 24 | (200 + PLATFORM) << 16;
    assert_int_equal(range(), NETNS_RANGE_FREE);
    assert_int_equal(range_beside(0, 0), NETNS_RANGE_FREE);
    assert_int_equal(range_beside(base + 0x10000, 16), NETNS_RANGE_FREE);
    assert_int_equal(range_beside(base - 0x10000, 16), NETNS_RANGE_FREE);
    assert_int_equal(range_beside(192u << 24, 8), NETNS_RANGE_FREE);
    assert_int_equal(range_beside(10u << 24, 8), NETNS_RANGE_COVERED);
    assert_int_equal(range_beside(base & 0xfffe0000, 15), NETNS_RANGE_COVERED);
    assert_int_equal(range_beside(base, 16), NETNS_RANGE_TAKEN);
    assert_int_equal(range_beside(base + 0x4700, 24), NETNS_RANGE_TAKEN);
    assert_int_equal(range_beside(base + 0x4711, 32), NETNS_RANGE_TAKEN);
    /* A platform's own leftovers are not in its way. */
    struct netns_host host;
    assert_ok(netns_host_open(&host, PLATFORM, &err));
    netns_host_close(&host);
    assert_int_equal(range(), NETNS_RANGE_FREE);
}

int main(void) {
#define ON_A_HOST(f) cmocka_unit_test_setup(f, setup)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_have_addresses_of_their_own),
        ON_A_HOST(an_instance_is_reached_at_once_from_the_platform_s_address),
        ON_A_HOST(a_slot_goes_to_its_next_owner_while_the_last_one_dies),
        ON_A_HOST(a_name_in_use_costs_only_another_try),
        ON_A_HOST(a_failed_create_leaves_nothing),
        ON_A_HOST(the_host_s_side_can_be_opened_and_removed_again_and_again),
        ON_A_HOST(a_range_is_free_unless_a_route_leads_there),
    };
#undef ON_A_HOST
    return cmocka_run_group_tests_name("netns", tests, NULL, NULL);
}
