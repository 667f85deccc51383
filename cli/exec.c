/* `paas exec`: a command in a running instance. SPDX-License-Identifier: Apache-2.0
 *
 * The answer is a stream of lines with pieces of output and, last, the exit code, which becomes
 * ours. The command ends with the connection: Ctrl-C ends both.
 */
#include "exec.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <paas/base64.h>
#include <paas/str.h>
#include <paas/wire.h>

#include "client.h"
#include "request.h"

const struct option_row exec_options[] = {
    { "instance", 0, "ID", "an instance's id or slot (web.1); any one that runs" },
    { "input", 'i', NULL, "pass standard input on, at most 1M" },
    { 0 },
};

enum {
    INPUT_MAX = 1 << 20,       /* bytes of standard input: the request's bound */
    PIECE_MAX = JSON_LINE_MAX, /* bytes of one line of the answer */
    EXIT_UNKNOWN = 1,
};

struct execution {
    struct cli *cli;
    struct buf line; /* the part of a line that has come */
    bool ended;
    struct err err; /* of the answer's lines */
};

static void on_output(struct execution *e, const struct exec_output *output) {
    struct buf bytes;
    buf_init(&bytes, PIECE_MAX);
    if (strcmp(output->stream, "exit") == 0) {
        e->ended = true;
        e->cli->exit_status = (int)output->code;
    } else if (output->data &&
               base64_decode(output->data, strlen(output->data), &bytes, &e->err) == 0) {
        FILE *to = strcmp(output->stream, "err") == 0 ? stderr : stdout;
        fwrite(bytes.data, 1, bytes.len, to);
        fflush(to);
    }
    buf_free(&bytes);
}

static void on_line(struct execution *e) {
    struct exec_output output;
    if (e->line.len == 0) {
        return;
    }
    if (e->cli->output == OUTPUT_JSON) {
        puts(buf_str(&e->line));
        fflush(stdout);
    }
    if (json_decode(&exec_output_json, buf_str(&e->line), e->line.len, &output, &e->err) < 0) {
        return;
    }
    if (e->cli->output != OUTPUT_JSON || strcmp(output.stream, "exit") == 0) {
        on_output(e, &output);
    }
    json_free(&exec_output_json, &output);
}

static void on_data(void *data, const char *bytes, size_t len) {
    struct execution *e = data;
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] != '\n') {
            buf_putc(&e->line, bytes[i]);
            continue;
        }
        on_line(e);
        buf_reset(&e->line);
    }
}

static int read_input(struct exec_request *request, struct err *err) {
    struct buf bytes, text;
    char chunk[65536];
    ssize_t n;
    int result = 0;
    buf_init(&bytes, INPUT_MAX);
    buf_init(&text, INPUT_MAX * 2);
    while (result == 0 && (n = read(0, chunk, sizeof chunk)) > 0) {
        if (buf_append(&bytes, chunk, (size_t)n) < 0) {
            result = err_set(err, ERR_TOO_LARGE, "standard input is over %d bytes", INPUT_MAX);
        }
    }
    if (result == 0 && base64_encode(bytes.data, bytes.len, &text) < 0) {
        result = err_no_memory(err);
    }
    buf_free(&bytes);
    request->input = buf_take(&text);
    return result;
}

static int fill_request(struct cli *cli, struct exec_request *request, struct err *err) {
    const char *instance = options_value(&cli->options, "instance");
    if (cli->options.rest_count == 0) {
        err_set(err, ERR_USAGE, "which command?");
        return err_hint(err, "paas exec %s -- ls /app", cli_arg(cli, 0));
    }
    if (instance && str_copy(request->instance, sizeof request->instance, instance) < 0) {
        return err_set(err, ERR_USAGE, "--instance %.80s…: not an id or a slot", instance);
    }
    for (size_t i = 0; i < cli->options.rest_count; i++) {
        if (strings_add(&request->command, cli->options.rest[i]) < 0) {
            return err_no_memory(err);
        }
    }
    return options_flag(&cli->options, "input") ? read_input(request, err) : 0;
}

static int send_request(struct cli *cli, const struct exec_request *request, struct err *err) {
    char path[CLIENT_PATH_MAX], url[CLIENT_PATH_MAX * 2];
    struct client *c = cli_client(cli, err);
    struct buf body;
    struct http_answer answer = { 0 };
    if (!c || request_path(cli, "/v1/apps/{0}/exec", path, sizeof path, err) < 0 ||
        client_url(c, path, url, sizeof url, err) < 0) {
        return -1;
    }
    struct execution e = { .cli = cli };
    buf_init(&e.line, PIECE_MAX);
    buf_init(&body, INPUT_MAX * 2);
    json_encode(&exec_request_json, request, &body);
    struct http_fetch_options options = {
        .method = METHOD_POST,
        .url = url,
        .unix_path = client_socket(c),
        .token = client_token(c),
        .body = body.data,
        .body_len = body.len,
        .data = on_data,
        .context = &e,
    };
    int result = http_fetch_now(client_http(c), &options, &answer, err);
    if (result < 0) {
        client_explain(c, err);
    } else if (!e.ended) {
        result = err_set(err, ERR_UNAVAILABLE, "the connection ended before the command did");
        err_hint(err, "paas events %s", cli_arg(cli, 0));
    }
    buf_free(&answer.body);
    buf_free(&body);
    buf_free(&e.line);
    return result;
}

int exec_run(struct cli *cli, struct err *err) {
    struct exec_request request = { 0 };
    int result = fill_request(cli, &request, err);
    if (result == 0) {
        result = send_request(cli, &request, err);
    }
    json_free(&exec_request_json, &request);
    return result;
}
