/* Structs from JSON and back. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include <paas/wire.h>

static const char whole[] =
    "{\"$schema\":\"x\",\"stack\":\"host\",\"processes\":{\"web\":{\"command\":[\"./server\",\"-v\"],"
    "\"port\":8080,\"instances\":2,\"memory\":\"128M\",\"cpus\":0.5,"
    "\"health\":{\"path\":\"/healthz\",\"interval\":\"1s\",\"timeout\":\"500ms\"},"
    "\"stop\":{\"signal\":\"SIGTERM\",\"grace\":\"10s\"}},\"worker\":{\"command\":[\"w\"]}},"
    "\"env\":{\"GREETING\":\"hello\"},\"routes\":[\"hello.example.com\"]}";

static int decode(const char *text, struct manifest *m, struct err *err) {
    return json_decode(&manifest_json, text, strlen(text), m, err);
}

static void a_whole_manifest_is_read(void **state) {
    (void)state;
    struct manifest m;
    struct err err;
    assert_int_equal(decode(whole, &m, &err), 0);
    const struct process_spec *web = m.processes.items;
    assert_int_equal(m.processes.count, 2);
    assert_string_equal(web->name, "web");
    assert_string_equal(web->command.items[1], "-v");
    assert_int_equal(web->memory, 128 << 20);
    assert_int_equal(web->cpus, 500);
    assert_int_equal(web->health.timeout, 500);
    assert_int_equal(web->health.unhealthy_after, 3);
    assert_int_equal(web->stop.grace, 10000);
    assert_string_equal(pairs_get(&m.env, "GREETING"), "hello");
    assert_int_equal(manifest_check(&m, &err), 0);
    json_free(&manifest_json, &m);
}

static void writing_and_reading_again_is_the_same(void **state) {
    (void)state;
    struct manifest m, again, copy;
    struct err err;
    struct buf first, second, third;
    buf_init(&first, 1 << 20);
    buf_init(&second, 1 << 20);
    buf_init(&third, 1 << 20);
    assert_int_equal(decode(whole, &m, &err), 0);
    json_encode(&manifest_json, &m, &first);
    assert_int_equal(decode(first.data, &again, &err), 0);
    json_encode(&manifest_json, &again, &second);
    assert_string_equal(first.data, second.data);
    assert_int_equal(json_clone(&manifest_json, &m, &copy, &err), 0);
    json_encode(&manifest_json, &copy, &third);
    assert_string_equal(first.data, third.data);
    json_free(&manifest_json, &m);
    json_free(&manifest_json, &again);
    json_free(&manifest_json, &copy);
    buf_free(&first);
    buf_free(&second);
    buf_free(&third);
}

static void errors_name_the_place(void **state) {
    (void)state;
    static const struct {
        const char *text, *words;
        enum err_code code;
    } rows[] = {
        { "{", "not JSON at line 1", ERR_BAD_REQUEST },
        { "[]", "an object is expected", ERR_BAD_VALUE },
        { "{\"processes\":{\"web\":{\"port\":70000}}}",
            "processes.web.port: 70000 is not in 1..65535", ERR_BAD_VALUE },
        { "{\"processes\":{\"web\":{\"memry\":\"1M\"}}}",
            "processes.web.memry: unknown key; did you mean \"memory\"?", ERR_UNKNOWN_KEY },
        { "{\"processes\":{\"web\":{\"command\":[\"a\",1]}}}",
            "processes.web.command[1]: a string is expected", ERR_BAD_VALUE },
        { "{\"processes\":{\"../x\":{}}}", "processes: \"../x\" is not a name", ERR_BAD_VALUE },
        { "{\"processes\":{\"web\":{\"cpus\":1e999}}}", "not JSON", ERR_BAD_REQUEST },
        { "{\"processes\":{\"web\":{\"cpus\":1e300}}}", "processes.web.cpus", ERR_BAD_VALUE },
        { "{\"processes\":{\"web\":{\"memory\":-5}}}", "processes.web.memory", ERR_BAD_VALUE },
        { "{\"stack\":\"hots\",\"processes\":{}}", "did you mean \"host\"?", ERR_BAD_VALUE },
        { "{\"processes\":{\"web\":{\"rootfs\":\"disc\"}}}",
            "processes.web.rootfs: \"disc\" is not known; did you mean \"disk\"?", ERR_BAD_VALUE },
        { "{\"env\":{}}", "processes: it is missing", ERR_BAD_VALUE },
        { "{\"env\":{\"a\":\"b\",\"a\":\"c\"}}", "not JSON", ERR_BAD_REQUEST },
        { "{\"env\":{\"a\":\"x\\u0000y\"}}", "not JSON", ERR_BAD_REQUEST },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct manifest m;
        struct err err = { 0 };
        assert_int_equal(decode(rows[i].text, &m, &err), -1);
        if (err.code != rows[i].code || !strstr(err.text, rows[i].words)) {
            fail_msg("%s: %s", rows[i].text, err.text);
        }
        assert_int_equal(m.processes.count, 0);
    }
}

static void nesting_is_bounded(void **state) {
    (void)state;
    char text[4096];
    struct manifest m;
    struct err err;
    memset(text, '[', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    assert_int_equal(decode(text, &m, &err), -1);
    assert_non_null(strstr(err.text, "nested deeper"));
}

static void strings_of_bytes_stay_json(void **state) {
    (void)state;
    struct buf b;
    buf_init(&b, 1024);
    buf_json_string(&b, "a\"\\\n\x01\xff\xc3\xa9\xed\xa0\x80", 11);
    assert_string_equal(
        b.data, "\"a\\\"\\\\\\n\\u0001\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
    buf_free(&b);
}

static void checks_say_what_a_table_can_not(void **state) {
    (void)state;
    static const struct {
        const char *text, *words;
    } rows[] = {
        { "{\"processes\":{}}", "there is none" },
        { "{\"processes\":{\"web\":{\"autoscale\":{\"min\":5,\"max\":2}}}}", "min: 5 is greater" },
        { "{\"processes\":{\"web\":{\"stop\":{\"signal\":\"SIGFOO\"}}}}", "is not a signal" },
        { "{\"processes\":{\"web\":{\"health\":{\"path\":\"x\"}}}}", "must begin with /" },
        { "{\"processes\":{\"web\":{}},\"routes\":[\"a b\"]}", "routes[0]" },
        { "{\"processes\":{\"web\":{}},\"env\":{\"a=b\":\"c\"}}", "can't name a variable" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct manifest m;
        struct err err = { 0 };
        assert_int_equal(decode(rows[i].text, &m, &err), 0);
        assert_int_equal(manifest_check(&m, &err), -1);
        assert_int_equal(err.code, ERR_BAD_MANIFEST);
        if (!strstr(err.text, rows[i].words)) {
            fail_msg("%s: %s", rows[i].text, err.text);
        }
        json_free(&manifest_json, &m);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_manifest_is_read),
        cmocka_unit_test(writing_and_reading_again_is_the_same),
        cmocka_unit_test(errors_name_the_place),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(strings_of_bytes_stay_json),
        cmocka_unit_test(checks_say_what_a_table_can_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
