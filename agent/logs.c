/* Reading the log segments that paas-init writes. SPDX-License-Identifier: Apache-2.0
 *
 * Story of log_reader_next: look at the record under the cursor; if the window doesn't hold it
 * whole, fill the window from there; if it still isn't whole, this is the end of what is written.
 * Then either the segment was overwritten (its header says another generation: start again at the
 * oldest one), or the writer has gone on to the other one (look here once more, as it may have
 * written in between, and follow), or there is nothing yet.
 */
#include "logs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    WINDOW = 64 << 10, /* bytes read at once; three longest records fit */
    FILES = 2,
};

static const char *const file_names[FILES] = { INIT_NAME_LOG0, INIT_NAME_LOG1 };

struct log_reader {
    int files[FILES];
    bool placed; /* `generation` and `offset` name a place */
    uint64_t generation;
    off_t offset;      /* of the record under the cursor */
    uint64_t expected; /* its sequence number if none was overwritten; 0: any */
    size_t at;         /* the cursor in the window */
    size_t filled;
    char window[WINDOW];
};

struct log_reader *log_reader_open(int dir_fd, struct err *err) {
    struct log_reader *reader = malloc(sizeof *reader);
    if (!reader) {
        err_no_memory(err);
        return NULL;
    }
    *reader = (struct log_reader){ .files = { -1, -1 } };
    for (int i = 0; i < FILES; i++) {
        int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
        reader->files[i] = openat(dir_fd, file_names[i], flags);
        if (reader->files[i] < 0) {
            int sys = errno;
            log_reader_close(reader);
            err_sys(err, sys, "open %s", file_names[i]);
            if (err && sys == ENOENT) {
                err->code = ERR_NOT_FOUND;
            }
            return NULL;
        }
    }
    return reader;
}

void log_reader_close(struct log_reader *reader) {
    if (!reader) {
        return;
    }
    for (int i = 0; i < FILES; i++) {
        if (reader->files[i] >= 0) {
            close(reader->files[i]);
        }
    }
    free(reader);
}

/* ---- segments ----------------------------------------------------------------------------- */

static bool read_header(const struct log_reader *reader, int file, struct log_segment *header) {
    ssize_t n = pread(reader->files[file], header, sizeof *header, 0);
    return n == (ssize_t)sizeof *header && header->magic == LOG_SEGMENT_MAGIC &&
           header->version == INIT_VERSION && header->header_bytes == sizeof *header &&
           header->generation % FILES == (uint64_t)file &&
           header->checksum ==
               init_checksum(INIT_CHECKSUM_START, header, offsetof(struct log_segment, checksum));
}

static void place(struct log_reader *reader, uint64_t generation) {
    reader->placed = true;
    reader->generation = generation;
    reader->offset = sizeof(struct log_segment);
    reader->at = reader->filled = 0;
}

/* Goes to the oldest segment that holds what is expected; false when there is none yet. */
static bool place_first(struct log_reader *reader) {
    struct log_segment headers[FILES];
    bool there[FILES];
    for (int i = 0; i < FILES; i++) {
        there[i] = read_header(reader, i, &headers[i]);
    }
    if (!there[0] && !there[1]) {
        return false;
    }
    int newer = !there[0] || (there[1] && headers[1].generation > headers[0].generation);
    int older = !newer;
    bool has_older = there[older] && headers[older].generation + 1 == headers[newer].generation &&
                     reader->expected < headers[newer].first_seq;
    place(reader, headers[has_older ? older : newer].generation);
    return true;
}

static bool is_generation(const struct log_reader *reader, uint64_t generation) {
    struct log_segment header;
    return read_header(reader, (int)(generation % FILES), &header) &&
           header.generation == generation;
}

/* ---- records ------------------------------------------------------------------------------ */

static void fill_window(struct log_reader *reader) {
    int fd = reader->files[reader->generation % FILES];
    ssize_t n = pread(fd, reader->window, sizeof reader->window, reader->offset);
    reader->at = 0;
    reader->filled = n > 0 ? (size_t)n : 0;
}

/* The whole, right record at the cursor of the window, or NULL. The copy of the header is aligned.
 */
static const char *record_at_cursor(const struct log_reader *reader, struct log_record *record) {
    size_t left = reader->filled - reader->at;
    const char *bytes = reader->window + reader->at;
    if (left < sizeof *record) {
        return NULL;
    }
    memcpy(record, bytes, sizeof *record);
    if (record->magic != LOG_RECORD_MAGIC || record->text_bytes > LOG_TEXT_MAX ||
        record->stream > LOG_STREAM_INIT || left - sizeof *record < record->text_bytes) {
        return NULL;
    }
    size_t skip = offsetof(struct log_record, seq);
    uint32_t sum = init_checksum(
        INIT_CHECKSUM_START, bytes + skip, sizeof *record - skip + record->text_bytes);
    return sum == record->checksum ? bytes + sizeof *record : NULL;
}

static const char *next_record(struct log_reader *reader, struct log_record *record) {
    const char *text = record_at_cursor(reader, record);
    if (!text) {
        fill_window(reader); /* from the cursor on, and again what was half there */
        text = record_at_cursor(reader, record);
    }
    if (text) {
        size_t bytes = sizeof *record + record->text_bytes;
        reader->at += bytes;
        reader->offset += (off_t)bytes;
    }
    return text;
}

/* At the end of what is written here: is there anywhere to go on? */
static const char *cross_over(struct log_reader *reader, struct log_record *record) {
    if (!is_generation(reader, reader->generation)) {
        /* Overwritten, and perhaps while it was read. Rare: a whole segment went by. */
        return place_first(reader) ? next_record(reader, record) : NULL;
    }
    if (!is_generation(reader, reader->generation + 1)) {
        return NULL;
    }
    const char *text = next_record(reader, record);
    if (text) {
        return text; /* written between the last look and the writer's change */
    }
    place(reader, reader->generation + 1);
    return next_record(reader, record);
}

int log_reader_next(struct log_reader *reader, struct log_piece *line) {
    struct log_record record;
    if (!reader->placed && !place_first(reader)) {
        return 0;
    }
    for (;;) {
        const char *text = next_record(reader, &record);
        text = text ? text : cross_over(reader, &record);
        if (!text) {
            return 0;
        }
        if (record.seq < reader->expected) {
            continue;
        }
        bool gap = reader->expected && record.seq > reader->expected;
        if (gap && !is_generation(reader, reader->generation) && place_first(reader)) {
            continue; /* this one is of a later generation, and an earlier one may be there */
        }
        *line = (struct log_piece){ .seq = record.seq,
            .wall = record.wall_ms,
            .stream = (enum log_stream)record.stream,
            .flags = record.flags,
            .dropped = record.dropped,
            .missed = reader->expected ? record.seq - reader->expected : 0,
            .text = text,
            .len = record.text_bytes };
        reader->expected = record.seq + 1;
        return 1;
    }
}

void log_reader_after(struct log_reader *reader, uint64_t seq) {
    reader->placed = false;
    reader->expected = seq ? seq + 1 : 0;
}

int log_reader_last(struct log_reader *reader, size_t lines, struct err *err) {
    if (lines > LOG_LAST_MAX) {
        lines = LOG_LAST_MAX;
    }
    uint64_t *starts = calloc(lines + 1, sizeof *starts); /* of the last lines, round and round */
    if (!starts) {
        return err_no_memory(err);
    }
    uint64_t open[LOG_STREAM_INIT + 1] = { 0 }; /* first piece of the line in the making */
    size_t count = 0;
    struct log_piece line;
    log_reader_after(reader, 0);
    uint64_t last = 0;
    while (log_reader_next(reader, &line)) {
        last = line.seq;
        open[line.stream] = open[line.stream] ? open[line.stream] : line.seq;
        if (!(line.flags & LOG_CONTINUED)) {
            starts[count++ % (lines + 1)] = open[line.stream];
            open[line.stream] = 0;
        }
    }
    if (lines == 0) {
        log_reader_after(reader, last);
    } else if (count <= lines) {
        log_reader_after(reader, 0);
    } else {
        log_reader_after(reader, starts[(count - lines) % (lines + 1)] - 1);
    }
    free(starts);
    return 0;
}

/* ---- several instances --------------------------------------------------------------------- */

struct log_merge {
    size_t count;
    struct merged {
        struct log_reader *reader;
        bool waiting; /* `line` has been read and not been given */
        struct log_piece line;
    } from[];
};

struct log_merge *log_merge_open(struct log_reader **readers, size_t count, struct err *err) {
    struct log_merge *merge = calloc(1, sizeof *merge + count * sizeof merge->from[0]);
    for (size_t i = 0; i < count; i++) {
        if (merge) {
            merge->from[i].reader = readers[i];
        } else {
            log_reader_close(readers[i]);
        }
    }
    if (!merge) {
        err_no_memory(err);
        return NULL;
    }
    merge->count = count;
    return merge;
}

void log_merge_close(struct log_merge *merge) {
    for (size_t i = 0; merge && i < merge->count; i++) {
        log_reader_close(merge->from[i].reader);
    }
    free(merge);
}

int log_merge_next(struct log_merge *merge, size_t *which, struct log_piece *line) {
    struct merged *oldest = NULL;
    for (size_t i = 0; i < merge->count; i++) {
        struct merged *from = &merge->from[i];
        if (!from->waiting) {
            from->waiting = log_reader_next(from->reader, &from->line) == 1;
        }
        if (from->waiting && (!oldest || from->line.wall < oldest->line.wall)) {
            oldest = from;
        }
    }
    if (!oldest) {
        return 0;
    }
    oldest->waiting = false;
    *line = oldest->line;
    *which = (size_t)(oldest - merge->from);
    return 1;
}

/* ---- following ----------------------------------------------------------------------------- */

enum follow_state {
    FOLLOW_RUNNING,
    FOLLOW_PAUSED,
    FOLLOW_CLOSED,
};

struct log_follow {
    struct log_reader *reader;
    const struct log_follow_events *events;
    void *arg;
    enum follow_state state;
    bool ending; /* the writer is gone */
    int handles; /* not closed yet */
    uv_fs_event_t watch;
    uv_timer_t turn; /* the next turn's delivery */
};

static void on_turn(uv_timer_t *timer);

static void schedule(struct log_follow *follow) {
    if (follow->state == FOLLOW_RUNNING) {
        uv_timer_start(&follow->turn, on_turn, 0, 0);
    }
}

static void on_turn(uv_timer_t *timer) {
    struct log_follow *follow = timer->data;
    for (int i = 0; i < LOG_FOLLOW_BUDGET; i++) {
        struct log_piece line;
        if (follow->state != FOLLOW_RUNNING) {
            return; /* a callback paused or closed it */
        }
        if (log_reader_next(follow->reader, &line) == 0) {
            if (follow->ending) {
                follow->ending = false;
                follow->events->ended(follow->arg);
            }
            return;
        }
        follow->events->line(follow->arg, &line);
    }
    schedule(follow);
}

static void on_change(uv_fs_event_t *watch, const char *name, int events, int status) {
    (void)name;
    (void)events;
    (void)status;
    schedule(watch->data);
}

static void on_closed(uv_handle_t *handle) {
    struct log_follow *follow = handle->data;
    if (--follow->handles == 0) {
        log_reader_close(follow->reader);
        free(follow);
    }
}

struct log_follow *log_follow_open(uv_loop_t *loop, const char *path, struct log_reader *reader,
    const struct log_follow_events *events, void *arg, struct err *err) {
    struct log_follow *follow = calloc(1, sizeof *follow);
    if (!follow) {
        log_reader_close(reader);
        err_no_memory(err);
        return NULL;
    }
    *follow = (struct log_follow){ .reader = reader, .events = events, .arg = arg, .handles = 2 };
    uv_fs_event_init(loop, &follow->watch);
    uv_timer_init(loop, &follow->turn);
    follow->watch.data = follow->turn.data = follow;
    int r = uv_fs_event_start(&follow->watch, on_change, path, 0);
    if (r < 0) {
        log_follow_close(follow);
        err_sys(err, -r, "watch %s", path);
        return NULL;
    }
    schedule(follow);
    return follow;
}

void log_follow_pause(struct log_follow *follow) {
    if (follow->state == FOLLOW_RUNNING) {
        follow->state = FOLLOW_PAUSED;
        uv_timer_stop(&follow->turn);
    }
}

void log_follow_resume(struct log_follow *follow) {
    if (follow->state == FOLLOW_PAUSED) {
        follow->state = FOLLOW_RUNNING;
        schedule(follow);
    }
}

void log_follow_end(struct log_follow *follow) {
    follow->ending = true;
    schedule(follow);
}

void log_follow_close(struct log_follow *follow) {
    if (!follow || follow->state == FOLLOW_CLOSED) {
        return;
    }
    follow->state = FOLLOW_CLOSED;
    uv_close((uv_handle_t *)&follow->watch, on_closed);
    uv_close((uv_handle_t *)&follow->turn, on_closed);
}
