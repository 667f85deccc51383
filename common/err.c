/* An error as a value. SPDX-License-Identifier: Apache-2.0 */
#include <paas/err.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int http;
    int exit;
    const char *title;
} errors[ERR_COUNT] = {
#define X(id, name, http, exit, title) [ERR_##id] = { name, http, exit, title },
    ERRORS(X)
#undef X
};

static enum err_code known(enum err_code code) {
    return code < ERR_COUNT ? code : ERR_INTERNAL;
}

const char *err_name(enum err_code code) {
    return errors[known(code)].name;
}

int err_http_status(enum err_code code) {
    return errors[known(code)].http;
}

int err_exit_status(enum err_code code) {
    return errors[known(code)].exit;
}

const char *err_title(enum err_code code) {
    return errors[known(code)].title;
}

enum err_code err_by_name(const char *name) {
    for (int code = 0; code < ERR_COUNT; code++) {
        if (strcmp(errors[code].name, name) == 0) {
            return code;
        }
    }
    return ERR_INTERNAL;
}

void err_clear(struct err *err) {
    if (err) {
        *err = (struct err){ .code = ERR_OK };
    }
}

int err_set(struct err *err, enum err_code code, const char *format, ...) {
    if (!err) {
        return -1;
    }
    /* The words may quote those of *err itself: format them aside first. */
    char text[ERR_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    *err = (struct err){ .code = code };
    memcpy(err->text, text, sizeof text);
    return -1;
}

int err_sys(struct err *err, int sys, const char *format, ...) {
    if (!err) {
        return -1;
    }
    char text[ERR_TEXT_MAX];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (n >= 0 && (size_t)n < sizeof text) {
        snprintf(text + n, sizeof text - (size_t)n, ": %s", strerror(sys));
    }
    *err = (struct err){ .code = sys == ENOMEM ? ERR_NO_MEMORY : ERR_SYSTEM, .sys = sys };
    memcpy(err->text, text, sizeof text);
    return -1;
}

int err_mark_full(struct err *err) {
    if (err && (err->sys == ENOSPC || err->sys == EDQUOT)) {
        err->code = ERR_FULL;
    }
    return -1;
}

int err_no_memory(struct err *err) {
    return err_set(err, ERR_NO_MEMORY, "out of memory");
}

int err_wrap(struct err *err, const char *format, ...) {
    if (!err) {
        return -1;
    }
    char text[ERR_TEXT_MAX];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (n >= 0 && (size_t)n < sizeof text) {
        snprintf(text + n, sizeof text - (size_t)n, ": %s", err->text);
    }
    memcpy(err->text, text, sizeof text);
    return -1;
}

int err_hint(struct err *err, const char *format, ...) {
    if (err) {
        va_list args;
        va_start(args, format);
        vsnprintf(err->hint, sizeof err->hint, format, args);
        va_end(args);
    }
    return -1;
}
