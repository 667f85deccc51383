/* Bytes of a stream to lines and whole snapshots. SPDX-License-Identifier: Apache-2.0 */
#ifndef COMMON_STREAM_FRAME_H
#define COMMON_STREAM_FRAME_H

#include <paas/stream.h>

enum frame_event {
    FRAME_MORE,     /* all input was taken */
    FRAME_LINE,     /* a line is in `line` (lines) */
    FRAME_SNAPSHOT, /* a snapshot is in `snapshot` (snapshots) */
    FRAME_WRONG,    /* *err says why; the stream is of no more use */
};

struct frame {
    enum follow_framing framing;
    struct buf line;  /* the present one, NUL-terminated */
    struct buf lines; /* of the present snapshot */
    struct follow_snapshot snapshot;
    size_t left; /* lines of the snapshot that are still to come */
    bool in_snapshot;
    bool taken; /* what `line` or `lines` hold was handed out */
};

/* `line_max` and `snapshot_max` in bytes. */
void frame_init(struct frame *f, enum follow_framing framing, size_t line_max, size_t snapshot_max);
void frame_free(struct frame *f);
/* Begins a new stream. */
void frame_reset(struct frame *f);
/* Takes bytes up to the next event; *bytes and *len advance. Empty lines are passed over. */
enum frame_event frame_feed(struct frame *f, const char **bytes, size_t *len, struct err *err);

/* The header line of a snapshot, with its '\n'. */
void frame_put_header(struct buf *out, struct stream_point at, size_t count);

#endif
