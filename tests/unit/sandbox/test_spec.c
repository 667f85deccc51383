/* A spec is refused for each single thing that is wrong with it. SPDX-License-Identifier:
 * Apache-2.0
 */
#include <paas/sandbox.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct sandbox_spec good(void) {
    struct sandbox_spec spec;
    sandbox_spec_init(&spec);
    snprintf(spec.id, sizeof spec.id, "abcdefgh23");
    snprintf(spec.hostname, sizeof spec.hostname, "web-1");
    spec.slot = SANDBOX_SLOT_MIN;
    spec.n_layers = 1;
    memset(spec.layers[0], 'a', SANDBOX_DIGEST_LEN);
    return spec;
}

static void takes(const struct sandbox_spec *spec) {
    struct err err;
    assert_int_equal(sandbox_spec_check(spec, &err), 0);
}

static void refuses(const struct sandbox_spec *spec, const char *member) {
    struct err err;
    char text[ERR_TEXT_MAX];
    assert_int_equal(sandbox_spec_check(spec, &err), -1);
    snprintf(text, sizeof text, "sandbox: bad %s", member);
    assert_string_equal(err.text, text);
    assert_int_equal(err.code, ERR_BAD_VALUE);
}

static void defaults_are_good(void **state) {
    (void)state;
    struct sandbox_spec spec = good();
    takes(&spec);
    spec.stack = SANDBOX_HOST;
    spec.n_layers = 0;
    takes(&spec);
}

static void ids_name_one_directory(void **state) {
    (void)state;
    static const char *const bad[] = { "", "a/b", "..", "a.b", "A", "a1", "a b" };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct sandbox_spec spec = good();
        snprintf(spec.id, sizeof spec.id, "%s", bad[i]);
        refuses(&spec, "id");
    }
    struct sandbox_spec spec = good();
    memset(spec.id, 'a', sizeof spec.id); /* no NUL */
    refuses(&spec, "id");
}

static void hostnames_are_plain(void **state) {
    (void)state;
    static const char *const bad[] = { "", "-a", ".a", "a_b", "A", "a\nb" };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct sandbox_spec spec = good();
        snprintf(spec.hostname, sizeof spec.hostname, "%s", bad[i]);
        refuses(&spec, "hostname");
    }
}

static void layers_are_digests(void **state) {
    (void)state;
    struct sandbox_spec spec = good();
    memcpy(spec.layers[0], "../../etc", 9);
    refuses(&spec, "layers");
    spec = good();
    spec.layers[0][63] = '\0';
    refuses(&spec, "layers");
    spec = good();
    spec.n_layers = 0;
    refuses(&spec, "layers");
    spec.n_layers = SANDBOX_LAYERS_MAX + 1;
    refuses(&spec, "layers");
}

static void numbers_have_bounds(void **state) {
    (void)state;
    struct sandbox_spec spec = good();
    spec.slot = SANDBOX_SLOT_MIN - 1;
    refuses(&spec, "slot");
    spec.slot = SANDBOX_SLOT_MAX + 1;
    refuses(&spec, "slot");
    spec = good();
    spec.memory_bytes = (1 << 20) - 1;
    refuses(&spec, "memory_bytes");
    spec.memory_bytes = UINT64_MAX;
    refuses(&spec, "memory_bytes");
    spec = good();
    spec.cpu_milli = 9;
    refuses(&spec, "cpu_milli");
    spec = good();
    spec.pids_max = 0;
    refuses(&spec, "pids_max");
    spec = good();
    spec.files_max = 63;
    refuses(&spec, "files_max");
    spec = good();
    spec.rootfs_bytes = 0;
    refuses(&spec, "rootfs_bytes");
    spec = good();
    spec.n_resolvers = SANDBOX_RESOLVERS_MAX + 1;
    refuses(&spec, "n_resolvers");
    spec = good();
    spec.stack = 2;
    refuses(&spec, "stack");
    spec = good();
    spec.flags = SANDBOX_DISK << 1;
    refuses(&spec, "flags");
}

static void a_root_on_disk_has_bounds_of_its_own(void **state) {
    (void)state;
    struct sandbox_spec spec = good();
    spec.rootfs_bytes = (1 << 20) - 1;
    takes(&spec);
    spec.flags = SANDBOX_DISK;
    refuses(&spec, "rootfs_bytes");
    spec.rootfs_bytes++;
    takes(&spec);
    spec.rootfs_bytes = UINT64_C(1) << 40;
    takes(&spec);
    spec.rootfs_bytes++;
    refuses(&spec, "rootfs_bytes");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_good),
        cmocka_unit_test(ids_name_one_directory),
        cmocka_unit_test(hostnames_are_plain),
        cmocka_unit_test(layers_are_digests),
        cmocka_unit_test(numbers_have_bounds),
        cmocka_unit_test(a_root_on_disk_has_bounds_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
