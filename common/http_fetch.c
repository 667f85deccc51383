/* One request of the HTTP client. SPDX-License-Identifier: Apache-2.0
 *
 * new -> with curl: head, data... -> done. The user's functions run from here, inside curl; what
 * they ask of curl is only noted, and done in the client's next turn.
 */
#include "http_fetch.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include <paas/version.h>

static_assert(HTTP_READ_PAUSE == CURL_READFUNC_PAUSE, "the pause is curl's own");

/* ---- From curl ---- */

static size_t on_header(char *line, size_t size, size_t count, void *data) {
    struct http_fetch *f = data;
    size_t len = size * count;
    bool last = len == 2 && line[0] == '\r';
    long status = 0;
    curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status);
    if (last && status >= 200 && !f->head_told && f->state == FETCH_RUNNING) {
        f->head_told = true;
        f->answer.status = (int)status;
        if (f->options.head) {
            f->options.head(f->options.context, (int)status, f);
        }
    }
    return len;
}

static size_t collect(struct http_fetch *f, const char *bytes, size_t len) {
    if (buf_append(&f->answer.body, bytes, len) == 0) {
        return len;
    }
    f->too_large = true;
    return 0; /* ends the request */
}

static size_t on_data(char *bytes, size_t size, size_t count, void *data) {
    struct http_fetch *f = data;
    size_t len = size * count;
    if (f->state != FETCH_RUNNING) {
        return 0;
    }
    if (!f->options.data || f->answer.status >= 400) {
        return collect(f, bytes, len);
    }
    if (f->paused) {
        f->held_data = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    f->options.data(f->options.context, bytes, len);
    return len;
}

static size_t on_read(char *bytes, size_t size, size_t count, void *data) {
    struct http_fetch *f = data;
    if (f->state != FETCH_RUNNING) {
        return CURL_READFUNC_ABORT;
    }
    ssize_t n = f->options.read(f->options.context, bytes, size * count);
    if (n == HTTP_READ_PAUSE) {
        f->held_read = true;
        return CURL_READFUNC_PAUSE;
    }
    return n < 0 ? CURL_READFUNC_ABORT : (size_t)n;
}

void fetch_unhold(struct http_fetch *f) {
    bool data = f->held_data && !f->paused, read = f->held_read && f->resume_read;
    f->resume_read = false;
    if (data || read) {
        f->held_data = f->held_data && !data;
        f->held_read = f->held_read && !read;
        int still = (f->held_data ? CURLPAUSE_RECV : 0) | (f->held_read ? CURLPAUSE_SEND : 0);
        curl_easy_pause(f->easy, still);
    }
}

/* ---- Beginning ---- */

static int add_header(struct http_fetch *f, const char *line) {
    struct curl_slist *more = curl_slist_append(f->headers, line);
    f->headers = more ? more : f->headers;
    return more ? 0 : -1;
}

static int add_named(struct http_fetch *f, const char *name, const char *value) {
    struct buf line;
    buf_init(&line, 65536);
    buf_printf(&line, "%s: %s", name, value);
    int result = line.failed ? -1 : add_header(f, line.data);
    buf_free(&line);
    return result;
}

static int set_headers(struct http_fetch *f, const struct http_fetch_options *o) {
    int failed = 0;
    if (o->token) {
        struct buf value;
        buf_init(&value, 65536);
        buf_printf(&value, "Bearer %s", o->token);
        failed |= value.failed || add_named(f, "Authorization", value.data);
        buf_free(&value);
    }
    if (o->body || o->read) {
        failed |=
            add_named(f, "Content-Type", o->content_type ? o->content_type : "application/json");
    }
    for (const char *const *line = o->headers; line && *line; line++) {
        failed |= add_header(f, *line);
    }
    return failed || curl_easy_setopt(f->easy, CURLOPT_HTTPHEADER, f->headers) ? -1 : 0;
}

#define SET(option, value) (failed = failed ? failed : curl_easy_setopt(f->easy, option, value))

static CURLcode set_method(struct http_fetch *f, const struct http_fetch_options *o) {
    CURLcode failed = CURLE_OK;
    if (o->read) {
        SET(CURLOPT_UPLOAD, 1L);
        SET(CURLOPT_READFUNCTION, on_read);
        SET(CURLOPT_READDATA, f);
        SET(CURLOPT_INFILESIZE_LARGE, (curl_off_t)o->read_size);
    } else if (o->body || o->method == METHOD_POST || o->method == METHOD_PUT ||
               o->method == METHOD_PATCH) {
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)o->body_len);
        SET(CURLOPT_COPYPOSTFIELDS, o->body ? o->body : "");
    }
    if (o->method == METHOD_HEAD) {
        SET(CURLOPT_NOBODY, 1L);
    } else {
        SET(CURLOPT_CUSTOMREQUEST, http_method_name(o->method));
    }
    return failed;
}

static CURLcode set_options(struct http_fetch *f, const struct http_fetch_options *o) {
    CURLcode failed = CURLE_OK;
    SET(CURLOPT_PRIVATE, f);
    SET(CURLOPT_ERRORBUFFER, f->words);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_HTTP09_ALLOWED, 0L);
    SET(CURLOPT_PROXY, ""); /* a proxy in the environment is for the user's own traffic */
    SET(CURLOPT_USERAGENT, "paas/" PAAS_VERSION);
    SET(CURLOPT_URL, o->url);
    SET(CURLOPT_UNIX_SOCKET_PATH, o->unix_path);
    SET(CURLOPT_CONNECTTIMEOUT_MS,
        (long)(o->connect_timeout ? o->connect_timeout : HTTP_CONNECT_TIMEOUT));
    SET(CURLOPT_TIMEOUT_MS, (long)o->timeout);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, f);
    SET(CURLOPT_WRITEFUNCTION, on_data);
    SET(CURLOPT_WRITEDATA, f);
    failed = failed ? failed : set_method(f, o);
    return failed ? failed : set_headers(f, o) ? CURLE_OUT_OF_MEMORY : CURLE_OK;
}

struct http_fetch *fetch_create(
    struct http_client *c, const struct http_fetch_options *options, struct err *err) {
    struct http_fetch *f = calloc(1, sizeof *f);
    if (!f || !(f->easy = curl_easy_init())) {
        free(f);
        err_no_memory(err);
        return NULL;
    }
    f->client = c;
    f->options = *options;
    buf_init(&f->answer.body, options->collect_max ? options->collect_max : HTTP_COLLECT_MAX);
    list_init(&f->link);
    f->unix_path = options->unix_path ? strdup(options->unix_path) : NULL;
    CURLcode failed =
        options->unix_path && !f->unix_path ? CURLE_OUT_OF_MEMORY : set_options(f, options);
    if (failed) {
        err_set(err, failed == CURLE_OUT_OF_MEMORY ? ERR_NO_MEMORY : ERR_BAD_VALUE, "%s: %s",
            options->url, curl_easy_strerror(failed));
        fetch_free(f);
        return NULL;
    }
    f->options.url = f->options.unix_path = f->options.token = f->options.content_type = NULL;
    f->options.headers = NULL;
    f->options.body = NULL;
    return f;
}

void fetch_free(struct http_fetch *f) {
    list_remove(&f->link);
    curl_easy_cleanup(f->easy);
    curl_slist_free_all(f->headers);
    buf_free(&f->answer.body);
    free(f->unix_path);
    free(f);
}

/* ---- End ---- */

static enum err_code code_of_status(int status) {
    for (int code = ERR_OK + 1; code < ERR_COUNT; code++) {
        if (err_http_status((enum err_code)code) == status) {
            return (enum err_code)code;
        }
    }
    return status >= 500 ? ERR_UNAVAILABLE : ERR_BAD_REQUEST;
}

void http_problem(int status, const char *body, size_t len, struct err *err) {
    json_t *root = json_loadb(body ? body : "", len, JSON_REJECT_DUPLICATES, NULL);
    const char *code = json_string_value(json_object_get(root, "code"));
    const char *detail = json_string_value(json_object_get(root, "detail"));
    const char *hint = json_string_value(json_object_get(root, "hint"));
    enum err_code known = code ? err_by_name(code) : ERR_INTERNAL;
    bool named = code && strcmp(err_name(known), code) == 0 && known != ERR_OK;
    if (detail) {
        err_set(err, named ? known : code_of_status(status), "%s", detail);
    } else {
        err_set(err, named ? known : code_of_status(status), "the answer was %d %s", status,
            http_phrase(status));
    }
    if (hint) {
        err_hint(err, "%s", hint);
    }
    json_decref(root);
}

static enum err_code code_of_curl(const struct http_fetch *f, CURLcode result) {
    switch (result) {
    case CURLE_OUT_OF_MEMORY:
        return ERR_NO_MEMORY;
    case CURLE_OPERATION_TIMEDOUT:
        return ERR_TIMEOUT;
    case CURLE_URL_MALFORMAT:
        return ERR_BAD_VALUE;
    case CURLE_ABORTED_BY_CALLBACK:
        return ERR_CANCELLED;
    case CURLE_WRITE_ERROR:
        return f->too_large ? ERR_TOO_LARGE : ERR_BAD_GATEWAY;
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_SEND_FAIL_REWIND:
        return ERR_UNAVAILABLE;
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
        return f->head_told ? ERR_BAD_GATEWAY : ERR_UNAVAILABLE;
    default:
        return ERR_BAD_GATEWAY;
    }
}

static void explain_failure(struct http_fetch *f, CURLcode result, struct err *err) {
    enum err_code code = code_of_curl(f, result);
    char *url = NULL;
    long error = 0;
    curl_easy_getinfo(f->easy, CURLINFO_EFFECTIVE_URL, &url);
    curl_easy_getinfo(f->easy, CURLINFO_OS_ERRNO, &error);
    const char *where = f->unix_path ? f->unix_path : url ? url : "request";
    if (f->too_large) {
        err_set(err, code, "%s: the answer is larger than its limit", where);
    } else if (result == CURLE_COULDNT_CONNECT && error) {
        err_set(err, error == EACCES ? ERR_FORBIDDEN : code, "connecting to %s: %s", where,
            strerror((int)error));
    } else {
        err_set(err, code, "%s: %s", where, f->words[0] ? f->words : curl_easy_strerror(result));
    }
}

static void explain(struct http_fetch *f, CURLcode result, struct err *err) {
    if (result != CURLE_OK) {
        explain_failure(f, result, err);
    } else if (f->answer.status >= 400) {
        http_problem(f->answer.status, f->answer.body.data, f->answer.body.len, err);
    } else {
        err_clear(err);
    }
}

void fetch_finish(struct http_fetch *f, CURLcode result) {
    struct err err;
    f->state = FETCH_DONE;
    explain(f, result, &err);
    f->options.done(f->options.context, &f->answer, &err);
    fetch_free(f);
}

/* ---- For the user ---- */

void http_pause(struct http_fetch *f) {
    f->paused = true;
}

void http_resume(struct http_fetch *f) {
    f->paused = false;
    client_wake(f->client);
}

void http_resume_read(struct http_fetch *f) {
    f->resume_read = true;
    client_wake(f->client);
}

const char *http_fetch_header(struct http_fetch *f, const char *name) {
    struct curl_header *header = NULL;
    return curl_easy_header(f->easy, name, 0, CURLH_HEADER, -1, &header) == CURLHE_OK
               ? header->value
               : NULL;
}
