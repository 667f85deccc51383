/* .dockerignore. SPDX-License-Identifier: Apache-2.0 */
#include "ignore.h"

#include <ctype.h>
#include <fnmatch.h>
#include <string.h>

#include <paas/str.h>

enum {
    IGNORE_PATH_MAX = 4096, /* PATH_MAX */
    IGNORE_STARS_MAX = 8,   /* "**" in one pattern: each multiplies the work */
};

/* ---- matching ---- */

/* One name against one part of a pattern. */
static bool name_matches(const char *pattern, size_t pattern_len, const char *name, size_t len) {
    char p[IGNORE_PATH_MAX], n[IGNORE_PATH_MAX];
    if (pattern_len >= sizeof p || len >= sizeof n) {
        return false;
    }
    memcpy(p, pattern, pattern_len);
    p[pattern_len] = '\0';
    memcpy(n, name, len);
    n[len] = '\0';
    return fnmatch(p, n, 0) == 0;
}

/* A whole path against a whole pattern, name by name. */
static bool path_matches(const char *pattern, const char *path) {
    for (;;) {
        size_t part = strcspn(pattern, "/"), len = strcspn(path, "/");
        if (!*pattern) {
            return !*path;
        }
        if (part == 2 && memcmp(pattern, "**", 2) == 0) {
            const char *rest = pattern + part + (pattern[part] == '/');
            /* At the end it stands for all that is inside. */
            if (!*rest) {
                return *path != '\0';
            }
            for (const char *p = path; *p; p += strcspn(p, "/"), p += *p == '/') {
                if (path_matches(rest, p)) {
                    return true;
                }
            }
            return false;
        }
        if (!*path || !name_matches(pattern, part, path, len)) {
            return false;
        }
        pattern += part + (pattern[part] == '/');
        path += len + (path[len] == '/');
    }
}

/* `path` or a directory that it is in. */
static bool matches_here_or_above(const char *pattern, const char *path) {
    char prefix[IGNORE_PATH_MAX];
    size_t len = strlen(path);
    if (len >= sizeof prefix) {
        return false;
    }
    memcpy(prefix, path, len + 1);
    for (;;) {
        if (path_matches(pattern, prefix)) {
            return true;
        }
        char *slash = strrchr(prefix, '/');
        if (!slash) {
            return false;
        }
        *slash = '\0';
    }
}

static bool is_git(const char *path) {
    return strcmp(path, ".git") == 0 || str_starts(path, ".git/");
}

bool ignore_matches(const struct ignore *ignore, const char *path) {
    bool ignored = false;
    for (size_t i = 0; i < ignore->patterns.count; i++) {
        const char *pattern = ignore->patterns.items[i];
        bool back = pattern[0] == '!';
        if (back == ignored && matches_here_or_above(pattern + back, path)) {
            ignored = !back;
        }
    }
    return ignored || is_git(path);
}

bool ignore_skips_all(const struct ignore *ignore, const char *path) {
    return is_git(path) || (!ignore->takes_back && ignore_matches(ignore, path));
}

/* ---- parsing ---- */

/* Appends the names of `line` to `out` without ".", empty names, and leading and closing '/'. */
static int clean(const char *line, size_t len, char *out, size_t size, struct err *err) {
    size_t used = strlen(out), stars = 0, first = used;
    for (size_t i = 0; i < len;) {
        size_t part = strcspn(line + i, "/\n\r");
        part = part < len - i ? part : len - i;
        const char *name = line + i;
        i += part + 1;
        if (part == 0 || (part == 1 && name[0] == '.')) {
            continue;
        }
        if (part == 2 && name[0] == '.' && name[1] == '.') {
            return err_set(err, ERR_BAD_VALUE, "a pattern with \"..\"");
        }
        stars += part == 2 && memcmp(name, "**", 2) == 0;
        if (stars > IGNORE_STARS_MAX || used + part + 2 > size) {
            return err_set(err, ERR_BAD_VALUE, "a pattern that is too long");
        }
        if (used > first) {
            out[used++] = '/';
        }
        memcpy(out + used, name, part);
        used += part;
        out[used] = '\0';
    }
    return 0;
}

static int add_line(struct ignore *out, const char *line, size_t len, struct err *err) {
    char pattern[IGNORE_PATH_MAX] = "";
    while (len && isspace((unsigned char)line[len - 1])) {
        len--;
    }
    while (len && isspace((unsigned char)*line)) {
        line++;
        len--;
    }
    if (!len || *line == '#') {
        return 0;
    }
    bool back = *line == '!';
    if (back) {
        strcpy(pattern, "!");
    }
    if (clean(line + back, len - back, pattern, sizeof pattern, err) < 0) {
        return -1;
    }
    if (!pattern[back]) {
        return 0;
    }
    out->takes_back |= back;
    if (out->patterns.count == IGNORE_PATTERNS_MAX) {
        return err_set(err, ERR_BAD_VALUE, "more than %d patterns", IGNORE_PATTERNS_MAX);
    }
    return strings_add(&out->patterns, pattern) < 0 ? err_no_memory(err) : 0;
}

int ignore_parse(const char *text, size_t len, struct ignore *out, struct err *err) {
    *out = (struct ignore){ 0 };
    for (size_t at = 0, line = 1; at < len; line++) {
        const char *end = memchr(text + at, '\n', len - at);
        size_t line_len = end ? (size_t)(end - text) - at : len - at;
        if (memchr(text + at, '\0', line_len)) {
            return err_set(err, ERR_BAD_VALUE, "line %zu: not text", line);
        }
        if (add_line(out, text + at, line_len, err) < 0) {
            return err_wrap(err, "line %zu", line);
        }
        at += line_len + 1;
    }
    return 0;
}

void ignore_free(struct ignore *ignore) {
    strings_free(&ignore->patterns);
    *ignore = (struct ignore){ 0 };
}
