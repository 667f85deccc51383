/* The cgroups of a platform. SPDX-License-Identifier: Apache-2.0 */
#include "groups.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include <paas/buf.h>
#include <paas/clock.h>
#include <paas/file.h>
#include <paas/str.h>

enum {
    PROC_BYTES = 1 << 20,  /* mountinfo of a host with thousands of mounts */
    DEPTH_MAX = 8,         /* paas<N>/instances/ID/app and what an app could be given later */
    EMPTY_WAIT_MS = 2000,  /* SIGKILL to gone: the kernel frees a large app's memory first */
    REMOVE_WAIT_MS = 1000, /* a directory is busy until the last dying process is counted out */
    RETRY_MS = 5,
};
/* A hundred times an instance's share: judgement must not wait for apps. */
#define CPU_WEIGHT_V2 "10000"
#define CPU_SHARES_V1 "102400"

static int write_text(const char *dir, const char *name, const char *text) {
    char path[GROUPS_PATH_MAX + 64];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    CLEANUP_FD int fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd >= 0 && write(fd, text, strlen(text)) >= 0 ? 0 : -1;
}

static void wait_ms(long ms) {
    nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000 }, NULL);
}

/* ---- Finding ---- */

/* True when comma-separated `list` has `word`. */
static bool has_word(const char *list, const char *word) {
    size_t len = strlen(word);
    for (const char *p = list; (p = strstr(p, word)); p += len) {
        if ((p == list || p[-1] == ',') && (p[len] == '\0' || p[len] == ',')) {
            return true;
        }
    }
    return false;
}

/* The caller's cgroup in the hierarchy whose mount says `options` (NULL: the unified one). */
static void own_path(const char *proc_cgroup, const char *options, char path[GROUPS_PATH_MAX]) {
    str_copy(path, GROUPS_PATH_MAX, "/");
    char line[GROUPS_PATH_MAX + 128];
    for (const char *p = proc_cgroup; *p; p += strcspn(p, "\n"), p += *p == '\n') {
        snprintf(line, sizeof line, "%.*s", (int)strcspn(p, "\n"), p);
        char *list = strchr(line, ':');
        char *own = list ? strchr(list + 1, ':') : NULL;
        if (!own) {
            continue;
        }
        *list++ = '\0';
        *own++ = '\0';
        char first[128];
        snprintf(first, sizeof first, "%.*s", (int)strcspn(list, ","), list);
        bool same = options ? first[0] && has_word(options, first) : !first[0];
        if (same) {
            str_copy(path, GROUPS_PATH_MAX, own);
            return;
        }
    }
}

/* systemd marks a cgroup that it leaves to its unit. */
static bool is_delegated(const char *dir) {
    char mark[2] = "";
    return (getxattr(dir, "trusted.delegate", mark, 1) == 1 ||
               getxattr(dir, "user.delegate", mark, 1) == 1) &&
           mark[0] == '1';
}

/* Ends `path` before the part that an earlier paas<N> added: children of a supervisor and a second
 * `paas up` find the same place. */
static void strip_own(char *path, int number) {
    char part[32];
    snprintf(part, sizeof part, "/paas%d/system/", number);
    char *found = strstr(path, part);
    if (found) {
        *found = '\0';
    }
}

struct hierarchy {
    const char *mount, *root, *options; /* options: NULL for the unified one */
};

static int add_hierarchy(struct groups *groups, const char *proc_cgroup, const struct hierarchy *h,
    int number, struct err *err) {
    char own[GROUPS_PATH_MAX], dir[GROUPS_PATH_MAX * 2];
    own_path(proc_cgroup, h->options, own);
    strip_own(own, number);
    size_t root_len = strlen(h->root);
    const char *below = root_len > 1 && strncmp(own, h->root, root_len) == 0 ? own + root_len : own;
    snprintf(dir, sizeof dir, "%s%s", h->mount, strcmp(below, "/") == 0 ? "" : below);
    if (access(dir, F_OK) < 0 || (!h->options && !is_delegated(dir))) {
        str_copy(dir, sizeof dir, h->mount);
    }
    char *to = groups->dirs[h->options ? groups->count : 0];
    if (groups->count == GROUPS_MAX ||
        snprintf(to, GROUPS_PATH_MAX, "%.400s/paas%d", dir, number) > GROUPS_PATH_MAX - 64) {
        return err_set(
            err, ERR_TOO_LARGE, "cgroups: too many hierarchies, or %.80s is too long", dir);
    }
    if (h->options) {
        groups->cpu = has_word(h->options, "cpu") ? groups->count : groups->cpu;
        groups->count++;
    }
    return 0;
}

/* One line of mountinfo (proc(5)); changes it. 1 when it is a cgroup hierarchy. */
static int parse_mount(char *line, struct hierarchy *h) {
    char *words[6] = { 0 }, *rest = line;
    for (int i = 0; i < 6; i++) {
        words[i] = strsep(&rest, " ");
    }
    char *type = rest ? strstr(rest, "- ") : NULL;
    if (!type) {
        return 0;
    }
    type += 2;
    char *options = strchr(type, ' ');
    options = options ? strchr(options + 1, ' ') : NULL;
    if (str_starts(type, "cgroup2 ")) {
        *h = (struct hierarchy){ words[4], words[3], NULL };
        return 1;
    }
    if (str_starts(type, "cgroup ") && options && !strstr(options, "name=")) {
        *h = (struct hierarchy){ words[4], words[3], options + 1 };
        return 1;
    }
    return 0;
}

int groups_find(struct groups *groups, int number, struct err *err) {
    *groups = (struct groups){ .count = 1 };
    struct buf mounts, own;
    buf_init(&mounts, PROC_BYTES);
    buf_init(&own, PROC_BYTES);
    int result = file_read_whole(AT_FDCWD, "/proc/self/mountinfo", &mounts, err);
    if (result == 0) {
        result = file_read_whole(AT_FDCWD, "/proc/self/cgroup", &own, err);
    }
    char *rest = mounts.data, *line;
    while (result == 0 && (line = strsep(&rest, "\n"))) {
        struct hierarchy h;
        if (parse_mount(line, &h) && (h.options || !groups->dirs[0][0])) {
            result = add_hierarchy(groups, buf_str(&own), &h, number, err);
        }
    }
    if (result == 0 && !groups->dirs[0][0]) {
        err_set(err, ERR_UNAVAILABLE, "no cgroup v2 hierarchy is mounted");
        result = err_hint(err, "mount -t cgroup2 none /sys/fs/cgroup/unified");
    }
    buf_free(&mounts);
    buf_free(&own);
    return result;
}

/* ---- Leaves ---- */

static void leaf_path(const char *dir, const char *name, char path[GROUPS_PATH_MAX + 64]) {
    snprintf(path, GROUPS_PATH_MAX + 64, "%s/system/%s", dir, name);
}

/* Hands controllers down one level; each alone, as a kernel may lack one. */
static void enable_controllers(const char *dir) {
    static const char *const controllers[] = { "+cpu", "+memory", "+pids" };
    for (size_t i = 0; i < sizeof controllers / sizeof *controllers; i++) {
        write_text(dir, "cgroup.subtree_control", controllers[i]);
    }
}

static void parent_of(const char *dir, char parent[GROUPS_PATH_MAX]) {
    str_copy(parent, GROUPS_PATH_MAX, dir);
    *strrchr(parent, '/') = '\0';
}

/* A service manager knows its service by the cgroup, and puts the next supervisor there. Below a
 * delegated one the caller has to leave it all the same: a cgroup that holds processes may not hand
 * controllers down, but for the root of all, which alone has no events. */
static bool may_stay(const char *parent) {
    char path[GROUPS_PATH_MAX + 64];
    snprintf(path, sizeof path, "%s/cgroup.events", parent);
    return getenv("NOTIFY_SOCKET") && access(path, F_OK) < 0;
}

int groups_make(const struct groups *groups, struct err *err) {
    char path[GROUPS_PATH_MAX + 64], parent[GROUPS_PATH_MAX];
    parent_of(groups->dirs[0], parent);
    if (file_make_dirs(groups->dirs[0], 0755, err) < 0 ||
        (!may_stay(parent) && groups_enter(groups, "supervisor", err) < 0)) {
        return -1;
    }
    enable_controllers(parent);
    enable_controllers(groups->dirs[0]);
    snprintf(path, sizeof path, "%s/system", groups->dirs[0]);
    if (file_make_dirs(path, 0755, err) < 0) {
        return -1;
    }
    write_text(path, "cpu.weight", CPU_WEIGHT_V2);
    if (groups->cpu) {
        snprintf(path, sizeof path, "%s/system", groups->dirs[groups->cpu]);
        if (file_make_dirs(path, 0755, err) < 0) {
            return -1;
        }
        write_text(path, "cpu.shares", CPU_SHARES_V1);
    }
    return 0;
}

void groups_enter_delegated(const struct groups *groups) {
    char parent[GROUPS_PATH_MAX];
    for (size_t i = 1; i < groups->count; i++) {
        parent_of(groups->dirs[i], parent);
        write_text(parent, "cgroup.procs", "0");
    }
}

int groups_enter(const struct groups *groups, const char *name, struct err *err) {
    char path[GROUPS_PATH_MAX + 64];
    leaf_path(groups->dirs[0], name, path);
    if (file_make_dirs(path, 0755, err) < 0) {
        return -1;
    }
    if (write_text(path, "cgroup.procs", "0") < 0) {
        return err_sys(err, errno, "entering the cgroup %s", path);
    }
    if (groups->cpu) {
        leaf_path(groups->dirs[groups->cpu], name, path);
        if (file_make_dirs(path, 0755, err) == 0) {
            write_text(path, "cgroup.procs", "0");
        }
    }
    return 0;
}

static size_t signal_processes(const char *dir, int number) {
    char path[GROUPS_PATH_MAX + 128];
    snprintf(path, sizeof path, "%.550s/cgroup.procs", dir);
    FILE *file = fopen(path, "re");
    size_t count = 0;
    long pid;
    while (file && fscanf(file, "%ld", &pid) == 1) {
        if (pid > 0 && pid != getpid()) {
            kill((pid_t)pid, number);
            count++;
        }
    }
    if (file) {
        fclose(file);
    }
    return count;
}

int groups_fresh(const struct groups *groups, const char *name, struct err *err) {
    char path[GROUPS_PATH_MAX + 64];
    leaf_path(groups->dirs[0], name, path);
    msec deadline = clock_msec() + EMPTY_WAIT_MS;
    while (signal_processes(path, SIGKILL) > 0 && clock_msec() < deadline) {
        wait_ms(RETRY_MS);
    }
    return file_make_dirs(path, 0755, err);
}

bool groups_holds(const struct groups *groups, const char *name, pid_t pid) {
    char path[64], suffix[64];
    snprintf(path, sizeof path, "/proc/%d/cgroup", (int)pid);
    const char *platform = strrchr(groups->dirs[0], '/');
    snprintf(suffix, sizeof suffix, "%s/system/%s\n", platform, name);
    struct buf text;
    buf_init(&text, PROC_BYTES);
    bool holds =
        file_read_whole(AT_FDCWD, path, &text, NULL) == 0 && strstr(buf_str(&text), suffix);
    buf_free(&text);
    return holds;
}

/* ---- Whole trees ---- */

/* Calls `visit` for each cgroup below and at `dir`, deepest first. */
static void walk(
    const char *dir, int depth, void (*visit)(const char *dir, void *data), void *data) {
    DIR *entries = depth < DEPTH_MAX ? opendir(dir) : NULL;
    struct dirent *entry;
    while (entries && (entry = readdir(entries))) {
        char below[GROUPS_PATH_MAX * 2];
        if (entry->d_type == DT_DIR && entry->d_name[0] != '.' &&
            snprintf(below, sizeof below, "%s/%s", dir, entry->d_name) < GROUPS_PATH_MAX) {
            walk(below, depth + 1, visit, data);
        }
    }
    if (entries) {
        closedir(entries);
        visit(dir, data);
    }
}

static void count_processes(const char *dir, void *data) {
    *(size_t *)data += signal_processes(dir, 0);
}

static void ask_app(const char *dir, void *data) {
    (void)data;
    const char *name = strrchr(dir, '/');
    if (name && strcmp(name, "/app") == 0) {
        write_text(dir, "cgroup.freeze", "0");
        signal_processes(dir, SIGTERM);
    }
}

static bool is_supervisors(const char *dir) {
    const char *name = strrchr(dir, '/');
    return name && strcmp(name, "/supervisor") == 0;
}

static void kill_processes(const char *dir, void *data) {
    if (is_supervisors(dir)) {
        return;
    }
    *(size_t *)data += signal_processes(dir, SIGKILL);
}

static void instances_path(const struct groups *groups, char path[GROUPS_PATH_MAX + 64]) {
    snprintf(path, GROUPS_PATH_MAX + 64, "%s/instances", groups->dirs[0]);
}

size_t groups_instance_processes(const struct groups *groups) {
    char path[GROUPS_PATH_MAX + 64];
    size_t count = 0;
    instances_path(groups, path);
    walk(path, 0, count_processes, &count);
    return count;
}

void groups_ask_instances(const struct groups *groups) {
    char path[GROUPS_PATH_MAX + 64];
    instances_path(groups, path);
    walk(path, 0, ask_app, NULL);
}

void groups_kill(const struct groups *groups) {
    char path[GROUPS_PATH_MAX + 64];
    instances_path(groups, path);
    write_text(path, "cgroup.kill", "1");
    msec deadline = clock_msec() + EMPTY_WAIT_MS;
    size_t left;
    do {
        left = 0;
        walk(groups->dirs[0], 0, kill_processes, &left);
        if (left > 0) {
            wait_ms(RETRY_MS);
        }
    } while (left > 0 && clock_msec() < deadline);
}

static void remove_group(const char *dir, void *data) {
    (void)data;
    rmdir(dir);
}

static void leave(const struct groups *groups) {
    char parent[GROUPS_PATH_MAX];
    const size_t ours[] = { 0, groups->cpu };
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
        parent_of(groups->dirs[ours[i]], parent);
        write_text(groups->dirs[ours[i]], "cgroup.subtree_control", "-cpu -memory -pids");
        write_text(parent, "cgroup.procs", "0");
    }
}

int groups_remove(const struct groups *groups, struct err *err) {
    if (groups_holds(groups, "supervisor", getpid())) {
        leave(groups);
    }
    msec deadline = clock_msec() + REMOVE_WAIT_MS;
    const char *stays = NULL;
    do {
        if (stays) {
            wait_ms(RETRY_MS);
        }
        stays = NULL;
        for (size_t i = 0; i < groups->count; i++) {
            walk(groups->dirs[i], 0, remove_group, NULL);
            stays = access(groups->dirs[i], F_OK) == 0 ? groups->dirs[i] : stays;
        }
    } while (stays && clock_msec() < deadline);
    return stays ? err_set(err, ERR_CONFLICT, "the cgroup %s can't be removed", stays) : 0;
}
