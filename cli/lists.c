/* How lists of the API look as tables. SPDX-License-Identifier: Apache-2.0 */
#include "lists.h"

#include <stdio.h>
#include <string.h>

#include "client.h"
#include "request.h"
#include "status.h"

const struct column app_columns[] = {
    { "NAME", "name", FORM_PLAIN, 0 },
    { "STATE", "state", FORM_PLAIN, 0 },
    { "HEALTHY", "healthy", FORM_PLAIN, 0 },
    { "DESIRED", "desired", FORM_PLAIN, 0 },
    { "RELEASE", "release", FORM_RELEASE, 1 },
    { "URL", "url", FORM_PLAIN, 0 },
    { "ROUTES", "routes", FORM_PLAIN, 2 },
    { 0 },
};

const struct column instance_columns[] = {
    { "APP", "app", FORM_PLAIN, 0 },
    { "SLOT", "slot", FORM_PLAIN, 0 },
    { "STATE", "state", FORM_PLAIN, 0 },
    { "RELEASE", "release", FORM_RELEASE, 3 },
    { "AGE", "created_at", FORM_AGE, 4 },
    { "READY", "ready_ms", FORM_MS, 6 },
    { "MEMORY", "memory_bytes", FORM_PLAIN, 5 },
    { "SWAPPED", "swapped_bytes", FORM_PLAIN, 8 },
    { "RESTARTS", "restarts", FORM_PLAIN, 0 },
    { "LAST END", "last_exit.reason", FORM_PLAIN, 1 },
    { "DETAIL", "last_exit.detail", FORM_PLAIN, 2 },
    { "ID", "id", FORM_PLAIN, 2 },
    { "PID", "pid", FORM_PLAIN, 7 },
    { "ADDRESS", "address", FORM_PLAIN, 8 },
    { "PORT", "port", FORM_PLAIN, 8 },
    { "CPU S", "cpu_seconds", FORM_PLAIN, 9 },
    { "NODE", "node", FORM_PLAIN, 9 },
    { "HEALTH", "health", FORM_PLAIN, 9 },
    { 0 },
};

const struct column release_columns[] = {
    { "RELEASE", "release", FORM_RELEASE, 0 },
    { "STATE", "state", FORM_PLAIN, 0 },
    { "AGE", "created_at", FORM_AGE, 1 },
    { "IMAGE", "image", FORM_PLAIN, 2 },
    { "REASON", "reason", FORM_PLAIN, 0 },
    { 0 },
};

const struct option_row ps_options[] = {
    { "all", 'a', NULL, "with the instances that ended last" },
    { 0 },
};

int ps_run(struct cli *cli, struct err *err) {
    char path[CLIENT_PATH_MAX];
    const char *pattern = cli_arg(cli, 0) ? "/v1/apps/{0}/instances" : "/v1/instances";
    if (request_path(cli, pattern, path, sizeof path - sizeof "?all=1", err) < 0) {
        return -1;
    }
    if (options_flag(&cli->options, "all")) {
        strcat(path, "?all=1");
    }
    if (request_send(cli, path, NULL, NULL, err) < 0) {
        return -1;
    }
    return cli->output == OUTPUT_JSON ? 0 : status_tell_full(cli, err);
}
