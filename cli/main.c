/* `paas`: finds the command, runs it, prints the error, exits. SPDX-License-Identifier:
 * Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <paas/str.h>

#include "cli.h"
#include "client.h"
#include "commands.h"
#include "help.h"
#include "request.h"

static int read_output(struct cli *cli, struct err *err) {
    const char *output = options_value(&cli->options, "output");
    if (!output || strcmp(output, "text") == 0) {
        cli->output = OUTPUT_TEXT;
    } else if (strcmp(output, "wide") == 0) {
        cli->output = OUTPUT_WIDE;
    } else if (strcmp(output, "json") == 0) {
        cli->output = OUTPUT_JSON;
    } else {
        return err_set(err, ERR_USAGE, "-o %s: the forms are text, wide and json", output);
    }
    return 0;
}

/* With JSON asked for, an error of the command line itself is JSON, too. */
static bool wants_json(int argc, char **argv) {
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        const char *next = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "-ojson") == 0 || strcmp(argv[i], "--output=json") == 0 ||
            ((strcmp(argv[i], "-o") == 0 || strcmp(argv[i], "--output") == 0) &&
                strcmp(next, "json") == 0)) {
            return true;
        }
    }
    return false;
}

static int check_arguments(const struct cli *cli, struct err *err) {
    const struct command *command = cli->command;
    if (cli->options.arg_count >= command->args_min &&
        cli->options.arg_count <= command->args_max) {
        return 0;
    }
    err_set(err, ERR_USAGE, "paas %s takes %s", command->name,
        command->args[0] ? command->args : "no argument");
    return err_hint(err, "paas %s --help", command->name);
}

static int run_command(struct cli *cli, int argc, char **argv, struct err *err) {
    const struct command *command = cli->command;
    if (options_parse(command->options, common_options, argc, argv, &cli->options, err) < 0) {
        if (!err->hint[0]) {
            err_hint(err, "paas %s --help", command->name);
        }
        return -1;
    }
    if (options_flag(&cli->options, "help")) {
        help_command(stdout, command);
        return 0;
    }
    if (read_output(cli, err) < 0 || check_arguments(cli, err) < 0) {
        return -1;
    }
    return command->run ? command->run(cli, err) : request_run(cli, err);
}

/* What stands before any command: nothing, help, a version, or an unknown word. */
static int run_without_command(int argc, char **argv, struct err *err) {
    const char *word = argc > 1 ? argv[1] : "--help";
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        help_overview(argc > 1 ? stdout : stderr);
        return argc > 1 ? 0 : err_set(err, ERR_USAGE, "which command?");
    }
    return help_unknown(word, err);
}

static void find_terminal(struct cli *cli) {
    struct winsize size;
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    cli->color = isatty(2) && !(no_color && no_color[0]) && term && strcmp(term, "dumb") != 0;
    if (isatty(1)) {
        cli->width = ioctl(1, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
    }
}

int main(int argc, char **argv) {
    struct cli cli = { 0 };
    struct err err = { 0 };
    int words = 0;
    signal(SIGPIPE, SIG_DFL); /* `paas logs | head` ends without a word */
    find_terminal(&cli);
    cli.output = wants_json(argc, argv) ? OUTPUT_JSON : OUTPUT_TEXT;
    cli.command = command_find(argc - 1, argv + 1, &words);
    int result = cli.command ? run_command(&cli, argc - 1 - words, argv + 1 + words, &err)
                             : run_without_command(argc, argv, &err);
    int status = cli.exit_status;
    if (result < 0) {
        cli_print_error(&cli, &err);
        status = err_exit_status(err.code);
    }
    client_destroy(cli.client);
    options_free(&cli.options);
    if (fflush(stdout) != 0 && errno != EPIPE) {
        fprintf(stderr, "error: writing the answer: %s\n", strerror(errno));
        return 1;
    }
    return status;
}
