/* A real scheduler, from the first push to the last byte. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <paas/limits.h>
#include <paas/stream.h>

#include "lab.h"

/* --- the main job ------------------------------------------------------------------------------
 */

static void a_push_is_granted_reported_and_done(void **state) {
    struct lab *lab = *state;
    char image[80];
    lab_serve(lab, image);
    json_t *app = lab_must(lab, METHOD_GET, "/v1/apps/shop", NULL);
    assert_string_equal(lab_text(app, "url"), "http://shop.localhost:8080");
    assert_int_equal(lab_number(app, "release"), 1);
    assert_int_equal(lab_number(app, "desired"), 1);
    assert_int_equal(lab_number(app, "healthy"), 1);
    json_decref(app);
    json_t *rows = lab_must(lab, METHOD_GET, "/v1/apps/shop/instances", NULL);
    assert_int_equal(json_array_size(rows), 1);
    assert_string_equal(lab_text(json_array_get(rows, 0), "slot"), "web.1");
    json_decref(rows);
    json_t *event;
    lab_wait_event(lab, "shop", "instance-healthy", 0, &event);
    assert_string_equal(lab_text(event, "message"), "ready in 7 ms");
    json_decref(event);
    char *routes = lab_get_text(lab, LAB_PROXY, "/v1/routes");
    assert_non_null(strstr(routes, "\"host\":\"shop.localhost\",\"path\":\"/\",\"app\":\"shop\""));
    free(routes);
}

static void an_agent_reads_the_configuration_that_a_grant_names(void **state) {
    struct lab *lab = *state;
    char image[80], path[128];
    lab_serve(lab, image);
    char *text = lab_get_text(lab, LAB_AGENT, "/v1/nodes/n1/grants");
    char *at = strstr(text, "\"config\":\"");
    assert_non_null(at);
    snprintf(path, sizeof(path), "/v1/nodes/n1/config/%.71s", at + 10);
    free(text);
    json_t *config;
    assert_int_equal(lab_call(lab, LAB_AGENT, METHOD_GET, path, NULL, &config), 200);
    assert_string_equal(lab_text(config, "app"), "shop");
    assert_string_equal(lab_text(config, "image"), image);
    json_decref(config);
    assert_int_equal(lab_call(lab, LAB_OPERATOR, METHOD_GET, path, NULL, NULL), 403);
    assert_int_equal(lab_call(lab, LAB_PROXY, METHOD_GET, path, NULL, NULL), 403);
}

static void a_broken_release_fails_with_its_reason_and_the_old_one_serves(void **state) {
    struct lab *lab = *state;
    char image[80];
    lab_serve(lab, image);
    assert_int_equal(lab_push(lab, "shop", image, ",\"port\":81"), 2);
    lab_wait_grants(lab, "shop.web r1 1..1 demand\nshop.web r2 1..1\n");
    lab_report(lab, false, "bbbb web.2 shop web 2 failed wrong-port");
    json_t *event;
    lab_wait_event(lab, "shop", "rollout-failed", 0, &event);
    assert_string_equal(lab_text(event, "code"), "app-wrong-port");
    assert_string_equal(lab_text(event, "instance"), "bbbb");
    assert_int_equal(lab_number(event, "release"), 2);
    json_decref(event);
    lab_wait_grants(lab, "shop.web r1 1..1 demand\n");
    json_t *releases = lab_must(lab, METHOD_GET, "/v1/apps/shop/releases", NULL);
    assert_string_equal(lab_text(json_array_get(releases, 0), "state"), "failed");
    assert_string_equal(lab_text(json_array_get(releases, 1), "state"), "serving");
    json_decref(releases);
}

static void every_command_changes_the_grants(void **state) {
    struct lab *lab = *state;
    char image[80];
    lab_serve(lab, image);
    json_decref(lab_must(lab, METHOD_PUT, "/v1/apps/shop/scale",
        "{\"processes\":[{\"process\":\"web\",\"count\":3}]}"));
    lab_wait_grants(lab, "shop.web r1 3..3 demand\n");
    json_decref(lab_must(
        lab, METHOD_PUT, "/v1/apps/shop/autoscale", "{\"process\":\"web\",\"min\":1,\"max\":5}"));
    lab_wait_grants(lab, "shop.web r1 1..5 demand\n");
    json_decref(lab_must(lab, METHOD_POST, "/v1/apps/shop/stop", NULL));
    lab_wait_grants(lab, "shop.web r1 0..0\n"); /* what its start needs stays */
    json_decref(lab_must(lab, METHOD_POST, "/v1/apps/shop/start", NULL));
    lab_wait_grants(lab, "shop.web r1 1..5 demand\n");
    json_decref(lab_must(lab, METHOD_POST, "/v1/apps/shop/restart", NULL));
    lab_wait_grants(lab, "shop.web r1 1..5 demand\nshop.web r2 1..5\n");
    lab_report(lab, false, "bbbb web.2 shop web 2 healthy");
    lab_wait_grants(lab, "shop.web r2 1..5 demand\nshop.web r1 0..0 frozen 1\n");
    json_decref(lab_must(lab, METHOD_POST, "/v1/apps/shop/rollback", NULL));
    /* Its instance is there still. */
    lab_wait_grants(lab, "shop.web r1 1..5 demand\nshop.web r2 0..0 frozen 1\n");
    json_decref(lab_must(lab, METHOD_PATCH, "/v1/apps/shop/env", "{\"set\":{\"A\":\"1\"}}"));
    lab_wait_grants(lab, "shop.web r1 1..5 demand\nshop.web r3 1..5\nshop.web r2 0..0 frozen 1\n");
    json_t *env = lab_must(lab, METHOD_GET, "/v1/apps/shop/env", NULL);
    assert_string_equal(lab_text(json_object_get(env, "env"), "A"), "1");
    json_decref(env);
    json_decref(lab_must(lab, METHOD_DELETE, "/v1/apps/shop", NULL));
    lab_wait_grants(lab, "");
    assert_int_equal(lab_call(lab, LAB_OPERATOR, METHOD_GET, "/v1/apps/shop", NULL, NULL), 404);
}

static void routes_belong_to_one_app(void **state) {
    struct lab *lab = *state;
    char image[80];
    json_t *answer;
    lab_serve(lab, image);
    json_decref(lab_must(lab, METHOD_POST, "/v1/apps/shop/routes", "{\"host\":\"example.com\"}"));
    lab_push(lab, "other", image, "");
    assert_int_equal(lab_call(lab, LAB_OPERATOR, METHOD_POST, "/v1/apps/other/routes",
                         "{\"host\":\"example.com\"}", &answer),
        409);
    assert_non_null(strstr(lab_text(answer, "detail"), "\"shop\""));
    json_decref(answer);
    json_decref(lab_must(lab, METHOD_DELETE, "/v1/apps/shop/routes?host=example.com", NULL));
    json_decref(lab_must(lab, METHOD_POST, "/v1/apps/other/routes", "{\"host\":\"example.com\"}"));
}

/* --- death -------------------------------------------------------------------------------------
 */

static void what_was_acknowledged_survives_kill_and_the_term_grows(void **state) {
    struct lab *lab = *state;
    char image[80];
    lab_serve(lab, image);
    int64_t term = lab->term;
    for (int i = 2; i < 12; i++) {
        char body[128], grants[64];
        snprintf(body, sizeof(body), "{\"processes\":[{\"process\":\"web\",\"count\":%d}]}", i);
        json_decref(lab_must(lab, METHOD_PUT, "/v1/apps/shop/scale", body));
        lab_stop(lab, SIGKILL);
        lab_start(lab);
        /* Nothing is granted before the node has spoken. */
        assert_int_equal(
            lab_call(lab, LAB_AGENT, METHOD_GET, "/v1/nodes/n1/grants", NULL, NULL), 503);
        lab_report(lab, true, "aaaa web.1 shop web 1 healthy");
        snprintf(grants, sizeof(grants), "shop.web r1 %d..%d demand\n", i, i);
        lab_wait_grants(lab, grants);
        assert_true(lab->term > term);
        term = lab->term;
    }
}

static void a_kill_in_the_middle_of_changes_leaves_whole_ones(void **state) {
    struct lab *lab = *state;
    char image[80];
    lab_serve(lab, image);
    for (int i = 0; i < 10; i++) {
        pid_t killer = fork();
        if (killer == 0) {
            usleep((useconds_t)(i * 2000));
            kill(lab->pid, SIGKILL);
            _exit(0);
        }
        int64_t acknowledged = 0;
        lab->timeout = 1000; /* one that reached only the queue of the listener is not answered */
        for (;;) {
            json_t *answer = NULL;
            int status =
                lab_call(lab, LAB_OPERATOR, METHOD_POST, "/v1/apps/shop/restart", NULL, &answer);
            if (status == 200) {
                acknowledged = lab_number(answer, "release");
            }
            json_decref(answer);
            if (status != 200) {
                break;
            }
        }
        waitpid(killer, NULL, 0);
        waitpid(lab->pid, NULL, 0);
        lab->pid = 0;
        lab->timeout = LAB_DEADLINE_MS;
        lab_start(lab);
        json_t *releases = lab_must(lab, METHOD_GET, "/v1/apps/shop/releases", NULL);
        assert_true(lab_number(json_array_get(releases, 0), "release") >= acknowledged);
        json_decref(releases);
    }
}

static void a_verdict_is_durable_and_not_tried_again(void **state) {
    struct lab *lab = *state;
    char image[80];
    lab_serve(lab, image);
    lab_push(lab, "shop", image, "");
    lab_report(lab, false, "bbbb web.2 shop web 2 failed never-listened");
    int64_t failed = lab_wait_event(lab, "shop", "rollout-failed", 0, NULL);
    lab_stop(lab, SIGKILL);
    lab_start(lab);
    lab_report(lab, true, "aaaa web.1 shop web 1 healthy");
    lab_wait_grants(lab, "shop.web r1 1..1 demand\n");
    json_decref(lab_must(lab, METHOD_POST, "/v1/apps/shop/start", NULL));
    lab_wait_grants(lab, "shop.web r1 1..1 demand\nshop.web r2 1..1\n");
    lab_wait_event(lab, "shop", "rollout-started", failed, NULL);
}

struct watcher {
    struct follow *follow;
    int opened, lost;
};

static void on_opened(void *data) {
    ((struct watcher *)data)->opened++;
}

static void on_lost(void *data, const struct err *err) {
    (void)err;
    ((struct watcher *)data)->lost++;
}

static void on_watched_line(void *data, const char *line, size_t len) {
    (void)data;
    (void)line;
    (void)len;
}

static void watch(struct lab *lab, const char *path, struct watcher *watcher) {
    char socket[128], url[128];
    snprintf(socket, sizeof(socket), "%s/run/api.sock", lab->dir);
    snprintf(url, sizeof(url), "http://paas%s", path);
    struct follow_options options = { .client = lab->clients[LAB_OPERATOR],
        .framing = FOLLOW_LINES,
        .url = url,
        .unix_path = socket,
        .line = on_watched_line,
        .opened = on_opened,
        .lost = on_lost,
        .data = watcher };
    assert_int_equal(
        follow_open(&options, (struct stream_point){ 0, 0 }, &watcher->follow, NULL), 0);
    while (!watcher->opened) {
        uv_run(&lab->loop, UV_RUN_ONCE);
    }
}

static void sigterm_ends_it_cleanly_with_watchers_on_it(void **state) {
    struct lab *lab = *state;
    struct watcher events = { 0 }, routes = { 0 };
    char image[80];
    lab_serve(lab, image);
    watch(lab, "/v1/events", &events);
    watch(lab, "/v1/routes", &routes);
    int status = lab_stop(lab, SIGTERM);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    while (!events.lost || !routes.lost) {
        uv_run(&lab->loop, UV_RUN_ONCE);
    }
    follow_close(events.follow);
    follow_close(routes.follow);
    lab_start(lab);
    lab_wait_event(lab, "shop", "rollout-done", 0, NULL); /* the events are there again */
}

static void a_second_scheduler_on_the_same_data_is_refused(void **state) {
    struct lab *lab = *state;
    char data[128], said[512] = "";
    int pipes[2], status;
    snprintf(data, sizeof(data), "%s/data", lab->dir);
    assert_int_equal(pipe(pipes), 0);
    pid_t second = fork();
    if (second == 0) {
        dup2(pipes[1], 2);
        lab_become_scheduler();
        execl(lab_program, lab_program, "--data", data, "--run", "/tmp", "--node", "n1",
            "--platform", "27", (char *)NULL);
        _exit(127);
    }
    close(pipes[1]);
    assert_true(read(pipes[0], said, sizeof(said) - 1) > 0);
    close(pipes[0]);
    assert_int_equal(waitpid(second, &status, 0), second);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    assert_non_null(strstr(said, "another process uses the file"));
}

/* --- who and what ------------------------------------------------------------------------------
 */

static void only_the_right_ones_get_in(void **state) {
    struct lab *lab = *state;
    static const struct {
        enum lab_who who;
        enum http_method method;
        const char *path;
        int status;
    } rows[] = {
        { LAB_STRANGER, METHOD_GET, "/v1/apps", 403 },
        { LAB_STRANGER, METHOD_GET, "/v1/nodes/n1/grants", 403 },
        { LAB_STRANGER, METHOD_GET, "/healthz", 200 },
        { LAB_AGENT, METHOD_GET, "/v1/apps", 403 },
        { LAB_AGENT, METHOD_POST, "/v1/apps/shop/stop", 403 },
        { LAB_AGENT, METHOD_GET, "/v1/routes", 403 },
        { LAB_AGENT, METHOD_GET, "/v1/nodes/n2/grants", 403 },
        { LAB_AGENT, METHOD_GET, "/v2/", 200 },
        { LAB_PROXY, METHOD_GET, "/v1/nodes/n1/grants", 403 },
        { LAB_PROXY, METHOD_GET, "/v1/events", 403 },
        { LAB_OPERATOR, METHOD_GET, "/v1/nodes/n1/grants", 403 },
        { LAB_OPERATOR, METHOD_GET, "/v1/nothing", 404 },
        { LAB_OPERATOR, METHOD_DELETE, "/v1/apps", 405 },
        { LAB_OPERATOR, METHOD_GET, "/v1/status", 200 },
        { LAB_OPERATOR, METHOD_GET, "/v1/openapi.json", 200 },
        { LAB_OPERATOR, METHOD_GET, "/metrics", 200 },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        int status = lab_call(lab, rows[i].who, rows[i].method, rows[i].path, NULL, NULL);
        if (status != rows[i].status) {
            fail_msg("%s as %d: %d", rows[i].path, rows[i].who, status);
        }
    }
}

static void it_holds_no_privilege(void **state) {
    struct lab *lab = *state;
    static const char *const expected[] = { "CapInh:\t0000000000000000",
        "CapPrm:\t0000000000000000", "CapEff:\t0000000000000000", "CapAmb:\t0000000000000000",
        "NoNewPrivs:\t1", "Seccomp:\t2", "Groups:\t \n" };
    char path[64], text[8192];
    snprintf(path, sizeof(path), "/proc/%d/status", lab->pid);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    fclose(file);
    for (size_t i = 0; i < sizeof(expected) / sizeof(*expected); i++) {
        if (!strstr(text, expected[i])) {
            fail_msg("%s is missing in %s", expected[i], text);
        }
    }
}

static void a_secret_stays_where_it_belongs(void **state) {
    static const char secret[] = "canary-7f3a9";
    struct lab *lab = *state;
    char image[80], body[128];
    lab_serve(lab, image);
    snprintf(body, sizeof(body), "{\"set\":{\"TOKEN\":\"%s\"}}", secret);
    json_decref(lab_must(lab, METHOD_PATCH, "/v1/apps/shop/env", body));
    lab_wait_grants(lab, "shop.web r1 1..1 demand\nshop.web r2 1..1\n");
    static const char *const paths[] = { "/v1/events", "/v1/apps", "/v1/apps/shop",
        "/v1/apps/shop/releases", "/v1/instances?all", "/v1/nodes", "/v1/status", "/metrics" };
    for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
        char *text = lab_get_text(lab, LAB_OPERATOR, paths[i]);
        if (strstr(text, secret)) {
            fail_msg("%s shows the secret", paths[i]);
        }
        free(text);
    }
    char *text = lab_get_text(lab, LAB_AGENT, "/v1/nodes/n1/grants");
    assert_null(strstr(text, secret));
    free(text);
    text = lab_get_text(lab, LAB_PROXY, "/v1/routes");
    assert_null(strstr(text, secret));
    free(text);
    text = lab_get_text(lab, LAB_OPERATOR, "/v1/apps/shop/env");
    assert_non_null(strstr(text, secret)); /* the search can find it */
    free(text);
}

static void a_full_disk_refuses_changes_and_serves_on(void **state) {
    struct lab *lab = *state;
    char image[80], *body = malloc(300000);
    json_t *answer;
    assert_int_equal(WEXITSTATUS(lab_stop(lab, SIGTERM)), 0);
    lab_limit_disk(lab, "size=2m");
    lab_start(lab);
    lab_serve(lab, image);
    int status = 200, sent = 0;
    strcpy(body, "{\"set\":{");
    for (int i = 0; i < 7; i++) {
        sprintf(body + strlen(body), "%s\"V%d\":\"%030000d\"", i ? "," : "", i, 0);
    }
    strcat(body, ",\"N\":\"      \"}}");
    char *number = strstr(body, "      ");
    for (; status == 200 && sent < 60; sent++) {
        memcpy(number, "      ", 6);
        number[sprintf(number, "%d", sent)] = ' ';
        status = lab_call(lab, LAB_OPERATOR, METHOD_PATCH, "/v1/apps/shop/env", body, &answer);
        if (status != 200) {
            assert_string_equal(lab_text(answer, "code"), "full");
        }
        json_decref(answer);
    }
    assert_int_equal(status, 507);
    assert_true(sent > 1);
    free(body);
    lab_report(lab, false, "");
    json_decref(lab_must(lab, METHOD_GET, "/v1/apps", NULL));
    lab_limit_disk(lab, "size=16m"); /* room is made */
    json_decref(lab_must(lab, METHOD_DELETE, "/v1/apps/shop", NULL));
    assert_int_equal(lab_push(lab, "shop", image, ""), 1);
}

static void pushes_at_once_leave_one_that_serves(void **state) {
    enum { PUSHERS = 6 };
    struct lab *lab = *state;
    char image[80];
    lab_serve(lab, image);
    pid_t pids[PUSHERS];
    for (int i = 0; i < PUSHERS; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            struct lab own = *lab;
            uv_loop_init(&own.loop);
            http_client_create(&own.loop, &own.clients[LAB_OPERATOR], NULL);
            for (int n = 0; n < 4; n++) {
                lab_push(&own, "shop", image, "");
            }
            _exit(0);
        }
    }
    for (int i = 0; i < PUSHERS; i++) {
        int status;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
    lab_wait_grants(lab, "shop.web r1 1..1 demand\nshop.web r25 1..1\n");
    lab_report(lab, false, "bbbb web.2 shop web 25 healthy");
    lab_wait_grants(lab, "shop.web r25 1..1 demand\nshop.web r1 0..0 frozen 1\n");
    json_t *releases = lab_must(lab, METHOD_GET, "/v1/apps/shop/releases", NULL);
    for (size_t i = 1; i < 24; i++) {
        assert_string_equal(lab_text(json_array_get(releases, i), "state"), "superseded");
    }
    json_decref(releases);
}

static void tcp_is_for_holders_of_the_token_that_call_it_by_address(void **state) {
    struct lab *lab = *state;
    lab_use_tcp(lab, "correct-horse");
    assert_int_equal(WEXITSTATUS(lab_stop(lab, SIGTERM)), 0);
    lab_start(lab);
    assert_int_equal(lab_call_tcp(lab, "correct-horse", NULL, "/v1/apps"), 200);
    assert_int_equal(lab_call_tcp(lab, "correct-horse", "localhost", "/v1/apps"), 200);
    assert_int_equal(lab_call_tcp(lab, "correct-hors", NULL, "/v1/apps"), 401);
    assert_int_equal(lab_call_tcp(lab, "", NULL, "/v1/apps"), 401);
    assert_int_equal(lab_call_tcp(lab, NULL, NULL, "/v1/apps"), 401);
    assert_int_equal(lab_call_tcp(lab, "correct-horse", "evil.example", "/v1/apps"), 403);
    assert_int_equal(lab_call_tcp(lab, "correct-horse", NULL, "/v1/nodes/n1/grants"), 403);
}

static void bad_input_is_refused_in_words(void **state) {
    struct lab *lab = *state;
    char image[80], name[400], path[500];
    lab_serve(lab, image);
    memset(name, 'n', 300);
    name[300] = '\0';
    snprintf(path, sizeof(path), "/v1/apps/%s/releases", name);
    const struct {
        enum http_method method;
        const char *path, *body;
        int status;
    } rows[] = {
        { METHOD_POST, "/v1/apps/shop/releases", "{", 400 },
        { METHOD_POST, "/v1/apps/shop/releases", "", 400 },
        { METHOD_POST, "/v1/apps/shop/releases", "[]", 422 },
        { METHOD_POST, "/v1/apps/shop/releases", "{\"imaeg\":\"\"}", 422 },
        { METHOD_POST, "/v1/apps/shop/releases", "{\"image\":\"sha256:1\"}", 422 },
        { METHOD_POST, "/v1/apps/shop/releases", "{\"instances\":99999999999999999999}", 400 },
        { METHOD_POST, "/v1/apps/shop/releases", "{\"instances\":1e300}", 422 },
        { METHOD_POST, "/v1/apps/shop/releases", "{\"memory\":\"9999999T\"}", 422 },
        { METHOD_POST, "/v1/apps/shop/releases",
            "{\"image\":\"sha256:"
            "0000000000000000000000000000000000000000000000000000000000000000\"}",
            404 },
        { METHOD_POST, path, "{}", 422 },
        { METHOD_POST, "/v1/apps/a%2Fb/releases", "{}", 422 },
        { METHOD_POST, "/v1/apps/..%2F..%2Fx/releases", "{}", 422 },
        { METHOD_POST, "/v1/apps/a%00b/releases", "{}", 400 },
        { METHOD_PUT, "/v1/apps/shop/scale", "{\"processes\":[{\"process\":\"web\",\"count\":-1}]}",
            422 },
        { METHOD_PUT, "/v1/apps/shop/scale",
            "{\"processes\":[{\"process\":\"web\",\"count\":1000000}]}", 422 },
        { METHOD_PUT, "/v1/apps/shop/scale", "{\"processes\":[{\"process\":\"wb\",\"count\":1}]}",
            404 },
        { METHOD_PUT, "/v1/apps/shop/autoscale", "{\"process\":\"web\",\"min\":3,\"max\":2}", 422 },
        { METHOD_POST, "/v1/apps/nobody/stop", NULL, 404 },
        { METHOD_POST, "/v1/apps/shop/rollback", "{\"release\":99}", 404 },
        { METHOD_POST, "/v1/apps/shop/kill", "{\"instance\":\"web.9\"}", 404 },
        { METHOD_POST, "/v1/apps/shop/kill", "{\"signal\":\"SIGNOT\"}", 422 },
        { METHOD_POST, "/v1/apps/shop/exec", "{\"command\":[]}", 422 },
        { METHOD_PATCH, "/v1/apps/shop/env", "{\"set\":{\"A=B\":\"1\"}}", 422 },
        { METHOD_GET, "/v1/events?after=x", NULL, 422 },
        { METHOD_GET, "/v1/events?app=A%2F", NULL, 422 },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        json_t *answer;
        int status =
            lab_call(lab, LAB_OPERATOR, rows[i].method, rows[i].path, rows[i].body, &answer);
        if (status != rows[i].status || !lab_text(answer, "detail")[0]) {
            fail_msg("%s %s: %d %s", rows[i].path, rows[i].body ? rows[i].body : "", status,
                lab_text(answer, "detail"));
        }
        json_decref(answer);
    }
    char *large = malloc(2 << 20);
    memset(large, ' ', (2 << 20) - 1);
    large[(2 << 20) - 1] = '\0';
    assert_int_equal(
        lab_call(lab, LAB_OPERATOR, METHOD_POST, "/v1/apps/shop/releases", large, NULL), 413);
    free(large);
    lab_wait_state(lab, "shop", "running");
}

static void a_report_that_is_not_one_changes_nothing(void **state) {
    struct lab *lab = *state;
    char image[80];
    lab_serve(lab, image);
    static const char *const bodies[] = { "", "x", "{}", "{\"node\":\"n2\"}\n",
        "{\"node\":\"n1\",\"instances\":5}\n", "{\"node\":\"n1\",\"instances\":99999}\n",
        "{\"node\":\"n1\",\"term\":9223372036854775807}\n",
        "{\"node\":\"n1\",\"instances\":1}\n{\"id\":\"x\"}\n" };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(*bodies); i++) {
        int status = lab_call(lab, LAB_AGENT, METHOD_POST, "/v1/nodes/n1/report", bodies[i], NULL);
        if (status < 400 || status >= 500) {
            fail_msg("\"%s\": %d", bodies[i], status);
        }
    }
    lab_wait_state(lab, "shop", "running");
}

static void an_end_is_told_once(void **state) {
    struct lab *lab = *state;
    char image[80];
    lab_serve(lab, image);
    for (int i = 0; i < 3; i++) {
        lab_report(lab, false, "aaaa web.1 shop web 1 failed exited");
    }
    char *text = lab_get_text(lab, LAB_OPERATOR, "/v1/events?app=shop");
    char *first = strstr(text, "\"instance-ended\"");
    assert_non_null(first);
    assert_null(strstr(first + 1, "\"instance-ended\""));
    free(text);
    json_t *rows = lab_must(lab, METHOD_GET, "/v1/apps/shop/instances?all", NULL);
    assert_int_equal(json_array_size(rows), 1);
    json_decref(rows);
    rows = lab_must(lab, METHOD_GET, "/v1/apps/shop/instances", NULL);
    assert_int_equal(json_array_size(rows), 0);
    json_decref(rows);
}

/* How many events of the app have that type. */
static int count_events(struct lab *lab, const char *type) {
    char *text = lab_get_text(lab, LAB_OPERATOR, "/v1/events?app=shop");
    int count = 0;
    for (char *at = text; (at = strstr(at, type)); at++) {
        count++;
    }
    free(text);
    return count;
}

static void a_new_scheduler_tells_nothing_twice(void **state) {
    struct lab *lab = *state;
    char image[80];
    lab_serve(lab, image);
    /* The end is reported until its event is kept: a kill in between loses nothing. */
    while (lab_report(lab, false,
               "aaaa web.1 shop web 1 failed exited\n"
               "bbbb web.2 shop web 1 healthy") != 200) {
    }
    for (int i = 0; i < 3; i++) {
        lab_stop(lab, SIGKILL);
        lab_start(lab);
        lab_report(lab, true,
            "aaaa web.1 shop web 1 failed exited\n"
            "bbbb web.2 shop web 1 healthy");
        assert_int_equal(count_events(lab, "\"instance-ended\""), 1);
        assert_int_equal(count_events(lab, "\"instance-healthy\""), 2);
        assert_int_equal(count_events(lab, "\"instance-starting\""), 2);
    }
    /* What it remembers and nobody reports has ended unseen. */
    lab_report(lab, true, "");
    assert_int_equal(count_events(lab, "\"instance-ended\""), 2);
}

static void old_events_outlive_many_schedulers(void **state) {
    struct lab *lab = *state;
    char image[80];
    lab_serve(lab, image);
    for (int i = 0; i < 12; i++) { /* the numbers go on above a gap each time */
        lab_stop(lab, SIGKILL);
        lab_start(lab);
        lab_report(lab, true, "aaaa web.1 shop web 1 healthy");
        lab_report(lab, true, "");
    }
    assert_int_equal(count_events(lab, "\"release-created\""), 1);
}

#define TEST(F) cmocka_unit_test_setup_teardown(F, lab_set_up, lab_tear_down)

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        TEST(a_push_is_granted_reported_and_done),
        TEST(an_agent_reads_the_configuration_that_a_grant_names),
        TEST(a_broken_release_fails_with_its_reason_and_the_old_one_serves),
        TEST(every_command_changes_the_grants),
        TEST(routes_belong_to_one_app),
        TEST(what_was_acknowledged_survives_kill_and_the_term_grows),
        TEST(a_kill_in_the_middle_of_changes_leaves_whole_ones),
        TEST(a_verdict_is_durable_and_not_tried_again),
        TEST(sigterm_ends_it_cleanly_with_watchers_on_it),
        TEST(a_second_scheduler_on_the_same_data_is_refused),
        TEST(only_the_right_ones_get_in),
        TEST(it_holds_no_privilege),
        TEST(a_secret_stays_where_it_belongs),
        TEST(a_full_disk_refuses_changes_and_serves_on),
        TEST(pushes_at_once_leave_one_that_serves),
        TEST(tcp_is_for_holders_of_the_token_that_call_it_by_address),
        TEST(bad_input_is_refused_in_words),
        TEST(a_report_that_is_not_one_changes_nothing),
        TEST(an_end_is_told_once),
        TEST(a_new_scheduler_tells_nothing_twice),
        TEST(old_events_outlive_many_schedulers),
    };
    lab_program = argc > 1 ? argv[1] : "bin/paas-scheduler";
    return cmocka_run_group_tests(tests, NULL, NULL);
}
