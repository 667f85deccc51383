/* Pulls against a registry that behaves, and one that does not. SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <paas/digest.h>
#include <paas/file.h>
#include <paas/http_server.h>
#include <paas/image.h>
#include <paas/str.h>
#include <paas/unpack.h>

#include "tar_maker.h"

enum { LAYERS = 7 };

enum mood { MOOD_GOOD, MOOD_MISSING, MOOD_OTHER_BYTES, MOOD_CUT, MOOD_SILENT };

struct test_layer {
    struct buf tar;
    char digest[DIGEST_SIZE];
};

struct helper {
    struct fixture *fixture;
    uv_poll_t poll;
    pid_t pid;
    int report;
    char hex[DIGEST_HEX_SIZE];
    struct helper *next;
};

struct fixture {
    uv_loop_t loop;
    char dir[64], layers[80], socket[80];
    int layers_fd;
    struct http_server *server;
    struct image_store *store;
    struct test_layer tars[LAYERS];
    enum mood mood;
    unsigned requests, helpers, helpers_at_once, helpers_most;
    struct call *silent[16];
    size_t silent_count;
    struct strings removed;
    char cover[DIGEST_HEX_SIZE]; /* asked for last */
    unsigned covers;             /* times that one was */
};

/* ---- the registry ---- */

static enum call_result get_blob(struct call *c) {
    struct fixture *f = call_ctx(c);
    const char *digest = call_param(c, "digest");
    f->requests++;
    for (size_t i = 0; i < LAYERS; i++) {
        struct test_layer *l = &f->tars[i];
        if (strcmp(l->digest, digest) != 0 || f->mood == MOOD_MISSING) {
            continue;
        }
        switch (f->mood) {
        case MOOD_OTHER_BYTES:
            return call_reply_bytes(c, "x/y", "other bytes", 11);
        case MOOD_CUT:
            call_stream_begin(c, "x/y", (int64_t)l->tar.len);
            call_stream_write(c, l->tar.data, l->tar.len / 2);
            return call_stream_abort(c);
        case MOOD_SILENT:
            call_stream_begin(c, "x/y", (int64_t)l->tar.len);
            call_stream_write(c, l->tar.data, 512);
            f->silent[f->silent_count++] = c;
            return CALL_PENDING;
        default:
            return call_reply_bytes(c, "x/y", l->tar.data, l->tar.len);
        }
    }
    return call_fail_with(c, ERR_NOT_FOUND, "no such blob");
}

static int identify(
    void *ctx, const struct http_peer *peer, struct http_identity *who, struct err *err) {
    (void)ctx;
    (void)peer;
    (void)err;
    who->roles = 1;
    return 0;
}

static const struct endpoint endpoints[] = {
    { .method = METHOD_GET, .path = "/v2/{app}/blobs/{digest}", .roles = 1, .handler = get_blob },
    { 0 },
};

/* ---- the spawner ---- */

static void on_helper_closed(uv_handle_t *handle) {
    free(handle->data);
}

static void on_report(uv_poll_t *poll, int status, int events) {
    struct helper *h = poll->data;
    struct fixture *f = h->fixture;
    struct unpack_report report;
    struct err err;
    char from[100];
    (void)status;
    (void)events;
    if (unpack_report_read(h->report, &report, &err) == 0) {
        snprintf(from, sizeof from, "%s.new", h->hex);
        assert_int_equal(renameat(f->layers_fd, from, f->layers_fd, h->hex), 0);
    } else {
        snprintf(from, sizeof from, "%s.new", h->hex);
        file_remove_tree(f->layers_fd, from, NULL);
    }
    snprintf(from, sizeof from, "%s.hidden", h->hex);
    if (err.code == ERR_OK && report.hides) {
        char hidden[DIGEST_HEX_SIZE];
        unpack_hidden_name(h->hex, hidden);
        assert_int_equal(renameat(f->layers_fd, from, f->layers_fd, hidden), 0);
    } else {
        file_remove_tree(f->layers_fd, from, NULL);
    }
    waitpid(h->pid, NULL, 0);
    close(h->report);
    f->helpers_at_once--;
    uv_poll_stop(&h->poll);
    image_unpacked(f->store, h->hex, &err);
    uv_close((uv_handle_t *)&h->poll, on_helper_closed);
}

static int make_dir(struct fixture *f, const char *hex, const char *suffix) {
    char name[100];
    snprintf(name, sizeof name, "%s%s", hex, suffix);
    assert_int_equal(mkdirat(f->layers_fd, name, 0755), 0);
    return openat(f->layers_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int start_unpack(void *ctx, const char *hex, int tar, struct err *err) {
    struct fixture *f = ctx;
    struct helper *h = calloc(1, sizeof *h);
    int report[2];
    if (!h || pipe2(report, O_CLOEXEC) < 0) {
        free(h);
        return err_no_memory(err);
    }
    struct unpack_job job = { .tar = tar,
        .layer = make_dir(f, hex, ".new"),
        .hidden = make_dir(f, hex, ".hidden"),
        .report = report[1] };
    str_copy(job.diff_id, sizeof job.diff_id, hex);
    h->fixture = f;
    h->report = report[0];
    str_copy(h->hex, sizeof h->hex, hex);
    h->pid = fork();
    if (h->pid == 0) {
        _exit(unpack_main(&job, NULL));
    }
    close(report[1]);
    close(job.layer);
    close(job.hidden);
    f->helpers++;
    f->helpers_at_once++;
    f->helpers_most = f->helpers_at_once > f->helpers_most ? f->helpers_at_once : f->helpers_most;
    uv_poll_init(&f->loop, &h->poll, h->report);
    h->poll.data = h;
    uv_poll_start(&h->poll, UV_READABLE | UV_DISCONNECT, on_report);
    return 0;
}

static int start_remove(void *ctx, const char *hex, struct err *err) {
    struct fixture *f = ctx;
    char aside[100], hidden[DIGEST_HEX_SIZE];
    (void)err;
    snprintf(aside, sizeof aside, "%s.%zu", hex, f->removed.count);
    assert_int_equal(renameat(f->layers_fd, hex, f->layers_fd, aside), 0);
    unpack_hidden_name(hex, hidden);
    file_remove_tree(f->layers_fd, hidden, NULL);
    return strings_add(&f->removed, hex);
}

static int start_cover(void *ctx, const char *hex, const char (*names)[DIGEST_HEX_LENGTH],
    size_t count, struct err *err) {
    struct fixture *f = ctx;
    (void)names;
    (void)err;
    assert_true(count > 0);
    str_copy(f->cover, sizeof f->cover, hex);
    f->covers++;
    return 0;
}

/* ---- the fixture ---- */

static int setup(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    signal(SIGPIPE, SIG_IGN);
    snprintf(f->dir, sizeof f->dir, "/tmp/paas-test-image.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->layers, sizeof f->layers, "%s/layers", f->dir);
    snprintf(f->socket, sizeof f->socket, "%s/api.sock", f->dir);
    assert_int_equal(mkdir(f->layers, 0755), 0);
    f->layers_fd = open(f->layers, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(uv_loop_init(&f->loop), 0);
    for (int i = 0; i < LAYERS; i++) {
        char name[32];
        buf_init(&f->tars[i].tar, 16 << 20);
        snprintf(name, sizeof name, i == 6 ? "no/entry/file-%d" : "file-%d", i);
        tar_add(&f->tars[i].tar, &(struct tar_entry){ .name = name, .type = '0', .data = "data" });
        if (i == 2) {
            tar_add(&f->tars[i].tar, &(struct tar_entry){ .name = ".wh.file-1", .type = '0' });
        }
        if (i == 5) {
            tar_add(&f->tars[i].tar, &(struct tar_entry){ .name = ".wh..wh..opq", .type = '0' });
        }
        if (i == 3) { /* larger than all buffers on the way */
            enum { LARGE = 6 << 20 };
            tar_add(&f->tars[i].tar,
                &(struct tar_entry){ .name = "large", .type = '0', .size = LARGE });
            memset(buf_reserve(&f->tars[i].tar, LARGE), 'x', LARGE);
            f->tars[i].tar.len += LARGE;
        }
        tar_end(&f->tars[i].tar);
        digest_of(f->tars[i].tar.data, f->tars[i].tar.len, f->tars[i].digest);
    }
    struct http_server_options so = {
        .loop = &f->loop, .endpoints = endpoints, .ctx = f, .identify = identify
    };
    struct image_options io = { .loop = &f->loop,
        .layers = f->layers,
        .registry = f->socket,
        .ctx = f,
        .unpack = start_unpack,
        .remove = start_remove,
        .cover = start_cover };
    assert_int_equal(http_server_create(&so, &f->server, NULL), 0);
    assert_int_equal(http_server_listen_unix(f->server, f->socket, 0600, 0, NULL), 0);
    assert_int_equal(image_store_create(&io, &f->store, NULL), 0);
    *state = f;
    return 0;
}

static void on_closed(void *data) {
    *(bool *)data = true;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    bool store_closed = false, server_closed = false;
    while (f->helpers_at_once) {
        uv_run(&f->loop, UV_RUN_ONCE);
    }
    image_store_close(f->store, on_closed, &store_closed);
    while (f->silent_count) {
        call_stream_abort(f->silent[--f->silent_count]);
    }
    http_server_close(f->server, on_closed, &server_closed);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_true(store_closed && server_closed);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    for (int i = 0; i < LAYERS; i++) {
        buf_free(&f->tars[i].tar);
    }
    strings_free(&f->removed);
    close(f->layers_fd);
    assert_int_equal(file_remove_tree(AT_FDCWD, f->dir, NULL), 0);
    free(f);
    return 0;
}

/* ---- pulls ---- */

struct outcome {
    bool told;
    struct err err;
    uint64_t done;
};

static void on_progress(void *data, uint64_t done, uint64_t total) {
    struct outcome *o = data;
    (void)total;
    o->done = done;
}

static void on_done(void *data, const struct err *err) {
    struct outcome *o = data;
    assert_false(o->told);
    o->told = true;
    o->err = *err;
}

static const struct image_events events = { on_progress, on_done };

/* A release with the layers that `which` names by digits, lowest first. */
static struct release_config release(struct fixture *f, const char *which) {
    struct release_config config = { .app = "hello" };
    for (; *which; which++) {
        const char *digest = f->tars[*which - '0'].digest;
        strings_add(&config.layers, digest);
        strings_add(&config.blobs, digest);
    }
    return config;
}

static void release_free(struct release_config *config) {
    strings_free(&config->layers);
    strings_free(&config->blobs);
}

static struct image_pull *pull(struct fixture *f, const char *which, struct outcome *o) {
    struct err err;
    struct release_config config = release(f, which);
    *o = (struct outcome){ 0 };
    struct image_pull *p = image_pull(f->store, &config, &events, o, &err);
    assert_non_null(p);
    assert_false(o->told);
    release_free(&config);
    return p;
}

static void wait_for(struct fixture *f, struct outcome *o) {
    uint64_t deadline = uv_hrtime() + 10000000000ULL;
    while (!o->told && uv_hrtime() < deadline) {
        uv_run(&f->loop, UV_RUN_ONCE);
    }
    assert_true(o->told);
}

static size_t names_of(struct fixture *f, const char *which, char (*names)[DIGEST_HEX_LENGTH]) {
    struct err err;
    size_t count;
    struct release_config config = release(f, which);
    int result = image_layer_names(f->store, &config, 16, names, &count, &err);
    release_free(&config);
    if (result < 0) {
        fail_msg("%s", err.text);
    }
    return count;
}

static void test_a_release_is_pulled_once(void **state) {
    struct fixture *f = *state;
    struct outcome a, b, c;
    char names[16][DIGEST_HEX_LENGTH];
    pull(f, "0134", &a);
    pull(f, "014", &b);
    wait_for(f, &a);
    wait_for(f, &b);
    assert_int_equal(a.err.code, ERR_OK);
    assert_int_equal(b.err.code, ERR_OK);
    assert_int_equal(f->requests, 4);
    assert_int_equal(f->helpers, 4);
    assert_true(f->helpers_most <= IMAGE_FETCHES);
    pull(f, "0", &c);
    wait_for(f, &c);
    assert_int_equal(f->requests, 4);
    assert_int_equal(names_of(f, "0134", names), 4);
    assert_memory_equal(names[3], digest_hex(f->tars[4].digest), DIGEST_HEX_LENGTH);
}

static void test_what_a_layer_hides_lies_below_it(void **state) {
    struct fixture *f = *state;
    struct outcome o;
    char names[16][DIGEST_HEX_LENGTH], hidden[DIGEST_HEX_SIZE];
    pull(f, "0125", &o);
    wait_for(f, &o);
    assert_int_equal(o.err.code, ERR_OK);
    assert_int_equal(names_of(f, "012", names), 4);
    unpack_hidden_name(digest_hex(f->tars[2].digest), hidden);
    assert_memory_equal(names[2], hidden, DIGEST_HEX_LENGTH);
    assert_memory_equal(names[3], digest_hex(f->tars[2].digest), DIGEST_HEX_LENGTH);
    /* A layer that hides all leaves nothing of what is below. */
    assert_int_equal(names_of(f, "0125", names), 2);
    /* And one that stands twice is mounted once, at the top. */
    assert_int_equal(names_of(f, "0100", names), 2);
    assert_memory_equal(names[1], digest_hex(f->tars[0].digest), DIGEST_HEX_LENGTH);
}

static void expect_failure(struct fixture *f, enum mood mood, enum err_code code) {
    struct outcome o;
    f->mood = mood;
    pull(f, "013", &o);
    wait_for(f, &o);
    if (o.err.code != code) {
        fail_msg("%d: %s: %s", mood, err_name(o.err.code), o.err.text);
    }
    while (f->helpers_at_once) {
        uv_run(&f->loop, UV_RUN_ONCE);
    }
}

static void test_failures_are_named_and_pass(void **state) {
    struct fixture *f = *state;
    struct outcome o;
    expect_failure(f, MOOD_MISSING, ERR_NOT_FOUND);
    expect_failure(f, MOOD_OTHER_BYTES, ERR_DIGEST);
    expect_failure(f, MOOD_CUT, ERR_UNAVAILABLE);
    f->mood = MOOD_GOOD;
    pull(f, "013", &o);
    wait_for(f, &o);
    assert_int_equal(o.err.code, ERR_OK);
}

static void test_a_lie_about_the_content_is_found_by_the_helper(void **state) {
    struct fixture *f = *state;
    struct outcome o;
    struct err err;
    struct release_config config = { .app = "hello" };
    strings_add(&config.layers, f->tars[0].digest);
    strings_add(&config.blobs, f->tars[3].digest);
    o = (struct outcome){ 0 };
    assert_non_null(image_pull(f->store, &config, &events, &o, &err));
    wait_for(f, &o);
    assert_int_equal(o.err.code, ERR_DIGEST);
    release_free(&config);
}

static void test_a_cancelled_pull_is_silent_and_can_come_again(void **state) {
    struct fixture *f = *state;
    struct outcome a, b;
    f->mood = MOOD_SILENT;
    struct image_pull *p = pull(f, "01340", &a);
    for (int i = 0; i < 200 && f->silent_count < IMAGE_FETCHES; i++) {
        uv_run(&f->loop, UV_RUN_NOWAIT);
        usleep(1000);
    }
    assert_int_equal(f->silent_count, IMAGE_FETCHES);
    image_pull_cancel(p);
    f->mood = MOOD_GOOD;
    pull(f, "0134", &b);
    wait_for(f, &b);
    assert_int_equal(b.err.code, ERR_OK);
    assert_false(a.told);
}

static void test_a_closing_store_forgets_its_pulls(void **state) {
    struct fixture *f = *state;
    struct outcome o;
    f->mood = MOOD_SILENT;
    pull(f, "01", &o);
    for (int i = 0; i < 200 && f->silent_count < 2; i++) {
        uv_run(&f->loop, UV_RUN_NOWAIT);
        usleep(1000);
    }
    struct image_store *store = f->store;
    f->store = NULL;
    bool closed = false;
    image_store_close(store, on_closed, &closed);
    while (!closed || f->helpers_at_once) {
        uv_run(&f->loop, UV_RUN_ONCE);
    }
    assert_false(o.told);
    struct image_options io = { .loop = &f->loop, .layers = f->layers, .registry = f->socket };
    assert_int_equal(image_store_create(&io, &f->store, NULL), 0);
}

static void test_configs_that_are_none(void **state) {
    struct fixture *f = *state;
    struct outcome o = { 0 };
    struct err err;
    struct release_config config = release(f, "01");
    free(config.blobs.items[1]);
    config.blobs.items[1] = strdup("sha256:../../x");
    assert_null(image_pull(f->store, &config, &events, &o, &err));
    assert_int_equal(err.code, ERR_BAD_IMAGE);
    release_free(&config);
    config = release(f, "01");
    free(config.blobs.items[--config.blobs.count]);
    assert_null(image_pull(f->store, &config, &events, &o, &err));
    release_free(&config);
}

/* Collects all that `keep` leaves, as the spawner removes one after the other. */
static void collect(struct fixture *f, const char *keep, size_t spare) {
    static const struct err ok = { .code = ERR_OK };
    struct release_config config = release(f, keep);
    const struct release_config *kept[] = { &config };
    size_t before;
    struct err err;
    do {
        before = f->removed.count;
        assert_int_equal(image_store_collect(f->store, kept, 1, spare, &err), 0);
        assert_in_range(f->removed.count, before, before + IMAGE_REMOVES);
        for (size_t i = before; i < f->removed.count; i++) {
            image_removed(f->store, f->removed.items[i], &ok);
        }
    } while (f->removed.count > before);
    release_free(&config);
}

static bool is_removed(const struct fixture *f, int layer) {
    for (size_t i = 0; i < f->removed.count; i++) {
        if (strcmp(f->removed.items[i], digest_hex(f->tars[layer].digest)) == 0) {
            return true;
        }
    }
    return false;
}

static void test_collecting(void **state) {
    struct fixture *f = *state;
    struct outcome o;
    char names[16][DIGEST_HEX_LENGTH];
    pull(f, "012345", &o);
    wait_for(f, &o);
    names_of(f, "4", names);
    names_of(f, "2", names);
    names_of(f, "1", names);
    collect(f, "0", 2);
    /* 0 is wanted, 1 and 2 were used last. */
    assert_int_equal(f->removed.count, 3);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(is_removed(f, i), i > 2);
    }
    collect(f, "0", 0);
    assert_int_equal(f->removed.count, 5);
    assert_false(is_removed(f, 0));
}

static void test_a_layer_that_leaves_can_come_again(void **state) {
    static const struct err ok = { .code = ERR_OK };
    struct fixture *f = *state;
    struct outcome o = { 0 };
    char names[16][DIGEST_HEX_LENGTH];
    size_t count;
    struct err err;
    pull(f, "01", &o);
    wait_for(f, &o);
    struct release_config kept = release(f, "0"), wanted = release(f, "01");
    const struct release_config *keep[] = { &kept };
    const char *hex = digest_hex(f->tars[1].digest);
    char aside[100];
    snprintf(aside, sizeof aside, "%s.0", hex);
    assert_int_equal(image_store_collect(f->store, keep, 1, 0, &err), 0);
    assert_int_equal(f->removed.count, 1);
    /* The spawner has yet to hear of it: no start may count on it. */
    assert_int_equal(renameat(f->layers_fd, aside, f->layers_fd, hex), 0);
    assert_int_equal(image_layer_names(f->store, &wanted, 16, names, &count, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_int_equal(renameat(f->layers_fd, hex, f->layers_fd, aside), 0);
    o = (struct outcome){ 0 };
    pull(f, "01", &o);
    wait_for(f, &o);
    assert_int_equal(image_layer_names(f->store, &wanted, 16, names, &count, &err), 0);
    /* The old one is still on its way out: the new one stays until that is over. */
    assert_int_equal(image_store_collect(f->store, keep, 1, 0, &err), 0);
    assert_int_equal(f->removed.count, 1);
    image_removed(f->store, f->removed.items[0], &ok);
    assert_int_equal(image_layer_names(f->store, &wanted, 16, names, &count, &err), 0);
    assert_int_equal(image_store_collect(f->store, keep, 1, 0, &err), 0);
    assert_int_equal(f->removed.count, 2);
    release_free(&kept);
    release_free(&wanted);
}

static void wait_for_cover(struct fixture *f, unsigned covers) {
    while (f->covers < covers) {
        uv_run(&f->loop, UV_RUN_ONCE);
    }
}

static void test_a_cover_is_made_once_for_all(void **state) {
    struct fixture *f = *state;
    struct outcome a, b, c;
    struct err err = { 0 };
    char names[16][DIGEST_HEX_LENGTH];
    pull(f, "06", &a);
    pull(f, "06", &b);
    wait_for_cover(f, 1);
    pull(f, "06", &c);
    uv_run(&f->loop, UV_RUN_NOWAIT);
    assert_true(f->covers == 1 && !a.told && !b.told && !c.told);
    /* It fails: for all who wait, and the next one asks anew. */
    err_set(&err, ERR_FULL, "no room");
    image_covered(f->store, f->cover, &err);
    assert_false(a.told);
    wait_for(f, &a);
    wait_for(f, &b);
    wait_for(f, &c);
    assert_int_equal(a.err.code, ERR_FULL);
    pull(f, "06", &a);
    wait_for_cover(f, 2);
    assert_int_equal(mkdirat(f->layers_fd, f->cover, 0755), 0);
    err_clear(&err);
    image_covered(f->store, f->cover, &err);
    wait_for(f, &a);
    assert_int_equal(a.err.code, ERR_OK);
    assert_int_equal(names_of(f, "06", names), 4);
    assert_memory_equal(names[3], f->cover, DIGEST_HEX_LENGTH);
    /* It stays as long as its image does. */
    struct release_config whole = release(f, "06"), part = release(f, "0");
    const struct release_config *keep = &whole;
    assert_int_equal(image_store_collect(f->store, &keep, 1, 0, &err), 0);
    assert_int_equal(f->removed.count, 0);
    keep = &part;
    for (size_t i = 1; i <= 2; i++) { /* the layer, and the cover */
        assert_int_equal(image_store_collect(f->store, &keep, 1, 0, &err), 0);
        assert_int_equal(f->removed.count, i);
        image_removed(f->store, f->removed.items[i - 1], &err);
    }
    release_free(&whole);
    release_free(&part);
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_a_release_is_pulled_once),
        T(test_what_a_layer_hides_lies_below_it),
        T(test_failures_are_named_and_pass),
        T(test_a_lie_about_the_content_is_found_by_the_helper),
        T(test_a_cancelled_pull_is_silent_and_can_come_again),
        T(test_a_closing_store_forgets_its_pulls),
        T(test_configs_that_are_none),
        T(test_collecting),
        T(test_a_layer_that_leaves_can_come_again),
        T(test_a_cover_is_made_once_for_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
