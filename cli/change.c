/* Commands that change an app. SPDX-License-Identifier: Apache-2.0 */
#include "change.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <paas/rest.h>
#include <paas/str.h>
#include <paas/wire.h>

#include "client.h"
#include "commands.h"
#include "request.h"
#include "rollout.h"
#include "show.h"

const struct option_row change_options[] = {
    { "no-wait", 0, NULL, "return when the change is accepted" },
    { 0 },
};
const struct option_row kill_options[] = {
    { "instance", 0, "ID", "an instance's id or slot (web.1); any one that runs" },
    { "signal", 's', "S", "the signal; SIGKILL" },
    { 0 },
};
const struct option_row destroy_options[] = {
    { "confirm", 0, "APP", "the app's name again, in place of the question" },
    { 0 },
};

enum { CHANGE_BODY_MAX = 1 << 20 /* bytes of an answer */ };

int change_send(struct cli *cli, enum http_method method, const char *what,
    const struct json_type *type, const void *in, struct change_answer *out, struct err *err) {
    char pattern[64], path[CLIENT_PATH_MAX];
    struct buf body;
    struct client *c = cli_client(cli, err);
    snprintf(pattern, sizeof pattern, "/v1/apps/{0}/%s", what);
    if (!c || request_path(cli, pattern, path, sizeof path, err) < 0) {
        return -1;
    }
    buf_init(&body, CHANGE_BODY_MAX);
    int result = client_call(c, method, path, type, in, &body, err);
    if (result == 0) {
        result = json_decode(&change_answer_json, buf_str(&body), body.len, out, err);
    }
    buf_free(&body);
    return result;
}

static void say_change(const struct cli *cli, const struct change_answer *a, const char *words) {
    if (cli->output == OUTPUT_JSON) {
        show_json(&change_answer_json, a);
    } else {
        printf("%s %s\n", a->app, words);
    }
}

/* Waits for the release that a change made, unless --no-wait. */
static int finish_release(
    struct cli *cli, const struct change_answer *a, const char *done, struct err *err) {
    struct rollout rollout;
    char words[128];
    bool waits = !options_flag(&cli->options, "no-wait");
    if (waits && rollout_follow(cli, a, &rollout, err) < 0) {
        return -1;
    }
    snprintf(words, sizeof words, "v%d %s", (int)a->release, waits ? done : "rolls out");
    say_change(cli, a, words);
    return 0;
}

/* ---- scale ---- */

/* "3" is web's count, "worker=2" another's. */
static int read_count(const char *text, struct process_count *out, struct err *err) {
    size_t len = strcspn(text, "=");
    const char *number = text[len] ? text + len + 1 : text;
    snprintf(out->process, sizeof out->process, "%.*s", text[len] ? (int)len : 3,
        text[len] ? text : "web");
    if (text[len] && (len >= sizeof out->process || !str_is_name(out->process))) {
        return err_set(err, ERR_USAGE, "\"%.80s\" is not PROCESS=N", text);
    }
    return str_int(number, 0, INSTANCES_PER_NODE, "the number of instances", &out->count, err);
}

int scale_run(struct cli *cli, struct err *err) {
    struct process_count counts[PROCESSES_PER_APP];
    struct change_answer answer;
    size_t count = cli->options.arg_count - 1;
    for (size_t i = 0; i < count; i++) {
        if (read_count(cli_arg(cli, i + 1), &counts[i], err) < 0) {
            return -1;
        }
    }
    struct scale_request request = { .processes = { counts, count } };
    if (change_send(cli, METHOD_PUT, "scale", &scale_request_json, &request, &answer, err) < 0) {
        return -1;
    }
    if (cli->output == OUTPUT_JSON) {
        show_json(&change_answer_json, &answer);
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        printf("%s scales to %s=%d\n", answer.app, counts[i].process, (int)counts[i].count);
    }
    return 0;
}

/* ---- Releases ---- */

int rollback_run(struct cli *cli, struct err *err) {
    struct rollback_request request = { 0 };
    struct change_answer answer;
    const char *text = cli_arg(cli, 1);
    if (text &&
        str_int(text + (text[0] == 'v'), 1, INT64_MAX, "the release", &request.release, err) < 0) {
        return err_hint(err, "for example v3; paas releases %s lists them", cli_arg(cli, 0));
    }
    if (change_send(cli, METHOD_POST, "rollback", &rollback_request_json, &request, &answer, err) <
        0) {
        return -1;
    }
    return finish_release(cli, &answer, "serves again", err);
}

int restart_run(struct cli *cli, struct err *err) {
    struct change_answer answer;
    return change_send(cli, METHOD_POST, "restart", NULL, NULL, &answer, err) < 0
               ? -1
               : finish_release(cli, &answer, "serves, restarted", err);
}

int stop_run(struct cli *cli, struct err *err) {
    struct change_answer answer;
    if (change_send(cli, METHOD_POST, "stop", NULL, NULL, &answer, err) < 0) {
        return -1;
    }
    say_change(cli, &answer, "stops; paas start brings it back");
    return 0;
}

int start_run(struct cli *cli, struct err *err) {
    struct change_answer answer;
    if (change_send(cli, METHOD_POST, "start", NULL, NULL, &answer, err) < 0) {
        return -1;
    }
    say_change(cli, &answer, "starts");
    return 0;
}

/* ---- env ---- */

/* The value of NAME=- is read from standard input, so that a secret stands in no list of
 * processes. */
static int read_secret(struct buf *out, struct err *err) {
    char chunk[4096];
    ssize_t n;
    while ((n = read(0, chunk, sizeof chunk)) > 0) {
        if (buf_append(out, chunk, (size_t)n) < 0) {
            return err_set(err, ERR_TOO_LARGE, "a value has at most %d bytes", ENV_VALUE_MAX);
        }
    }
    if (n < 0) {
        return err_sys(err, errno, "reading standard input");
    }
    while (out->len > 0 && out->data[out->len - 1] == '\n') {
        out->data[--out->len] = '\0';
    }
    return 0;
}

static int add_setting(const char *text, struct env_request *request, struct err *err) {
    size_t len = strcspn(text, "=");
    char key[WORD_MAX];
    if (text[len] != '=' || len == 0 || len >= sizeof key) {
        err_set(err, ERR_USAGE, "\"%.80s\" is not NAME=VALUE", text);
        return -1;
    }
    snprintf(key, sizeof key, "%.*s", (int)len, text);
    struct buf value;
    buf_init(&value, ENV_VALUE_MAX);
    int result = 0;
    if (strcmp(text + len + 1, "-") == 0) {
        result = read_secret(&value, err);
    } else if (buf_puts(&value, text + len + 1) < 0) {
        result =
            err_set(err, ERR_TOO_LARGE, "%s: a value has at most %d bytes", key, ENV_VALUE_MAX);
    }
    if (result == 0 && pairs_set(&request->set, key, buf_str(&value)) < 0) {
        result = err_no_memory(err);
    }
    buf_free(&value);
    return result;
}

static int read_env(const struct cli *cli, struct env_request *request, struct err *err) {
    const char *word = cli_arg(cli, 1);
    bool set = strcmp(word, "set") == 0;
    if (!set && strcmp(word, "unset") != 0) {
        err_set(err, ERR_USAGE, "paas env %s %.40s: what shall be done?", cli_arg(cli, 0), word);
        return err_hint(err, "paas env APP set NAME=VALUE, or unset NAME");
    }
    if (!cli_arg(cli, 2)) {
        return err_set(err, ERR_USAGE, "%s which variable?", word);
    }
    for (size_t i = 2; cli_arg(cli, i); i++) {
        if (set ? add_setting(cli_arg(cli, i), request, err) < 0
                : strings_add(&request->unset, cli_arg(cli, i)) < 0 && err_no_memory(err)) {
            return -1;
        }
    }
    return 0;
}

static int show_env(struct cli *cli, struct err *err) {
    char path[CLIENT_PATH_MAX];
    struct env_answer answer;
    struct client *c = cli_client(cli, err);
    if (!c || request_path(cli, "/v1/apps/{0}/env", path, sizeof path, err) < 0 ||
        client_get(c, path, &env_answer_json, &answer, err) < 0) {
        return -1;
    }
    if (cli->output == OUTPUT_JSON) {
        show_json(&env_answer_json, &answer);
    } else {
        for (size_t i = 0; i < answer.env.count; i++) {
            printf("%s=%s\n", answer.env.items[i].key, answer.env.items[i].value);
        }
    }
    json_free(&env_answer_json, &answer);
    return 0;
}

int env_run(struct cli *cli, struct err *err) {
    struct env_request request = { 0 };
    struct change_answer answer;
    if (!cli_arg(cli, 1)) {
        return show_env(cli, err);
    }
    int result = read_env(cli, &request, err);
    if (result == 0) {
        result = change_send(cli, METHOD_PATCH, "env", &env_request_json, &request, &answer, err);
    }
    json_free(&env_request_json, &request);
    return result < 0 ? -1 : finish_release(cli, &answer, "serves", err);
}

/* ---- route ---- */

static const struct column route_columns[] = {
    { "HOST", "host", FORM_PLAIN, 0 },
    { "PATH", "path", FORM_PLAIN, 0 },
    { "PROCESS", "process", FORM_PLAIN, 1 },
    { 0 },
};

static int show_routes(struct cli *cli, struct err *err) {
    char path[CLIENT_PATH_MAX];
    struct json_array routes;
    struct client *c = cli_client(cli, err);
    if (!c || request_path(cli, "/v1/apps/{0}/routes", path, sizeof path, err) < 0 ||
        client_list(c, path, &route_summary_json, &routes, err) < 0) {
        return -1;
    }
    if (cli->output == OUTPUT_JSON) {
        show_json_list(&route_summary_json, &routes);
    } else {
        show_table(stdout, route_columns, &route_summary_json, &routes,
            cli->output == OUTPUT_WIDE ? 0 : cli->width);
    }
    json_free_array(&route_summary_json, &routes);
    return 0;
}

static int remove_route(struct cli *cli, const struct route_request *route, struct err *err) {
    char path[CLIENT_PATH_MAX];
    struct client *c = cli_client(cli, err);
    if (!c || request_path(cli, "/v1/apps/{0}/routes?host=", path, sizeof path, err) < 0) {
        return -1;
    }
    if (client_escape(route->host, path, sizeof path) < 0 ||
        strlen(path) + strlen("&path=") + strlen(route->path) * 3 >= sizeof path) {
        return err_set(err, ERR_USAGE, "the route is too long");
    }
    strcat(path, "&path=");
    client_escape(route->path, path, sizeof path);
    return client_call(c, METHOD_DELETE, path, NULL, NULL, NULL, err);
}

static int add_route(struct cli *cli, const struct route_request *route, struct err *err) {
    char path[CLIENT_PATH_MAX];
    struct client *c = cli_client(cli, err);
    return c && request_path(cli, "/v1/apps/{0}/routes", path, sizeof path, err) == 0
               ? client_call(c, METHOD_POST, path, &route_request_json, route, NULL, err)
               : -1;
}

int route_run(struct cli *cli, struct err *err) {
    const char *word = cli_arg(cli, 1), *text = cli_arg(cli, 2);
    struct route_request route = { 0 };
    if (!word) {
        return show_routes(cli, err);
    }
    bool add = strcmp(word, "add") == 0;
    if ((!add && strcmp(word, "rm") != 0) || !text) {
        err_set(err, ERR_USAGE, "paas route takes add or rm, and HOST[/PATH]");
        return err_hint(err, "paas route %s add shop.example.com/api", cli_arg(cli, 0));
    }
    size_t len = strcspn(text, "/");
    if (len >= sizeof route.host ||
        str_copy(route.path, sizeof route.path, text[len] ? text + len : "/") < 0) {
        return err_set(err, ERR_USAGE, "\"%.80s…\" is too long for a route", text);
    }
    snprintf(route.host, sizeof route.host, "%.*s", (int)len, text);
    if ((add ? add_route(cli, &route, err) : remove_route(cli, &route, err)) < 0) {
        return -1;
    }
    if (cli->output == OUTPUT_JSON) {
        show_json(&route_request_json, &route);
    } else {
        printf("%s%s %s %s\n", route.host, route.path, add ? "leads to" : "leads no longer to",
            cli_arg(cli, 0));
    }
    return 0;
}

/* ---- kill, destroy ---- */

int kill_run(struct cli *cli, struct err *err) {
    struct kill_request request = { 0 };
    char path[CLIENT_PATH_MAX];
    const char *instance = options_value(&cli->options, "instance");
    const char *signal = options_value(&cli->options, "signal");
    if ((instance && str_copy(request.instance, sizeof request.instance, instance) < 0) ||
        request_path(cli, "/v1/apps/{0}/kill", path, sizeof path, err) < 0) {
        return err_set(err, ERR_USAGE, "--instance %.80s…: not an id or a slot", instance);
    }
    if (signal) {
        int number = signal_number(signal);
        if (number < 0) {
            return err_set(err, ERR_USAGE, "--signal: \"%.40s\" is not a signal", signal);
        }
        signal_name(number, request.signal);
    }
    return request_send(cli, path, &kill_request_json, &request, err);
}

/* Only for people at a terminal: the name typed again. */
static int confirm(const struct cli *cli, struct err *err) {
    const char *app = cli_arg(cli, 0), *given = options_value(&cli->options, "confirm");
    char line[NAME_SIZE + 2] = "";
    if (!given && isatty(0) && isatty(2)) {
        fprintf(stderr, "This removes %s, its releases and its routes. Type its name: ", app);
        if (fgets(line, sizeof line, stdin)) {
            line[strcspn(line, "\n")] = '\0';
        }
        given = line;
    }
    if (given && strcmp(given, app) == 0) {
        return 0;
    }
    err_set(err, ERR_USAGE, "destroying %s is not confirmed", app);
    return err_hint(err, "paas destroy %s --confirm %s", app, app);
}

int destroy_run(struct cli *cli, struct err *err) {
    return confirm(cli, err) < 0 ? -1 : request_run(cli, err);
}
