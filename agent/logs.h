/* Reading the log segments that paas-init writes. SPDX-License-Identifier: Apache-2.0
 *
 * A reader goes through an instance's records in order, across both segments, while paas-init goes
 * on writing or long after it ended. It never blocks the writer, finds out by itself that a segment
 * was overwritten under it, and stops before a record that is not whole. Files may come from a
 * broken disk: nothing in them is believed beyond its checksum and its bounds.
 */
#ifndef AGENT_LOGS_H
#define AGENT_LOGS_H

#include <paas/clock.h>
#include <paas/err.h>
#include <paas/init.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

enum { LOG_LAST_MAX = 100000 /* lines that one may ask for: two default segments hold no more */ };

struct log_piece {
    uint64_t seq;
    msec wall;
    enum log_stream stream;
    unsigned flags;   /* enum log_flags */
    uint32_t dropped; /* with LOG_DROPPED: lines that paas-init could not keep */
    uint64_t missed;  /* records before this one that were overwritten before they were read */
    const char *text; /* `len` bytes as the app wrote them, no NUL, valid until the next call */
    size_t len;
};

struct log_reader;

/* Opens the segments in the instance's directory; they may still be empty. It starts at the oldest
 * record. NULL with *err: ERR_NOT_FOUND where there are none. */
struct log_reader *log_reader_open(int dir_fd, struct err *err);
void log_reader_close(struct log_reader *reader);
/* The next record: 1, or 0 when there is none now; later there may be. Reads files: about 20 µs for
 * 64 KiB from the page cache. */
int log_reader_next(struct log_reader *reader, struct log_piece *line);
/* The next record is the first one after `seq`; 0 means the oldest. What is missing is told. */
void log_reader_after(struct log_reader *reader, uint64_t seq);
/* The next record is the start of the `lines`th line from the end, at most LOG_LAST_MAX. Reads all
 * there is. -1 with *err when memory is out. */
int log_reader_last(struct log_reader *reader, size_t lines, struct err *err);

/* ---- several instances --------------------------------------------------------------------- */

struct log_merge;

/* Merges by time what `count` readers have now. It owns the readers from here on, also when it
 * fails (NULL, *err filled). */
struct log_merge *log_merge_open(struct log_reader **readers, size_t count, struct err *err);
void log_merge_close(struct log_merge *merge);
/* The oldest record that any of them has, and which of them: 1, or 0 when none has one now. Records
 * of one instance stay in their order even where the wall clock jumped. */
int log_merge_next(struct log_merge *merge, size_t *which, struct log_piece *line);

/* ---- following ----------------------------------------------------------------------------- */

struct log_follow;

struct log_follow_events {
    void (*line)(void *arg, const struct log_piece *line);
    void (*ended)(void *arg); /* after log_follow_end: nothing more comes */
};

/* Delivers what the reader has, from the loop, and then whatever is written in the directory
 * `path`, at most LOG_FOLLOW_BUDGET records a turn. Owns the reader from here on, also when it
 * fails (NULL, *err filled). `events` is borrowed until the follower is closed. */
enum { LOG_FOLLOW_BUDGET = 256 };
struct log_follow *log_follow_open(uv_loop_t *loop, const char *path, struct log_reader *reader,
    const struct log_follow_events *events, void *arg, struct err *err);
/* Stops and goes on delivering, for a receiver that is slow. */
void log_follow_pause(struct log_follow *follow);
void log_follow_resume(struct log_follow *follow);
/* The instance's paas-init has ended: delivers the rest, then says so. */
void log_follow_end(struct log_follow *follow);
/* No callback comes any more; the memory goes when the loop has closed the handles. NULL is fine.
 */
void log_follow_close(struct log_follow *follow);

#endif
