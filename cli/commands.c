/* The table of commands. SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"

#include <stdio.h>
#include <string.h>

#include <paas/rest.h>
#include <paas/version.h>
#include <paas/wire.h>

#include "autoscale.h"
#include "change.h"
#include "doctor.h"
#include "exec.h"
#include "help.h"
#include "lists.h"
#include "manifest.h"
#include "output.h"
#include "push.h"
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
        .name = "push",
        .args = "APP",
        .doc = "Deploy a directory or an image",
        .about = "The directory says in paas.json or a Procfile what to run; it is packed, sent,\n"
                 "started beside what runs, and takes the traffic when it is healthy. A push that\n"
                 "fails leaves the running release serving.",
        .example = "paas push hello --path examples/hello\n"
                   "paas push shop --image oci:image:latest --port 3000 --route shop.example.com\n"
                   "paas push hello --env GREETING=hi --instances 3 --memory 128M",
        .args_min = 1,
        .args_max = 1,
        .options = push_options,
        .run = push_run,
    },
    {
        .name = "apps",
        .args = "",
        .doc = "List apps",
        .example = "paas apps\npaas apps -o json",
        .method = METHOD_GET,
        .path = "/v1/apps",
        .type = &app_summary_json,
        .columns = app_columns,
        .said = "no apps yet; begin with: paas push APP --path DIR",
    },
    {
        .name = "ps",
        .args = "[APP]",
        .doc = "List instances",
        .example = "paas ps hello\npaas ps -o wide",
        .args_max = 1,
        .options = ps_options,
        .run = ps_run,
        .method = METHOD_GET,
        .type = &instance_json,
        .columns = instance_columns,
        .said = "no instances run",
    },
    {
        .name = "scale",
        .args = "APP N | PROCESS=N...",
        .doc = "Set how many instances run",
        .about = "A number alone is for the process web. It outlives pushes.",
        .example = "paas scale hello 5\npaas scale shop web=2 worker=1",
        .args_min = 2,
        .args_max = PROCESSES_PER_APP + 1,
        .run = scale_run,
    },
    {
        .name = "autoscale",
        .args = "APP",
        .doc = "Let load decide how many instances run",
        .about = "Between --min and --max, at once and without the scheduler. It outlives pushes;\n"
                 "paas scale APP N ends it.",
        .example =
            "paas autoscale hello --min 0 --max 20 --concurrency 10\n"
            "paas autoscale hello --min 1 --max 8 --cpu 70 --schedule \"mon-fri 08:00-18:00 4\"\n"
            "paas autoscale hello --process worker --min 0 --max 5 --metric /queue"
            " --per-instance 10\n"
            "paas autoscale hello --explain\n"
            "paas autoscale hello --record load.csv",
        .args_min = 1,
        .args_max = 1,
        .options = autoscale_options,
        .run = autoscale_run,
    },
    {
        .name = "logs",
        .args = "APP",
        .doc = "Show what an app wrote",
        .example = "paas logs hello -f\npaas logs hello -n 20 --instance web.1",
        .args_min = 1,
        .args_max = 1,
        .options = logs_options,
        .run = logs_run,
    },
    {
        .name = "events",
        .args = "[APP]",
        .doc = "Show what happened",
        .example = "paas events -f\npaas events hello -n 100",
        .args_max = 1,
        .options = events_options,
        .run = events_run,
    },
    {
        .name = "exec",
        .args = "APP -- COMMAND...",
        .doc = "Run a command in a running instance",
        .about = "Its exit status is passed on. It ends with the connection.",
        .example = "paas exec hello -- cat /etc/hosts\necho hi | paas exec web -i -- wc -c",
        .args_min = 1,
        .args_max = 1,
        .options = exec_options,
        .run = exec_run,
    },
    {
        .name = "kill",
        .args = "APP",
        .doc = "Send a signal to an instance's app, to see it come back",
        .example = "paas kill hello\npaas kill hello --instance web.1 --signal TERM",
        .args_min = 1,
        .args_max = 1,
        .options = kill_options,
        .run = kill_run,
        .method = METHOD_POST,
        .said = "an instance of {0} got the signal",
    },
    {
        .name = "env",
        .args = "APP [set NAME=VALUE... | unset NAME...]",
        .doc = "Show or change an app's environment",
        .about = "A change is a new release. NAME=- reads the value from standard input, so that\n"
                 "a secret stands in no list of processes.",
        .example = "paas env hello\npaas env hello set GREETING=hi\npaas env hello set KEY=- <key",
        .args_min = 1,
        .args_max = ENV_PAIRS,
        .options = change_options,
        .run = env_run,
    },
    {
        .name = "route",
        .args = "APP [add HOST[/PATH] | rm HOST[/PATH]]",
        .doc = "Show or change the host names that lead to an app",
        .example = "paas route hello\npaas route hello add hello.example.com/api",
        .args_min = 1,
        .args_max = 3,
        .run = route_run,
    },
    {
        .name = "releases",
        .args = "APP",
        .doc = "List an app's releases",
        .example = "paas releases hello",
        .args_min = 1,
        .args_max = 1,
        .method = METHOD_GET,
        .path = "/v1/apps/{0}/releases",
        .type = &release_summary_json,
        .columns = release_columns,
        .said = "{0} has no releases",
    },
    {
        .name = "rollback",
        .args = "APP [vN]",
        .doc = "Go back to the previous release, or to one",
        .example = "paas rollback hello\npaas rollback hello v3",
        .args_min = 1,
        .args_max = 2,
        .options = change_options,
        .run = rollback_run,
    },
    {
        .name = "restart",
        .args = "APP",
        .doc = "Replace all instances, one by one, without a gap",
        .example = "paas restart hello",
        .args_min = 1,
        .args_max = 1,
        .options = change_options,
        .run = restart_run,
    },
    {
        .name = "stop",
        .args = "APP",
        .doc = "End all instances and keep the app",
        .example = "paas stop hello",
        .args_min = 1,
        .args_max = 1,
        .run = stop_run,
    },
    {
        .name = "start",
        .args = "APP",
        .doc = "Start an app that was stopped, or failed",
        .example = "paas start hello",
        .args_min = 1,
        .args_max = 1,
        .run = start_run,
    },
    {
        .name = "destroy",
        .args = "APP",
        .doc = "Remove an app with its releases and routes",
        .example = "paas destroy hello --confirm hello",
        .args_min = 1,
        .args_max = 1,
        .options = destroy_options,
        .run = destroy_run,
        .method = METHOD_DELETE,
        .path = "/v1/apps/{0}",
        .said = "{0} is gone",
    },
    {
        .name = "doctor",
        .args = "",
        .doc = "Check what a platform needs of this host",
        .example = "sudo paas doctor\nsudo paas doctor -o json",
        .options = doctor_options,
        .run = doctor_run,
    },
    {
        .name = "config check",
        .args = "[DIR]",
        .doc = "Check a paas.json or Procfile without a platform",
        .example = "paas config check\npaas config check examples/hello",
        .args_max = 1,
        .run = manifest_check_run,
    },
    {
        .name = "help",
        .args = "[COMMAND | exit-codes | reference]",
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
