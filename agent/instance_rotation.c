/* In rotation, asleep, and in between. SPDX-License-Identifier: Apache-2.0
 *
 * The proxy gates: a row that leaves the rotation carries the number of the sync that tells it, and
 * nothing happens to the instance before the proxy has acknowledged that, is gone, or time is up.
 */
#include "instance_parts.h"

#include <inttypes.h>

#include <paas/log.h>

void instance_enter_rotation(struct agent_instance *i) {
    i->phase = PHASE_SERVE;
    i->row.state = INSTANCE_HEALTHY;
    i->healthy_since = clock_msec();
    uv_timer_stop(&i->timer);
    if (!i->listens) {
        i->row.ready_ms = clock_msec() - i->decided;
    }
    instance_tell(i);
    instance_record_later(i);
}

int instance_set_swap(struct agent_instance *i, bool allowed) {
    struct err err;
    i->giving = false;
    if (sandbox_swap(i->host->cgroups, i->row.id, allowed, &err) < 0) {
        log_warn("%s: %s", i->row.id, err.text);
        return -1;
    }
    i->giving = allowed;
    return 0;
}

int instance_set_frozen(struct agent_instance *i, bool frozen) {
    struct err err;
    if (i->giving && !frozen) {
        instance_set_swap(i, false);
    }
    if (sandbox_freeze(i->host->cgroups, i->row.id, frozen, &err) < 0) {
        log_error("%s: %s", i->row.id, err.text);
        return -1;
    }
    return 0;
}

void instance_freeze(struct agent_instance *i) {
    if (i->phase != PHASE_SERVE) {
        return;
    }
    i->phase = PHASE_FREEZE;
    i->row.state = INSTANCE_FROZEN;
    i->frozen_since = clock_msec();
    i->rotation = INT64_MAX;
    if (i->health) {
        health_pause(i->health);
    }
    instance_tell(i);
    instance_set_timer(i, ROTATION_MS);
}

/* Nothing is in flight at it any more. */
static void fall_asleep(struct agent_instance *i) {
    uv_timer_stop(&i->timer);
    i->phase = PHASE_FROZEN;
    i->given_back = false;
    if (instance_set_frozen(i, true) < 0) {
        instance_thaw(i);
        return;
    }
    log_debug("instance %s app=%s slot=%s sleeps", i->row.id, i->row.app, i->row.slot);
    instance_tell(i);
    instance_record(i);
}

void instance_thaw(struct agent_instance *i) {
    if (i->phase != PHASE_FREEZE && i->phase != PHASE_FROZEN) {
        return;
    }
    if (i->phase == PHASE_FROZEN) {
        instance_set_frozen(i, false);
    }
    log_debug("instance %s app=%s slot=%s wakes", i->row.id, i->row.app, i->row.slot);
    uv_timer_stop(&i->timer);
    i->phase = PHASE_SERVE;
    i->rotation = 0;
    i->row.state = INSTANCE_HEALTHY;
    instance_tell(i);
    if (i->health) {
        health_resume(i->health);
    }
    instance_record_later(i);
}

void instance_acknowledged(struct agent_instance *i, int64_t revision) {
    if (i->rotation == 0 || revision < i->rotation) {
        return;
    }
    i->rotation = 0;
    if (i->phase == PHASE_SERVE && i->row.ready_ms < 0) {
        i->row.ready_ms = clock_msec() - i->decided;
        log_info("instance %s app=%s slot=%s healthy ready_ms=%" PRId64, i->row.id, i->row.app,
            i->row.slot, i->row.ready_ms);
        instance_tell(i);
        instance_record_later(i);
    } else if (i->phase == PHASE_DRAIN || i->phase == PHASE_FREEZE) {
        /* Out of rotation. Its requests have as long as its end would have. */
        instance_set_timer(i, i->reason == END_HEALTH ? 0 : i->spec->stop.grace);
    }
}

void instance_drained(struct agent_instance *i) {
    if (i->rotation) {
        return; /* said of an earlier time out of rotation: this one is not yet acknowledged */
    }
    if (i->phase == PHASE_DRAIN) {
        instance_ask_to_end(i);
    } else if (i->phase == PHASE_FREEZE) {
        fall_asleep(i);
    }
}

void instance_suspect(struct agent_instance *i) {
    if (i->health && i->phase == PHASE_SERVE) {
        health_probe_now(i->health);
    }
}
