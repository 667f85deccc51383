/* The registry: images, pushed by people and pulled by nodes. SPDX-License-Identifier: Apache-2.0
 *
 * A content-addressed store under one directory and the endpoints of the OCI distribution
 * specification over it. A blob is written to a nameless or temporary file while its digest is
 * computed, synced, and gets its name only when the two agree: what has a name is whole. A manifest
 * is a blob too, and is taken only when everything it names is here. The same bytes are stored
 * once, whoever pushes them. All disk work is done by one worker thread, beside the loop.
 */
#ifndef API_REGISTRY_H
#define API_REGISTRY_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include <paas/err.h>
#include <paas/http_server.h>
#include <paas/oci.h>

struct registry;

/* Opens the store in `directory` (made 0700 if need be) and removes what uploads of an earlier
 * process left. NULL with *err on failure. */
struct registry *registry_open(uv_loop_t *loop, const char *directory, struct err *err);
/* Gives up uploads and ends the worker; call it when the server is closed. `closed` (may be NULL)
 * is called from the loop when all is freed. NULL is allowed. */
void registry_close(struct registry *r, void (*closed)(void *data), void *data);

/* Reads the image whose manifest is `digest`. Small files, read on the spot. ERR_NOT_FOUND when it
 * was never pushed, ERR_BAD_IMAGE when it can't be used. Free with oci_image_free(). */
int registry_image(
    struct registry *r, const char *digest, struct oci_image *out, struct err *err);
/* Removes blobs that neither an image among `keep` (manifests' digests) nor an upload of the last
 * hour needs; `done` (may be NULL) is told from the loop how many bytes became free. */
int registry_collect(struct registry *r, const char *const *keep, size_t keep_count,
    void (*done)(void *data, uint64_t freed), void *data, struct err *err);

/* Whose registry a call means; defined by whoever mounts the endpoints. */
struct registry *registry_of_call(const struct call *c);

enum call_result registry_root(struct call *c);
enum call_result registry_manifest_get(struct call *c);
enum call_result registry_manifest_put(struct call *c);
enum call_result registry_blob_get(struct call *c);
enum call_result registry_upload_begin(struct call *c);
enum call_result registry_upload_state(struct call *c);
enum call_result registry_upload_append(struct call *c);
enum call_result registry_upload_finish(struct call *c);
enum call_result registry_upload_cancel(struct call *c);

/* Rows for the table of endpoints. PUSH: roles that may write; PULL: roles that may read. */
#define REGISTRY_ENDPOINTS(PUSH, PULL)                                                             \
    { .method = METHOD_GET, .path = "/v2/", .roles = PULL, .handler = registry_root,                 \
        .doc = "Says that this is a registry" },                                                   \
    { .method = METHOD_GET, .path = "/v2/{app}/manifests/{reference}", .roles = PULL,                \
        .handler = registry_manifest_get, .doc = "An image's manifest by digest or tag" },         \
    { .method = METHOD_PUT, .path = "/v2/{app}/manifests/{reference}", .roles = PUSH,                \
        .flags = EP_BODY_RAW, .handler = registry_manifest_put,                                    \
        .doc = "Stores a manifest whose blobs are here", .body_max = MANIFEST_BYTES_MAX },         \
    { .method = METHOD_GET, .path = "/v2/{app}/blobs/{digest}", .roles = PULL,                       \
        .handler = registry_blob_get, .doc = "A blob, or a range of it" },                         \
    { .method = METHOD_POST, .path = "/v2/{app}/blobs/uploads/", .roles = PUSH,                      \
        .flags = EP_BODY_STREAM, .handler = registry_upload_begin,                                 \
        .doc = "Begins an upload; with ?digest= the body is the whole blob" },                     \
    { .method = METHOD_GET, .path = "/v2/{app}/blobs/uploads/{upload}", .roles = PUSH,               \
        .handler = registry_upload_state, .doc = "How far an upload is" },                         \
    { .method = METHOD_PATCH, .path = "/v2/{app}/blobs/uploads/{upload}", .roles = PUSH,             \
        .flags = EP_BODY_STREAM, .handler = registry_upload_append, .doc = "More of an upload" },  \
    { .method = METHOD_PUT, .path = "/v2/{app}/blobs/uploads/{upload}", .roles = PUSH,               \
        .flags = EP_BODY_STREAM, .handler = registry_upload_finish,                                \
        .doc = "Ends an upload; ?digest= is what it must be" },                                    \
    { .method = METHOD_DELETE, .path = "/v2/{app}/blobs/uploads/{upload}", .roles = PUSH,            \
        .handler = registry_upload_cancel, .doc = "Gives an upload up" }

#endif
