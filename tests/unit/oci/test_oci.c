/* OCI documents, honest and not. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <paas/base64.h>
#include <paas/digest.h>
#include <paas/oci.h>

#define D1 "sha256:1111111111111111111111111111111111111111111111111111111111111111"
#define D2 "sha256:2222222222222222222222222222222222222222222222222222222222222222"
#define CONFIG                                                                                     \
    "\"config\":{\"mediaType\":\"" OCI_MEDIA_CONFIG "\",\"digest\":\"" D1 "\",\"size\":2}"
#define LAYER(TYPE, DIGEST, SIZE)                                                                  \
    "{\"mediaType\":\"" TYPE "\",\"digest\":\"" DIGEST "\",\"size\":" SIZE "}"

static void expect_manifest(const char *text, const char *words) {
    struct oci_manifest m;
    struct err err = { 0 };
    int result = oci_manifest_decode(text, strlen(text), &m, &err);
    if (words ? result == 0 || err.code != ERR_BAD_IMAGE || !strstr(err.text, words) : result < 0) {
        fail_msg("%s\n-> %d %s", text, result, err.text);
    }
    json_free(&oci_manifest_json, &m);
}

static void test_manifests(void **state) {
    (void)state;
    static const struct {
        const char *text, *words;
    } cases[] = {
        { "{\"schemaVersion\":2," CONFIG ",\"layers\":[]}", NULL },
        { "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.docker.distribution.manifest.v2+json\","
          "\"anything\":{\"else\":[1.5,null]}," CONFIG
          ",\"layers\":[" LAYER("application/vnd.docker.image.rootfs.diff.tar.gzip", D1,
              "9") "," LAYER(OCI_MEDIA_LAYER "+zstd", D2, "9") "]}",
            NULL },
        { "{\"schemaVersion\":1," CONFIG ",\"layers\":[]}", "schemaVersion" },
        { "{\"schemaVersion\":2," CONFIG "}", "layers: it is missing" },
        { "{\"schemaVersion\":2,\"mediaType\":\"" OCI_MEDIA_INDEX "\"," CONFIG ",\"layers\":[]}",
            "media type" },
        { "{\"schemaVersion\":2," CONFIG ",\"layers\":[" LAYER("text/html", D1, "1") "]}",
            "layers[0]: can't read" },
        { "{\"schemaVersion\":2," CONFIG ",\"layers\":[" LAYER(OCI_MEDIA_LAYER, "md5:1", "1") "]}",
            "layers[0].digest" },
        { "{\"schemaVersion\":2," CONFIG
          ",\"layers\":[" LAYER(OCI_MEDIA_LAYER, "sha256:../../etc/passwd", "1") "]}",
            "layers[0].digest" },
        { "{\"schemaVersion\":2," CONFIG ",\"layers\":[" LAYER(OCI_MEDIA_LAYER,
              "sha256:111111111111111111111111111111111111111111111111111111111111111A", "1") "]}",
            "layers[0].digest" },
        { "{\"schemaVersion\":2," CONFIG ",\"layers\":[" LAYER(OCI_MEDIA_LAYER, D1, "-1") "]}",
            "layers[0].size" },
        { "{\"schemaVersion\":2," CONFIG
          ",\"layers\":[" LAYER(OCI_MEDIA_LAYER, D1, "4294967297") "]}",
            "larger than 4G" },
        { "{\"schemaVersion\":2," CONFIG
          ",\"layers\":[" LAYER(OCI_MEDIA_LAYER, D1, "99999999999999999999999") "]}",
            "" },
        { "{\"schemaVersion\":2,\"schemaVersion\":2," CONFIG ",\"layers\":[]}", "duplicate" },
        { "{\"schemaVersion\":2," CONFIG ",\"layers\":[{}]}",
            "layers[0].mediaType: it is missing" },
        { "[]", "object" },
        { "", "not JSON" },
        { "{\"a\":\"\\u0000\"}", "not JSON" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        expect_manifest(cases[i].text, cases[i].words);
    }
}

static void test_many_layers_and_deep_nesting(void **state) {
    (void)state;
    struct buf b;
    buf_init(&b, 1 << 20);
    buf_puts(&b, "{\"schemaVersion\":2," CONFIG ",\"layers\":[");
    for (int i = 0; i <= LAYERS_PER_IMAGE; i++) {
        buf_printf(&b, "%s" LAYER(OCI_MEDIA_LAYER, D1, "1"), i ? "," : "");
    }
    buf_puts(&b, "]}");
    expect_manifest(buf_str(&b), "129 items are more than 128");
    buf_reset(&b);
    for (int i = 0; i < 100000; i++) {
        buf_puts(&b, "{\"a\":");
    }
    expect_manifest(buf_str(&b), "nested deeper");
    buf_reset(&b);
    while (buf_putc(&b, ' ') == 0 && b.len < MANIFEST_BYTES_MAX) {
    }
    buf_free(&b);
}

static void test_a_config_says_how_to_run(void **state) {
    (void)state;
    struct oci_config c;
    struct err err;
    const char *text =
        "{\"created\":\"2020-01-01\",\"os\":\"linux\",\"architecture\":\"amd64\",\"history\":[{}],"
        "\"config\":{\"User\":\"www:www\",\"Env\":[\"A=1\",\"B=\"],\"Entrypoint\":[\"/a\"],"
        "\"Cmd\":null,\"ExposedPorts\":{\"8080/tcp\":{},\"53/udp\":{}},\"WorkingDir\":\"/srv\","
        "\"StopSignal\":\"SIGQUIT\",\"Labels\":{\"x\":\"y\"}},"
        "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"" D1 "\"]}}";
    if (oci_config_decode(text, strlen(text), &c, &err) < 0) {
        fail_msg("%s", err.text);
    }
    assert_string_equal(c.run.user, "www:www");
    assert_string_equal(c.run.env.items[1], "B=");
    assert_int_equal(c.run.command.count, 0);
    assert_int_equal(oci_single_port(&c.run), 8080);
    assert_string_equal(c.run.stop_signal, "SIGQUIT");
    json_free(&oci_config_json, &c);
}

static void test_configs_that_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *text, *words;
    } cases[] = {
        { "{\"config\":{}}", "rootfs: it is missing" },
        { "{\"rootfs\":{\"diff_ids\":[\"x\"]}}", "rootfs.diff_ids[0]" },
        { "{\"rootfs\":{\"diff_ids\":[]},\"config\":{\"Env\":[\"novalue\"]}}", "Env[0]" },
        { "{\"rootfs\":{\"diff_ids\":[]},\"config\":{\"Env\":[\"=x\"]}}", "Env[0]" },
        { "{\"rootfs\":{\"diff_ids\":[]},\"config\":{\"WorkingDir\":\"here\"}}", "WorkingDir" },
        { "{\"rootfs\":{\"diff_ids\":[]},\"config\":{\"Cmd\":\"sh\"}}", "config.Cmd" },
        { "{\"rootfs\":{\"diff_ids\":[]},\"config\":{\"ExposedPorts\":[]}}",
            "config.ExposedPorts" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct oci_config c;
        struct err err = { 0 };
        int result = oci_config_decode(cases[i].text, strlen(cases[i].text), &c, &err);
        if (result == 0 || err.code != ERR_BAD_IMAGE || !strstr(err.text, cases[i].words)) {
            fail_msg("%s -> %s", cases[i].text, err.text);
        }
    }
}

static void test_layers_and_diff_ids_must_agree(void **state) {
    (void)state;
    struct oci_image image;
    struct err err;
    const char *manifest = "{\"schemaVersion\":2," CONFIG ",\"layers\":[]}";
    const char *config = "{\"rootfs\":{\"diff_ids\":[\"" D1 "\"]}}";
    assert_int_equal(
        oci_image_decode(D1, manifest, strlen(manifest), config, strlen(config), &image, &err), -1);
    assert_non_null(strstr(err.text, "0 layers, the config 1 diff ids"));
}

static const struct oci_descriptor *choose(
    const char *text, const char *tag, struct oci_index *index, struct err *err) {
    assert_int_equal(oci_index_decode(text, strlen(text), index, err), 0);
    return oci_index_choose(index, tag, err);
}

static void test_choosing_from_an_index(void **state) {
    (void)state;
#define ENTRY(DIGEST, ARCH, TAG)                                                                   \
    "{\"mediaType\":\"" OCI_MEDIA_MANIFEST "\",\"digest\":\"" DIGEST                               \
    "\",\"size\":1,\"platform\":{\"os\":\"linux\",\"architecture\":\"" ARCH                        \
    "\"},\"annotations\":{\"" OCI_ANNOTATION_REF "\":\"" TAG "\"}}"
    struct oci_index index;
    struct err err = { 0 };
    char text[2048];
    snprintf(text, sizeof text,
        "{\"schemaVersion\":2,\"manifests\":[" ENTRY(D1, "mips",
            "a") ","
                 "{\"mediaType\":\"" OCI_MEDIA_MANIFEST "\",\"digest\":\"" D2 "\",\"size\":1,"
                 "\"platform\":{\"os\":\"linux\",\"architecture\":\"%s\"}}]}",
        oci_machine());
    const struct oci_descriptor *found = choose(text, "", &index, &err);
    assert_non_null(found);
    assert_string_equal(found->digest, D2);
    json_free(&oci_index_json, &index);
    assert_null(choose(text, "a", &index, &err));
    assert_non_null(strstr(err.text, "there is: a for linux/mips"));
    json_free(&oci_index_json, &index);
    assert_null(choose("{\"schemaVersion\":2,\"manifests\":[" LAYER(
                           OCI_MEDIA_MANIFEST, D1, "1") "," LAYER(OCI_MEDIA_MANIFEST, D2, "1") "]}",
        "", &index, &err));
    assert_non_null(strstr(err.text, "more than one"));
    json_free(&oci_index_json, &index);
    assert_null(choose("{\"schemaVersion\":2,\"manifests\":[]}", "", &index, &err));
    json_free(&oci_index_json, &index);
}

static void test_base64(void **state) {
    (void)state;
    static const struct {
        const char *bytes, *text;
    } good[] = { { "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" },
        { "foobar", "Zm9vYmFy" }, { "\xff\xfe\xfd", "//79" } };
    static const char *const bad[] = { "Z", "Zg=", "Zg",
        "Zh==", "Zm9=", "Z===", "====", "Zg==Zg==", "Zm 9", "Zm9-", "Zm\n9" };
    struct buf b;
    buf_init(&b, 100);
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        buf_reset(&b);
        assert_int_equal(base64_encode(good[i].bytes, strlen(good[i].bytes), &b), 0);
        assert_string_equal(buf_str(&b), good[i].text);
        buf_reset(&b);
        assert_int_equal(base64_decode(good[i].text, strlen(good[i].text), &b, NULL), 0);
        assert_string_equal(buf_str(&b), good[i].bytes);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        buf_reset(&b);
        assert_int_equal(base64_decode(bad[i], strlen(bad[i]), &b, NULL), -1);
    }
    buf_free(&b);
}

static void test_digest(void **state) {
    (void)state;
    char text[DIGEST_SIZE];
    struct digest *d = digest_create();
    digest_update(d, "ab", 2);
    digest_update(d, "c", 1);
    digest_finish(d, text);
    assert_string_equal(
        text, "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    digest_finish(d, text);
    assert_string_equal(
        text, "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    digest_destroy(d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_manifests),
        cmocka_unit_test(test_many_layers_and_deep_nesting),
        cmocka_unit_test(test_a_config_says_how_to_run),
        cmocka_unit_test(test_configs_that_are_refused),
        cmocka_unit_test(test_layers_and_diff_ids_must_agree),
        cmocka_unit_test(test_choosing_from_an_index),
        cmocka_unit_test(test_base64),
        cmocka_unit_test(test_digest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
