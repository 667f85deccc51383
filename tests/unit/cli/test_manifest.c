/* Procfiles, and places in paas.json. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <paas/file.h>
#include <paas/wire.h>

#include "manifest.h"

/* A line, and its words joined by '|'. */
static const struct {
    const char *line, *words;
} commands[] = {
    { "node server.js", "node|server.js" },
    { "  ./server  --flag   x\t", "./server|--flag|x" },
    { "run 'a b' \"c d\"e", "run|a b|c de" },
    { "run '' x", "run||x" },
    { "run 'it''s' '\"'", "run|its|\"" },
    { "run '$HOME'", "run|$HOME" },
    { "server -p $PORT", "/bin/sh|-c|exec server -p $PORT" },
    { "server -p \"$PORT\"", "/bin/sh|-c|exec server -p \"$PORT\"" },
    { "ls *.js", "/bin/sh|-c|exec ls *.js" },
    { "a && b", "/bin/sh|-c|a && b" },
    { "a | b", "/bin/sh|-c|a | b" },
    { "FOO=1 server", "/bin/sh|-c|FOO=1 server" },
    { "./a=b c", "./a=b|c" },
};

static void commands_become_words_or_a_shell(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        struct strings words = { 0 };
        char joined[256] = "";
        assert_int_equal(manifest_command(commands[i].line, &words, NULL), 0);
        for (size_t j = 0; j < words.count; j++) {
            snprintf(joined + strlen(joined), sizeof joined - strlen(joined), "%s%s", j ? "|" : "",
                words.items[j]);
        }
        assert_string_equal(joined, commands[i].words);
        strings_free(&words);
    }
}

static void a_procfile_names_processes(void **state) {
    (void)state;
    struct manifest m;
    assert_int_equal(manifest_procfile("# mine\n\nweb: node a.js\r\nworker:  ./w\n", &m, NULL), 0);
    const struct process_spec *specs = m.processes.items;
    assert_int_equal(m.processes.count, 2);
    assert_int_equal(m.stack, STACK_HOST);
    assert_string_equal(specs[0].name, "web");
    assert_string_equal(specs[0].command.items[1], "a.js");
    assert_string_equal(specs[1].command.items[0], "./w");
    assert_int_equal(specs[1].memory, MEMORY_DEFAULT);
    json_free(&manifest_json, &m);
}

static void a_bad_procfile_is_refused_with_its_line(void **state) {
    (void)state;
    static const struct {
        const char *text, *words;
    } bad[] = {
        { "", "there is no process in it" },
        { "web node\n", "line 1: not \"name: command\"" },
        { "web: a\nWeb: b\n", "line 2: \"Web\" is not a name of a process" },
        { "web: a\nweb: b\n", "line 2: the process web is there twice" },
        { "web: 'a\n", "line 1: a quote has no end" },
        { "web:\n", "line 1: not \"name: command\"" },
        { "release: ./migrate\n", "line 1: a release process is not supported" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct manifest m;
        struct err err = { 0 };
        assert_int_equal(manifest_procfile(bad[i].text, &m, &err), -1);
        assert_string_equal(err.text, bad[i].words);
    }
}

static void a_place_has_a_line_and_a_column(void **state) {
    (void)state;
    const char *text = "{\n \"a\": \"web\",\n \"processes\": { \"web\":\n"
                       "  { \"x\": [\"}\"], \"port\": 1 } },\n \"routes\": [\"h\"] }";
    static const struct {
        const char *place;
        int line, column;
    } places[] = {
        { "processes.web.port", 4, 17 },
        { "processes.web", 3, 17 },
        { "processes", 3, 2 },
        { "routes[0]", 5, 2 },
        { "a", 2, 2 },
        { "port", 0, 0 },
        { "processes.worker", 0, 0 },
    };
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        int line, column;
        manifest_locate(text, places[i].place, &line, &column);
        assert_int_equal(line, places[i].line);
        assert_int_equal(column, places[i].column);
    }
}

static void errors_of_paas_json_name_place_and_nearest_key(void **state) {
    (void)state;
    char dir[] = "/tmp/paas-manifest.XXXXXX", path[64];
    static const struct {
        const char *text, *words;
        enum err_code code;
    } bad[] = {
        { "{\"processes\":{\"web\":{\"prot\":1}}}",
            "paas.json:1:22: processes.web.prot: unknown key; did you mean \"port\"?",
            ERR_UNKNOWN_KEY },
        { "{\"processes\":{\"web\":{\"port\":0}}}",
            "paas.json:1:22: processes.web.port: 0 is not in 1..65535", ERR_BAD_VALUE },
        { "{\"processes\":{}}", "paas.json:1:2: processes: there is none", ERR_BAD_MANIFEST },
    };
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/paas.json", dir);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct manifest m;
        struct manifest_source source;
        struct err err = { 0 };
        assert_int_equal(
            file_write_whole(AT_FDCWD, path, bad[i].text, strlen(bad[i].text), 0644, 0, NULL), 0);
        assert_int_equal(manifest_load(dir, &m, &source, &err), -1);
        assert_string_equal(err.text, bad[i].words);
        assert_int_equal(err.code, bad[i].code);
    }
    unlink(path);
    rmdir(dir);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_become_words_or_a_shell),
        cmocka_unit_test(a_procfile_names_processes),
        cmocka_unit_test(a_bad_procfile_is_refused_with_its_line),
        cmocka_unit_test(a_place_has_a_line_and_a_column),
        cmocka_unit_test(errors_of_paas_json_name_place_and_nearest_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
