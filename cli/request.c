/* Commands that are one request. SPDX-License-Identifier: Apache-2.0 */
#include "request.h"

#include <stdio.h>
#include <string.h>

#include <paas/buf.h>
#include <paas/model.h>
#include <paas/wire.h>

#include "client.h"
#include "commands.h"
#include "show.h"

enum { ANSWER_MAX = 64 << 20 /* bytes, as the client's own bound */ };

int request_path(
    const struct cli *cli, const char *pattern, char *path, size_t size, struct err *err) {
    size_t used = 0;
    path[0] = '\0';
    for (const char *p = pattern; *p; p++) {
        bool hole = p[0] == '{' && p[1] >= '0' && p[1] <= '9' && p[2] == '}';
        const char *arg = hole ? cli_arg(cli, (size_t)(p[1] - '0')) : NULL;
        if (hole && client_escape(arg ? arg : "", path, size) == 0) {
            used = strlen(path);
            p += 2;
        } else if (!hole && used + 1 < size) {
            path[used++] = *p;
            path[used] = '\0';
        } else {
            return err_set(err, ERR_USAGE, "an argument is too long");
        }
    }
    return 0;
}

/* What is said when it is done, with {0} for the first argument. */
static void say(const struct cli *cli, const char *said) {
    FILE *to = cli_words(cli);
    for (const char *p = said; *p; p++) {
        if (strncmp(p, "{0}", 3) == 0) {
            fputs(cli_arg(cli, 0), to);
            p += 2;
        } else {
            fputc(*p, to);
        }
    }
    fputc('\n', to);
}

static int show_answer(struct cli *cli, const struct buf *body, const char *path, struct err *err) {
    const struct command *command = cli->command;
    if (cli->output == OUTPUT_JSON) {
        size_t len = body->len;
        while (len > 0 && body->data[len - 1] == '\n') {
            len--;
        }
        fwrite(len ? body->data : "{}", 1, len ? len : 2, stdout);
        fputc('\n', stdout);
        return 0;
    }
    if (!command->columns) {
        say(cli, command->said);
        return 0;
    }
    struct json_array items;
    if (json_decode_array(command->type, buf_str(body), body->len, SIZE_MAX, &items, err) < 0) {
        err->code = ERR_BAD_GATEWAY;
        return err_wrap(err, "the answer to %s", path);
    }
    if (items.count > 0) {
        show_table(stdout, command->columns, command->type, &items,
            cli->output == OUTPUT_WIDE ? 0 : cli->width);
    } else if (command->said) {
        say(cli, command->said);
    }
    json_free_array(command->type, &items);
    return 0;
}

int request_send(struct cli *cli, const char *path, const struct json_type *in_type, const void *in,
    struct err *err) {
    struct client *c = cli_client(cli, err);
    struct buf body;
    if (!c) {
        return -1;
    }
    buf_init(&body, ANSWER_MAX);
    int result = client_call(c, cli->command->method, path, in_type, in, &body, err);
    if (result == 0) {
        result = show_answer(cli, &body, path, err);
    }
    buf_free(&body);
    return result;
}

int request_run(struct cli *cli, struct err *err) {
    char path[CLIENT_PATH_MAX];
    return request_path(cli, cli->command->path, path, sizeof path, err) < 0
               ? -1
               : request_send(cli, path, NULL, NULL, err);
}
