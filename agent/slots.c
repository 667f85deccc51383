/* Which id range each living instance has. SPDX-License-Identifier: Apache-2.0 */
#include "slots.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <paas/file.h>
#include <paas/id.h>
#include <paas/reserve.h>
#include <paas/str.h>

enum {
    SLOT_TEXT_MAX = 16, /* bytes of a slot's file */
    SLOTS_SPARE = 64,   /* free slots in the round, at least */
};

/* For a few dozen slots, of which each takes a block. */
static struct reserve room_of(const struct slots *s) {
    return (struct reserve){ s->dir, RESERVE_NAME, 256 << 10 };
}

static int read_slot(const struct slots *s, const char *id, uint32_t *slot, struct err *err) {
    struct buf text;
    int64_t number;
    buf_init(&text, SLOT_TEXT_MAX);
    int result = file_read_whole(s->dir, id, &text, err);
    if (result == 0) {
        result = str_int(buf_str(&text), PLATFORM_FIRST_SLOT, PLATFORM_SLOTS - 1, id, &number, err);
    }
    if (result == 0) {
        *slot = (uint32_t)number;
    }
    buf_free(&text);
    return result;
}

int slots_each(
    struct slots *s, void (*each)(void *data, const char *id), void *data, struct err *err) {
    int fd = openat(s->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = fd < 0 ? NULL : fdopendir(fd);
    if (!entries) {
        return err_sys(err, errno, "reading the slots");
    }
    struct dirent *entry;
    while ((entry = readdir(entries))) {
        if (id_is_valid(entry->d_name)) {
            each(data, entry->d_name);
        }
    }
    closedir(entries);
    return 0;
}

static void mark(void *data, const char *id) {
    struct slots *s = data;
    uint32_t slot;
    if (read_slot(s, id, &slot, NULL) == 0) {
        s->used_count += !s->used[slot];
        s->used[slot] = true;
    } else {
        /* Written whole or not at all, so this is no slot that was ever given out. */
        unlinkat(s->dir, id, 0);
    }
}

int slots_open(struct slots *s, int dir, struct err *err) {
    *s = (struct slots){ .dir = dir, .cursor = PLATFORM_FIRST_SLOT };
    struct reserve room = room_of(s);
    reserve_keep(&room); /* before the disk is full */
    return slots_each(s, mark, s, err);
}

void slots_close(struct slots *s) {
    file_close(&s->dir);
}

/* The slot after `at` in the round: among twice as many as are in use and some more, so that a
 * range is reused late, and what is made once for each slot stays little. */
static uint32_t after(const struct slots *s, uint32_t at) {
    uint32_t end = PLATFORM_FIRST_SLOT + SLOTS_SPARE + 2 * s->used_count;
    end = end < PLATFORM_SLOTS ? end : PLATFORM_SLOTS;
    return at + 1 >= end ? PLATFORM_FIRST_SLOT : at + 1;
}

int slots_take(struct slots *s, const char *id, uint32_t *slot, struct err *err) {
    char text[SLOT_TEXT_MAX];
    struct reserve room = room_of(s);
    for (uint32_t tried = 0; tried < INSTANCES_PER_NODE; tried++) {
        uint32_t at = s->cursor;
        s->cursor = after(s, at);
        if (s->used[at]) {
            continue;
        }
        int len = snprintf(text, sizeof text, "%" PRIu32, at);
        if (reserve_write(&room, id, text, (size_t)len, 0600, err) < 0) {
            return -1;
        }
        s->used[at] = true;
        s->used_count++;
        *slot = at;
        return 0;
    }
    return err_set(
        err, ERR_FULL, "all %d places for instances of this host are taken", INSTANCES_PER_NODE);
}

uint32_t slots_next(const struct slots *s, unsigned ahead) {
    uint32_t at = s->cursor;
    for (uint32_t tried = 0; tried < INSTANCES_PER_NODE; tried++) {
        if (!s->used[at] && ahead-- == 0) {
            return at;
        }
        at = after(s, at);
    }
    return 0;
}

void slots_release(struct slots *s, const char *id) {
    uint32_t slot;
    if (id_is_valid(id) && read_slot(s, id, &slot, NULL) == 0) {
        s->used_count -= s->used[slot];
        s->used[slot] = false;
        unlinkat(s->dir, id, 0);
    }
}
