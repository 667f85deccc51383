/* The registry over a real socket, with a client that behaves and one that does not.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <paas/digest.h>
#include <paas/file.h>
#include <paas/http_client.h>
#include <paas/http_server.h>

#include "registry.h"

struct fixture {
    uv_loop_t loop;
    char dir[64], store[80], socket[80];
    struct http_server *server;
    struct http_client *client;
    struct registry *registry;
    struct http_answer answer;
    struct err err;
};

struct registry *registry_of_call(const struct call *c) {
    return ((struct fixture *)call_ctx(c))->registry;
}

static int identify(
    void *ctx, const struct http_peer *peer, struct http_identity *who, struct err *err) {
    (void)ctx;
    (void)peer;
    (void)err;
    who->roles = 1;
    return 0;
}

static const struct endpoint endpoints[] = { REGISTRY_ENDPOINTS(1, 1), { 0 } };

static int setup(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    snprintf(f->dir, sizeof f->dir, "/tmp/paas-test-registry.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->store, sizeof f->store, "%s/store", f->dir);
    snprintf(f->socket, sizeof f->socket, "%s/api.sock", f->dir);
    assert_int_equal(mkdir(f->store, 0700), 0);
    assert_int_equal(uv_loop_init(&f->loop), 0);
    *state = f;
    return 0;
}

static void start(struct fixture *f) {
    struct http_server_options o = {
        .loop = &f->loop, .endpoints = endpoints, .ctx = f, .identify = identify
    };
    f->registry = registry_open(&f->loop, f->store, &f->err);
    assert_non_null(f->registry);
    assert_int_equal(http_server_create(&o, &f->server, &f->err), 0);
    assert_int_equal(http_server_listen_unix(f->server, f->socket, 0600, 0, &f->err), 0);
    assert_int_equal(http_client_create(&f->loop, &f->client, &f->err), 0);
}

static void on_server_closed(void *data) {
    struct fixture *f = data;
    registry_close(f->registry, NULL, NULL);
}

static int teardown(void **state) {
    struct fixture *f = *state;
    http_client_close(f->client, NULL, NULL);
    http_server_close(f->server, on_server_closed, f);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    buf_free(&f->answer.body);
    umount2(f->store, MNT_DETACH);
    assert_int_equal(file_remove_tree(AT_FDCWD, f->dir, NULL), 0);
    free(f);
    return 0;
}

/* One request; returns the status. */
static int ask(struct fixture *f, enum http_method method, const char *path, const char *body,
    size_t len, const char *header) {
    char url[512];
    const char *headers[] = { header, NULL };
    snprintf(url, sizeof url, "http://paas%s", path);
    struct http_fetch_options o = {
        .method = method,
        .url = url,
        .unix_path = f->socket,
        .headers = header ? headers : NULL,
        .body = body,
        .body_len = len,
        .content_type = "application/octet-stream",
    };
    buf_free(&f->answer.body);
    f->err = (struct err){ 0 };
    http_fetch_now(f->client, &o, &f->answer, &f->err);
    return f->answer.status;
}

static void name(const char *bytes, size_t len, char digest[DIGEST_SIZE]) {
    assert_int_equal(digest_of(bytes, len, digest), 0);
}

static int push(struct fixture *f, const char *bytes, size_t len, const char *digest) {
    char path[200];
    snprintf(path, sizeof path, "/v2/hello/blobs/uploads/?digest=%s", digest);
    return ask(f, METHOD_POST, path, bytes, len, NULL);
}

static int get(struct fixture *f, const char *digest, const char *header) {
    char path[200];
    snprintf(path, sizeof path, "/v2/hello/blobs/%s", digest);
    return ask(f, METHOD_GET, path, NULL, 0, header);
}

static int head(struct fixture *f, const char *digest) {
    char path[200];
    snprintf(path, sizeof path, "/v2/hello/blobs/%s", digest);
    return ask(f, METHOD_HEAD, path, NULL, 0, NULL);
}

static size_t count_files(struct fixture *f, const char *sub) {
    char path[200];
    size_t count = 0;
    snprintf(path, sizeof path, "%s/%s", f->store, sub);
    DIR *d = opendir(path);
    for (struct dirent *e; (e = readdir(d));) {
        count += e->d_name[0] != '.';
    }
    closedir(d);
    return count;
}

/* Runs the loop until no upload is left on disk. */
static void wait_for_no_uploads(struct fixture *f) {
    uint64_t deadline = uv_hrtime() + 5000000000ULL;
    while (count_files(f, "uploads") && uv_hrtime() < deadline) {
        uv_run(&f->loop, UV_RUN_NOWAIT);
        usleep(1000);
    }
    assert_int_equal(count_files(f, "uploads"), 0);
}

static void test_a_blob_comes_and_goes(void **state) {
    struct fixture *f = *state;
    char digest[DIGEST_SIZE];
    enum { LEN = 5 << 20 };
    char *bytes = malloc(LEN);
    start(f);
    for (size_t i = 0; i < LEN; i++) {
        bytes[i] = (char)(i * 7 + i / 1000);
    }
    name(bytes, LEN, digest);
    assert_int_equal(ask(f, METHOD_GET, "/v2/", NULL, 0, NULL), 200);
    assert_int_equal(head(f, digest), 404);
    assert_int_equal(push(f, bytes, LEN, digest), 201);
    assert_int_equal(head(f, digest), 200);
    assert_int_equal(get(f, digest, NULL), 200);
    assert_int_equal(f->answer.body.len, LEN);
    assert_memory_equal(f->answer.body.data, bytes, LEN);
    assert_int_equal(get(f, digest, "Range: bytes=100-199"), 206);
    assert_int_equal(f->answer.body.len, 100);
    assert_memory_equal(f->answer.body.data, bytes + 100, 100);
    assert_int_equal(get(f, digest, "Range: bytes=5242870-"), 206);
    assert_int_equal(f->answer.body.len, 10);
    assert_int_equal(get(f, digest, "Range: lines=1-2"), 200);
    /* Once more costs nothing and is stored once. */
    assert_int_equal(push(f, bytes, LEN, digest), 201);
    assert_int_equal(count_files(f, "blobs/sha256"), 1);
    assert_int_equal(count_files(f, "uploads"), 0);
    free(bytes);
}

static void test_an_empty_blob(void **state) {
    struct fixture *f = *state;
    char digest[DIGEST_SIZE];
    start(f);
    name("", 0, digest);
    assert_int_equal(push(f, "", 0, digest), 201);
    assert_int_equal(get(f, digest, NULL), 200);
    assert_int_equal(f->answer.body.len, 0);
}

static void test_a_wrong_digest_leaves_nothing(void **state) {
    struct fixture *f = *state;
    char digest[DIGEST_SIZE];
    start(f);
    name("one", 3, digest);
    assert_int_equal(push(f, "two", 3, digest), 422);
    assert_int_equal(f->err.code, ERR_DIGEST);
    assert_int_equal(head(f, digest), 404);
    wait_for_no_uploads(f);
    assert_int_equal(push(f, "one", 3, "sha256:../../x"), 422);
    assert_int_equal(get(f, "sha256:..", NULL), 422);
    assert_int_equal(get(f, "..%2f..%2fetc", NULL), 422);
}

static void test_names_that_are_none(void **state) {
    struct fixture *f = *state;
    char digest[DIGEST_SIZE], path[400];
    start(f);
    name("onetwothree", 11, digest);
    assert_int_equal(ask(f, METHOD_POST, "/v2/hello/blobs/uploads/", "", 0, NULL), 202);
    assert_int_equal(ask(f, METHOD_PUT, "/v2/hello/blobs/uploads/aaaaaaaaaa", "", 0, NULL), 404);
    snprintf(path, sizeof path, "/v2/Not%%20a%%20name/blobs/%s", digest);
    assert_int_equal(ask(f, METHOD_GET, path, NULL, 0, NULL), 422);
}

/* A raw connection, for what a good client never does. */
static int dial(struct fixture *f) {
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", f->socket);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

/* Sends text and reads until `until` comes, running the loop meanwhile. */
static void talk(struct fixture *f, int fd, const char *text, const char *until, struct buf *got) {
    uint64_t deadline = uv_hrtime() + 5000000000ULL;
    assert_int_equal(file_write_all(fd, text, strlen(text), NULL), 0);
    while (!strstr(buf_str(got), until) && uv_hrtime() < deadline) {
        char chunk[4096];
        uv_run(&f->loop, UV_RUN_NOWAIT);
        ssize_t n = recv(fd, chunk, sizeof chunk, MSG_DONTWAIT);
        if (n > 0) {
            buf_append(got, chunk, (size_t)n);
        } else {
            usleep(500);
        }
    }
    if (!strstr(buf_str(got), until)) {
        fail_msg("no \"%s\" in: %s", until, buf_str(got));
    }
}

static void test_sessions(void **state) {
    struct fixture *f = *state;
    char digest[DIGEST_SIZE], text[1024], id[16] = "";
    struct buf got;
    start(f);
    buf_init(&got, 65536);
    name("onetwo", 6, digest);
    int fd = dial(f);
    talk(f, fd, "POST /v2/hello/blobs/uploads/ HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
        "Docker-Upload-UUID: ", &got);
    sscanf(strstr(buf_str(&got), "UUID: ") + 6, "%10s", id);
    buf_reset(&got);
    snprintf(text, sizeof text,
        "PATCH /v2/hello/blobs/uploads/%s HTTP/1.1\r\nHost: x\r\n"
        "Content-Length: 3\r\n\r\none",
        id);
    talk(f, fd, text, "Range: 0-2", &got);
    buf_reset(&got);
    snprintf(text, sizeof text,
        "PATCH /v2/hello/blobs/uploads/%s HTTP/1.1\r\nHost: x\r\n"
        "Content-Range: 5-7\r\nContent-Length: 3\r\n\r\nxxx",
        id);
    talk(f, fd, text, "409", &got);
    buf_reset(&got);
    close(fd);
    fd = dial(f);
    snprintf(text, sizeof text,
        "PUT /v2/hello/blobs/uploads/%s?digest=%s HTTP/1.1\r\nHost: x\r\n"
        "Content-Length: 3\r\n\r\ntwo",
        id, digest);
    talk(f, fd, text, "201 Created", &got);
    assert_non_null(strstr(buf_str(&got), digest));
    assert_int_equal(head(f, digest), 200);
    close(fd);
    buf_free(&got);
}

static void test_a_client_that_goes_away_leaves_nothing(void **state) {
    struct fixture *f = *state;
    char digest[DIGEST_SIZE], text[1024];
    struct buf got;
    start(f);
    buf_init(&got, 65536);
    name("never", 5, digest);
    for (int cut = 0; cut < 5; cut++) {
        int fd = dial(f);
        snprintf(text, sizeof text,
            "POST /v2/hello/blobs/uploads/?digest=%s HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n%.*s",
            digest, cut, "never");
        assert_int_equal(file_write_all(fd, text, strlen(text), NULL), 0);
        for (int i = 0; i < 20; i++) {
            uv_run(&f->loop, UV_RUN_NOWAIT);
            usleep(500);
        }
        close(fd);
        for (int i = 0; i < 20; i++) {
            uv_run(&f->loop, UV_RUN_NOWAIT);
            usleep(500);
        }
        wait_for_no_uploads(f);
        assert_int_equal(head(f, digest), 404);
    }
    buf_free(&got);
}

static void manifest_of(const char *layer, const char *config, char *out, size_t size) {
    char layer_digest[DIGEST_SIZE], config_digest[DIGEST_SIZE];
    name(layer, strlen(layer), layer_digest);
    name(config, strlen(config), config_digest);
    snprintf(out, size,
        "{\"schemaVersion\":2,\"config\":{\"mediaType\":\"" OCI_MEDIA_CONFIG
        "\",\"digest\":\"%s\",\"size\":%zu},\"layers\":[{\"mediaType\":\"" OCI_MEDIA_LAYER
        "\",\"digest\":\"%s\",\"size\":%zu}]}",
        config_digest, strlen(config), layer_digest, strlen(layer));
}

static int push_text(struct fixture *f, const char *text) {
    char digest[DIGEST_SIZE];
    name(text, strlen(text), digest);
    return push(f, text, strlen(text), digest);
}

static void test_manifests_need_their_blobs(void **state) {
    struct fixture *f = *state;
    char manifest[1024], config[512], path[256], digest[DIGEST_SIZE], layer[DIGEST_SIZE];
    struct oci_image image;
    start(f);
    name("layer", 5, layer);
    snprintf(config, sizeof config, "{\"rootfs\":{\"diff_ids\":[\"%s\"]}}", layer);
    manifest_of("layer", config, manifest, sizeof manifest);
    name(manifest, strlen(manifest), digest);
    snprintf(path, sizeof path, "/v2/hello/manifests/%s", digest);
    assert_int_equal(registry_image(f->registry, digest, &image, &f->err), -1);
    assert_int_equal(f->err.code, ERR_NOT_FOUND);
    assert_int_equal(ask(f, METHOD_PUT, path, manifest, strlen(manifest), NULL), 422);
    assert_int_equal(f->err.code, ERR_BAD_IMAGE);
    assert_int_equal(push_text(f, config), 201);
    assert_int_equal(ask(f, METHOD_PUT, path, manifest, strlen(manifest), NULL), 422);
    assert_non_null(strstr(f->err.text, "was not uploaded"));
    assert_int_equal(push_text(f, "layer"), 201);
    assert_int_equal(ask(f, METHOD_PUT, path, manifest, strlen(manifest) - 1, NULL), 422);
    assert_int_equal(ask(f, METHOD_PUT, path, manifest, strlen(manifest), NULL), 201);
    assert_int_equal(ask(f, METHOD_GET, path, NULL, 0, NULL), 200);
    assert_string_equal(buf_str(&f->answer.body), manifest);
    assert_int_equal(
        ask(f, METHOD_PUT, "/v2/hello/manifests/v1.0", manifest, strlen(manifest), NULL), 201);
    assert_int_equal(ask(f, METHOD_GET, "/v2/hello/manifests/v1.0", NULL, 0, NULL), 200);
    assert_int_equal(ask(f, METHOD_GET, "/v2/hello/manifests/v2", NULL, 0, NULL), 404);
    assert_int_equal(ask(f, METHOD_GET, "/v2/hello/manifests/.hidden", NULL, 0, NULL), 422);
    assert_int_equal(registry_image(f->registry, digest, &image, &f->err), 0);
    assert_string_equal(image.config.rootfs.diff_ids.items[0], layer);
    oci_image_free(&image);
    assert_int_equal(ask(f, METHOD_PUT, "/v2/hello/manifests/v3", "{", 1, NULL), 422);
    assert_int_equal(f->err.code, ERR_BAD_IMAGE);
}

static void on_collected(void *data, uint64_t freed) {
    *(uint64_t *)data = freed + 1;
}

static void test_collecting_keeps_what_is_used(void **state) {
    struct fixture *f = *state;
    char manifest[1024], config[512], path[256], digest[DIGEST_SIZE], layer[DIGEST_SIZE];
    uint64_t freed = 0;
    start(f);
    name("layer", 5, layer);
    snprintf(config, sizeof config, "{\"rootfs\":{\"diff_ids\":[\"%s\"]}}", layer);
    manifest_of("layer", config, manifest, sizeof manifest);
    name(manifest, strlen(manifest), digest);
    snprintf(path, sizeof path, "/v2/hello/manifests/%s", digest);
    push_text(f, config);
    push_text(f, "layer");
    push_text(f, "unused");
    push_text(f, "recent");
    assert_int_equal(ask(f, METHOD_PUT, path, manifest, strlen(manifest), NULL), 201);
    /* All but one become old. */
    char blobs[200], recent[DIGEST_SIZE];
    name("recent", 6, recent);
    snprintf(blobs, sizeof blobs, "%s/blobs/sha256", f->store);
    DIR *d = opendir(blobs);
    struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
    for (struct dirent *e; (e = readdir(d));) {
        if (strcmp(e->d_name, digest_hex(recent)) != 0) {
            utimensat(dirfd(d), e->d_name, old, 0);
        }
    }
    closedir(d);
    const char *keep[] = { digest };
    assert_int_equal(registry_collect(f->registry, keep, 1, on_collected, &freed, &f->err), 0);
    for (int i = 0; i < 5000 && !freed; i++) {
        uv_run(&f->loop, UV_RUN_NOWAIT);
        usleep(1000);
    }
    assert_int_equal(freed, 1 + strlen("unused"));
    assert_int_equal(count_files(f, "blobs/sha256"), 4);
}

static void test_a_full_disk_is_named_and_leaves_nothing(void **state) {
    struct fixture *f = *state;
    char digest[DIGEST_SIZE];
    enum { LEN = 8 << 20 };
    if (mount("tmpfs", f->store, "tmpfs", MS_NOSUID | MS_NODEV, "size=2m") < 0) {
        skip();
    }
    start(f);
    char *bytes = calloc(1, LEN);
    name(bytes, LEN, digest);
    assert_int_equal(push(f, bytes, LEN, digest), 507);
    assert_int_equal(f->err.code, ERR_FULL);
    wait_for_no_uploads(f);
    assert_int_equal(push_text(f, "small"), 201);
    free(bytes);
}

static void test_leftovers_of_a_crash_are_removed(void **state) {
    struct fixture *f = *state;
    char path[200];
    snprintf(path, sizeof path, "%s/uploads", f->store);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/uploads/aaaaaaaaaa", f->store);
    assert_int_equal(file_write_whole(AT_FDCWD, path, "half", 4, 0600, 0, NULL), 0);
    start(f);
    assert_int_equal(count_files(f, "uploads"), 0);
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_a_blob_comes_and_goes),
        T(test_an_empty_blob),
        T(test_a_wrong_digest_leaves_nothing),
        T(test_names_that_are_none),
        T(test_sessions),
        T(test_a_client_that_goes_away_leaves_nothing),
        T(test_manifests_need_their_blobs),
        T(test_collecting_keeps_what_is_used),
        T(test_a_full_disk_is_named_and_leaves_nothing),
        T(test_leftovers_of_a_crash_are_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
