/* What a start does, in which order. SPDX-License-Identifier: Apache-2.0 */
#include "plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

#include <cmocka.h>

static struct plan plan_for(uint32_t stack, uint32_t layers, bool network) {
    struct sandbox_spec spec;
    sandbox_spec_init(&spec);
    spec.stack = stack;
    spec.n_layers = layers;
    struct features features = { .mask_files = 1u << 0, .mask_dirs = 1u << 3 };
    struct plan plan;
    plan_make(&spec, &features, network, &plan);
    return plan;
}

/* Position of the first step of `kind`, and for mounts of `target`; -1 when it is not there. */
static int position(const struct plan *plan, enum plan_kind kind, const char *target) {
    for (size_t i = 0; i < plan->count; i++) {
        const struct plan_step *step = &plan->steps[i];
        if (step->kind == kind && (!target || strcmp(step->mount.target, target) == 0)) {
            return (int)i;
        }
    }
    return -1;
}

static void of_the_namespaces_the_users_is_the_last(void **state) {
    (void)state;
    struct plan plan = plan_for(SANDBOX_IMAGE, 1, true);
    int user = position(&plan, STEP_USER, NULL);
    assert_true(user > position(&plan, STEP_NETWORK, NULL));
    assert_true(user > position(&plan, STEP_PIVOT, NULL));
    assert_true(user > position(&plan, STEP_CGROUPS, NULL));
    assert_int_equal(position(&plan, STEP_PRIVILEGES, NULL), user + 1);
    assert_int_equal(plan.steps[plan.count - 1].kind, STEP_PRIVILEGES);
}

static void the_uppermost_layer_comes_first(void **state) {
    (void)state;
    struct plan plan = plan_for(SANDBOX_HOST, 2, true);
    int first = position(&plan, STEP_LAYER, NULL);
    assert_int_equal(plan.steps[first].layer, 1);
    assert_int_equal(plan.steps[first + 1].layer, 0);
    assert_int_equal(plan.steps[first + 2].layer, 2); /* the skeleton */
    assert_int_equal(plan.steps[first + 3].kind, STEP_ROOT);
}

static void only_stack_host_sees_the_hosts_usr(void **state) {
    (void)state;
    struct plan image = plan_for(SANDBOX_IMAGE, 1, true), host = plan_for(SANDBOX_HOST, 0, true);
    assert_int_equal(position(&image, STEP_MOUNT, "usr"), -1);
    assert_int_equal(position(&image, STEP_MOUNT, "etc/ssl"), -1);
    int usr = position(&host, STEP_MOUNT, "usr");
    assert_true(usr >= 0);
    assert_true(host.steps[usr].mount.attr & MOUNT_ATTR_RDONLY);
}

static void every_mount_is_nosuid_and_only_devices_are_devices(void **state) {
    (void)state;
    struct plan plan = plan_for(SANDBOX_HOST, 1, true);
    for (size_t i = 0; i < plan.count; i++) {
        const struct plan_mount *m = &plan.steps[i].mount;
        if (plan.steps[i].kind != STEP_MOUNT) {
            continue;
        }
        bool devices = strncmp(m->target, "dev", 3) == 0 && strcmp(m->target, "dev/shm") != 0;
        bool mask = strcmp(m->target, "proc/keys") == 0;
        assert_true(m->attr & MOUNT_ATTR_NOSUID);
        assert_int_equal(!(m->attr & MOUNT_ATTR_NODEV), devices || mask);
    }
}

static void what_the_kernel_has_is_masked_inside_proc(void **state) {
    (void)state;
    struct plan plan = plan_for(SANDBOX_IMAGE, 1, true);
    int proc = position(&plan, STEP_MOUNT, "proc");
    assert_true(plan.steps[proc].mount.attr & MOUNT_ATTR_RDONLY);
    assert_true(position(&plan, STEP_MOUNT, "proc/keys") > proc);
    assert_true(position(&plan, STEP_MOUNT, "proc/acpi") > proc);
    assert_int_equal(position(&plan, STEP_MOUNT, "proc/scsi"), -1);
    for (unsigned i = 0; i < PLAN_MASKS; i++) {
        struct sandbox_spec spec;
        sandbox_spec_init(&spec);
        struct features one = { .mask_files = 1u << i };
        char target[64];
        plan_make(&spec, &one, false, &plan);
        snprintf(target, sizeof target, "proc/%s", plan_masks[i]);
        assert_true(position(&plan, STEP_MOUNT, target) > 0);
    }
}

static void without_network_none_is_entered(void **state) {
    (void)state;
    struct plan plan = plan_for(SANDBOX_IMAGE, 1, false);
    assert_int_equal(position(&plan, STEP_NETWORK, NULL), -1);
}

static void shared_memory_is_never_on_disk(void **state) {
    (void)state;
    struct sandbox_spec spec;
    struct features features = { 0 };
    struct plan plan;
    sandbox_spec_init(&spec);
    plan_make(&spec, &features, true, &plan);
    int shm = position(&plan, STEP_MOUNT, "dev/shm");
    assert_int_equal(plan.steps[shm].mount.source, PLAN_WRITABLE);
    spec.flags = SANDBOX_DISK;
    plan_make(&spec, &features, true, &plan);
    shm = position(&plan, STEP_MOUNT, "dev/shm");
    assert_int_equal(plan.steps[shm].mount.source, PLAN_SHM);
    assert_true(shm > position(&plan, STEP_MOUNT, "dev"));
    assert_true(plan.steps[shm].mount.attr & MOUNT_ATTR_NODEV);
    int tmp = position(&plan, STEP_MOUNT, "tmp");
    assert_int_equal(plan.steps[tmp].mount.source, PLAN_WRITABLE);
}

static void the_largest_plan_fits(void **state) {
    (void)state;
    struct sandbox_spec spec;
    sandbox_spec_init(&spec);
    spec.stack = SANDBOX_HOST;
    spec.n_layers = SANDBOX_LAYERS_MAX;
    struct features all = { .mask_files = (1u << PLAN_MASKS) - 1 };
    struct plan plan;
    plan_make(&spec, &all, true, &plan);
    assert_true(plan.count < PLAN_STEPS_MAX);
}

static void a_step_has_words(void **state) {
    (void)state;
    char text[64];
    struct plan plan = plan_for(SANDBOX_IMAGE, 1, true);
    plan_describe(&plan.steps[position(&plan, STEP_MOUNT, "dev/pts")], text, sizeof text);
    assert_string_equal(text, "can't mount dev/pts");
    plan_describe(&plan.steps[plan.count - 1], text, sizeof text);
    assert_string_equal(text, "can't give up privileges");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_the_namespaces_the_users_is_the_last),
        cmocka_unit_test(the_uppermost_layer_comes_first),
        cmocka_unit_test(only_stack_host_sees_the_hosts_usr),
        cmocka_unit_test(every_mount_is_nosuid_and_only_devices_are_devices),
        cmocka_unit_test(what_the_kernel_has_is_masked_inside_proc),
        cmocka_unit_test(without_network_none_is_entered),
        cmocka_unit_test(shared_memory_is_never_on_disk),
        cmocka_unit_test(the_largest_plan_fits),
        cmocka_unit_test(a_step_has_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
