/* How many are promised here, who has room in the host's memory, and whose memory goes to swap.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fleet_parts.h"

#define MIB (INT64_C(1) << 20)
#define TOTAL (1600 * MIB) /* 100 MiB of it are the reserve */

enum { STOP_AFTER_MS = 100000, GIVE_AFTER_MS = STOP_AFTER_MS / 10, MANY = 4 };

/* A host with one app. */
struct scene {
    struct fleet fleet;
    struct group group;
    struct agent_instance instances[MANY];
    size_t count;
};

static struct scene *scene(int64_t available) {
    struct scene *s = calloc(1, sizeof *s);
    assert_non_null(s);
    map_init(&s->fleet.groups);
    s->fleet.memory.host =
        (struct capacity){ .memory_total = TOTAL, .memory_available = available };
    s->fleet.memory.looked = clock_msec() + 60000; /* so that it does not look again */
    s->group.fleet = &s->fleet;
    s->group.granted = true;
    s->group.grant.ceiling = MANY;
    s->group.grant.rule.stop_after = STOP_AFTER_MS;
    list_init(&s->group.instances);
    assert_int_equal(map_set(&s->fleet.groups, "app/web@1", &s->group), 0);
    return s;
}

static void scene_free(struct scene *s) {
    map_free(&s->fleet.groups);
    free(s);
}

/* One that has been in its phase since then, with so much of its memory in swap. */
static struct agent_instance *add(
    struct scene *s, enum instance_phase phase, msec since, int64_t memory, int64_t swapped) {
    struct agent_instance *i = &s->instances[s->count++];
    i->group = &s->group;
    i->phase = phase;
    i->frozen_since = since;
    i->row.memory_bytes = memory;
    i->row.swapped_bytes = swapped;
    list_append(&s->group.instances, &i->link);
    return i;
}

static void who_sleeps_longest_gives_first_once_it_has_slept_for_long(void **state) {
    (void)state;
    struct scene *s = scene(TOTAL);
    add(s, PHASE_FROZEN, 2000, MIB, 0);
    struct agent_instance *first = add(s, PHASE_FROZEN, 1000, MIB, 0);
    assert_null(fleet_next_giver(&s->fleet, 999 + GIVE_AFTER_MS));
    assert_ptr_equal(fleet_next_giver(&s->fleet, 1000 + GIVE_AFTER_MS), first);
    first->given_back = true; /* once a sleep */
    assert_null(fleet_next_giver(&s->fleet, 1999 + GIVE_AFTER_MS));
    assert_ptr_equal(fleet_next_giver(&s->fleet, 2000 + GIVE_AFTER_MS), &s->instances[0]);
    scene_free(s);
}

static void only_who_is_frozen_gives(void **state) {
    (void)state;
    for (enum instance_phase phase = PHASE_IMAGE; phase <= PHASE_ENDED; phase++) {
        struct scene *s = scene(TOTAL);
        struct agent_instance *i = add(s, phase, 1000, MIB, 0);
        assert_ptr_equal(
            fleet_next_giver(&s->fleet, 10 * STOP_AFTER_MS), phase == PHASE_FROZEN ? i : NULL);
        s->group.granted = false;
        assert_null(fleet_next_giver(&s->fleet, 10 * STOP_AFTER_MS));
        scene_free(s);
    }
}

static void standbys_keep_theirs(void **state) {
    (void)state;
    struct scene *s = scene(TOTAL);
    struct agent_instance *first = add(s, PHASE_FROZEN, 1000, MIB, 0);
    add(s, PHASE_FROZEN, 2000, MIB, 0);
    s->group.grant.frozen = 1;
    assert_ptr_equal(fleet_next_giver(&s->fleet, STOP_AFTER_MS), first);
    first->given_back = true;
    assert_null(fleet_next_giver(&s->fleet, STOP_AFTER_MS));
    s->group.grant.ceiling = 0; /* kept for a rollback: no standbys */
    assert_ptr_equal(fleet_next_giver(&s->fleet, STOP_AFTER_MS), &s->instances[1]);
    scene_free(s);
}

static void a_sleeper_in_memory_wakes_without_room(void **state) {
    (void)state;
    struct scene *s = scene(10 * MIB);
    add(s, PHASE_FROZEN, 1000, 30 * MIB, 20 * MIB);
    assert_int_equal(fleet_memory_allow(&s->group, 1), 1);
    assert_int_equal(s->group.asked, 0);
    scene_free(s);
}

static void one_in_swap_needs_all_of_its_memory_again(void **state) {
    (void)state;
    struct scene *s = scene(149 * MIB);
    add(s, PHASE_FROZEN, 1000, 2 * MIB, 48 * MIB);
    assert_int_equal(fleet_memory_allow(&s->group, 1), 0);
    assert_int_equal(s->group.asked, 50 * MIB);
    s->fleet.memory.host.memory_available = 150 * MIB;
    assert_int_equal(fleet_memory_allow(&s->group, 1), 1);
    assert_int_equal(s->group.asked, 0);
    scene_free(s);
}

static void what_an_awake_one_has_in_swap_is_not_free(void **state) {
    (void)state;
    struct scene *s = scene(190 * MIB);
    add(s, PHASE_SERVE, 0, 10 * MIB, 40 * MIB);
    assert_int_equal(fleet_memory_allow(&s->group, 2), 2); /* 50 more, 40 to come back */
    s->fleet.memory.host.memory_available = 189 * MIB;
    assert_int_equal(fleet_memory_allow(&s->group, 2), 1);
    assert_int_equal(s->group.asked, 50 * MIB);
    scene_free(s);
}

static void on_closed(uv_handle_t *handle) {
    (void)handle;
}

static void a_schedule_counts_what_other_hosts_run(void **state) {
    (void)state;
    struct scene *s = scene(TOTAL);
    uv_loop_t loop;
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(uv_timer_init(&loop, &s->fleet.measure), 0);
    s->group.grant = (struct grant){ .floor = 1,
        .ceiling = 7, /* three of ten are floors elsewhere */
        .target_of_demand = true,
        .rule = { .min = 4, .max = 10, .concurrency = 1, .schedule = "daily 00:00-24:00 5" } };
    assert_int_equal(group_scheduled(&s->group), 0);
    group_set_measures(&s->group, true);
    assert_int_equal(group_scheduled(&s->group), 2);
    assert_int_equal(group_floor(&s->group), 2);
    s->group.grant.ceiling = 5;
    assert_int_equal(group_scheduled(&s->group), 0);
    assert_int_equal(group_floor(&s->group), 1);
    group_forget_measures(&s->group);
    uv_close((uv_handle_t *)&s->fleet.measure, on_closed);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&loop), 0);
    scene_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_sleeps_longest_gives_first_once_it_has_slept_for_long),
        cmocka_unit_test(only_who_is_frozen_gives),
        cmocka_unit_test(standbys_keep_theirs),
        cmocka_unit_test(a_sleeper_in_memory_wakes_without_room),
        cmocka_unit_test(one_in_swap_needs_all_of_its_memory_again),
        cmocka_unit_test(what_an_awake_one_has_in_swap_is_not_free),
        cmocka_unit_test(a_schedule_counts_what_other_hosts_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
