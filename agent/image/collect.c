/* Finds layers on disk that nobody uses. SPDX-License-Identifier: Apache-2.0 */
#include "collect.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include <paas/file.h>
#include <paas/unpack.h>

#include "gc.h"

static bool is_layer_name(const char *name) {
    return strspn(name, "0123456789abcdef") == DIGEST_HEX_LENGTH && !name[DIGEST_HEX_LENGTH];
}

/* Makes the names in the directory the keys of `names`. */
static int list_names(int directory, struct map *names, struct err *err) {
    int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = fd < 0 ? NULL : fdopendir(fd);
    if (!entries) {
        int sys = errno;
        file_close(&fd);
        return err_sys(err, sys, "listing the layers");
    }
    int result = 0;
    struct dirent *entry;
    while (result == 0 && names->count < COLLECT_MAX && (entry = readdir(entries))) {
        if (is_layer_name(entry->d_name)) {
            result = map_set(names, entry->d_name, names);
        }
    }
    closedir(entries);
    return result < 0 ? err_no_memory(err) : 0;
}

/* What a layer hides lies beside it and goes with it: these are no layers of their own. */
static void forget_hidden(struct map *names) {
    struct map_entry *entries = names->entries;
    for (size_t i = 0; i < names->used; i++) {
        char hidden[DIGEST_HEX_SIZE];
        if (entries[i].key) {
            unpack_hidden_name(entries[i].key, hidden);
            map_remove(names, hidden);
        }
    }
}

static size_t fill(const struct map *names, const struct map *wanted, const struct map *used,
    struct gc_layer *layers) {
    size_t count = 0;
    MAP_FOREACH (e, names) {
        layers[count++] = (struct gc_layer){
            .name = e->key,
            .used = (uintptr_t)map_get(used, e->key),
            .wanted = map_get(wanted, e->key) != NULL,
        };
    }
    return count;
}

int collect_unused(int directory, const struct map *wanted, const struct map *used, size_t spare,
    struct strings *out, struct err *err) {
    struct map names;
    struct gc_layer *layers = NULL;
    map_init(&names);
    int result = list_names(directory, &names, err);
    if (result == 0) {
        forget_hidden(&names);
        layers = calloc(names.count + 1, sizeof *layers);
        result = layers ? 0 : err_no_memory(err);
    }
    if (result == 0) {
        size_t count = fill(&names, wanted, used, layers);
        gc_choose(layers, count, spare);
        for (size_t i = 0; result == 0 && i < count; i++) {
            result = layers[i].gone ? strings_add(out, layers[i].name) : 0;
        }
        result = result < 0 ? err_no_memory(err) : 0;
    }
    free(layers);
    map_free(&names);
    return result;
}
