/* The client's side of streams. SPDX-License-Identifier: Apache-2.0
 *
 * waiting -(time)-> opening -(head of 200)-> open -(end, error, nonsense, silence)-> waiting,
 * with a delay that doubles from STREAM_BACKOFF_MIN to STREAM_BACKOFF_MAX, less a random part, and
 * begins anew after anything was heard. Closing is possible in every callback.
 */
#include <paas/stream.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <paas/limits.h>

#include "stream_frame.h"

enum follow_state {
    FOLLOW_WAITING,
    FOLLOW_OPENING,
    FOLLOW_OPEN,
    FOLLOW_ENDED,  /* `once`, and the answer was whole */
    FOLLOW_CLOSED, /* by the user */
};

enum { AFTER_SIZE = 64 /* bytes of a resume point: "TERM.REV" takes 40 */ };

struct follow {
    struct follow_options options;
    char *url, *unix_path, *token;
    enum follow_state state;
    bool told_lost;
    struct http_fetch *fetch;
    uv_timer_t timer; /* the delay, or the silence */
    msec heard;       /* when the last byte came */
    msec delay;
    struct stream_point at;
    struct frame frame;
};

static void on_timer(uv_timer_t *timer);

static void set_timer(struct follow *f, msec ms) {
    uv_timer_start(&f->timer, on_timer, (uint64_t)ms, 0);
}

static msec now(const struct follow *f) {
    return (msec)uv_now(f->timer.loop);
}

/* Between half of the delay and all of it, so that those who lost one server come back apart. */
static msec next_delay(struct follow *f) {
    uint32_t random = 0;
    if (getrandom(&random, sizeof random, GRND_NONBLOCK) < 0) {
        random = (uint32_t)uv_hrtime();
    }
    msec delay = f->delay / 2 + random % (f->delay / 2 + 1);
    f->delay = f->delay * 2 < STREAM_BACKOFF_MAX ? f->delay * 2 : STREAM_BACKOFF_MAX;
    return delay;
}

/* The stream is of no more use: it is opened again later. */
static void lose(struct follow *f, const struct err *err) {
    http_cancel(f->fetch);
    f->fetch = NULL;
    f->state = FOLLOW_WAITING;
    frame_reset(&f->frame);
    set_timer(f, next_delay(f));
    if (!f->told_lost) {
        f->told_lost = true;
        if (f->options.lost) {
            f->options.lost(f->options.data, err);
        }
    }
}

static void on_head(void *data, int status, struct http_fetch *fetch) {
    struct follow *f = data;
    (void)fetch;
    f->heard = now(f);
    if (status == 200) {
        f->state = FOLLOW_OPEN;
        f->told_lost = false;
        if (f->options.opened) {
            f->options.opened(f->options.data);
        }
    }
}

static void on_snapshot(struct follow *f) {
    const struct follow_snapshot *s = &f->frame.snapshot;
    if (stream_compare(s->at, f->at) > 0) {
        f->at = s->at;
        f->options.snapshot(f->options.data, s);
    }
}

static void on_data(void *data, const char *bytes, size_t len) {
    struct follow *f = data;
    f->heard = now(f);
    f->delay = STREAM_BACKOFF_MIN;
    while (f->state == FOLLOW_OPEN) {
        struct err err;
        switch (frame_feed(&f->frame, &bytes, &len, &err)) {
        case FRAME_MORE:
            return;
        case FRAME_LINE:
            f->options.line(f->options.data, f->frame.line.data, f->frame.line.len);
            break;
        case FRAME_SNAPSHOT:
            on_snapshot(f);
            break;
        case FRAME_WRONG:
            lose(f, &err);
            return;
        }
    }
}

static void on_done(void *data, struct http_answer *answer, const struct err *err) {
    struct follow *f = data;
    (void)answer;
    f->fetch = NULL;
    if (err->code == ERR_OK && f->options.once) {
        f->state = FOLLOW_ENDED;
        uv_timer_stop(&f->timer);
        if (f->options.ended) {
            f->options.ended(f->options.data);
        }
        return;
    }
    struct err ended;
    err_set(&ended, ERR_UNAVAILABLE, "%s: the stream ended", f->url);
    lose(f, err->code == ERR_OK ? &ended : err);
}

/* "watch" and "after" behind the user's URL. */
static void put_url(struct follow *f, struct buf *out) {
    char after[AFTER_SIZE] = "";
    if (f->options.framing == FOLLOW_SNAPSHOTS) {
        if (f->at.term >= 0) {
            snprintf(
                after, sizeof after, "%lld.%lld", (long long)f->at.term, (long long)f->at.revision);
        }
    } else if (f->options.after) {
        f->options.after(f->options.data, after, sizeof after);
    }
    buf_printf(out, "%s%cwatch", f->url, strchr(f->url, '?') ? '&' : '?');
    if (after[0]) {
        buf_printf(out, "&after=%s", after);
    }
}

static void open_stream(struct follow *f) {
    struct buf url;
    struct err err;
    buf_init(&url, 65536);
    put_url(f, &url);
    if (f->state == FOLLOW_CLOSED) {
        buf_free(&url); /* closed while it was asked where to resume */
        return;
    }
    struct http_fetch_options o = {
        .method = METHOD_GET,
        .url = buf_str(&url),
        .unix_path = f->unix_path,
        .token = f->token,
        .head = on_head,
        .data = on_data,
        .done = on_done,
        .context = f,
    };
    f->state = FOLLOW_OPENING;
    f->heard = now(f);
    f->fetch = http_fetch_start(f->options.client, &o, &err);
    buf_free(&url);
    if (f->fetch) {
        set_timer(f, STREAM_SILENCE);
    } else {
        lose(f, &err);
    }
}

static void on_timer(uv_timer_t *timer) {
    struct follow *f = timer->data;
    if (f->state == FOLLOW_WAITING) {
        open_stream(f);
        return;
    }
    msec quiet = now(f) - f->heard;
    if (quiet < STREAM_SILENCE) {
        set_timer(f, STREAM_SILENCE - quiet);
        return;
    }
    struct err err;
    err_set(&err, ERR_TIMEOUT, "%s: silent for %d ms", f->url, (int)quiet);
    lose(f, &err);
}

static void on_closed(uv_handle_t *handle) {
    struct follow *f = handle->data;
    frame_free(&f->frame);
    free(f->url);
    free(f->unix_path);
    free(f->token);
    free(f);
}

static int copy(char **to, const char *from) {
    *to = from ? strdup(from) : NULL;
    return from && !*to ? -1 : 0;
}

int follow_open(const struct follow_options *options, struct stream_point from, struct follow **out,
    struct err *err) {
    struct follow *f = calloc(1, sizeof *f);
    if (!f || copy(&f->url, options->url) || copy(&f->unix_path, options->unix_path) ||
        copy(&f->token, options->token)) {
        if (f) {
            free(f->url);
            free(f->unix_path);
        }
        free(f);
        return err_no_memory(err);
    }
    f->options = *options;
    f->at = from;
    f->delay = STREAM_BACKOFF_MIN;
    frame_init(&f->frame, options->framing, options->line_max ? options->line_max : JSON_LINE_MAX,
        options->snapshot_max ? options->snapshot_max : STREAM_SNAPSHOT_MAX);
    uv_timer_init(http_client_loop(options->client), &f->timer);
    f->timer.data = f;
    set_timer(f, 0);
    *out = f;
    return 0;
}

void follow_close(struct follow *f) {
    if (f && f->state != FOLLOW_CLOSED) {
        http_cancel(f->fetch);
        f->state = FOLLOW_CLOSED;
        uv_close((uv_handle_t *)&f->timer, on_closed);
    }
}

bool follow_is_open(const struct follow *f) {
    return f->state == FOLLOW_OPEN;
}

struct stream_point follow_point(const struct follow *f) {
    return f->at;
}
