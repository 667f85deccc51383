/* From the decision to start to a process. SPDX-License-Identifier: Apache-2.0
 *
 * Where a sandbox was made ahead, instance_launch_ahead() tells its paas-init what to run. Else
 * instance_begin() looks for the layers, or waits for the pull; spawn() asks the spawner when its
 * turn comes. Either way begin_to_run() writes the record and has the process watched.
 */
#include "instance_parts.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include <paas/file.h>

#include "launch.h"
#include "record.h"

static void spawn(struct agent_instance *i);

/* There is a process: `init_pid`, `start_time` and `pidfd` say which. */
static void begin_to_run(struct agent_instance *i, struct in_addr address) {
    struct err err;
    inet_ntop(AF_INET, &address, i->row.address, sizeof i->row.address);
    i->phase = PHASE_START;
    instance_record(i);
    if (instance_watch(i, &err) < 0) {
        instance_set_end(i, END_START, "%s", err.text);
        instance_conclude(i, true);
        return;
    }
    if (i->reason != END_NONE) {
        instance_ask_to_end(i);
        return;
    }
    instance_set_timer(i, i->spec->health.start - (clock_msec() - i->decided));
    instance_tell(i);
}

/* Sends those to the spawner whose turn it is. */
static void go_on_with_turns(const struct instance_host *host) {
    struct turn *turn;
    while ((turn = turns_next(host->turns))) {
        spawn(LIST_ITEM(turn, struct agent_instance, turn));
    }
}

static void wait_for_turn(struct agent_instance *i) {
    i->phase = PHASE_SPAWN;
    turn_wait(i->host->turns, i->lane, &i->turn);
    go_on_with_turns(i->host);
}

static void on_spawned(
    void *data, const struct spawner_answer *answer, int *fds, const struct err *failed) {
    struct agent_instance *i = data;
    turn_leave(i->host->turns, &i->turn);
    go_on_with_turns(i->host);
    if (failed->code != ERR_OK) {
        instance_give_up(i, END_START, failed->text);
        return;
    }
    i->init_pid = answer->pid;
    i->pidfd = fds[0];
    fds[0] = -1;
    i->start_time = answer->start_time;
    begin_to_run(i, (struct in_addr){ .s_addr = answer->address });
}

void instance_launch_ahead(struct agent_instance *i) {
    struct err err;
    CLEANUP_FD int block = launch_block(i->release, i->spec, &i->row, &err);
    bool told = i->reason == END_NONE && block >= 0 && pool_launch(&i->ahead, block, &err) == 0;
    if (!told) {
        if (i->reason == END_NONE) {
            instance_set_end(i, END_START, "%s", err.text);
        }
        i->row.last_exit = (struct last_exit){ .code = -1 };
        instance_conclude(i, true); /* it closes the socket, and paas-init leaves */
        return;
    }
    i->init_pid = i->ahead.init_pid;
    i->start_time = i->ahead.start_time;
    i->pidfd = i->ahead.pidfd;
    i->ahead.pidfd = -1;
    begin_to_run(i, i->ahead.address);
}

static int spawn_with(struct agent_instance *i, int block, struct err *err) {
    struct spawner_request request = { .operation = SPAWNER_START };
    if (launch_sandbox(i->host, i->release, i->spec, i->row.id, &request.start, err) < 0) {
        return -1;
    }
    CLEANUP_FD int directory = record_make(i->host->directory_fd, i->row.id, err);
    if (directory < 0) {
        return -1;
    }
    int fds[] = { block, directory };
    return spawner_ask(i->host->spawner, &request, fds, on_spawned, i, err);
}

/* It is its turn. */
static void spawn(struct agent_instance *i) {
    struct err err;
    if (i->reason != END_NONE) { /* it was stopped while it waited */
        turn_leave(i->host->turns, &i->turn);
        i->row.last_exit = (struct last_exit){ .code = -1 };
        instance_conclude(i, false);
        return;
    }
    CLEANUP_FD int block = launch_block(i->release, i->spec, &i->row, &err);
    if (block < 0 || spawn_with(i, block, &err) < 0) {
        turn_leave(i->host->turns, &i->turn);
        instance_give_up(i, END_START, err.text);
    }
}

static void on_pulled(void *data, const struct err *failed) {
    struct agent_instance *i = data;
    i->pull = NULL;
    if (failed->code == ERR_OK) {
        wait_for_turn(i);
    } else {
        bool image = failed->code == ERR_BAD_IMAGE || failed->code == ERR_DIGEST ||
                     failed->code == ERR_TOO_LARGE;
        instance_give_up(i, image ? END_IMAGE : END_START, failed->text);
    }
}

void instance_begin(struct agent_instance *i) {
    static const struct image_events events = { .done = on_pulled };
    char names[SANDBOX_LAYERS_MAX][DIGEST_HEX_LENGTH];
    size_t count;
    struct err err;
    int found =
        image_layer_names(i->host->images, i->release, SANDBOX_LAYERS_MAX, names, &count, &err);
    if (found == 0) {
        wait_for_turn(i);
        return;
    }
    if (err.code == ERR_NOT_FOUND) {
        i->pull = image_pull(i->host->images, i->release, &events, i, &err);
    }
    if (!i->pull) {
        instance_give_up(i, END_IMAGE, err.text);
    }
}
