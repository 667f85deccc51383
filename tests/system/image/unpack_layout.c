/* Unpacks an image layout as a push and a pull would, for tests: `unpack_layout LAYOUT[:TAG] STORE`
 * prints the directories to mount, lowest first. SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <paas/file.h>
#include <paas/image.h>
#include <paas/oci.h>
#include <paas/unpack.h>

#include "bundle.h"

static int make_directory(int store, const char *name) {
    if (mkdirat(store, name, 0755) < 0) {
        return -1;
    }
    return openat(store, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* Runs the helper on one blob. Ids stay as they are: there is no user namespace here. */
static int unpack_blob(int store, const char *diff_id, int blob, struct err *err) {
    char hidden[DIGEST_HEX_SIZE];
    int report[2];
    struct unpack_report result;
    unpack_hidden_name(digest_hex(diff_id), hidden);
    struct unpack_job job = {
        .tar = blob,
        .layer = make_directory(store, digest_hex(diff_id)),
        .hidden = make_directory(store, hidden),
    };
    if (job.layer < 0 || job.hidden < 0 || pipe2(report, O_CLOEXEC) < 0) {
        return err_sys(err, errno, "preparing layer %s", diff_id);
    }
    job.report = report[1];
    memcpy(job.diff_id, digest_hex(diff_id), DIGEST_HEX_SIZE);
    pid_t pid = fork();
    if (pid == 0) {
        _exit(unpack_main(&job, NULL));
    }
    close(report[1]);
    waitpid(pid, NULL, 0);
    int failed = unpack_report_read(report[0], &result, err);
    close(report[0]);
    close(job.layer);
    close(job.hidden);
    if (failed == 0 && result.hides == 0) {
        unlinkat(store, hidden, AT_REMOVEDIR);
    }
    return failed;
}

static int blob_named(const struct bundle *b, const char *digest) {
    for (size_t i = 0; i < b->count; i++) {
        if (strcmp(b->blobs[i].digest, digest) == 0) {
            return b->blobs[i].fd;
        }
    }
    return -1;
}

static int decode(const struct bundle *b, struct oci_image *image, struct err *err) {
    struct buf config;
    buf_init(&config, MANIFEST_BYTES_MAX);
    /* The config is the first blob. */
    char *to = buf_reserve(&config, (size_t)b->blobs[0].size);
    ssize_t n = to ? pread(b->blobs[0].fd, to, (size_t)b->blobs[0].size, 0) : -1;
    int result = n < 0 ? err_no_memory(err)
                       : oci_image_decode(b->digest, buf_str(&b->manifest), b->manifest.len, to,
                             (size_t)n, image, err);
    buf_free(&config);
    return result;
}

static int unpack_all(
    const struct bundle *b, const struct oci_image *image, int store, struct err *err) {
    const struct oci_descriptor *layers = image->manifest.layers.items;
    for (size_t i = 0; i < image->manifest.layers.count; i++) {
        const char *diff_id = image->config.rootfs.diff_ids.items[i];
        if (faccessat(store, digest_hex(diff_id), F_OK, 0) < 0 &&
            unpack_blob(store, diff_id, blob_named(b, layers[i].digest), err) < 0) {
            return -1;
        }
    }
    return 0;
}

/* Makes the cover of these directories, as unpack_blob() does its. */
static int make_cover(int store, const char *hex, const char (*names)[DIGEST_HEX_LENGTH],
    size_t count, struct err *err) {
    struct unpack_cover job = { .cover = make_directory(store, hex) };
    struct unpack_report result;
    int report[2];
    char hidden[DIGEST_HEX_SIZE] = "";
    if (job.cover < 0 || pipe2(report, O_CLOEXEC) < 0) {
        return err_sys(err, errno, "preparing a cover");
    }
    job.report = report[1];
    for (size_t i = 0; i < count; i++) {
        char name[DIGEST_HEX_SIZE] = "";
        memcpy(name, names[i], DIGEST_HEX_LENGTH);
        struct unpack_layer *l = &job.layers[job.count++];
        *l = (struct unpack_layer){ openat(store, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC), -1 };
        unpack_hidden_name(name, hidden);
        if (i > 0 && memcmp(names[i - 1], hidden, DIGEST_HEX_LENGTH) == 0) {
            job.count--;
            l[-1] = (struct unpack_layer){ l->layer, l[-1].layer };
        }
    }
    pid_t pid = fork();
    if (pid == 0) {
        _exit(unpack_cover_main(&job));
    }
    close(report[1]);
    waitpid(pid, NULL, 0);
    return unpack_report_read(report[0], &result, err);
}

struct pull {
    struct image_store *images;
    int store;
    bool over;
    struct err err;
};

static int start_cover(void *ctx, const char *hex, const char (*names)[DIGEST_HEX_LENGTH],
    size_t count, struct err *err) {
    struct pull *p = ctx;
    struct err outcome = { 0 };
    (void)err;
    make_cover(p->store, hex, names, count, &outcome);
    image_covered(p->images, hex, &outcome);
    return 0;
}

static void on_pulled(void *data, const struct err *err) {
    struct pull *p = data;
    p->over = true;
    p->err = *err;
}

static int print_names(
    const struct oci_image *image, const char *path, int directory, struct err *err) {
    static const struct image_events events = { .done = on_pulled };
    static char names[IMAGE_NAMES_MAX][DIGEST_HEX_LENGTH];
    uv_loop_t loop;
    size_t count = 0;
    struct pull p = { .store = directory };
    struct image_options options = {
        .loop = &loop, .layers = path, .registry = "none", .ctx = &p, .cover = start_cover
    };
    struct release_config config = { .app = "test",
        .layers = image->config.rootfs.diff_ids,
        .blobs = image->config.rootfs.diff_ids };
    uv_loop_init(&loop);
    if (image_store_create(&options, &p.images, err) < 0) {
        return -1;
    }
    int result = image_pull(p.images, &config, &events, &p, err) ? 0 : -1;
    while (result == 0 && !p.over) {
        uv_run(&loop, UV_RUN_ONCE);
    }
    if (result == 0 && p.err.code != ERR_OK) {
        *err = p.err;
        result = -1;
    }
    if (result == 0) {
        result = image_layer_names(p.images, &config, IMAGE_NAMES_MAX, names, &count, err);
    }
    for (size_t i = 0; i < count; i++) {
        printf("%.64s\n", names[i]);
    }
    image_store_close(p.images, NULL, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    return result;
}

int main(int argc, char **argv) {
    struct err err;
    struct bundle bundle;
    struct oci_image image;
    if (argc != 3) {
        fprintf(stderr, "usage: %s LAYOUT[:TAG] STORE\n", argv[0]);
        return 2;
    }
    int store = open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (store < 0 || bundle_oci_layout(argv[1], &bundle, &err) < 0) {
        fprintf(stderr, "%s: %s\n", argv[1], store < 0 ? strerror(errno) : err.text);
        return 1;
    }
    int result = decode(&bundle, &image, &err);
    if (result == 0) {
        result = unpack_all(&bundle, &image, store, &err) < 0 ||
                         print_names(&image, argv[2], store, &err) < 0
                     ? -1
                     : 0;
        oci_image_free(&image);
    }
    bundle_free(&bundle);
    close(store);
    if (result < 0) {
        fprintf(stderr, "%s: %s [%s]\n", argv[1], err.text, err_name(err.code));
    }
    return result < 0;
}
