/* Instances that outlived the agent before. SPDX-License-Identifier: Apache-2.0
 *
 * Each directory is read: a process that is still there goes on, one that is not is told to have
 * ended; then the spawner destroys what nobody wants.
 */
#include "fleet_parts.h"

#include <paas/log.h>
#include <paas/str.h>

#include "launch.h"
#include "record.h"

/* What the newest of a slot's instances says of it. */
static void recall_slot(struct slot *slot, const struct agent_instance *i) {
    if (i->row.created_at < slot->recalled) {
        return;
    }
    /* An end that was wanted is no restart; one that was not is in its own row's count not yet. */
    bool counts = i->phase == PHASE_ENDED && i->reason != END_STOPPED;
    slot->recalled = i->row.created_at;
    slot->restarts = i->row.restarts + counts;
    slot->failures = i->failures;
    slot->not_before = i->not_before;
    if (counts || i->phase != PHASE_ENDED) {
        slot->last_exit = i->row.last_exit;
    }
}

static int adopt_one(struct fleet *f, const char *id, struct err *err) {
    struct record record;
    if (record_read(f->host.directory_fd, id, &record, err) < 0) {
        return -1;
    }
    struct group *g = group_get(f, record.row.app, record.row.process, record.row.release, err);
    if (!g) {
        return -1;
    }
    const struct release_config *release = configs_get(f->options.configs, record.config);
    struct instance_spec spec = {
        .release = release,
        .process = release_process(release, record.row.process),
        .config = record.config,
        .group = g,
    };
    struct agent_instance *i = instance_adopt(&f->host, &record, &spec, err);
    if (!i) {
        return -1;
    }
    list_append(&g->instances, &i->link);
    if (i->attempt > g->grant.attempt) {
        g->grant.attempt = i->attempt; /* the same again forgives nothing */
    }
    struct slot *slot = group_slot(g, i->number);
    if (slot) {
        recall_slot(slot, i);
    }
    log_info("instance %s app=%s slot=%s adopted, %s", i->row.id, i->row.app, i->row.slot,
        i->phase <= PHASE_SERVE ? "running" : "ended");
    return 0;
}

static void on_swept(
    void *data, const struct spawner_answer *answer, int *fds, const struct err *err) {
    struct fleet *f = data;
    (void)answer;
    (void)fds;
    if (err->code != ERR_OK) {
        log_error("sweeping leftovers: %s", err->text);
    }
    f->adopting = false;
    fleet_wake(f);
    f->adopted(f->options.data);
}

static void keep_one(void *data, struct agent_instance *i) {
    struct spawner_keep *keep = data;
    if (i->phase < PHASE_DESTROY && keep->count < INSTANCES_PER_NODE) {
        str_copy(keep->ids[keep->count++], SANDBOX_ID_MAX, i->row.id);
    }
}

static void adopt_or_remove(void *data, const char *id) {
    struct fleet *f = data;
    struct err err;
    if (adopt_one(f, id, &err) < 0) {
        if (err.code != ERR_NOT_FOUND) { /* without a record it never ran */
            log_warn("sweeping %s: %s", id, err.text);
        }
        record_remove(f->host.directory_fd, id, NULL);
    }
}

int fleet_adopt(struct fleet *f, void (*adopted)(void *data), struct err *err) {
    if (record_list(f->host.directory_fd, adopt_or_remove, f, err) < 0) {
        return -1;
    }
    struct spawner_request request = { .operation = SPAWNER_SWEEP };
    fleet_each(f, true, keep_one, &request.keep);
    f->adopting = true;
    f->adopted = adopted;
    return spawner_ask(f->host.spawner, &request, NULL, on_swept, f, err);
}
