/* The words of HTTP. SPDX-License-Identifier: Apache-2.0 */
#include <paas/http_words.h>

#include <string.h>

const unsigned char http_classes[256] = {
    ['\t'] = CLASS_VALUE,
    [' '] = CLASS_VALUE,
    ['!'] = CLASS_TOKEN | CLASS_VALUE | CLASS_TARGET | CLASS_HOST,
    ['"'] = CLASS_VALUE | CLASS_TARGET,
    ['#'] = CLASS_TOKEN | CLASS_VALUE,
    ['$'] = CLASS_TOKEN | CLASS_VALUE | CLASS_TARGET | CLASS_HOST,
    ['%'] = CLASS_TOKEN | CLASS_VALUE | CLASS_TARGET,
    ['&'] = CLASS_TOKEN | CLASS_VALUE | CLASS_TARGET | CLASS_HOST,
    ['\''] = CLASS_TOKEN | CLASS_VALUE | CLASS_TARGET | CLASS_HOST,
    ['('] = CLASS_VALUE | CLASS_TARGET | CLASS_HOST,
    [')'] = CLASS_VALUE | CLASS_TARGET | CLASS_HOST,
    ['*'] = CLASS_TOKEN | CLASS_VALUE | CLASS_TARGET | CLASS_HOST,
    ['+'] = CLASS_TOKEN | CLASS_VALUE | CLASS_TARGET | CLASS_HOST,
    [','] = CLASS_VALUE | CLASS_TARGET,
    ['-'] = CLASS_TOKEN | CLASS_VALUE | CLASS_TARGET | CLASS_HOST,
    ['.'] = CLASS_TOKEN | CLASS_VALUE | CLASS_TARGET | CLASS_HOST,
    ['/'] = CLASS_VALUE | CLASS_TARGET,
    ['0' ... '9'] = CLASS_TOKEN | CLASS_VALUE | CLASS_TARGET | CLASS_HOST | CLASS_DIGIT | CLASS_HEX,
    [':'] = CLASS_VALUE | CLASS_TARGET,
    [';'] = CLASS_VALUE | CLASS_TARGET | CLASS_HOST,
    ['<'] = CLASS_VALUE | CLASS_TARGET,
    ['='] = CLASS_VALUE | CLASS_TARGET | CLASS_HOST,
    ['>'] = CLASS_VALUE | CLASS_TARGET,
    ['?'] = CLASS_VALUE | CLASS_TARGET,
    ['@'] = CLASS_VALUE | CLASS_TARGET,
    ['A' ... 'F'] = CLASS_TOKEN | CLASS_VALUE | CLASS_TARGET | CLASS_HOST | CLASS_HEX,
    ['G' ... 'Z'] = CLASS_TOKEN | CLASS_VALUE | CLASS_TARGET | CLASS_HOST,
    ['['] = CLASS_VALUE | CLASS_TARGET,
    ['\\'] = CLASS_VALUE | CLASS_TARGET,
    [']'] = CLASS_VALUE | CLASS_TARGET,
    ['^'] = CLASS_TOKEN | CLASS_VALUE | CLASS_TARGET,
    ['_'] = CLASS_TOKEN | CLASS_VALUE | CLASS_TARGET | CLASS_HOST,
    ['`'] = CLASS_TOKEN | CLASS_VALUE | CLASS_TARGET,
    ['a' ... 'f'] = CLASS_TOKEN | CLASS_VALUE | CLASS_TARGET | CLASS_HOST | CLASS_HEX,
    ['g' ... 'z'] = CLASS_TOKEN | CLASS_VALUE | CLASS_TARGET | CLASS_HOST,
    ['{'] = CLASS_VALUE | CLASS_TARGET,
    ['|'] = CLASS_TOKEN | CLASS_VALUE | CLASS_TARGET,
    ['}'] = CLASS_VALUE | CLASS_TARGET,
    ['~'] = CLASS_TOKEN | CLASS_VALUE | CLASS_TARGET | CLASS_HOST,
    [0x80 ... 0xff] = CLASS_VALUE,
};

/* ---- Words ---- */

bool http_all(struct http_text text, enum http_class class) {
    for (size_t i = 0; i < text.len; i++) {
        if (!http_byte_is(text.at[i], class)) {
            return false;
        }
    }
    return true;
}

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

struct http_text http_text_of(const char *word) {
    return (struct http_text){ word, strlen(word) };
}

bool http_same(struct http_text a, struct http_text b) {
    if (a.len != b.len) {
        return false;
    }
    for (size_t i = 0; i < a.len; i++) {
        if (lower(a.at[i]) != lower(b.at[i])) {
            return false;
        }
    }
    return true;
}

bool http_is(struct http_text a, const char *word) {
    return http_same(a, http_text_of(word));
}

bool http_is_token(struct http_text text) {
    return text.len > 0 && http_all(text, CLASS_TOKEN);
}

static bool is_space(char c) {
    return c == ' ' || c == '\t';
}

struct http_text http_trim(struct http_text text) {
    while (text.len > 0 && is_space(text.at[0])) {
        text.at++;
        text.len--;
    }
    while (text.len > 0 && is_space(text.at[text.len - 1])) {
        text.len--;
    }
    return text;
}

bool http_list_next(struct http_text *list, struct http_text *element) {
    while (list->len > 0) {
        const char *comma = memchr(list->at, ',', list->len);
        size_t end = comma ? (size_t)(comma - list->at) : list->len;
        *element = http_trim(http_slice(*list, 0, end));
        *list = http_slice(*list, comma ? end + 1 : end, list->len);
        if (element->len > 0) {
            return true;
        }
    }
    return false;
}

/* ---- Tables ---- */

static const struct http_text method_names[METHOD_COUNT] = { [METHOD_NONE] = { "", 0 },
#define X(id, name) [METHOD_##id] = { name, sizeof name - 1 },
    HTTP_METHODS(X)
#undef X
};

static const struct {
    struct http_text name;
    bool hop;
} fields[FIELD_COUNT] = {
#define X(id, word, ends) [FIELD_##id] = { .name = { word, sizeof word - 1 }, .hop = ends },
    HTTP_FIELDS(X)
#undef X
};

enum http_method http_method_of(struct http_text name) {
    for (int i = METHOD_NONE + 1; i < METHOD_COUNT; i++) {
        if (method_names[i].len == name.len && memcmp(method_names[i].at, name.at, name.len) == 0) {
            return i;
        }
    }
    return METHOD_NONE;
}

const char *http_method_name(enum http_method method) {
    return method < METHOD_COUNT ? method_names[method].at : "";
}

bool http_method_idempotent(enum http_method method) {
    switch (method) {
    case METHOD_GET:
    case METHOD_HEAD:
    case METHOD_OPTIONS:
    case METHOD_TRACE:
    case METHOD_PUT:
    case METHOD_DELETE:
    case METHOD_PROPFIND:
    case METHOD_SEARCH:
    case METHOD_REPORT:
        return true;
    default:
        return false;
    }
}

/* The first field whose name has this length; FIELD_OTHER for a length without one. */
static const unsigned char first_of_length[] = {
    [2] = FIELD_TE,
    [4] = FIELD_HOST,
    [6] = FIELD_EXPECT,
    [7] = FIELD_UPGRADE,
    [8] = FIELD_IF_MATCH,
    [9] = FIELD_FORWARDED,
    [10] = FIELD_CONNECTION,
    [11] = FIELD_TRACEPARENT,
    [12] = FIELD_CONTENT_TYPE,
    [13] = FIELD_AUTHORIZATION,
    [14] = FIELD_CONTENT_LENGTH,
    [15] = FIELD_X_FORWARDED_FOR,
    [16] = FIELD_PROXY_CONNECTION,
    [17] = FIELD_TRANSFER_ENCODING,
    [19] = FIELD_PROXY_AUTHORIZATION,
};

enum http_field http_field_of(struct http_text name) {
    int i = name.len < sizeof first_of_length ? first_of_length[name.len] : FIELD_OTHER;
    for (; i != FIELD_OTHER && i < FIELD_COUNT && fields[i].name.len == name.len; i++) {
        if (http_same(fields[i].name, name)) {
            return i;
        }
    }
    return FIELD_OTHER;
}

bool http_trailer_allowed(struct http_text name) {
    static const char *const allowed[] = { "server-timing", "content-digest", "repr-digest",
        "grpc-status", "grpc-message", "grpc-status-details-bin" };
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++) {
        if (http_is(name, allowed[i])) {
            return true;
        }
    }
    return false;
}

const char *http_phrase(int status) {
    static const struct {
        int status;
        const char *phrase;
    } phrases[] = {
        { 100, "Continue" },
        { 101, "Switching Protocols" },
        { 103, "Early Hints" },
        { 200, "OK" },
        { 201, "Created" },
        { 202, "Accepted" },
        { 204, "No Content" },
        { 206, "Partial Content" },
        { 301, "Moved Permanently" },
        { 302, "Found" },
        { 303, "See Other" },
        { 304, "Not Modified" },
        { 307, "Temporary Redirect" },
        { 308, "Permanent Redirect" },
        { 400, "Bad Request" },
        { 401, "Unauthorized" },
        { 403, "Forbidden" },
        { 404, "Not Found" },
        { 405, "Method Not Allowed" },
        { 408, "Request Timeout" },
        { 409, "Conflict" },
        { 411, "Length Required" },
        { 412, "Precondition Failed" },
        { 413, "Content Too Large" },
        { 414, "URI Too Long" },
        { 415, "Unsupported Media Type" },
        { 416, "Range Not Satisfiable" },
        { 417, "Expectation Failed" },
        { 421, "Misdirected Request" },
        { 422, "Unprocessable Content" },
        { 428, "Precondition Required" },
        { 429, "Too Many Requests" },
        { 431, "Request Header Fields Too Large" },
        { 500, "Internal Server Error" },
        { 501, "Not Implemented" },
        { 502, "Bad Gateway" },
        { 503, "Service Unavailable" },
        { 504, "Gateway Timeout" },
        { 505, "HTTP Version Not Supported" },
        { 507, "Insufficient Storage" },
    };
    for (size_t i = 0; i < sizeof phrases / sizeof *phrases; i++) {
        if (phrases[i].status == status) {
            return phrases[i].phrase;
        }
    }
    return "";
}

bool http_field_is_hop(enum http_field field) {
    return fields[field].hop;
}
