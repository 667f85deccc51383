/* One request of the HTTP client. SPDX-License-Identifier: Apache-2.0 */
#ifndef COMMON_HTTP_FETCH_H
#define COMMON_HTTP_FETCH_H

#include <curl/curl.h>

#include <paas/http_client.h>
#include <paas/list.h>

struct http_client {
    uv_loop_t *loop;
    CURLM *multi;
    uv_timer_t timer;
    uv_idle_t idle;      /* runs while there is `work` */
    struct list fetches; /* all */
    bool due;            /* curl's timer has run out */
    bool closing;
    unsigned open; /* handles that still exist */
    void (*closed)(void *data);
    void *closed_data;
};

enum fetch_state {
    FETCH_NEW,       /* to be given to curl in the next turn */
    FETCH_RUNNING,   /* with curl */
    FETCH_CANCELLED, /* to be taken from curl in the next turn */
    FETCH_DONE,      /* its last callback runs */
};

struct http_fetch {
    struct http_client *client;
    struct list link;
    enum fetch_state state;
    CURL *easy;
    struct curl_slist *headers;
    char *unix_path;                   /* for words; NULL: TCP */
    struct http_fetch_options options; /* pointers to what was copied are not kept */
    struct http_answer answer;
    bool head_told;
    bool paused;                 /* by the user */
    bool held_data, held_read;   /* curl waits for the user */
    bool resume_read, too_large; /* to be done; why curl was stopped */
    char words[CURL_ERROR_SIZE]; /* curl's */
};

/* Makes a request without starting it; NULL with *err filled. */
struct http_fetch *fetch_create(
    struct http_client *c, const struct http_fetch_options *options, struct err *err);
/* Frees it; it must not be with curl. */
void fetch_free(struct http_fetch *f);
/* Tells curl to go on where the user lets it. */
void fetch_unhold(struct http_fetch *f);
/* Curl is done with it, and it is out of curl: the last callback, and free. */
void fetch_finish(struct http_fetch *f, CURLcode result);
/* Gives the client a turn of its own. */
void client_wake(struct http_client *c);

#endif
