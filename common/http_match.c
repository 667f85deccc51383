/* Paths and queries of endpoints. SPDX-License-Identifier: Apache-2.0 */
#include "http_match.h"

#include <string.h>

/* One {param} of a pattern; `rest` is what follows it. */
struct placeholder {
    struct http_text name;
    bool many;
    const char *rest;
};

static struct placeholder read_placeholder(const char *pattern) {
    const char *end = strchr(pattern, '}');
    struct placeholder p = { .rest = end + 1 };
    p.many = end[-1] == '*';
    p.name = (struct http_text){ pattern + 1, (size_t)(end - pattern) - 1 - p.many };
    return p;
}

static size_t segment_length(struct http_text path) {
    const char *slash = path.len ? memchr(path.at, '/', path.len) : NULL;
    return slash ? (size_t)(slash - path.at) : path.len;
}

/* Gives a placeholder its segments: one, or the most that let the rest fit. */
static bool match_placeholder(
    const struct placeholder *p, struct http_text path, struct match_pair *pairs, size_t *count) {
    struct match_pair *own = &pairs[(*count)++];
    size_t len = p->many ? path.len : segment_length(path);
    size_t mark = *count;
    for (; len > 0; len--) {
        if (len != path.len && path.at[len] != '/') {
            continue;
        }
        *own = (struct match_pair){ p->name, http_slice(path, 0, len) };
        *count = mark;
        if (http_match(p->rest, http_slice(path, len, path.len), pairs, count)) {
            return true;
        }
        if (!p->many) {
            break;
        }
    }
    return false;
}

bool http_match(
    const char *pattern, struct http_text path, struct match_pair *pairs, size_t *count) {
    while (*pattern && *pattern != '{' && path.len && *pattern == *path.at) {
        pattern++;
        path = http_slice(path, 1, path.len);
    }
    if (*pattern != '{') {
        return *pattern == '\0' && path.len == 0;
    }
    struct placeholder p = read_placeholder(pattern);
    return *count < MATCH_PARAMS && match_placeholder(&p, path, pairs, count);
}

int http_split_query(struct http_text query, struct match_pair *pairs, size_t *count) {
    *count = 0;
    while (query.len > 0) {
        const char *and = memchr(query.at, '&', query.len);
        size_t end = and? (size_t)(and-query.at) : query.len;
        struct http_text one = http_slice(query, 0, end);
        query = http_slice(query, and? end + 1 : end, query.len);
        if (one.len == 0) {
            continue;
        }
        if (*count == MATCH_QUERIES) {
            return -1;
        }
        const char *equals = memchr(one.at, '=', one.len);
        size_t name = equals ? (size_t)(equals - one.at) : one.len;
        pairs[(*count)++] = (struct match_pair){ http_slice(one, 0, name),
            http_slice(one, equals ? name + 1 : name, one.len) };
    }
    return 0;
}

static int hex_digit(char c) {
    return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

int http_unescape(struct http_text in, bool plus, char *out) {
    size_t n = 0;
    for (size_t i = 0; i < in.len; i++) {
        char c = in.at[i];
        if (c == '%') {
            if (in.len - i < 3 || !http_all(http_slice(in, i + 1, i + 3), CLASS_HEX)) {
                return -1;
            }
            c = (char)(hex_digit(in.at[i + 1]) * 16 + hex_digit(in.at[i + 2]));
            i += 2;
        } else if (plus && c == '+') {
            c = ' ';
        }
        if (c == '\0') {
            return -1;
        }
        out[n++] = c;
    }
    out[n] = '\0';
    return (int)n;
}
