/* Help, completion and reference, printed from the table of commands.
 * SPDX-License-Identifier: Apache-2.0 */
#include "help.h"

#include <string.h>

#include <paas/str.h>

#include "explain.h"

enum {
    COMMANDS_MAX = 64,
    OPTION_WIDTH = 26, /* columns of an option and its value */
};

/* ---- One command ---- */

static void print_examples(FILE *to, const struct command *command, const char *before) {
    for (const char *line = command->example; *line;) {
        size_t len = strcspn(line, "\n");
        fprintf(to, "%s%.*s\n", before, (int)len, line);
        line += len + (line[len] == '\n');
    }
}

static void print_options(FILE *to, const struct option_row *rows, const struct option_row *over) {
    for (; rows && rows->name; rows++) {
        char text[128];
        bool hidden = false;
        for (const struct option_row *row = over; row && row->name; row++) {
            hidden = hidden || strcmp(row->name, rows->name) == 0;
        }
        if (hidden) {
            continue;
        }
        int len = snprintf(text, sizeof text, "%c%c%s--%s%s%s", rows->letter ? '-' : ' ',
            rows->letter ? rows->letter : ' ', rows->letter ? ", " : "  ", rows->name,
            rows->value ? " " : "", rows->value ? rows->value : "");
        fprintf(to, "  %-*s%s%s\n", OPTION_WIDTH, text, len >= OPTION_WIDTH ? " " : "", rows->doc);
    }
}

void help_command(FILE *to, const struct command *command) {
    print_examples(to, command, "  $ ");
    fprintf(to, "\npaas %s%s%s%s\n%s.\n", command->name, command->args[0] ? " " : "", command->args,
        command->options ? " [options]" : "", command->doc);
    if (command->about) {
        fprintf(to, "%s\n", command->about);
    }
    fputs("\nOptions:\n", to);
    print_options(to, command->options, NULL);
    print_options(to, common_options, command->options);
}

/* ---- All commands ---- */

void help_overview(FILE *to) {
    fputs("paas runs apps in isolated instances and keeps them answering.\n\n"
          "  $ sudo paas up --detach\n  $ paas push hello --path examples/hello\n"
          "  $ curl http://hello.localhost:8080\n\nCommands:\n",
        to);
    for (const struct command *command = commands; command->name; command++) {
        fprintf(to, "  %-13s %s\n", command->name, command->doc);
    }
    fputs("\nMore: paas COMMAND --help · paas help exit-codes · paas explain CODE\n", to);
}

int help_unknown(const char *word, struct err *err) {
    const char *names[COMMANDS_MAX];
    size_t count = 0;
    for (const struct command *command = commands; command->name && count < COMMANDS_MAX;
         command++) {
        names[count++] = command->name;
    }
    err_set(err, ERR_USAGE, "there is no command \"%.60s\"", word);
    const char *nearest = str_nearest(word, names, count);
    return nearest ? err_hint(err, "did you mean paas %s?", nearest) : err_hint(err, "paas --help");
}

static void print_exit_codes(void) {
    puts("  0    done\n  1    failed\n  2    wrong usage\n  3    not found\n  4    not allowed\n"
         "  5    timed out waiting: the work goes on\n  130  interrupted: the work goes on\n\n"
         "paas exec passes the exit status of its program on.\n\nBy code of the error:");
    for (int code = 1; code < ERR_COUNT; code++) {
        printf("  %-4d %-20s %s\n", err_exit_status(code), err_name(code), err_title(code));
    }
}

/* docs/cli.md. */
static void print_reference(void) {
    puts("# paas\n\nMade by `paas help reference` from the table of commands.");
    for (const struct command *command = commands; command->name; command++) {
        printf("\n## paas %s\n```console\n", command->name);
        print_examples(stdout, command, "$ ");
        printf("```\n`paas %s%s%s`: %s.\n", command->name, command->args[0] ? " " : "",
            command->args, command->doc);
        if (command->about) {
            printf("\n%s\n", command->about);
        }
        if (command->options) {
            puts("\n```");
            print_options(stdout, command->options, NULL);
            puts("```");
        }
    }
    puts("\n## Options of every command\n```");
    print_options(stdout, common_options, NULL);
    puts("```\n\n## Exit status\n```");
    print_exit_codes();
    puts("```");
}

int help_run(struct cli *cli, struct err *err) {
    const char *word = cli_arg(cli, 0);
    if (!word) {
        help_overview(stdout);
        return 0;
    }
    if (strcmp(word, "exit-codes") == 0) {
        print_exit_codes();
        return 0;
    }
    if (strcmp(word, "reference") == 0) {
        print_reference();
        return 0;
    }
    int words;
    const struct command *command =
        command_find((int)cli->options.arg_count, (char *const *)cli->options.args, &words);
    if (!command) {
        return help_unknown(word, err);
    }
    help_command(stdout, command);
    return 0;
}

int explain_run(struct cli *cli, struct err *err) {
    const char *word = cli_arg(cli, 0), *names[ERR_COUNT];
    for (int code = 0; code < ERR_COUNT; code++) {
        names[code] = err_name(code);
        if (strcmp(names[code], word) == 0) {
            const char *advice = explain_advice(code);
            printf("%s: %s\n\n%s\n\nexit status %d, HTTP status %d\n", word, err_title(code),
                advice, err_exit_status(code), err_http_status(code));
            return 0;
        }
    }
    err_set(err, ERR_NOT_FOUND, "there is no error code \"%.60s\"", word);
    const char *nearest = str_nearest(word, names, ERR_COUNT);
    return nearest ? err_hint(err, "did you mean %s?", nearest)
                   : err_hint(err, "paas help exit-codes lists all");
}

/* ---- Completion ---- */

static void print_completion_words(const struct option_row *rows) {
    for (; rows && rows->name; rows++) {
        printf("--%s ", rows->name);
    }
}

int completion_run(struct cli *cli, struct err *err) {
    if (strcmp(cli_arg(cli, 0), "bash") != 0) {
        return err_set(err, ERR_USAGE, "there are completions for bash alone");
    }
    puts("_paas() {\n    local word=${COMP_WORDS[COMP_CWORD]} words\n"
         "    if [ \"$COMP_CWORD\" = 1 ]; then");
    fputs("        words=\"", stdout);
    for (const struct command *command = commands; command->name; command++) {
        if (!strchr(command->name, ' ')) {
            printf("%s ", command->name);
        }
    }
    puts("\"\n    else\n        case ${COMP_WORDS[1]} in");
    for (const struct command *command = commands; command->name; command++) {
        if (!strchr(command->name, ' ')) {
            printf("        %s) words=\"", command->name);
            print_completion_words(command->options);
            print_completion_words(common_options);
            puts("\" ;;");
        }
    }
    puts(
        "        esac\n"
        "        if [[ $word != -* && $COMP_CWORD = 2 ]]; then\n"
        "            words=$(paas apps -o json 2>/dev/null |\n"
        "                grep -o '\"name\":\"[^\"]*' | cut -d'\"' -f4)\n        fi\n    fi\n"
        "    COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n}\ncomplete -o default -F _paas paas");
    return 0;
}
