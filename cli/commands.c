/* The table of commands. SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"

#include <stdio.h>
#include <string.h>

#include <paas/version.h>

#include "help.h"
#include "status.h"
#include "up.h"

const struct option_row common_options[] = {
    { "api", 0, "URL", "the platform: http://ADDRESS:PORT or unix:PATH (else PAAS_API)" },
    { "output", 'o', "FORM", "text, wide (all columns) or json" },
    { "help", 'h', NULL, "how to use the command" },
    { 0 },
};

static const struct option_row up_options[] = {
    { "data", 0, "DIR", "where the platform keeps its data; /var/lib/paas" },
    { "http", 0, "ADDRESS:PORT", "where apps are served; 127.0.0.1:8080" },
    { "api", 0, "ADDRESS:PORT", "the API on TCP too, with the token in DIR/api.token" },
    { "detach", 'd', NULL, "return when it is ready, and leave it running" },
    { 0 },
};
static const struct option_row down_options[] = {
    { "data", 0, "DIR", "the platform's data directory; /var/lib/paas" },
    { 0 },
};

static int version_run(struct cli *cli, struct err *err) {
    (void)err;
    if (cli->output == OUTPUT_JSON) {
        puts("{\"version\":\"" PAAS_VERSION "\"}");
    } else {
        puts("paas " PAAS_VERSION);
    }
    return 0;
}

const struct command commands[] = {
    {
        .name = "up",
        .args = "",
        .doc = "Run the platform on this machine",
        .about = "Starts scheduler, agent and proxy, and restarts what dies, until Ctrl-C. Run\n"
                 "again after it was killed, it takes over what runs. Platforms with different\n"
                 "--data live side by side.",
        .example = "sudo paas up --detach\nsudo paas up --data /srv/other --http 127.0.0.1:8081",
        .options = up_options,
        .run = up_run,
    },
    {
        .name = "down",
        .args = "",
        .doc = "End the platform on this machine, and keep its data",
        .example = "sudo paas down",
        .options = down_options,
        .run = down_run,
    },
    {
        .name = "status",
        .args = "",
        .doc = "Show whether all is well",
        .example = "paas status\npaas status -o json",
        .run = status_run,
    },
    {
        .name = "help",
        .args = "[COMMAND | exit-codes]",
        .doc = "Show how to use a command",
        .example = "paas help push\npaas help exit-codes",
        .args_max = 2,
        .run = help_run,
    },
    {
        .name = "explain",
        .args = "CODE",
        .doc = "Explain the code of an error",
        .example = "paas explain app-wrong-port",
        .args_min = 1,
        .args_max = 1,
        .run = explain_run,
    },
    {
        .name = "completion",
        .args = "SHELL",
        .doc = "Print completions for bash",
        .example = "source <(paas completion bash)",
        .args_min = 1,
        .args_max = 1,
        .run = completion_run,
    },
    {
        .name = "version",
        .args = "",
        .doc = "Print the version",
        .example = "paas version",
        .run = version_run,
    },
    { 0 },
};

const struct command *command_find(int argc, char *const *argv, int *words) {
    char two[64];
    for (*words = 2; *words > 0; --*words) {
        if (argc < *words || snprintf(two, sizeof two, "%s%s%s", argv[0], *words > 1 ? " " : "",
                                 *words > 1 ? argv[1] : "") >= (int)sizeof two) {
            continue;
        }
        for (const struct command *command = commands; command->name; command++) {
            if (strcmp(command->name, two) == 0) {
                return command;
            }
        }
    }
    return NULL;
}
