/* One run of `paas`: what was asked, and how to answer. SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

#include <paas/buf.h>

#include "client.h"
#include "places.h"

#define API_DEFAULT "unix:" PLACES_RUN_DEFAULT "/api.sock"
#define RED "\033[31m"
#define PLAIN "\033[0m"

enum { PROBLEM_MAX = 8192 /* bytes: an error's words, escaped */ };

const char *cli_arg(const struct cli *cli, size_t index) {
    return index < cli->options.arg_count ? cli->options.args[index] : NULL;
}

FILE *cli_words(const struct cli *cli) {
    return cli->output == OUTPUT_JSON ? stderr : stdout;
}

struct client *cli_client(struct cli *cli, struct err *err) {
    if (!cli->client) {
        const char *api = options_value(&cli->options, "api"), *token = getenv("PAAS_TOKEN");
        const char *environment = getenv("PAAS_API");
        if (!api) {
            api = environment && environment[0] ? environment : API_DEFAULT;
        }
        cli->client = client_create(api, token && token[0] ? token : NULL, err);
    }
    return cli->client;
}

static void print_problem(const struct err *err) {
    struct buf text;
    buf_init(&text, PROBLEM_MAX);
    buf_printf(&text,
        "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%d,\"code\":\"%s\","
        "\"detail\":",
        err_title(err->code), err_http_status(err->code), err_name(err->code));
    buf_json_string(&text, err->text, strlen(err->text));
    if (err->hint[0]) {
        buf_puts(&text, ",\"hint\":");
        buf_json_string(&text, err->hint, strlen(err->hint));
    }
    buf_puts(&text, "}");
    puts(buf_str(&text));
    buf_free(&text);
}

/* What happened stands before the first ": " that divides it from its cause. */
void cli_print_error(const struct cli *cli, const struct err *err) {
    if (cli->output == OUTPUT_JSON) {
        print_problem(err);
        return;
    }
    const char *why = strstr(err->text, ": ");
    int what = why ? (int)(why - err->text) : (int)strlen(err->text);
    if (why && !memchr(err->text, ' ', (size_t)what)) {
        why = NULL; /* a mere name, such as a place in a file: it belongs to its cause */
        what = (int)strlen(err->text);
    }
    fflush(stdout);
    fprintf(stderr, "%serror:%s %.*s   [%s]\n", cli->color ? RED : "", cli->color ? PLAIN : "",
        what, err->text, err_name(err->code));
    if (why) {
        fprintf(stderr, "why:   %s\n", why + 2);
    }
    if (err->hint[0]) {
        fprintf(stderr, "try:   %s\n", err->hint);
    }
}
