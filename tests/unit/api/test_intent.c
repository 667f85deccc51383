/* Every change of what is desired, without store, core or server. SPDX-License-Identifier:
 * Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <paas/digest.h>
#include <paas/intent.h>
#include <paas/wire.h>

#define DIGEST_A "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define DIGEST_B "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

struct desk {
    struct intent intent;
    struct oci_image image;
    struct change_answer answer;
    struct err err;
    char notes[4096]; /* of the last change: "type[ code]" a line */
};

static const char image_manifest[] =
    "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\","
    "\"config\":{\"mediaType\":\"application/vnd.oci.image.config.v1+json\",\"digest\":\"" DIGEST_A
    "\",\"size\":10},\"layers\":[{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar\","
    "\"digest\":\"" DIGEST_B "\",\"size\":10}]}";
static const char image_config[] =
    "{\"os\":\"linux\",\"architecture\":\"amd64\",\"config\":{\"User\":\"app\",\"WorkingDir\":\"/"
    "srv\","
    "\"Env\":[\"PATH=/bin\",\"COLOR=red\"],\"Entrypoint\":[\"/bin/serve\"],\"Cmd\":[\"-v\"],"
    "\"ExposedPorts\":{\"9000/tcp\":{}},\"StopSignal\":\"SIGINT\"},"
    "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"" DIGEST_A "\"]}}";

static int begin(void **state) {
    struct desk *d = calloc(1, sizeof(*d));
    assert_non_null(d);
    intent_init(&d->intent);
    if (oci_image_decode(DIGEST_A, image_manifest, strlen(image_manifest), image_config,
            strlen(image_config), &d->image, &d->err) < 0) {
        fail_msg("%s", d->err.text);
    }
    *state = d;
    return 0;
}

static int end(void **state) {
    struct desk *d = *state;
    oci_image_free(&d->image);
    intent_free(&d->intent);
    free(d);
    return 0;
}

/* Ends a change as the driver does: keeps and commits it, or undoes it. Returns rc. */
static int settle(struct desk *d, int rc) {
    d->notes[0] = '\0';
    for (size_t i = 0; rc == 0 && i < d->intent.note_count; i++) {
        const struct event *e = &d->intent.notes[i];
        sprintf(d->notes + strlen(d->notes), "%s%s%s\n", e->type, e->code[0] ? " " : "", e->code);
    }
    if (rc < 0) {
        intent_undo(&d->intent);
    } else {
        intent_commit(&d->intent);
    }
    assert_int_equal(d->intent.staged_count, 0);
    return rc;
}

#define CHANGE(D, CALL) (intent_begin(&(D)->intent), err_clear(&(D)->err), settle(D, CALL))

static int push(struct desk *d, const char *app, const char *json, bool with_image) {
    struct release_request request;
    if (json_decode(&release_request_json, json, strlen(json), &request, &d->err) < 0) {
        return -1;
    }
    struct intent_push what = { .request = &request, .image = with_image ? &d->image : NULL };
    int rc = CHANGE(d, intent_push(&d->intent, app, &what, 1000, &d->answer, &d->err));
    json_free(&release_request_json, &request);
    return rc;
}

static int verdict(struct desk *d, const char *app, int64_t release, bool done) {
    const struct app_row *row = intent_app(&d->intent, app);
    struct intent_verdict v = { .app = app,
        .release = release,
        .attempt = row->attempt,
        .done = done,
        .code = ERR_APP_PORT,
        .reason = "web.1 listens on 81",
        .process = "web",
        .instance = "" };
    return CHANGE(d, intent_verdict(&d->intent, &v, &d->err));
}

/* An app "shop" whose release 1 serves. */
static void serve(struct desk *d) {
    assert_int_equal(push(d, "shop", "{}", true), 0);
    assert_int_equal(verdict(d, "shop", 1, true), 0);
}

static const struct release_config *config_of(struct desk *d, const char *app, int64_t release) {
    const struct release_entry *entry = app_release(intent_app(&d->intent, app), release);
    assert_non_null(entry);
    return &intent_config(&d->intent, entry->config)->value;
}

static const struct process_spec *web_of(const struct release_config *config) {
    return config->processes.items;
}

/* --- releases --------------------------------------------------------------------------------- */

static void a_push_without_paas_json_runs_what_the_image_says(void **state) {
    struct desk *d = *state;
    assert_int_equal(push(d, "shop", "{}", true), 0);
    assert_string_equal(d->notes, "release-created\nrollout-started\nroute-added\n");
    const struct app_row *row = intent_app(&d->intent, "shop");
    assert_int_equal(row->target, 1);
    assert_int_equal(row->serving, 0);
    assert_int_equal(d->answer.release, 1);
    assert_string_equal(((struct route_request *)row->routes.items)[0].host, "shop.localhost");
    const struct release_config *config = config_of(d, "shop", 1);
    assert_string_equal(config->user, "app");
    assert_string_equal(config->working_dir, "/srv");
    assert_string_equal(config->layers.items[0], DIGEST_A);
    assert_string_equal(config->blobs.items[0], DIGEST_B);
    assert_string_equal(pairs_get(&config->env, "COLOR"), "red");
    const struct process_spec *web = web_of(config);
    assert_string_equal(web->name, "web");
    assert_int_equal(web->command.count, 2);
    assert_string_equal(web->command.items[1], "-v");
    assert_int_equal(web->port, 9000);
    assert_string_equal(web->stop.signal, "SIGINT");
}

static void env_is_image_then_paas_json_then_commands(void **state) {
    struct desk *d = *state;
    assert_int_equal(push(d, "shop", "{\"env\":{\"COLOR\":\"blue\",\"SIZE\":\"1\"}}", true), 0);
    assert_string_equal(pairs_get(&config_of(d, "shop", 1)->env, "COLOR"), "blue");
    struct pair pair = { (char *)"COLOR", (char *)"green" };
    struct env_request request = { .set = { &pair, 1 } };
    assert_int_equal(
        CHANGE(d, intent_env(&d->intent, "shop", &request, 2000, &d->answer, &d->err)), 0);
    assert_int_equal(d->answer.release, 2);
    assert_string_equal(pairs_get(&config_of(d, "shop", 2)->env, "COLOR"), "green");
    assert_string_equal(pairs_get(&config_of(d, "shop", 2)->env, "SIZE"), "1");
    /* The same again changes nothing. */
    assert_int_equal(
        CHANGE(d, intent_env(&d->intent, "shop", &request, 2000, &d->answer, &d->err)), 0);
    assert_int_equal(d->answer.release, 2);
    char *name = (char *)"COLOR";
    struct env_request unset = { .unset = { &name, 1 } };
    assert_int_equal(
        CHANGE(d, intent_env(&d->intent, "shop", &unset, 2000, &d->answer, &d->err)), 0);
    assert_string_equal(pairs_get(&config_of(d, "shop", 3)->env, "COLOR"), "blue");
}

static void overrides_go_to_web_and_are_bounded(void **state) {
    struct desk *d = *state;
    assert_int_equal(push(d, "shop",
                         "{\"instances\":3,\"memory\":\"64M\",\"cpus\":0.5,\"port\":81,"
                         "\"health\":\"/ok\"}",
                         true),
        0);
    const struct process_spec *web = web_of(config_of(d, "shop", 1));
    assert_int_equal(web->instances, 3);
    assert_int_equal(web->memory, 64 << 20);
    assert_int_equal(web->cpus, 500);
    assert_int_equal(web->port, 81);
    assert_string_equal(web->health.path, "/ok");
    assert_int_equal(push(d, "shop", "{\"memory\":1024}", true), -1);
    assert_int_equal(d->err.code, ERR_BAD_VALUE);
    assert_int_equal(push(d, "shop", "{\"instances\":100000}", true), -1);
    assert_int_equal(push(d, "shop", "{\"instances\":-1}", true), -1);
}

static void a_push_without_an_image_takes_the_current_one(void **state) {
    struct desk *d = *state;
    assert_int_equal(push(d, "shop", "{}", false), -1);
    assert_int_equal(d->err.code, ERR_BAD_REQUEST);
    assert_null(intent_app(&d->intent, "shop"));
    serve(d);
    assert_int_equal(push(d, "shop", "{\"port\":81}", false), 0);
    assert_string_equal(config_of(d, "shop", 2)->image, DIGEST_A);
    assert_int_equal(web_of(config_of(d, "shop", 2))->port, 81);
    assert_string_equal(web_of(config_of(d, "shop", 2))->command.items[0], "/bin/serve");
}

static void a_process_without_any_command_is_refused(void **state) {
    struct desk *d = *state;
    strings_free(&d->image.config.run.entrypoint);
    strings_free(&d->image.config.run.command);
    assert_int_equal(push(d, "shop", "{}", true), -1);
    assert_int_equal(d->err.code, ERR_BAD_MANIFEST);
    assert_non_null(strstr(d->err.text, "processes.web.command"));
    assert_null(intent_app(&d->intent, "shop"));
}

static void names_are_checked(void **state) {
    struct desk *d = *state;
    char longest[301];
    memset(longest, 'a', 300);
    longest[300] = '\0';
    const char *const names[] = { "", "Shop", "a/b", "..", "a b", "-a", "1a", longest };
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        assert_int_equal(push(d, names[i], "{}", true), -1);
    }
}

/* --- rollouts --------------------------------------------------------------------------------- */

static void a_verdict_moves_the_serving_release_or_marks_the_failure(void **state) {
    struct desk *d = *state;
    serve(d);
    assert_string_equal(d->notes, "rollout-done\n");
    assert_int_equal(push(d, "shop", "{}", true), 0);
    assert_int_equal(verdict(d, "shop", 2, false), 0);
    assert_string_equal(d->notes, "rollout-failed app-wrong-port\n");
    const struct app_row *row = intent_app(&d->intent, "shop");
    assert_int_equal(row->serving, 1);
    assert_true(row->failed);
    assert_string_equal(app_release(row, 2)->reason, "web.1 listens on 81");
    /* It comes again: nothing happens. */
    assert_int_equal(verdict(d, "shop", 2, true), 0);
    assert_string_equal(d->notes, "");
    assert_int_equal(intent_app(&d->intent, "shop")->serving, 1);
}

static void a_second_push_supersedes_the_first(void **state) {
    struct desk *d = *state;
    serve(d);
    assert_int_equal(push(d, "shop", "{}", true), 0);
    int64_t attempt = intent_app(&d->intent, "shop")->attempt;
    assert_int_equal(push(d, "shop", "{}", true), 0);
    assert_string_equal(d->notes, "release-created\nrollout-failed superseded\nrollout-started\n");
    struct intent_verdict late = { .app = "shop",
        .release = 2,
        .attempt = attempt,
        .done = true,
        .reason = "",
        .process = "",
        .instance = "" };
    assert_int_equal(CHANGE(d, intent_verdict(&d->intent, &late, &d->err)), 0);
    assert_int_equal(intent_app(&d->intent, "shop")->serving, 1);
    assert_int_equal(intent_app(&d->intent, "shop")->target, 3);
}

static int rollback(struct desk *d, int64_t release) {
    return CHANGE(d, intent_rollback(&d->intent, "shop", release, &d->answer, &d->err));
}

static void rollback_goes_to_the_release_before(void **state) {
    struct desk *d = *state;
    serve(d);
    assert_int_equal(rollback(d, 0), -1);
    assert_int_equal(d->err.code, ERR_CONFLICT);
    push(d, "shop", "{}", true);
    verdict(d, "shop", 2, false); /* never served: not gone back to */
    push(d, "shop", "{}", true);
    verdict(d, "shop", 3, true);
    assert_int_equal(rollback(d, 0), 0);
    assert_int_equal(d->answer.release, 1);
    assert_int_equal(intent_app(&d->intent, "shop")->target, 1);
    assert_int_equal(verdict(d, "shop", 1, true), 0);
    assert_int_equal(intent_app(&d->intent, "shop")->serving, 1);
    assert_int_equal(intent_app(&d->intent, "shop")->kept, 3);
    assert_int_equal(rollback(d, 77), -1);
    assert_int_equal(d->err.code, ERR_NOT_FOUND);
    assert_int_equal(rollback(d, 3), 0);
}

static void rollback_while_rolling_calls_it_off(void **state) {
    struct desk *d = *state;
    serve(d);
    push(d, "shop", "{}", true);
    assert_int_equal(rollback(d, 0), 0);
    assert_string_equal(d->notes, "rollout-failed superseded\nrollout-started\nrollout-done\n");
    const struct app_row *row = intent_app(&d->intent, "shop");
    assert_int_equal(row->target, 1);
    assert_int_equal(row->serving, 1);
    assert_false(app_rolls(row));
}

static void restart_is_a_new_release_of_the_same(void **state) {
    struct desk *d = *state;
    serve(d);
    assert_int_equal(CHANGE(d, intent_restart(&d->intent, "shop", 5, &d->answer, &d->err)), 0);
    assert_int_equal(d->answer.release, 2);
    const struct app_row *row = intent_app(&d->intent, "shop");
    assert_string_not_equal(app_release(row, 1)->config, app_release(row, 2)->config);
    assert_int_equal(config_of(d, "shop", 2)->release, 2);
    assert_string_equal(web_of(config_of(d, "shop", 2))->command.items[0], "/bin/serve");
}

static void restart_keeps_the_environment_of_what_serves(void **state) {
    struct desk *d = *state;
    serve(d);
    struct pair pair = { (char *)"SECRET", (char *)"1" };
    struct env_request request = { .set = { &pair, 1 } };
    CHANGE(d, intent_env(&d->intent, "shop", &request, 2, &d->answer, &d->err));
    verdict(d, "shop", 2, true);
    CHANGE(d, intent_restart(&d->intent, "shop", 3, &d->answer, &d->err));
    assert_string_equal(pairs_get(&config_of(d, "shop", 3)->env, "SECRET"), "1");
    verdict(d, "shop", 3, true);
    rollback(d, 1);
    verdict(d, "shop", 1, true);
    CHANGE(d, intent_restart(&d->intent, "shop", 4, &d->answer, &d->err));
    assert_null(pairs_get(&config_of(d, "shop", 4)->env, "SECRET"));
    assert_string_equal(pairs_get(&config_of(d, "shop", 4)->env, "COLOR"), "red");
}

static void stop_and_start_and_another_try(void **state) {
    struct desk *d = *state;
    push(d, "shop", "{}", true);
    verdict(d, "shop", 1, false);
    assert_int_equal(CHANGE(d, intent_stop(&d->intent, "shop", &d->answer, &d->err)), 0);
    assert_string_equal(d->notes, "app-stopped\n");
    assert_int_equal(CHANGE(d, intent_stop(&d->intent, "shop", &d->answer, &d->err)), 0);
    assert_string_equal(d->notes, "");
    assert_int_equal(CHANGE(d, intent_start(&d->intent, "shop", &d->answer, &d->err)), 0);
    assert_string_equal(d->notes, "app-started\nrollout-started\n");
    assert_true(app_rolls(intent_app(&d->intent, "shop")));
    assert_int_equal(CHANGE(d, intent_stop(&d->intent, "shop", &d->answer, &d->err)), 0);
    push(d, "shop", "{}", true);
    assert_false(intent_app(&d->intent, "shop")->stopped);
}

static void old_releases_are_forgotten_with_their_configurations(void **state) {
    struct desk *d = *state;
    serve(d);
    for (int i = 2; i <= RELEASES_KEPT + 20; i++) {
        assert_int_equal(push(d, "shop", "{}", true), 0);
        if (i == 5) {
            verdict(d, "shop", i, true);
        }
    }
    const struct app_row *row = intent_app(&d->intent, "shop");
    assert_int_equal(row->releases.count, RELEASES_KEPT);
    assert_int_equal(d->intent.configs.count, RELEASES_KEPT);
    assert_non_null(app_release(row, 5)); /* it serves */
    assert_non_null(app_release(row, 1)); /* it is kept */
    assert_null(app_release(row, 2));
}

/* --- scale ------------------------------------------------------------------------------------ */

static int scale(struct desk *d, const char *process, int64_t count) {
    struct process_count row = { .count = count };
    strcpy(row.process, process);
    struct scale_request request = { .processes = { &row, 1 } };
    return CHANGE(d, intent_scale(&d->intent, "shop", &request, &d->answer, &d->err));
}

static void scale_sets_a_rule_that_outlives_pushes(void **state) {
    struct desk *d = *state;
    serve(d);
    assert_int_equal(scale(d, "web", 4), 0);
    assert_int_equal(push(d, "shop", "{\"instances\":2}", true), 0);
    const struct app_rule *rule = intent_app(&d->intent, "shop")->rules.items;
    assert_int_equal(rule->rule.min, 4);
    assert_int_equal(rule->rule.max, 4);
    assert_int_equal(rule->rule.concurrency, 0); /* an instance gets all that comes */
    assert_int_equal(scale(d, "wed", 4), -1);
    assert_int_equal(d->err.code, ERR_NOT_FOUND);
    assert_non_null(strstr(d->err.hint, "\"web\""));
    struct autoscale_request request = { .process = "web", .rule = { .min = 5, .max = 2 } };
    assert_int_equal(
        CHANGE(d, intent_autoscale(&d->intent, "shop", &request, &d->answer, &d->err)), -1);
    request.rule.max = 9;
    assert_int_equal(
        CHANGE(d, intent_autoscale(&d->intent, "shop", &request, &d->answer, &d->err)), 0);
    assert_int_equal(intent_app(&d->intent, "shop")->rules.count, 1);
}

static void a_process_is_scaled_once(void **state) {
    struct desk *d = *state;
    struct process_count rows[] = { { "web", 2 }, { "web", 3 } };
    struct scale_request request = { .processes = { rows, 2 } };
    serve(d);
    assert_int_equal(
        CHANGE(d, intent_scale(&d->intent, "shop", &request, &d->answer, &d->err)), -1);
    assert_int_equal(d->err.code, ERR_BAD_VALUE);
    assert_non_null(strstr(d->err.text, "\"web\" is there twice"));
    assert_int_equal(intent_app(&d->intent, "shop")->rules.count, 0);
}

/* --- repeated and stale requests -------------------------------------------------------------- */

/* A push that is called `key` and asks for `body`, at `now`: as the API does it. */
static int named_push(struct desk *d, const char *key, const char *body, int64_t now) {
    struct release_request request;
    json_defaults(&release_request_json, &request);
    struct intent_push what = { .request = &request, .image = &d->image };
    assert_int_equal(digest_of(key, strlen(key), what.key.key), 0);
    assert_int_equal(digest_of(body, strlen(body), what.key.body), 0);
    int pushed = intent_pushed(&d->intent, "shop", &what, now, &d->answer, &d->err);
    if (pushed == 0) {
        pushed = CHANGE(d, intent_push(&d->intent, "shop", &what, now, &d->answer, &d->err));
    }
    json_free(&release_request_json, &request);
    return pushed;
}

static void a_push_that_is_repeated_is_no_second_one(void **state) {
    struct desk *d = *state;
    assert_int_equal(named_push(d, "a", "one", 1000), 0);
    assert_int_equal(d->answer.release, 1);
    assert_int_equal(named_push(d, "b", "one", 2000), 0);
    assert_int_equal(d->answer.release, 2);
    assert_int_equal(named_push(d, "a", "one", 3000), 1);
    assert_int_equal(d->answer.release, 1);
    assert_string_equal(d->answer.image, DIGEST_A);
    assert_int_equal(named_push(d, "a", "other", 3000), -1);
    assert_int_equal(d->err.code, ERR_BAD_VALUE);
    assert_int_equal(intent_app(&d->intent, "shop")->last_release, 2);
    /* A day later it is a new one. */
    assert_int_equal(named_push(d, "a", "other", 1000 + DAY_MS), 0);
    assert_int_equal(d->answer.release, 3);
}

static void names_of_pushes_are_bounded(void **state) {
    struct desk *d = *state;
    for (int i = 0; i < PUSH_KEYS_MAX + 10; i++) {
        char key[16];
        snprintf(key, sizeof(key), "key-%d", i);
        assert_int_equal(named_push(d, key, "same", 1000 + i), 0);
    }
    assert_int_equal(intent_app(&d->intent, "shop")->pushes.count, PUSH_KEYS_MAX);
    assert_int_equal(named_push(d, "key-41", "same", 2000), 1);
    assert_int_equal(named_push(d, "key-0", "same", 2000), 0);
}

static void every_change_has_another_tag(void **state) {
    struct desk *d = *state;
    char first[APP_TAG_SIZE], second[APP_TAG_SIZE];
    serve(d);
    app_tag(intent_app(&d->intent, "shop"), first);
    scale(d, "web", 3);
    app_tag(intent_app(&d->intent, "shop"), second);
    assert_string_not_equal(first, second);
    scale(d, "nobody", 3); /* refused: no change */
    app_tag(intent_app(&d->intent, "shop"), first);
    assert_string_equal(first, second);
}

/* --- routes ----------------------------------------------------------------------------------- */

static int add_route(struct desk *d, const char *app, const char *host, const char *path) {
    struct route_request request = { 0 };
    snprintf(request.host, sizeof(request.host), "%s", host);
    snprintf(request.path, sizeof(request.path), "%s", path);
    return CHANGE(d, intent_route_add(&d->intent, app, &request, &d->answer, &d->err));
}

static void a_host_belongs_to_one_app(void **state) {
    struct desk *d = *state;
    serve(d);
    assert_int_equal(add_route(d, "shop", "example.com", ""), 0);
    assert_int_equal(push(d, "other", "{\"routes\":[\"example.com\"]}", true), -1);
    assert_int_equal(d->err.code, ERR_CONFLICT);
    assert_non_null(strstr(d->err.text, "\"shop\""));
    assert_null(intent_app(&d->intent, "other"));
    assert_int_equal(push(d, "other", "{}", true), 0);
    assert_int_equal(add_route(d, "other", "example.com", "/"), -1);
    assert_int_equal(add_route(d, "other", "example.com", "/api"), 0);
    assert_int_equal(
        CHANGE(d, intent_route_remove(&d->intent, "shop", "example.com", "/", &d->answer, &d->err)),
        0);
    assert_int_equal(add_route(d, "other", "example.com", "/"), 0);
}

static void nonsense_routes_are_refused(void **state) {
    struct desk *d = *state;
    serve(d);
    static const char *const bad[][2] = { { "", "/" }, { "EXAMPLE.com", "/" }, { "a..b", "/" },
        { "a:80", "/" }, { "a/b", "/" }, { "a.com", "x" }, { "a.com", "/a b" }, { "a.com", "/?x" },
        { "a.com", "/a/../b" }, { "a.com", "//" }, { "a.com", "/\x01" } };
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        assert_int_equal(add_route(d, "shop", bad[i][0], bad[i][1]), -1);
        assert_int_equal(d->err.code, ERR_BAD_VALUE);
    }
    for (int i = 1; i < ROUTES_PER_APP; i++) {
        char host[32];
        snprintf(host, sizeof(host), "h%d.com", i);
        assert_int_equal(add_route(d, "shop", host, "/"), 0);
    }
    assert_int_equal(add_route(d, "shop", "more.com", "/"), -1);
    assert_int_equal(d->err.code, ERR_TOO_LARGE);
}

/* --- batches ---------------------------------------------------------------------------------- */

static void changes_of_one_batch_see_each_other_and_a_failed_one_leaves_nothing(void **state) {
    struct desk *d = *state;
    struct release_request request;
    json_decode(&release_request_json, "{}", 2, &request, NULL);
    struct intent_push what = { .request = &request, .image = &d->image };
    intent_begin(&d->intent);
    assert_int_equal(intent_push(&d->intent, "shop", &what, 1, &d->answer, &d->err), 0);
    intent_begin(&d->intent);
    assert_int_equal(intent_push(&d->intent, "shop", &what, 1, &d->answer, &d->err), 0);
    assert_int_equal(d->answer.release, 2);
    size_t staged = d->intent.staged_count, notes = d->intent.note_count;
    intent_begin(&d->intent);
    assert_int_equal(intent_route_remove(&d->intent, "shop", "no", "/", &d->answer, &d->err), -1);
    intent_undo(&d->intent);
    assert_int_equal(d->intent.staged_count, staged);
    assert_int_equal(d->intent.note_count, notes);
    assert_null(intent_app(&d->intent, "shop"));
    intent_commit(&d->intent);
    assert_int_equal(intent_app(&d->intent, "shop")->target, 2);
    json_free(&release_request_json, &request);
}

static void a_batch_that_fails_leaves_nothing(void **state) {
    struct desk *d = *state;
    serve(d);
    intent_begin(&d->intent);
    assert_int_equal(intent_destroy(&d->intent, "shop", &d->answer, &d->err), 0);
    assert_null(intent_newest(&d->intent, "shop"));
    intent_discard(&d->intent);
    assert_non_null(intent_app(&d->intent, "shop"));
    assert_int_equal(d->intent.configs.count, 1);
    assert_int_equal(CHANGE(d, intent_destroy(&d->intent, "shop", &d->answer, &d->err)), 0);
    assert_null(intent_app(&d->intent, "shop"));
    assert_int_equal(d->intent.configs.count, 0);
}

static void rows_come_back_from_their_text(void **state) {
    struct desk *d = *state;
    struct intent copy;
    struct buf text;
    intent_init(&copy);
    serve(d);
    scale(d, "web", 3);
    push(d, "shop", "{}", true);
    verdict(d, "shop", 2, false);
    buf_init(&text, 1 << 20);
    MAP_FOREACH (e, &d->intent.configs) {
        buf_reset(&text);
        assert_int_equal(config_encode(e->value, &text), 0);
        assert_int_equal(intent_load_config(&copy, e->key, text.data, text.len, &d->err), 0);
        assert_int_equal(intent_load_config(&copy, DIGEST_B, text.data, text.len, &d->err), -1);
    }
    buf_reset(&text);
    json_encode(&app_row_json, intent_app(&d->intent, "shop"), &text);
    if (intent_load_app(&copy, "shop", text.data, text.len, &d->err) < 0) {
        fail_msg("%s", d->err.text);
    }
    struct buf again;
    buf_init(&again, 1 << 20);
    json_encode(&app_row_json, intent_app(&copy, "shop"), &again);
    assert_string_equal(buf_str(&text), buf_str(&again));
    buf_free(&text);
    buf_free(&again);
    intent_free(&copy);
}

static void an_environment_has_bounds(void **state) {
    struct desk *d = *state;
    serve(d);
    char *value = malloc(40000);
    memset(value, 'v', 39999);
    value[39999] = '\0';
    struct pair pair = { (char *)"BIG", value };
    struct env_request request = { .set = { &pair, 1 } };
    assert_int_equal(
        CHANGE(d, intent_env(&d->intent, "shop", &request, 1, &d->answer, &d->err)), -1);
    value[30000] = '\0';
    char names[12][8];
    struct pair pairs[12];
    for (int i = 0; i < 12; i++) {
        snprintf(names[i], sizeof(names[i]), "V%d", i);
        pairs[i] = (struct pair){ names[i], value };
    }
    request.set = (struct pairs){ pairs, 12 };
    assert_int_equal(
        CHANGE(d, intent_env(&d->intent, "shop", &request, 1, &d->answer, &d->err)), -1);
    assert_int_equal(d->err.code, ERR_TOO_LARGE);
    free(value);
}

#define TEST(F) cmocka_unit_test_setup_teardown(F, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_push_without_paas_json_runs_what_the_image_says),
        TEST(env_is_image_then_paas_json_then_commands),
        TEST(overrides_go_to_web_and_are_bounded),
        TEST(a_push_without_an_image_takes_the_current_one),
        TEST(a_process_without_any_command_is_refused),
        TEST(names_are_checked),
        TEST(a_verdict_moves_the_serving_release_or_marks_the_failure),
        TEST(a_second_push_supersedes_the_first),
        TEST(rollback_goes_to_the_release_before),
        TEST(rollback_while_rolling_calls_it_off),
        TEST(restart_is_a_new_release_of_the_same),
        TEST(restart_keeps_the_environment_of_what_serves),
        TEST(stop_and_start_and_another_try),
        TEST(old_releases_are_forgotten_with_their_configurations),
        TEST(scale_sets_a_rule_that_outlives_pushes),
        TEST(a_process_is_scaled_once),
        TEST(a_push_that_is_repeated_is_no_second_one),
        TEST(names_of_pushes_are_bounded),
        TEST(every_change_has_another_tag),
        TEST(a_host_belongs_to_one_app),
        TEST(nonsense_routes_are_refused),
        TEST(changes_of_one_batch_see_each_other_and_a_failed_one_leaves_nothing),
        TEST(a_batch_that_fails_leaves_nothing),
        TEST(rows_come_back_from_their_text),
        TEST(an_environment_has_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
