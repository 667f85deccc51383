/* Any bytes as an OCI document are refused, or mean what their tables allow.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <paas/base64.h>
#include <paas/oci.h>
#include <paas/str.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool true_always) {
    if (!true_always) {
        abort();
    }
}

static void try_index(const char *text, size_t size) {
    struct oci_index index;
    struct err err;
    if (oci_index_decode(text, size, &index, &err) == 0) {
        const struct oci_descriptor *found = oci_index_choose(&index, "", &err);
        must(!found || (str_is_digest(found->digest) && oci_kind_of(found->media_type)));
        json_free(&oci_index_json, &index);
    }
}

static void try_manifest(const char *text, size_t size) {
    struct oci_manifest m;
    if (oci_manifest_decode(text, size, &m, NULL) == 0) {
        const struct oci_descriptor *layers = m.layers.items;
        must(m.layers.count <= LAYERS_PER_IMAGE && str_is_digest(m.config.digest));
        for (size_t i = 0; i < m.layers.count; i++) {
            must(str_is_digest(layers[i].digest) && layers[i].size >= 0 &&
                 layers[i].size <= LAYER_BYTES_MAX);
        }
        json_free(&oci_manifest_json, &m);
    }
}

static void try_config(const char *text, size_t size) {
    struct oci_config c;
    if (oci_config_decode(text, size, &c, NULL) == 0) {
        int port = oci_single_port(&c.run);
        must(port >= 0 && port <= 65535);
        for (size_t i = 0; i < c.rootfs.diff_ids.count; i++) {
            must(str_is_digest(c.rootfs.diff_ids.items[i]));
        }
        /* What was read can be written and read again. */
        struct buf b;
        struct oci_config again;
        buf_init(&b, 16 << 20);
        json_encode(&oci_config_json, &c, &b);
        must(b.failed || b.len > MANIFEST_BYTES_MAX ||
             oci_config_decode(buf_str(&b), b.len, &again, NULL) == 0);
        if (!b.failed && b.len <= MANIFEST_BYTES_MAX) {
            json_free(&oci_config_json, &again);
        }
        buf_free(&b);
        json_free(&oci_config_json, &c);
    }
}

static void try_base64(const char *text, size_t size) {
    struct buf bytes, again;
    buf_init(&bytes, size + 1);
    buf_init(&again, size + 4);
    if (base64_decode(text, size, &bytes, NULL) == 0) {
        must(base64_encode(bytes.data, bytes.len, &again) == 0 && again.len == size &&
             memcmp(again.data, text, size) == 0);
    }
    buf_free(&bytes);
    buf_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *text = (const char *)data;
    try_index(text, size);
    try_manifest(text, size);
    try_config(text, size);
    try_base64(text, size);
    return 0;
}
