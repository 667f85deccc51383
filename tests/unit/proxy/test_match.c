/* proxy/match.c and route_table.c. SPDX-License-Identifier: Apache-2.0 */
#include "route_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct route_table *table(const char *lines, size_t *refused) {
    struct err err;
    struct route_table *t = route_table_build(lines, strlen(lines), true, refused, &err);
    if (!t) {
        fail_msg("%s", err.text);
    }
    return t;
}

#define ROUTE(host, path, app)                                                                     \
    "{\"host\":\"" host "\",\"path\":\"" path "\",\"app\":\"" app                                  \
    "\",\"process\":\"web\",\"nodes\":[]}\n"

static void hosts_and_whole_segments_match(void **state) {
    (void)state;
    size_t refused;
    struct route_table *t =
        table(ROUTE("a.test", "/", "root") ROUTE("a.test", "/shop", "shop")
                  ROUTE("a.test", "/shop/cart/", "cart") ROUTE("b.test", "/only", "only"),
            &refused);
    static const struct {
        const char *host, *path, *app;
    } cases[] = {
        { "a.test", "/", "root" },
        { "a.test", "/x", "root" },
        { "A.TeSt", "/x", "root" },
        { "a.test.", "/x", "root" },
        { "a.test", "*", "root" },
        { "a.test", "/shop", "shop" },
        { "a.test", "/shop/", "shop" },
        { "a.test", "/shopping", "root" },
        { "a.test", "/shop/cart", "cart" },
        { "a.test", "/shop/cart/1", "cart" },
        { "a.test", "/shop/carts", "shop" },
        { "b.test", "/only/x", "only" },
        { "b.test", "/", NULL },
        { "c.test", "/", NULL },
        { "", "/", NULL },
        { ".", "/", NULL },
        { "xa.test", "/", NULL },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct route_target *got =
            route_match(t, http_text_of(cases[i].host), http_text_of(cases[i].path));
        if ((got ? 1 : 0) != (cases[i].app ? 1 : 0) ||
            (got && strcmp(got->key.app, cases[i].app) != 0)) {
            fail_msg("%s%s gives %s", cases[i].host, cases[i].path, got ? got->key.app : "none");
        }
    }
    route_table_unref(t);
}

static void ten_thousand_routes_are_found(void **state) {
    (void)state;
    enum { COUNT = 10000 };
    char *lines = malloc(COUNT * 128);
    size_t len = 0, refused;
    struct err err;
    for (int i = 0; i < COUNT; i++) {
        len += (size_t)sprintf(lines + len,
            "{\"host\":\"h%d.test\",\"path\":\"/\",\"app\":\"a%d\",\"process\":\"web\",\"nodes\":[]}\n",
            i, i);
    }
    struct route_table *t = route_table_build(lines, len, true, &refused, &err);
    assert_non_null(t);
    for (int i = 0; i < COUNT; i++) {
        char host[32], app[32];
        snprintf(host, sizeof host, "h%d.test", i);
        snprintf(app, sizeof app, "a%d", i);
        const struct route_target *got = route_match(t, http_text_of(host), http_text_of("/"));
        assert_non_null(got);
        assert_string_equal(got->key.app, app);
    }
    route_table_unref(t);
    free(lines);
}

static void what_is_no_route_is_left_out_or_refused(void **state) {
    (void)state;
    size_t refused;
    struct err err;
    struct route_table *t =
        table(ROUTE("UPPER.test", "/", "a") ROUTE("ok.test", "x", "b") ROUTE("ok.test", "/", "c"),
            &refused);
    assert_int_equal(t->count, 1);
    assert_int_equal(refused, 2);
    route_table_unref(t);
    static const char nonsense[] = "{\"host\":\n";
    assert_null(route_table_build(nonsense, sizeof nonsense - 1, true, &refused, &err));
    t = table("", &refused);
    assert_null(route_match(t, http_text_of("a.test"), http_text_of("/")));
    route_table_unref(t);
}

static void the_order_of_lines_does_not_matter(void **state) {
    (void)state;
    size_t refused;
    struct route_table *one = table(ROUTE("a.test", "/", "x") ROUTE("a.test", "/", "y"), &refused);
    struct route_table *two = table(ROUTE("a.test", "/", "y") ROUTE("a.test", "/", "x"), &refused);
    const struct route_target *a = route_match(one, http_text_of("a.test"), http_text_of("/"));
    const struct route_target *b = route_match(two, http_text_of("a.test"), http_text_of("/"));
    assert_string_equal(a->key.app, b->key.app);
    route_table_unref(one);
    route_table_unref(two);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hosts_and_whole_segments_match),
        cmocka_unit_test(ten_thousand_routes_are_found),
        cmocka_unit_test(what_is_no_route_is_left_out_or_refused),
        cmocka_unit_test(the_order_of_lines_does_not_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
