/* What a supervisor leaves for the next one. SPDX-License-Identifier: Apache-2.0 */
#include "run_state.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <paas/buf.h>
#include <paas/reserve.h>
#include <paas/str.h>

enum {
    STATE_BYTES = 16384,      /* GROUPS_MAX paths and 40 short lines */
    STATE_RESERVE = 64 << 10, /* the new file beside the old one, and some */
    STATE_VERSION = 1,
};

const char *const part_names[PART_COUNT] = {
#define X(id, name, program, user) [PART_##id] = name,
    PARTS(X)
#undef X
};
const char *const socket_names[SOCKET_COUNT] = {
#define X(id, name) [SOCKET_##id] = name,
    SOCKETS(X)
#undef X
};

static void put_part(struct buf *b, const char *name, const struct run_part *part) {
    buf_printf(b, "%s.pid=%d\n%s.start=%" PRIu64 "\n%s.restarts=%" PRIu64 "\n", name,
        (int)part->pid, name, part->start, name, part->restarts);
}

int run_state_write(const struct run_state *state, const char *run, struct err *err) {
    char path[PLACES_SIZE + 16], kept[PLACES_SIZE + 16];
    snprintf(path, sizeof path, "%s/supervisor", run);
    snprintf(kept, sizeof kept, "%s/" RESERVE_NAME, run);
    struct reserve room = { AT_FDCWD, kept, STATE_RESERVE };
    struct buf b;
    buf_init(&b, STATE_BYTES);
    buf_printf(&b, "version=%d\nboot_id=%s\ndata=%s\nplatform=%d\nid_base=%" PRIu32 "\n",
        STATE_VERSION, state->boot_id, state->data, state->platform, state->id_base);
    buf_printf(&b, "http=%s\napi=unix:%s/api.sock\napi_tcp=%s\n", state->http, run, state->api_tcp);
    put_part(&b, "supervisor", &state->supervisor);
    for (int i = 0; i < PART_COUNT; i++) {
        put_part(&b, part_names[i], &state->parts[i]);
    }
    for (int i = 0; i < SOCKET_COUNT; i++) {
        buf_printf(&b, "socket.%s=%" PRIu64 "\n", socket_names[i], state->sockets[i]);
    }
    buf_printf(&b, "cgroup.cpu=%zu\n", state->groups.cpu);
    for (size_t i = 0; i < state->groups.count; i++) {
        buf_printf(&b, "cgroup=%s\n", state->groups.dirs[i]);
    }
    int result =
        b.failed ? err_no_memory(err) : reserve_write(&room, path, b.data, b.len, 0644, err);
    buf_free(&b);
    return result;
}

/* The member of `part` that "pid", "start" or "restarts" names takes `value`. */
static void set_part(struct run_part *part, const char *member, const char *value) {
    uint64_t number = strtoull(value, NULL, 10);
    if (strcmp(member, "pid") == 0) {
        part->pid = (pid_t)number;
    } else if (strcmp(member, "start") == 0) {
        part->start = number;
    } else if (strcmp(member, "restarts") == 0) {
        part->restarts = number;
    }
}

/* A key with a dot: of a part or a socket. */
static void set_dotted(struct run_state *state, const char *key, const char *value) {
    size_t len = strcspn(key, ".");
    const char *member = key + len + 1;
    for (int i = 0; i < PART_COUNT; i++) {
        if (strlen(part_names[i]) == len && strncmp(part_names[i], key, len) == 0) {
            set_part(&state->parts[i], member, value);
        }
    }
    for (int i = 0; i < SOCKET_COUNT && str_starts(key, "socket."); i++) {
        if (strcmp(socket_names[i], member) == 0) {
            state->sockets[i] = strtoull(value, NULL, 10);
        }
    }
    if (str_starts(key, "supervisor.")) {
        set_part(&state->supervisor, member, value);
    }
    if (strcmp(key, "cgroup.cpu") == 0) {
        state->groups.cpu = strtoul(value, NULL, 10) % GROUPS_MAX;
    }
}

static void set_plain(struct run_state *state, const char *key, const char *value) {
    if (strcmp(key, "boot_id") == 0) {
        str_copy(state->boot_id, sizeof state->boot_id, value);
    } else if (strcmp(key, "data") == 0) {
        str_copy(state->data, sizeof state->data, value);
    } else if (strcmp(key, "platform") == 0) {
        state->platform = atoi(value);
    } else if (strcmp(key, "id_base") == 0) {
        state->id_base = (uint32_t)strtoul(value, NULL, 10);
    } else if (strcmp(key, "http") == 0) {
        str_copy(state->http, sizeof state->http, value);
    } else if (strcmp(key, "api_tcp") == 0) {
        str_copy(state->api_tcp, sizeof state->api_tcp, value);
    } else if (strcmp(key, "cgroup") == 0 && state->groups.count < GROUPS_MAX &&
               str_copy(state->groups.dirs[state->groups.count], GROUPS_PATH_MAX, value) == 0) {
        state->groups.count++;
    }
}

static void parse(struct run_state *state, char *text, int *version) {
    for (char *line; (line = strsep(&text, "\n"));) {
        char *value = strchr(line, '=');
        if (!value) {
            continue;
        }
        *value++ = '\0';
        if (strcmp(line, "version") == 0) {
            *version = atoi(value);
        } else if (strchr(line, '.')) {
            set_dotted(state, line, value);
        } else {
            set_plain(state, line, value);
        }
    }
}

int run_state_read(struct run_state *state, const char *run, struct err *err) {
    char path[PLACES_SIZE + 16], boot_id[BOOT_ID_SIZE];
    snprintf(path, sizeof path, "%s/supervisor", run);
    *state = (struct run_state){ 0 };
    struct buf text;
    buf_init(&text, STATE_BYTES);
    int version = 0;
    int result = file_read_whole(AT_FDCWD, path, &text, err);
    if (result == 0) {
        result = file_boot_id(boot_id, err);
    }
    if (result == 0) {
        parse(state, text.data, &version);
        if (version != STATE_VERSION || strcmp(state->boot_id, boot_id) != 0 ||
            state->groups.count == 0) {
            result = err_set(err, ERR_NOT_FOUND, "%s is of another boot or version", path);
        }
    }
    buf_free(&text);
    return result;
}
