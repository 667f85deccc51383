/* Tables fit the terminal. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include <paas/json_bind.h>

#include "show.h"

struct thing {
    char name[64];
    int64_t size, took, milli, release;
    bool well;
    char note[64];
};
static const struct json_type thing_json = { "thing", sizeof(struct thing),
    (const struct json_field[]){
        F_TEXT(thing, name, 0, ""),
        F_SIZE(thing, size, 0, INT64_MAX, 0, 0, ""),
        F_INT(thing, took, -1, INT64_MAX, 0, 0, ""),
        F_MILLI(thing, milli, 0, INT64_MAX, 0, 0, ""),
        F_INT(thing, release, 0, INT64_MAX, 0, 0, ""),
        F_BOOL(thing, well, 0, ""),
        F_TEXT(thing, note, 0, ""),
        { 0 },
    } };
static const struct column columns[] = {
    { "NAME", "name", FORM_PLAIN, 0 },
    { "SIZE", "size", FORM_PLAIN, 1 },
    { "TOOK", "took", FORM_MS, 3 },
    { "CPU", "milli", FORM_PLAIN, 2 },
    { "V", "release", FORM_RELEASE, 0 },
    { "WELL", "well", FORM_PLAIN, 0 },
    { "NOTE", "note", FORM_PLAIN, 0 },
    { 0 },
};
static struct thing things[] = {
    { "one", 128 << 20, 1500, 500, 3, true, "" },
    { "größer", 0, -1, 2000, 0, false, "a\tb\033[2J" },
};

/* What show_table prints; the caller frees it. */
static char *table(struct thing *items, size_t count, int width) {
    char *text = NULL;
    size_t len;
    FILE *to = open_memstream(&text, &len);
    show_table(to, columns, &thing_json, &(struct json_array){ items, count }, width);
    fclose(to);
    return text;
}

static void assert_table(struct thing *items, size_t count, int width, const char *wanted) {
    char *text = table(items, count, width);
    assert_string_equal(text, wanted);
    free(text);
}

static void all_columns_where_nothing_limits(void **state) {
    (void)state;
    assert_table(things, 2, 0,
        "NAME    SIZE  TOOK  CPU  V   WELL  NOTE\n"
        "one     128M  1.5s  0.5  v3  yes   -\n"
        "größer  0     -     2    -   no    a?b?[2J\n");
}

static void minor_columns_go_first(void **state) {
    (void)state;
    assert_table(things, 2, 36,
        "NAME    SIZE  CPU  V   WELL  NOTE\n"
        "one     128M  0.5  v3  yes   -\n"
        "größer  0     2    -   no    a?b?[2J\n");
    assert_table(things, 2, 28,
        "NAME    V   WELL  NOTE\n"
        "one     v3  yes   -\n"
        "größer  -   no    a?b?[2J\n");
}

static void long_cells_are_cut_in_the_middle(void **state) {
    (void)state;
    struct thing one = { .name = "abcdefghijklmnopqrstuvwxyz", .well = true, .note = "x" };
    assert_table(&one, 1, 30,
        "NAME             V  WELL  NOTE\n"
        "abcdefg…tuvwxyz  -  yes   x\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_columns_where_nothing_limits),
        cmocka_unit_test(minor_columns_go_first),
        cmocka_unit_test(long_cells_are_cut_in_the_middle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
