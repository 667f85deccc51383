/* The app's output, spooled into two capped log segments. SPDX-License-Identifier: Apache-2.0
 *
 * Story: what a stream gives is cut into lines, each line becomes a record in the batch, the batch
 * is one pwrite at the segment's end. A record that doesn't fit the segment opens the other one,
 * which is truncated first. Over the rate, lines are dropped until the bucket is a sixteenth full
 * again, so that a flood leaves whole stretches and not a note per line. When a write fails the
 * segment is cut back to its last whole record and the batch counts as dropped. The next record
 * that gets through says how many.
 */
#include "spool.h"

#include "now.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    TOKENS_PER_BYTE = 1000000, /* a token is what a rate of one byte a second earns in 1 µs */
    BURST_US = 1000000,        /* one second's rate at once */
    RESUME_FRACTION = 16,      /* of the burst, before a choked spool writes again */
    NOTE_MAX = 96,             /* bytes of a note on drops */
};

static uint32_t checksum_record(const struct log_record *record, const char *text) {
    size_t skip = offsetof(struct log_record, seq);
    uint32_t sum =
        init_checksum(INIT_CHECKSUM_START, (const char *)record + skip, sizeof *record - skip);
    return init_checksum(sum, text, record->text_bytes);
}

/* ---- segments ----------------------------------------------------------------------------- */

static int current_file(const struct spool *spool) {
    return spool->files[spool->generation % 2];
}

static uint64_t batch_first_seq(const struct spool *spool) {
    return spool->seq - spool->batch_records + 1;
}

/* Starts the current segment's file anew. */
static int open_segment(struct spool *spool) {
    struct log_segment header = { .magic = LOG_SEGMENT_MAGIC,
        .version = INIT_VERSION,
        .header_bytes = sizeof header,
        .generation = spool->generation,
        .first_seq = batch_first_seq(spool) };
    header.checksum =
        init_checksum(INIT_CHECKSUM_START, &header, offsetof(struct log_segment, checksum));
    if (ftruncate(current_file(spool), 0) < 0 ||
        pwrite(current_file(spool), &header, sizeof header, 0) != (ssize_t)sizeof header) {
        return -1;
    }
    spool->end = sizeof header;
    spool->open = true;
    return 0;
}

static void drop(struct spool *spool, uint32_t lines, enum spool_reason reason) {
    spool->pending += lines;
    spool->dropped += lines;
    spool->reason = reason;
}

/* Writes the batch; on failure its lines are dropped and its sequence numbers taken back. */
static void flush(struct spool *spool) {
    if (spool->batch_used == 0) {
        return;
    }
    int fd = current_file(spool);
    bool written = (spool->open || open_segment(spool) == 0) &&
                   pwrite(fd, spool->batch, spool->batch_used, (off_t)spool->end) ==
                       (ssize_t)spool->batch_used;
    if (written) {
        spool->end += spool->batch_used;
    } else {
        if (spool->open) {
            int ignored = ftruncate(fd, (off_t)spool->end); /* or the checksum tells */
            (void)ignored;
        }
        spool->seq -= spool->batch_records;
        drop(spool, spool->batch_lines, SPOOL_NO_ROOM);
        spool->pending += spool->batch_drops; /* nobody has been told after all */
    }
    spool->batch_used = 0;
    spool->batch_records = 0;
    spool->batch_lines = 0;
    spool->batch_drops = 0;
}

/* Makes room for a record of `bytes` in batch and segment. */
static void make_room(struct spool *spool, size_t bytes) {
    size_t end = spool->open ? spool->end : sizeof(struct log_segment);
    bool segment_full = end + spool->batch_used + bytes > spool->capacity;
    if (segment_full || spool->batch_used + bytes > sizeof spool->batch) {
        flush(spool);
    }
    if (segment_full && spool->open) {
        spool->generation++;
        spool->open = false;
        spool->end = 0;
    }
}

static void append(struct spool *spool, struct log_record *record, const char *text) {
    size_t bytes = sizeof *record + record->text_bytes;
    make_room(spool, bytes);
    record->magic = LOG_RECORD_MAGIC;
    record->seq = ++spool->seq;
    record->wall_ms = now_wall_ms();
    record->checksum = checksum_record(record, text);
    memcpy(spool->batch + spool->batch_used, record, sizeof *record);
    memcpy(spool->batch + spool->batch_used + sizeof *record, text, record->text_bytes);
    spool->batch_used += bytes;
    spool->batch_records++;
}

/* ---- rate and drops ----------------------------------------------------------------------- */

static void refill(struct spool *spool) {
    int64_t now = now_mono_us();
    int64_t passed = now - spool->refilled;
    int64_t most = spool->rate * BURST_US;
    if (passed > BURST_US) {
        passed = BURST_US; /* no overflow */
    }
    spool->tokens += passed * spool->rate;
    spool->tokens = spool->tokens < most ? spool->tokens : most;
    spool->refilled = now;
}

/* Is it dropping, and will it go on to? */
static bool stays_choked(const struct spool *spool) {
    return spool->choked && spool->tokens < spool->rate * BURST_US / RESUME_FRACTION;
}

static bool take_tokens(struct spool *spool, size_t bytes) {
    int64_t cost = (int64_t)bytes * TOKENS_PER_BYTE;
    if (stays_choked(spool)) {
        return false;
    }
    spool->choked = spool->tokens < cost;
    if (!spool->choked) {
        spool->tokens -= cost;
    }
    return !spool->choked;
}

static void note_drops(struct spool *spool) {
    if (spool->pending == 0) {
        return;
    }
    char text[NOTE_MAX];
    int n = snprintf(text, sizeof text, "dropped %u lines: %s", spool->pending,
        spool->reason == SPOOL_TOO_FAST ? "faster than the log's rate" : "no room on the disk");
    struct log_record record = { .stream = LOG_STREAM_INIT,
        .flags = LOG_DROPPED,
        .dropped = spool->pending,
        .text_bytes = (uint16_t)n };
    append(spool, &record, text);
    spool->batch_drops += spool->pending;
    spool->pending = 0;
}

/* ---- lines -------------------------------------------------------------------------------- */

static void emit(
    struct spool *spool, enum log_stream stream, const char *text, size_t len, bool continued) {
    struct spool_line *line = &spool->lines[stream];
    bool shortened = line->shortened;
    line->shortened = continued && shortened;
    if (shortened || !take_tokens(spool, sizeof(struct log_record) + len)) {
        line->shortened = continued;
        drop(spool, continued ? 0 : 1, SPOOL_TOO_FAST);
        return;
    }
    note_drops(spool);
    struct log_record record = { .stream = (uint8_t)stream,
        .flags = continued ? LOG_CONTINUED : 0,
        .text_bytes = (uint16_t)len };
    append(spool, &record, text);
    spool->batch_lines += continued ? 0 : 1;
}

/* Adds bytes without a newline to the stream's line, and cuts pieces off when it gets long. */
static void gather(struct spool *spool, enum log_stream stream, const char *bytes, size_t len) {
    struct spool_line *line = &spool->lines[stream];
    while (len > 0) {
        if (line->used == LOG_TEXT_MAX) {
            emit(spool, stream, line->text, line->used, true);
            line->used = 0;
        }
        size_t room = LOG_TEXT_MAX - line->used;
        size_t part = len < room ? len : room;
        memcpy(line->text + line->used, bytes, part);
        line->used += part;
        bytes += part;
        len -= part;
    }
}

/* Eight bytes at a time: a flood of short lines must not cost more here than it costs its maker. */
static uint32_t count_newlines(const char *bytes, size_t len) {
    const uint64_t low = UINT64_C(0x0101010101010101), high = low << 7;
    uint32_t count = 0;
    for (; len >= sizeof low; bytes += sizeof low, len -= sizeof low) {
        uint64_t word;
        memcpy(&word, bytes, sizeof word);
        word ^= low * '\n'; /* newlines become zero bytes, and those their highest bit below */
        word = ~(((word & ~high) + ~high) | word | ~high);
        count += (uint32_t)((word >> 7) * low >> 56);
    }
    for (size_t i = 0; i < len; i++) {
        count += bytes[i] == '\n';
    }
    return count;
}

/* Drops all of it, and the line that it leaves unfinished when that ends. */
static void drop_input(
    struct spool *spool, struct spool_line *line, const char *bytes, size_t len) {
    drop(spool, count_newlines(bytes, len), SPOOL_TOO_FAST);
    line->used = 0;
    line->shortened = bytes[len - 1] != '\n';
}

static void take(struct spool *spool, enum log_stream stream, const char *bytes, size_t len) {
    struct spool_line *line = &spool->lines[stream];
    const char *end = bytes + len;
    if (stays_choked(spool)) {
        drop_input(spool, line, bytes, len);
        return;
    }
    while (bytes < end) {
        const char *newline = memchr(bytes, '\n', (size_t)(end - bytes));
        size_t part = (size_t)((newline ? newline : end) - bytes);
        if (newline && line->used == 0 && part <= LOG_TEXT_MAX) {
            emit(spool, stream, bytes, part, false); /* most lines: no copy in between */
        } else {
            gather(spool, stream, bytes, part);
            if (newline) {
                emit(spool, stream, line->text, line->used, false);
                line->used = 0;
            }
        }
        bytes += part + (newline ? 1 : 0);
    }
}

void spool_init(struct spool *spool, int log0, int log1, uint32_t segment_bytes, uint32_t rate) {
    spool->files[0] = log0;
    spool->files[1] = log1;
    spool->capacity = segment_bytes ? segment_bytes : LOG_SEGMENT_DEFAULT;
    spool->rate = rate ? rate : LOG_RATE_DEFAULT;
    spool->tokens = spool->rate * BURST_US;
    spool->refilled = now_mono_us();
}

long spool_read(struct spool *spool, enum log_stream stream, int fd) {
    ssize_t n = read(fd, spool->input, sizeof spool->input);
    if (n > 0) {
        refill(spool);
        take(spool, stream, spool->input, (size_t)n);
        flush(spool);
    }
    return n;
}

void spool_finish(struct spool *spool) {
    for (int stream = 0; stream < SPOOL_STREAMS; stream++) {
        struct spool_line *line = &spool->lines[stream];
        if (line->used > 0 || line->shortened) {
            emit(spool, (enum log_stream)stream, line->text, line->used, false);
            line->used = 0;
        }
    }
    note_drops(spool);
    flush(spool);
}
