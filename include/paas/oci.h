/* OCI images: what index, manifest and config say. SPDX-License-Identifier: Apache-2.0
 *
 * The documents of the OCI image specification 1.1, and Docker's schema 2, which differ in their
 * media types alone. Image data is never control: all of it is typed and bounded here, digests have
 * their one form before they name anything, and members we don't know are ignored.
 *
 * Pure: no I/O.
 */
#ifndef PAAS_OCI_H
#define PAAS_OCI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <paas/err.h>
#include <paas/json_bind.h>
#include <paas/limits.h>
#include <paas/strings.h>

enum {
    OCI_MEDIA_TYPE_SIZE = 128, /* the longest in use has 71 bytes */
    OCI_INDEX_MANIFESTS = 256, /* the largest official images list about 30 */
    OCI_ANNOTATIONS = 256,
    OCI_PORTS = 64,
    OCI_REF_SIZE = 129, /* a tag has at most 128 bytes (distribution specification) */
};

#define OCI_MEDIA_INDEX "application/vnd.oci.image.index.v1+json"
#define OCI_MEDIA_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define OCI_MEDIA_CONFIG "application/vnd.oci.image.config.v1+json"
#define OCI_MEDIA_LAYER "application/vnd.oci.image.layer.v1.tar"
#define OCI_ANNOTATION_REF "org.opencontainers.image.ref.name"

struct oci_platform {
    char os[64], architecture[64], variant[64];
};

struct oci_descriptor {
    char media_type[OCI_MEDIA_TYPE_SIZE];
    char digest[DIGEST_SIZE];
    int64_t size; /* bytes */
    struct oci_platform platform;
    struct pairs annotations;
};

struct oci_index {
    int64_t schema_version;
    char media_type[OCI_MEDIA_TYPE_SIZE];
    struct json_array manifests; /* struct oci_descriptor */
};

struct oci_manifest {
    int64_t schema_version;
    char media_type[OCI_MEDIA_TYPE_SIZE];
    struct oci_descriptor config;
    struct json_array layers; /* struct oci_descriptor, lowest first */
};

/* How an image wants to be run. */
struct oci_run {
    char user[NAME_SIZE * 2 + 2]; /* "name[:group]" or "uid[:gid]", "" for root */
    char working_dir[PATH_SIZE];  /* absolute, or "" */
    char stop_signal[SIGNAL_SIZE];
    struct strings exposed_ports; /* "8080/tcp" */
    struct strings env;           /* "NAME=value" */
    struct strings entrypoint, command;
};

struct oci_rootfs {
    struct strings diff_ids; /* digests of the uncompressed layers, lowest first */
};

struct oci_config {
    char os[64], architecture[64];
    struct oci_run run;
    struct oci_rootfs rootfs;
};

/* An image as a whole. */
struct oci_image {
    char digest[DIGEST_SIZE]; /* of the manifest's bytes: the image's name */
    struct oci_manifest manifest;
    struct oci_config config;
};

extern const struct json_type oci_platform_json, oci_descriptor_json, oci_index_json,
    oci_manifest_json, oci_run_json, oci_rootfs_json, oci_config_json;

/* Decode and check one document. On failure `out` owns nothing; else free it with json_free and
 * its table. ERR_BAD_IMAGE in words that name the place; ERR_NO_MEMORY. */
int oci_index_decode(const char *text, size_t len, struct oci_index *out, struct err *err);
int oci_manifest_decode(const char *text, size_t len, struct oci_manifest *out, struct err *err);
int oci_config_decode(const char *text, size_t len, struct oci_config *out, struct err *err);
/* Decodes both documents of an image and checks that they fit each other: as many layers as diff
 * ids. `manifest` must be the bytes that `digest` names; the caller has seen to it. */
int oci_image_decode(const char *digest, const char *manifest, size_t manifest_len,
    const char *config, size_t config_len, struct oci_image *out, struct err *err);
void oci_image_free(struct oci_image *image);

enum oci_kind { OCI_OTHER, OCI_INDEX, OCI_MANIFEST };
/* What a document with this media type is; "" reads as OCI_OTHER. */
enum oci_kind oci_kind_of(const char *media_type);

enum oci_packing { OCI_TAR, OCI_TAR_GZIP, OCI_TAR_ZSTD };
/* How a layer of this media type is packed, or -1 when we can't read it. */
int oci_packing_of(const char *media_type);

/* This machine: "linux" and the OCI name of its architecture ("amd64"). */
const char *oci_machine(void);
/* The entry of `index` to use: the one named `tag` ("" for any) that fits this machine.
 * ERR_BAD_IMAGE when there is none or several without a tag to tell them apart; the words list what
 * there is. */
const struct oci_descriptor *oci_index_choose(
    const struct oci_index *index, const char *tag, struct err *err);

/* The one exposed TCP port, or 0 when there is none or more than one. */
int oci_single_port(const struct oci_run *run);

#endif
