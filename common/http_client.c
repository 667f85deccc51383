/* An HTTP client for control traffic: libcurl on the loop. SPDX-License-Identifier: Apache-2.0
 *
 * Curl asks for sockets to be watched (on_socket) and for a time (on_time); it is called when they
 * are ready, always from a callback of the loop and never from inside one of its own. Whatever a
 * user asks for is only noted and done in the client's next turn (on_turn).
 */
#include <paas/http_client.h>

#include <assert.h>
#include <stdlib.h>

#include "http_fetch.h"

static void on_turn(uv_idle_t *idle);

void client_wake(struct http_client *c) {
    uv_idle_start(&c->idle, on_turn);
}

/* ---- Curl's sockets and time ---- */

struct watch {
    uv_poll_t poll;
    curl_socket_t socket;
    struct http_client *client;
};

static void finish_done(struct http_client *c) {
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(c->multi, &left))) {
        struct http_fetch *f = NULL;
        CURLcode result = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &f);
        if (f->state != FETCH_RUNNING) {
            continue; /* cancelled: its own turn comes */
        }
        curl_multi_remove_handle(c->multi, f->easy);
        fetch_finish(f, result);
    }
}

static void act(struct http_client *c, curl_socket_t socket, int events) {
    int running;
    curl_multi_socket_action(c->multi, socket, events, &running);
    finish_done(c);
}

static void on_poll(uv_poll_t *poll, int status, int events) {
    struct watch *w = poll->data;
    int flags = status < 0 ? CURL_CSELECT_ERR : 0;
    flags |= events & UV_READABLE ? CURL_CSELECT_IN : 0;
    flags |= events & UV_WRITABLE ? CURL_CSELECT_OUT : 0;
    act(w->client, w->socket, flags);
}

static void client_release(struct http_client *c) {
    if (--c->open == 0) {
        void (*closed)(void *) = c->closed;
        void *data = c->closed_data;
        free(c);
        curl_global_cleanup();
        if (closed) {
            closed(data);
        }
    }
}

static void on_watch_closed(uv_handle_t *handle) {
    struct watch *w = handle->data;
    client_release(w->client);
    free(w);
}

static struct watch *watch_create(struct http_client *c, curl_socket_t socket) {
    struct watch *w = calloc(1, sizeof *w);
    if (!w || uv_poll_init_socket(c->loop, &w->poll, socket)) {
        free(w);
        return NULL;
    }
    w->socket = socket;
    w->client = c;
    w->poll.data = w;
    c->open++;
    return w;
}

static int on_socket(CURL *easy, curl_socket_t socket, int what, void *data, void *socket_data) {
    struct http_client *c = data;
    struct watch *w = socket_data;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (w) {
            curl_multi_assign(c->multi, socket, NULL);
            uv_close((uv_handle_t *)&w->poll, on_watch_closed);
        }
        return 0;
    }
    if (!w) {
        w = watch_create(c, socket);
        if (!w) {
            return -1;
        }
        curl_multi_assign(c->multi, socket, w);
    }
    int events = what == CURL_POLL_IN    ? UV_READABLE
                 : what == CURL_POLL_OUT ? UV_WRITABLE
                                         : UV_READABLE | UV_WRITABLE;
    return uv_poll_start(&w->poll, events, on_poll) ? -1 : 0;
}

static void on_timer(uv_timer_t *timer) {
    act(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

/* Curl's wish for a call at a time. At once means the next turn and not in a millisecond. */
static int on_time(CURLM *multi, long ms, void *data) {
    struct http_client *c = data;
    (void)multi;
    uv_timer_stop(&c->timer);
    if (ms == 0) {
        c->due = true;
        client_wake(c);
    } else if (ms > 0) {
        uv_timer_start(&c->timer, on_timer, (uint64_t)ms, 0);
    }
    return 0;
}

/* ---- Turns ---- */

static void start(struct http_fetch *f) {
    f->state = FETCH_RUNNING;
    if (curl_multi_add_handle(f->client->multi, f->easy)) {
        fetch_finish(f, CURLE_OUT_OF_MEMORY);
    }
}

static void drop(struct http_fetch *f) {
    curl_multi_remove_handle(f->client->multi, f->easy);
    fetch_free(f);
}

/* Gives every fetch what was noted for it. Callbacks may change the list: each round takes the
 * first that has work, until none has. */
static bool serve_one(struct http_client *c) {
    LIST_FOREACH (item, &c->fetches) {
        struct http_fetch *f = LIST_ITEM(item, struct http_fetch, link);
        if (f->state == FETCH_NEW) {
            start(f);
            return true;
        }
        if (f->state == FETCH_CANCELLED) {
            drop(f);
            return true;
        }
        if (f->state == FETCH_RUNNING &&
            ((f->held_data && !f->paused) || (f->held_read && f->resume_read))) {
            fetch_unhold(f);
            return true;
        }
    }
    return false;
}

static void on_handle_closed(uv_handle_t *handle) {
    client_release(handle->data);
}

static void shut(struct http_client *c) {
    LIST_FOREACH_SAFE (item, next, &c->fetches) {
        drop(LIST_ITEM(item, struct http_fetch, link));
    }
    curl_multi_cleanup(c->multi);
    uv_close((uv_handle_t *)&c->timer, on_handle_closed);
    uv_close((uv_handle_t *)&c->idle, on_handle_closed);
}

static void on_turn(uv_idle_t *idle) {
    struct http_client *c = idle->data;
    uv_idle_stop(idle);
    if (c->closing) {
        shut(c);
        return;
    }
    while (!c->closing && serve_one(c)) {
    }
    finish_done(c);
    if (c->due && !c->closing) {
        c->due = false;
        act(c, CURL_SOCKET_TIMEOUT, 0);
    }
}

/* ---- For the user ---- */

int http_client_create(uv_loop_t *loop, struct http_client **out, struct err *err) {
    struct http_client *c = calloc(1, sizeof *c);
    if (!c || curl_global_init(CURL_GLOBAL_DEFAULT)) {
        free(c);
        return err_no_memory(err);
    }
    c->multi = curl_multi_init();
    if (!c->multi) {
        free(c);
        curl_global_cleanup();
        return err_no_memory(err);
    }
    c->loop = loop;
    list_init(&c->fetches);
    uv_timer_init(loop, &c->timer);
    uv_idle_init(loop, &c->idle);
    c->timer.data = c->idle.data = c;
    c->open = 2;
    curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c);
    curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, on_time);
    curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, c);
    *out = c;
    return 0;
}

uv_loop_t *http_client_loop(const struct http_client *c) {
    return c->loop;
}

void http_client_close(struct http_client *c, void (*closed)(void *data), void *data) {
    c->closing = true;
    c->closed = closed;
    c->closed_data = data;
    LIST_FOREACH (item, &c->fetches) {
        http_cancel(LIST_ITEM(item, struct http_fetch, link));
    }
    client_wake(c);
}

struct http_fetch *http_fetch_start(
    struct http_client *c, const struct http_fetch_options *options, struct err *err) {
    assert(options->done && !c->closing);
    struct http_fetch *f = fetch_create(c, options, err);
    if (f) {
        list_append(&c->fetches, &f->link);
        client_wake(c);
    }
    return f;
}

void http_cancel(struct http_fetch *f) {
    if (f && f->state != FETCH_DONE) {
        f->state = FETCH_CANCELLED;
        client_wake(f->client);
    }
}

/* What http_fetch_now() waits for; the user's callbacks keep their own data. */
struct waiting {
    const struct http_fetch_options *user;
    struct http_answer *answer;
    struct err *err;
    bool done;
};

static ssize_t on_waited_read(void *data, char *bytes, size_t size) {
    struct waiting *w = data;
    return w->user->read(w->user->context, bytes, size);
}

static void on_waited_head(void *data, int status, struct http_fetch *f) {
    struct waiting *w = data;
    w->user->head(w->user->context, status, f);
}

static void on_waited_data(void *data, const char *bytes, size_t len) {
    struct waiting *w = data;
    w->user->data(w->user->context, bytes, len);
}

static void on_waited_done(void *data, struct http_answer *answer, const struct err *err) {
    struct waiting *w = data;
    struct buf empty;
    buf_init(&empty, answer->body.max);
    *w->answer = *answer;
    answer->body = empty;
    *w->err = *err;
    w->done = true;
}

int http_fetch_now(struct http_client *c, const struct http_fetch_options *options,
    struct http_answer *answer, struct err *err) {
    struct err own;
    struct waiting w = { .user = options, .answer = answer, .err = err ? err : &own };
    struct http_fetch_options o = *options;
    *answer = (struct http_answer){ .status = 0 };
    o.read = options->read ? on_waited_read : NULL;
    o.head = options->head ? on_waited_head : NULL;
    o.data = options->data ? on_waited_data : NULL;
    o.done = on_waited_done;
    o.context = &w;
    if (!http_fetch_start(c, &o, err)) {
        return -1;
    }
    while (!w.done) {
        uv_run(c->loop, UV_RUN_ONCE);
    }
    return w.err->code == ERR_OK ? 0 : -1;
}
