/* What `paas status` shows, and `paas up` waits for. SPDX-License-Identifier: Apache-2.0 */
#include "status.h"

#include <stdio.h>
#include <string.h>

#include <paas/buf.h>
#include <paas/str.h>
#include <paas/version.h>

#include "show.h"

static const struct json_type status_part_json = { "part", sizeof(struct status_part),
    (const struct json_field[]){
        F_TEXT(status_part, name, JF_REQUIRED, "name"),
        F_TEXT(status_part, state, 0, "up, silent or restarting"),
        F_INT(status_part, pid, 0, INT64_MAX, 0, 0, "process"),
        F_INT(status_part, restarts, 0, INT64_MAX, 0, 0, "since the platform came up"),
        F_OPEN,
    } };
static const struct json_type status_pids_json = { "pids", sizeof(struct status_pids),
    (const struct json_field[]){
        F_INT(status_pids, supervisor, 0, INT64_MAX, 0, 0, "paas up"),
        F_INT(status_pids, scheduler, 0, INT64_MAX, 0, 0, "paas-scheduler"),
        F_INT(status_pids, agent, 0, INT64_MAX, 0, 0, "paas-agent"),
        F_INT(status_pids, spawner, 0, INT64_MAX, 0, 0, "its root half"),
        F_INT(status_pids, proxy, 0, INT64_MAX, 0, 0, "paas-proxy"),
        F_OPEN,
    } };
#define WHERE                                                                                      \
    F_TEXT(status, api, 0, "address of the API, as --api takes it"),                               \
        F_TEXT(status, http, 0, "address and port of the proxy"),                                  \
        F_TEXT(status, data, 0, "data directory"),                                                 \
        F_OBJECT(status, pids, status_pids, &status_pids_json, 0, "process of each part")

const struct json_type status_up_json = { "up", sizeof(struct status),
    (const struct json_field[]){ WHERE, F_OPEN } };
const struct json_type status_json = { "status", sizeof(struct status),
    (const struct json_field[]){
        WHERE,
        F_BOOL(status, ready, 0, "apps are served and changes accepted"),
        F_TEXT(status, version, 0, "of the platform"),
        F_ARRAY(status, parts, &status_part_json, 64, 0, "the daemons"),
        F_INT(status, nodes, 0, INT64_MAX, 0, 0, "hosts"),
        F_INT(status, apps, 0, INT64_MAX, 0, 0, "apps"),
        F_INT(status, instances, 0, INT64_MAX, 0, 0, "instances that run"),
        F_SIZE(status, memory_total, 0, INT64_MAX, 0, 0, "of the hosts"),
        F_SIZE(status, memory_available, 0, INT64_MAX, 0, 0, "what is left of it"),
        F_SIZE(status, memory_promised, 0, INT64_MAX, 0, 0, "limits of all instances"),
        F_SIZE(status, memory_used, 0, INT64_MAX, 0, 0, "by all instances"),
        F_TEXT(status, full, 0, "host on which something has no room"),
        F_OPEN,
    } };

/* The part of that name in the supervisor's notes, or NULL. */
static const struct run_part *find_noted(const struct run_state *state, const char *name) {
    for (int i = 0; i < PART_COUNT; i++) {
        if (strcmp(part_names[i], name) == 0) {
            return &state->parts[i];
        }
    }
    return NULL;
}

/* Adds to the parts what the supervisor knows of them. */
static void note_parts(const struct run_state *state, struct status *out) {
    struct status_part *parts = out->parts.items;
    for (size_t i = 0; i < out->parts.count; i++) {
        const struct run_part *noted = find_noted(state, parts[i].name);
        if (noted) {
            parts[i].pid = noted->pid;
            parts[i].restarts = (int64_t)noted->restarts;
        }
        if (noted && noted->pid == 0) {
            str_copy(parts[i].state, sizeof parts[i].state, "restarting");
        }
    }
}

/* The first part that does not do its work, or NULL. */
static const struct status_part *find_silent(const struct status *s) {
    const struct status_part *parts = s->parts.items;
    for (size_t i = 0; i < s->parts.count; i++) {
        if (strcmp(parts[i].state, "up") != 0) {
            return &parts[i];
        }
    }
    return NULL;
}

void status_local(const struct run_state *state, const char *api, struct status *out) {
    str_copy(out->api, sizeof out->api, api);
    str_copy(out->http, sizeof out->http, state->http);
    str_copy(out->data, sizeof out->data, state->data);
    out->pids = (struct status_pids){
        .supervisor = state->supervisor.pid,
        .scheduler = state->parts[PART_SCHEDULER].pid,
        .agent = state->parts[PART_AGENT].pid,
        .spawner = state->parts[PART_SPAWNER].pid,
        .proxy = state->parts[PART_PROXY].pid,
    };
}

/* The state that belongs to an API's socket "R/api.sock". */
static int read_local(const struct client *c, struct run_state *state) {
    const char *socket = client_socket(c);
    char run[PLACES_SIZE];
    if (!socket || str_copy(run, sizeof run, socket) < 0 || !strrchr(run, '/')) {
        return -1;
    }
    *strrchr(run, '/') = '\0';
    return run_state_read(state, run, NULL);
}

int status_get(struct client *c, struct status *out, struct err *err) {
    struct run_state state;
    if (client_get(c, "/v1/status", &status_json, out, err) < 0) {
        return -1;
    }
    if (read_local(c, &state) == 0) {
        status_local(&state, client_api(c), out);
        note_parts(&state, out);
    }
    /* The scheduler judges itself; without the others no app is served. */
    out->ready = out->ready && !find_silent(out);
    return 0;
}

static const char *plural(int64_t count) {
    return count == 1 ? "" : "s";
}

static void print_memory(FILE *to, const struct status *s) {
    char total[STR_AMOUNT_MAX], left[STR_AMOUNT_MAX], used[STR_AMOUNT_MAX], may[STR_AMOUNT_MAX];
    fprintf(to, "  memory %s of %s left, instances use %s and may use %s\n",
        str_format_size(s->memory_available, left), str_format_size(s->memory_total, total),
        str_format_size(s->memory_used, used), str_format_size(s->memory_promised, may));
    if (s->full[0]) {
        fprintf(to, "  full   %s has no room for what should start\n", s->full);
    }
}

static void print(FILE *to, const struct status *s) {
    const struct {
        const char *name;
        int64_t pid;
    } pids[] = { { "supervisor", s->pids.supervisor }, { "scheduler", s->pids.scheduler },
        { "agent", s->pids.agent }, { "spawner", s->pids.spawner }, { "proxy", s->pids.proxy } };
    const struct status_part *silent = find_silent(s);
    fprintf(to, "paas %s: %s", s->version[0] ? s->version : PAAS_VERSION,
        s->ready ? "all is well" : "not ready");
    if (silent) {
        fprintf(to, ", the %s is %s", silent->name, silent->state);
    }
    fputc('\n', to);
    fprintf(to, "  api    %s\n  http   http://%s\n  data   %s\n", s->api, s->http, s->data);
    fprintf(to, "  runs   %d app%s, %d instance%s on %d node%s\n", (int)s->apps, plural(s->apps),
        (int)s->instances, plural(s->instances), (int)s->nodes, plural(s->nodes));
    if (s->memory_total > 0) {
        print_memory(to, s);
    }
    fprintf(to, "  parts ");
    for (size_t i = 0; i < sizeof pids / sizeof *pids; i++) {
        if (pids[i].pid) {
            fprintf(to, " %s %d", pids[i].name, (int)pids[i].pid);
        }
    }
    fputc('\n', to);
}

int status_tell_full(struct cli *cli, struct err *err) {
    struct client *c = cli_client(cli, err);
    struct status s = { 0 };
    if (!c || client_get(c, "/v1/status", &status_json, &s, err) < 0) {
        return -1;
    }
    if (s.full[0]) {
        fprintf(stderr, "%s is full: what should start has no room in its memory\n", s.full);
    }
    json_free(&status_json, &s);
    return 0;
}

int status_run(struct cli *cli, struct err *err) {
    struct client *c = cli_client(cli, err);
    struct status s = { 0 };
    if (!c || status_get(c, &s, err) < 0) {
        return -1;
    }
    if (cli->output == OUTPUT_JSON) {
        show_json(&status_json, &s);
    } else {
        print(stdout, &s);
    }
    cli->exit_status = s.ready ? 0 : err_exit_status(ERR_UNAVAILABLE);
    json_free(&status_json, &s);
    return 0;
}
