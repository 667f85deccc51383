/* The app's output, spooled into two capped log segments. SPDX-License-Identifier: Apache-2.0 */
#ifndef PAAS_INIT_SPOOL_H
#define PAAS_INIT_SPOOL_H

#include <paas/init.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SPOOL_READ_MAX = 64 << 10,  /* bytes read from a stream in one turn: fairness */
    SPOOL_BATCH_MAX = 96 << 10, /* records are gathered to one write: a turn's lines and headers */
    SPOOL_STREAMS = 2,
};

/* A stream's line in the making. */
struct spool_line {
    size_t used;
    bool shortened; /* a piece of this line was dropped: the rest goes too */
    char text[LOG_TEXT_MAX];
};

/* Why lines were dropped. */
enum spool_reason { SPOOL_TOO_FAST, SPOOL_NO_ROOM };

struct spool {
    int files[2];
    uint64_t generation; /* of the current segment, in files[generation % 2] */
    bool open;           /* its header has been written */
    size_t end;          /* bytes in it */
    size_t capacity;
    uint64_t seq;     /* of the last record */
    int64_t rate;     /* bytes a second */
    int64_t tokens;   /* what may be written now */
    int64_t refilled; /* monotonic µs */
    bool choked;      /* dropping until there are tokens for a while */
    uint32_t pending; /* lines dropped and not told yet */
    enum spool_reason reason;
    uint64_t dropped; /* lines, in all */
    struct spool_line lines[SPOOL_STREAMS];
    uint32_t batch_lines; /* whole lines of the app in the batch */
    uint32_t batch_drops; /* drops that the batch tells of */
    uint64_t batch_records;
    size_t batch_used;
    char batch[SPOOL_BATCH_MAX];
    char input[SPOOL_READ_MAX];
};

/* Takes two files that stay empty until there is a line. */
void spool_init(struct spool *spool, int log0, int log1, uint32_t segment_bytes, uint32_t rate);
/* Reads `fd` once and writes the lines that are complete. Bytes read, 0 at the end of the stream,
 * -1 with errno EAGAIN when there is nothing. Never waits for a reader of the log. */
long spool_read(struct spool *spool, enum log_stream stream, int fd);
/* Writes the unfinished lines, as the streams won't go on, and what is to be said of drops. */
void spool_finish(struct spool *spool);

#endif
