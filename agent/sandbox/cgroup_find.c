/* Where the delegated cgroup lies. SPDX-License-Identifier: Apache-2.0 */
#include "cgroup.h"

#include <stdio.h>
#include <string.h>

/* Whether the comma-separated `list` of `len` bytes names `word`. */
static bool names(const char *list, size_t len, const char *word) {
    size_t n = strlen(word);
    for (const char *p = list, *end = list + len; p < end;) {
        const char *comma = memchr(p, ',', (size_t)(end - p));
        const char *stop = comma ? comma : end;
        if ((size_t)(stop - p) == n && memcmp(p, word, n) == 0) {
            return true;
        }
        p = stop + 1;
    }
    return false;
}

struct text {
    const char *at;
    size_t len;
};

/* The next word of a line; moves *p behind it. Empty at the end. */
static struct text word(const char **p, const char *end) {
    while (*p < end && **p == ' ') {
        ++*p;
    }
    struct text w = { *p, 0 };
    while (*p < end && **p != ' ') {
        ++*p;
        w.len++;
    }
    return w;
}

static bool is(struct text t, const char *s) {
    return t.len == strlen(s) && memcmp(t.at, s, t.len) == 0;
}

/* One line of mountinfo: id parent dev ROOT POINT options … - TYPE source SUPER. */
static bool mount_matches(const char *line, const char *end, const char *controller,
    struct text *root, struct text *point) {
    const char *p = line;
    for (int i = 0; i < 3; i++) {
        word(&p, end);
    }
    *root = word(&p, end);
    *point = word(&p, end);
    struct text w;
    do {
        w = word(&p, end);
    } while (w.len && !is(w, "-"));
    struct text type = word(&p, end);
    word(&p, end);
    struct text super = word(&p, end);
    return controller ? is(type, "cgroup") && names(super.at, super.len, controller)
                      : is(type, "cgroup2");
}

/* One line of /proc/self/cgroup: number:controllers:PATH. */
static bool membership_matches(
    const char *line, const char *end, const char *controller, struct text *path) {
    const char *first = memchr(line, ':', (size_t)(end - line));
    const char *second = first ? memchr(first + 1, ':', (size_t)(end - first - 1)) : NULL;
    if (!second) {
        return false;
    }
    *path = (struct text){ second + 1, (size_t)(end - second - 1) };
    size_t len = (size_t)(second - first - 1);
    return controller ? names(first + 1, len, controller) : len == 0;
}

static const char *line_end(const char *line) {
    const char *end = strchr(line, '\n');
    return end ? end : line + strlen(line);
}

static bool find_mount(
    const char *mountinfo, const char *controller, struct text *root, struct text *point) {
    for (const char *line = mountinfo; *line;) {
        const char *end = line_end(line);
        if (mount_matches(line, end, controller, root, point)) {
            return true;
        }
        line = *end ? end + 1 : end;
    }
    return false;
}

static bool find_membership(const char *membership, const char *controller, struct text *path) {
    for (const char *line = membership; *line;) {
        const char *end = line_end(line);
        if (membership_matches(line, end, controller, path)) {
            return true;
        }
        line = *end ? end + 1 : end;
    }
    return false;
}

/* Cuts `path` before a component that is `name`. */
static void cut_at(struct text *path, const char *name) {
    size_t n = strlen(name);
    for (size_t i = 0; i + 1 + n <= path->len; i++) {
        bool whole = i + 1 + n == path->len || path->at[i + 1 + n] == '/';
        if (path->at[i] == '/' && memcmp(path->at + i + 1, name, n) == 0 && whole) {
            path->len = i;
            return;
        }
    }
}

int cgroup_find(const char *mountinfo, const char *membership, const char *controller,
    const char *name, char path[CGROUP_PATH_MAX]) {
    struct text root, point, own;
    if (!find_mount(mountinfo, controller, &root, &point) ||
        !find_membership(membership, controller, &own)) {
        return -1;
    }
    cut_at(&own, name);
    /* A mount may show only a part of the tree: then that part is where we are. */
    if (root.len > 1) {
        bool below = own.len >= root.len && memcmp(own.at, root.at, root.len) == 0;
        own =
            below ? (struct text){ own.at + root.len, own.len - root.len } : (struct text){ "", 0 };
    }
    if (own.len == 1 && own.at[0] == '/') {
        own.len = 0;
    }
    int n =
        snprintf(path, CGROUP_PATH_MAX, "%.*s%.*s", (int)point.len, point.at, (int)own.len, own.at);
    return n < 0 || n >= CGROUP_PATH_MAX ? -1 : 0;
}
