/* The configurations of releases, by digest. SPDX-License-Identifier: Apache-2.0 */
#include "configs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <paas/digest.h>
#include <paas/file.h>
#include <paas/log.h>
#include <paas/map.h>
#include <paas/str.h>
#include <paas/wire.h>

enum {
    FETCH_TIMEOUT_MS = 10000,
    CONFIG_BYTES_MAX = 32 << 20, /* 512 variables of 32 KiB, and room for escapes */
};

struct config {
    struct configs *owner;
    char digest[DIGEST_SIZE];
    struct http_fetch *fetch; /* while it is fetched */
    bool ready;
    struct release_config value;
};

struct configs {
    struct configs_options options;
    int directory;
    struct map by_digest; /* struct config */
};

/* Checks the digest and decodes. */
static int take(struct config *config, const char *text, size_t len, struct err *err) {
    char digest[DIGEST_SIZE];
    if (digest_of(text, len, digest) < 0) {
        return err_no_memory(err);
    }
    if (strcmp(digest, config->digest) != 0) {
        return err_set(err, ERR_DIGEST, "the configuration %.20s… is not what its digest says",
            config->digest);
    }
    if (json_decode(&release_config_json, text, len, &config->value, err) < 0) {
        return err_wrap(err, "the configuration %.20s…", config->digest);
    }
    config->ready = true;
    return 0;
}

/* Files are named by the digest's digits. */
static const char *file_name(const char *digest) {
    return digest_hex(digest);
}

static int load(struct config *config, struct err *err) {
    struct buf text;
    buf_init(&text, CONFIG_BYTES_MAX);
    int result = file_read_whole(config->owner->directory, file_name(config->digest), &text, err);
    if (result == 0) {
        result = take(config, buf_str(&text), text.len, err);
    }
    buf_free(&text);
    return result;
}

static void on_fetched(void *data, struct http_answer *answer, const struct err *failed) {
    struct config *config = data;
    struct configs *c = config->owner;
    struct err err = *failed;
    config->fetch = NULL;
    if (err.code == ERR_OK) {
        const char *text = buf_str(&answer->body);
        err_clear(&err);
        if (take(config, text, answer->body.len, &err) == 0) {
            /* A small file, written once a release; not being able to keep it costs a fetch. */
            struct err kept;
            if (file_write_whole(c->directory, file_name(config->digest), text, answer->body.len,
                    0600, 0, &kept) < 0) {
                log_warn("keeping a configuration: %s", kept.text);
            }
            c->options.arrived(c->options.data, config->digest);
            return;
        }
    }
    char digest[DIGEST_SIZE];
    memcpy(digest, config->digest, sizeof digest);
    map_remove(&c->by_digest, digest);
    free(config);
    c->options.failed(c->options.data, digest, &err);
}

static int fetch(struct config *config, struct err *err) {
    struct configs *c = config->owner;
    char url[256];
    snprintf(url, sizeof url, "http://paas/v1/nodes/%s/config/%s", c->options.node, config->digest);
    struct http_fetch_options options = {
        .method = METHOD_GET,
        .url = url,
        .unix_path = c->options.api,
        .timeout = FETCH_TIMEOUT_MS,
        .collect_max = CONFIG_BYTES_MAX,
        .done = on_fetched,
        .context = config,
    };
    config->fetch = http_fetch_start(c->options.client, &options, err);
    return config->fetch ? 0 : -1;
}

const struct release_config *configs_get(struct configs *c, const char *digest) {
    struct config *config = map_get(&c->by_digest, digest);
    if (config) {
        return config->ready ? &config->value : NULL;
    }
    struct err err;
    config = calloc(1, sizeof *config);
    if (!config || !str_is_digest(digest) || map_set(&c->by_digest, digest, config) < 0) {
        free(config);
        return NULL;
    }
    config->owner = c;
    str_copy(config->digest, sizeof config->digest, digest);
    if (load(config, &err) == 0) {
        return &config->value;
    }
    if (fetch(config, &err) < 0) {
        log_error("asking for a configuration: %s", err.text);
        map_remove(&c->by_digest, digest);
        free(config);
    }
    return NULL;
}

const struct release_config *configs_known(const struct configs *c, const char *digest) {
    const struct config *config = map_get(&c->by_digest, digest);
    return config && config->ready ? &config->value : NULL;
}

struct configs *configs_open(const struct configs_options *options, struct err *err) {
    struct configs *c = calloc(1, sizeof *c);
    if (!c) {
        err_no_memory(err);
        return NULL;
    }
    c->options = *options;
    map_init(&c->by_digest);
    c->directory = open(options->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (c->directory < 0) {
        err_sys(err, errno, "opening %s", options->directory);
        free(c);
        return NULL;
    }
    return c;
}

static void config_free(struct config *config) {
    http_cancel(config->fetch);
    json_free(&release_config_json, &config->value);
    free(config);
}

void configs_close(struct configs *c) {
    if (c) {
        MAP_FOREACH (e, &c->by_digest) {
            config_free(e->value);
        }
        map_free(&c->by_digest);
        file_close(&c->directory);
        free(c);
    }
}

static void drop_files(
    struct configs *c, bool (*wanted)(void *data, const char *digest), void *data) {
    int fd = openat(c->directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    while (entries && (entry = readdir(entries))) {
        char digest[DIGEST_SIZE];
        if (snprintf(digest, sizeof digest, "sha256:%s", entry->d_name) < (int)sizeof digest &&
            str_is_digest(digest) && !wanted(data, digest)) {
            unlinkat(c->directory, entry->d_name, 0);
        }
    }
    if (entries) {
        closedir(entries);
    }
}

void configs_keep(struct configs *c, bool (*wanted)(void *data, const char *digest), void *data) {
    MAP_FOREACH (e, &c->by_digest) {
        struct config *config = e->value;
        if (!wanted(data, config->digest)) {
            map_remove(&c->by_digest, config->digest);
            config_free(config);
        }
    }
    drop_files(c, wanted, data);
}
