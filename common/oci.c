/* OCI images: index, manifest, config. SPDX-License-Identifier: Apache-2.0 */
#include <paas/oci.h>

#include <stdlib.h>
#include <string.h>

#include <paas/str.h>

/* Members have their OCI names in JSON and ours in C. */
#define NAMED(NAME, ...)                                                                           \
    { .name = NAME, __VA_ARGS__ }
#define TEXT(NAME, S, M, FLAGS, DOC)                                                               \
    NAMED(NAME, .kind = JK_TEXT, .offset = offsetof(struct S, M),                                  \
        .max = sizeof(((struct S *)0)->M) - 1, .flags = FLAGS, .doc = DOC)
#define INTEGER(NAME, S, M, MIN, MAX, FLAGS, DOC)                                                  \
    NAMED(NAME, .kind = JK_INT, .offset = JSON_MEMBER(S, M, int64_t), .min = MIN, .max = MAX,      \
        .flags = FLAGS, .doc = DOC)
#define OBJECT(NAME, S, M, T, FLAGS, DOC)                                                          \
    NAMED(NAME, .kind = JK_OBJECT, .offset = JSON_MEMBER(S, M, struct T), .type = &T##_json,       \
        .flags = FLAGS, .doc = DOC)
#define ARRAY(NAME, S, M, TYPE, MAX, FLAGS, DOC)                                                   \
    NAMED(NAME, .kind = JK_ARRAY, .offset = JSON_MEMBER(S, M, struct json_array), .type = TYPE,    \
        .max = MAX, .flags = FLAGS, .doc = DOC)
#define STRINGS(KIND, NAME, S, M, MAX, FLAGS, DOC)                                                 \
    NAMED(NAME, .kind = KIND, .offset = JSON_MEMBER(S, M, struct strings), .max = MAX,             \
        .flags = FLAGS, .doc = DOC)

#define TYPE(T, ...)                                                                               \
    const struct json_type T##_json = { #T, sizeof(struct T),                                      \
        (const struct json_field[]){ __VA_ARGS__, F_OPEN } }

#define SIZE_LIMIT                                                                                 \
    (INT64_C(1) << 50) /* what a descriptor may claim; each use has its own bound                  \
                        */

TYPE(oci_platform, TEXT("os", oci_platform, os, 0, "operating system"),
    TEXT("architecture", oci_platform, architecture, 0, "processor"),
    TEXT("variant", oci_platform, variant, 0, "of the processor"));

TYPE(oci_descriptor, TEXT("mediaType", oci_descriptor, media_type, JF_REQUIRED, "what it is"),
    TEXT("digest", oci_descriptor, digest, JF_DIGEST | JF_REQUIRED, "of its bytes"),
    INTEGER("size", oci_descriptor, size, 0, SIZE_LIMIT, JF_REQUIRED, "in bytes"),
    OBJECT("platform", oci_descriptor, platform, oci_platform, 0, "where it runs"),
    NAMED("annotations", .kind = JK_PAIRS,
        .offset = JSON_MEMBER(oci_descriptor, annotations, struct pairs), .max = OCI_ANNOTATIONS,
        .doc = "notes"));

TYPE(oci_index, INTEGER("schemaVersion", oci_index, schema_version, 2, 2, JF_REQUIRED, "2"),
    TEXT("mediaType", oci_index, media_type, 0, "what it is"),
    ARRAY("manifests", oci_index, manifests, &oci_descriptor_json, OCI_INDEX_MANIFESTS, JF_REQUIRED,
        "images"));

TYPE(oci_manifest, INTEGER("schemaVersion", oci_manifest, schema_version, 2, 2, JF_REQUIRED, "2"),
    TEXT("mediaType", oci_manifest, media_type, 0, "what it is"),
    OBJECT("config", oci_manifest, config, oci_descriptor, JF_REQUIRED, "how to run it"),
    ARRAY("layers", oci_manifest, layers, &oci_descriptor_json, LAYERS_PER_IMAGE, JF_REQUIRED,
        "its files, lowest first"));

TYPE(oci_run, TEXT("User", oci_run, user, 0, "user and group"),
    TEXT("WorkingDir", oci_run, working_dir, 0, "directory to start in"),
    TEXT("StopSignal", oci_run, stop_signal, 0, "signal that asks to end"),
    STRINGS(JK_KEYS, "ExposedPorts", oci_run, exposed_ports, OCI_PORTS, 0, "where it may listen"),
    STRINGS(JK_STRINGS, "Env", oci_run, env, ENV_PAIRS, 0, "environment"),
    STRINGS(JK_STRINGS, "Entrypoint", oci_run, entrypoint, COMMAND_WORDS, 0, "program"),
    STRINGS(JK_STRINGS, "Cmd", oci_run, command, COMMAND_WORDS, 0, "its arguments"));

TYPE(oci_rootfs, STRINGS(JK_STRINGS, "diff_ids", oci_rootfs, diff_ids, LAYERS_PER_IMAGE,
                     JF_DIGEST | JF_REQUIRED, "digests of the uncompressed layers"));

TYPE(oci_config, TEXT("os", oci_config, os, 0, "operating system"),
    TEXT("architecture", oci_config, architecture, 0, "processor"),
    OBJECT("config", oci_config, run, oci_run, 0, "how to run it"),
    OBJECT("rootfs", oci_config, rootfs, oci_rootfs, JF_REQUIRED, "its files"));

/* json_decode with the code that a user of images expects. */
static int decode(const struct json_type *type, const char *what, const char *text, size_t len,
    void *out, struct err *err) {
    struct err why;
    if (len > MANIFEST_BYTES_MAX) {
        memset(out, 0, type->size);
        return err_set(err, ERR_BAD_IMAGE, "%s: over %d bytes", what, MANIFEST_BYTES_MAX);
    }
    if (json_decode(type, text, len, out, &why) == 0) {
        return 0;
    }
    if (why.code == ERR_NO_MEMORY) {
        return err_no_memory(err);
    }
    return err_set(err, ERR_BAD_IMAGE, "%s: %s", what, why.text);
}

enum oci_kind oci_kind_of(const char *media_type) {
    static const struct {
        const char *name;
        enum oci_kind kind;
    } kinds[] = {
        { OCI_MEDIA_INDEX, OCI_INDEX },
        { "application/vnd.docker.distribution.manifest.list.v2+json", OCI_INDEX },
        { OCI_MEDIA_MANIFEST, OCI_MANIFEST },
        { "application/vnd.docker.distribution.manifest.v2+json", OCI_MANIFEST },
    };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(media_type, kinds[i].name) == 0) {
            return kinds[i].kind;
        }
    }
    return OCI_OTHER;
}

int oci_packing_of(const char *media_type) {
    static const struct {
        const char *name;
        enum oci_packing packing;
    } packings[] = {
        { OCI_MEDIA_LAYER, OCI_TAR },
        { OCI_MEDIA_LAYER "+gzip", OCI_TAR_GZIP },
        { OCI_MEDIA_LAYER "+zstd", OCI_TAR_ZSTD },
        { "application/vnd.docker.image.rootfs.diff.tar", OCI_TAR },
        { "application/vnd.docker.image.rootfs.diff.tar.gzip", OCI_TAR_GZIP },
        { "application/vnd.docker.image.rootfs.diff.tar.zstd", OCI_TAR_ZSTD },
    };
    for (size_t i = 0; i < sizeof packings / sizeof packings[0]; i++) {
        if (strcmp(media_type, packings[i].name) == 0) {
            return (int)packings[i].packing;
        }
    }
    return -1;
}

int oci_index_decode(const char *text, size_t len, struct oci_index *out, struct err *err) {
    if (decode(&oci_index_json, "index", text, len, out, err) < 0) {
        return -1;
    }
    if (out->media_type[0] && oci_kind_of(out->media_type) != OCI_INDEX) {
        err_set(err, ERR_BAD_IMAGE, "index: its media type is %s", out->media_type);
        json_free(&oci_index_json, out);
        return -1;
    }
    return 0;
}

static int check_manifest(const struct oci_manifest *m, struct err *err) {
    const struct oci_descriptor *layers = m->layers.items;
    if (m->media_type[0] && oci_kind_of(m->media_type) != OCI_MANIFEST) {
        return err_set(err, ERR_BAD_IMAGE, "manifest: its media type is %s", m->media_type);
    }
    if (m->config.size > MANIFEST_BYTES_MAX) {
        return err_set(
            err, ERR_BAD_IMAGE, "manifest: config is larger than %d bytes", MANIFEST_BYTES_MAX);
    }
    for (size_t i = 0; i < m->layers.count; i++) {
        if (oci_packing_of(layers[i].media_type) < 0) {
            return err_set(err, ERR_BAD_IMAGE, "manifest: layers[%zu]: can't read a %s", i,
                layers[i].media_type);
        }
        if (layers[i].size > LAYER_BYTES_MAX) {
            char limit[STR_AMOUNT_MAX];
            return err_set(err, ERR_BAD_IMAGE, "manifest: layers[%zu] is larger than %s", i,
                str_format_size(LAYER_BYTES_MAX, limit));
        }
    }
    return 0;
}

int oci_manifest_decode(const char *text, size_t len, struct oci_manifest *out, struct err *err) {
    if (decode(&oci_manifest_json, "manifest", text, len, out, err) < 0) {
        return -1;
    }
    if (check_manifest(out, err) < 0) {
        json_free(&oci_manifest_json, out);
        return -1;
    }
    return 0;
}

static int check_config(const struct oci_config *c, struct err *err) {
    if (c->run.working_dir[0] && c->run.working_dir[0] != '/') {
        return err_set(
            err, ERR_BAD_IMAGE, "config: WorkingDir \"%s\" is not absolute", c->run.working_dir);
    }
    for (size_t i = 0; i < c->run.env.count; i++) {
        const char *item = c->run.env.items[i];
        if (!strchr(item, '=') || item[0] == '=') {
            return err_set(
                err, ERR_BAD_IMAGE, "config: Env[%zu]: \"%.80s\" is not NAME=value", i, item);
        }
    }
    return 0;
}

int oci_config_decode(const char *text, size_t len, struct oci_config *out, struct err *err) {
    if (decode(&oci_config_json, "config", text, len, out, err) < 0) {
        return -1;
    }
    if (check_config(out, err) < 0) {
        json_free(&oci_config_json, out);
        return -1;
    }
    return 0;
}

int oci_image_decode(const char *digest, const char *manifest, size_t manifest_len,
    const char *config, size_t config_len, struct oci_image *out, struct err *err) {
    *out = (struct oci_image){ 0 };
    if (str_copy(out->digest, sizeof out->digest, digest) < 0 || !str_is_digest(digest)) {
        return err_set(err, ERR_BAD_IMAGE, "\"%.80s\" is not a sha256 digest", digest);
    }
    if (oci_manifest_decode(manifest, manifest_len, &out->manifest, err) < 0 ||
        oci_config_decode(config, config_len, &out->config, err) < 0) {
        oci_image_free(out);
        return -1;
    }
    if (out->manifest.layers.count != out->config.rootfs.diff_ids.count) {
        err_set(err, ERR_BAD_IMAGE, "the manifest has %zu layers, the config %zu diff ids",
            out->manifest.layers.count, out->config.rootfs.diff_ids.count);
        oci_image_free(out);
        return -1;
    }
    return 0;
}

void oci_image_free(struct oci_image *image) {
    json_free(&oci_manifest_json, &image->manifest);
    json_free(&oci_config_json, &image->config);
    *image = (struct oci_image){ 0 };
}

const char *oci_machine(void) {
#if defined(__x86_64__)
    return "amd64";
#elif defined(__aarch64__)
    return "arm64";
#elif defined(__riscv) && __riscv_xlen == 64
    return "riscv64";
#else
#error "an OCI name for this architecture is needed"
#endif
}

static bool fits_machine(const struct oci_descriptor *d) {
    const struct oci_platform *p = &d->platform;
    return (!p->os[0] || strcmp(p->os, "linux") == 0) &&
           (!p->architecture[0] || strcmp(p->architecture, oci_machine()) == 0);
}

static bool has_tag(const struct oci_descriptor *d, const char *tag) {
    const char *name = pairs_get(&d->annotations, OCI_ANNOTATION_REF);
    return !tag[0] || (name && strcmp(name, tag) == 0);
}

/* What an index offers, for the words of an error. */
static void list_offers(const struct oci_index *index, struct buf *words) {
    const struct oci_descriptor *items = index->manifests.items;
    for (size_t i = 0; i < index->manifests.count; i++) {
        const char *tag = pairs_get(&items[i].annotations, OCI_ANNOTATION_REF);
        buf_printf(words, "%s%s%s", i ? ", " : "", tag ? tag : "",
            tag && items[i].platform.os[0] ? " for " : "");
        buf_printf(words, "%s%s%s", items[i].platform.os, items[i].platform.os[0] ? "/" : "",
            items[i].platform.architecture);
    }
}

const struct oci_descriptor *oci_index_choose(
    const struct oci_index *index, const char *tag, struct err *err) {
    const struct oci_descriptor *items = index->manifests.items, *found = NULL;
    size_t count = 0;
    for (size_t i = 0; i < index->manifests.count; i++) {
        if (oci_kind_of(items[i].media_type) != OCI_OTHER && has_tag(&items[i], tag) &&
            fits_machine(&items[i])) {
            found = found && strcmp(found->digest, items[i].digest) == 0 ? found : &items[i];
            count += found == &items[i];
        }
    }
    if (count == 1) {
        return found;
    }
    struct buf words;
    buf_init(&words, ERR_TEXT_MAX / 2);
    list_offers(index, &words);
    err_set(err, ERR_BAD_IMAGE, "%s image%s%s for linux/%s; there is: %s",
        count ? "more than one" : "no", tag[0] ? " named " : "", tag, oci_machine(),
        words.len ? buf_str(&words) : "nothing");
    buf_free(&words);
    return NULL;
}

int oci_single_port(const struct oci_run *run) {
    int64_t found = 0;
    for (size_t i = 0; i < run->exposed_ports.count; i++) {
        const char *text = run->exposed_ports.items[i];
        const char *slash = strchr(text, '/');
        char digits[8];
        size_t len = slash ? (size_t)(slash - text) : strlen(text);
        if ((slash && strcmp(slash, "/tcp") != 0) || len >= sizeof digits) {
            continue;
        }
        memcpy(digits, text, len);
        digits[len] = '\0';
        int64_t port;
        if (str_int(digits, 1, 65535, "port", &port, NULL) < 0) {
            continue;
        }
        if (found && found != port) {
            return 0;
        }
        found = port;
    }
    return (int)found;
}
