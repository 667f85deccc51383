/* Control groups, what both back ends share. SPDX-License-Identifier: Apache-2.0 */
#include "cgroup.h"
#include "ns.h"

#include <paas/clock.h>
#include <paas/file.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    BUSY_WAIT_MS = 200, /* a cgroup stays busy for a moment after its last process */
    BUSY_STEP_MS = 2,
    DEATH_STEP_MS = 2,          /* cgroup.events is told late: read it, don't trust the event */
    PROC_TEXT_MAX = 256 * 1024, /* mountinfo of a host with a thousand mounts */
    REMOVE_DAEMONS_MAX = 64,    /* leaves of NAME/system */
};

static const char *const v1_controllers[CGROUP_V1] = { "memory", "cpu", "pids" };

/* ---- small files ---- */

int cgroup_write(int dir, const char *file, const char *text, struct err *err) {
    CLEANUP_FD int fd = openat(dir, file, O_WRONLY | O_CLOEXEC);
    size_t len = strlen(text);
    if (fd < 0 || write(fd, text, len) != (ssize_t)len) {
        return err_sys(err, errno, "write %s to cgroup file %s", text, file);
    }
    return 0;
}

int cgroup_write_number(int dir, const char *file, uint64_t number, struct err *err) {
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    return cgroup_write(dir, file, text, err);
}

static int not_found_or(struct err *err, int sys, const char *what) {
    return sys == ENOENT || sys == ENODEV ? err_set(err, ERR_NOT_FOUND, "no %s", what)
                                          : err_sys(err, sys, "%s", what);
}

int cgroup_read(int dir, const char *file, char text[CGROUP_TEXT_MAX], struct err *err) {
    CLEANUP_FD int fd = openat(dir, file, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, CGROUP_TEXT_MAX - 1);
    if (n < 0) {
        return not_found_or(err, errno, file);
    }
    text[n] = '\0';
    return (int)n;
}

uint64_t cgroup_value(const char *text, const char *key) {
    size_t n = strlen(key);
    for (const char *line = text; line && *line;) {
        if (strncmp(line, key, n) == 0 && line[n] == ' ') {
            return strtoull(line + n + 1, NULL, 10);
        }
        line = strchr(line, '\n');
        line = line ? line + 1 : NULL;
    }
    return 0;
}

uint64_t cgroup_read_number(int dir, const char *file) {
    char text[CGROUP_TEXT_MAX];
    return cgroup_read(dir, file, text, NULL) < 0 ? 0 : strtoull(text, NULL, 10);
}

/* ---- directories ---- */

static int open_dir(int dir, const char *name, struct err *err) {
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? not_found_or(err, errno, name) : fd;
}

int cgroup_make_dir(int dir, const char *name, struct err *err) {
    if (mkdirat(dir, name, 0755) < 0 && errno != EEXIST) {
        return err_sys(err, errno, "make cgroup %s", name);
    }
    return open_dir(dir, name, err);
}

int cgroup_remove_dir(int dir, const char *name, struct err *err) {
    msec deadline = clock_msec() + BUSY_WAIT_MS;
    while (unlinkat(dir, name, AT_REMOVEDIR) < 0) {
        if (errno == ENOENT) {
            return 0;
        }
        if (errno != EBUSY || clock_msec() >= deadline) {
            return err_sys(err, errno, "remove cgroup %s", name);
        }
        poll(NULL, 0, BUSY_STEP_MS);
    }
    return 0;
}

/* ---- opening ---- */

static int read_proc(const char *path, struct buf *out, struct err *err) {
    buf_init(out, PROC_TEXT_MAX);
    return file_read_whole(AT_FDCWD, path, out, err);
}

/* Opens D in one hierarchy; -1 without an error in *err->code when the host has no such one. */
static int open_delegated(const char *name, const char *controller, struct err *err) {
    struct buf mounts, membership;
    char path[CGROUP_PATH_MAX];
    int fd = -1;
    bool read = read_proc("/proc/self/mountinfo", &mounts, err) == 0;
    bool both = read_proc("/proc/self/cgroup", &membership, err) == 0 && read;
    if (both && cgroup_find(buf_str(&mounts), buf_str(&membership), controller, name, path) < 0) {
        err_set(err, ERR_NOT_FOUND, "no cgroup hierarchy %s is mounted",
            controller ? controller : "v2");
    } else if (both) {
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0) {
            err_sys(err, errno, "open cgroup %s", path);
        }
    }
    buf_free(&mounts);
    buf_free(&membership);
    return fd;
}

/* Opens D/NAME/instances. */
static int open_instances(int delegated, const char *name, int flags, struct err *err) {
    int (*enter)(int, const char *, struct err *) =
        flags & CGROUP_MAKE ? cgroup_make_dir : open_dir;
    CLEANUP_FD int own = enter(delegated, name, err);
    return own < 0 ? -1 : enter(own, "instances", err);
}

static const char v2_controllers[] = "+memory +cpu +pids";

/* Whether the v2 tree has the controllers at `dir`. */
static bool has_controllers(int dir) {
    char text[CGROUP_TEXT_MAX];
    return cgroup_read(dir, "cgroup.controllers", text, NULL) >= 0 && strstr(text, "memory") &&
           strstr(text, "pids");
}

/* Passes the controllers on from D to D/NAME and D/NAME/instances. */
static int pass_controllers(int delegated, const char *name, int instances, struct err *err) {
    CLEANUP_FD int own = open_dir(delegated, name, err);
    if (own < 0 || cgroup_write(delegated, "cgroup.subtree_control", v2_controllers, err) < 0) {
        return own < 0 || err->sys != EBUSY
                   ? -1
                   : err_hint(err, "the delegated cgroup holds processes itself; move them into "
                                   "a cgroup below it first");
    }
    if (cgroup_write(own, "cgroup.subtree_control", v2_controllers, err) < 0) {
        return -1;
    }
    return cgroup_write(instances, "cgroup.subtree_control", v2_controllers, err);
}

static int open_v1(struct sandbox_cgroups *c, const char *name, int flags, struct err *err) {
    c->backend = &cgroup_v1;
    for (int i = 0; i < CGROUP_V1; i++) {
        CLEANUP_FD int delegated = open_delegated(name, v1_controllers[i], err);
        if (delegated < 0) {
            return -1;
        }
        c->v1[i] = open_instances(delegated, name, flags, err);
        if (c->v1[i] < 0) {
            return -1;
        }
        c->tasks[i] = flags & CGROUP_MAKE ? openat(c->v1[i], "tasks", O_WRONLY | O_CLOEXEC) : -1;
        if (flags & CGROUP_MAKE && c->tasks[i] < 0) {
            return err_sys(err, errno, "open tasks");
        }
    }
    return 0;
}

static int open_all(struct sandbox_cgroups *c, const char *name, int flags, struct err *err) {
    CLEANUP_FD int delegated = open_delegated(name, NULL, err);
    if (delegated < 0) {
        return -1;
    }
    c->instances = open_instances(delegated, name, flags, err);
    if (c->instances < 0) {
        return -1;
    }
    if (!has_controllers(delegated)) {
        return open_v1(c, name, flags, err);
    }
    c->backend = &cgroup_v2;
    return flags & CGROUP_MAKE ? pass_controllers(delegated, name, c->instances, err) : 0;
}

int cgroup_open(struct sandbox_cgroups *c, const char *name, int flags, struct err *err) {
    *c = (struct sandbox_cgroups){ .instances = -1, .v1 = { -1, -1, -1 }, .tasks = { -1, -1, -1 } };
    struct err own;
    if (!err) {
        err = &own;
    }
    if (open_all(c, name, flags, err) < 0) {
        cgroup_close(c);
        return err_wrap(err, "cgroups");
    }
    return 0;
}

void cgroup_close(struct sandbox_cgroups *c) {
    file_close(&c->instances);
    for (int i = 0; i < CGROUP_V1; i++) {
        file_close(&c->v1[i]);
        file_close(&c->tasks[i]);
    }
}

static int enter_v1(const struct sandbox_cgroups *c, struct err *err) {
    for (int i = 0; i < CGROUP_V1; i++) {
        if (write(c->tasks[i], "0", 1) != 1) {
            return err_sys(err, errno, "enter cgroup instances");
        }
    }
    return 0;
}

int cgroup_hide(const struct sandbox_cgroups *c, int namespace, struct err *err) {
    if (namespace >= 0) {
        return setns(namespace, CLONE_NEWCGROUP) < 0 ? err_sys(err, errno, "setns") : 0;
    }
    if (c->backend == &cgroup_v1 && enter_v1(c, err) < 0) {
        return -1;
    }
    return unshare(CLONE_NEWCGROUP) < 0 ? err_sys(err, errno, "unshare") : 0;
}

/* ---- one sandbox ---- */

void cgroup_app_init(struct cgroup_app *app) {
    *app = (struct cgroup_app){ .kill = -1, .freeze = -1, .oom = -1, .dir = -1, .procs = -1 };
    for (int i = 0; i < CGROUP_V1; i++) {
        app->join[i] = -1;
    }
}

void cgroup_app_close(struct cgroup_app *app) {
    file_close(&app->kill);
    file_close(&app->freeze);
    file_close(&app->oom);
    file_close(&app->dir);
    file_close(&app->procs);
    for (int i = 0; i < CGROUP_V1; i++) {
        file_close(&app->join[i]);
    }
}

/* In the helper process: makes the namespace, says so, and waits to be killed. */
_Noreturn static void bear_namespace(int said) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (unshare(CLONE_NEWCGROUP) == 0) {
        (void)!write(said, "", 1);
    }
    close(said);
    for (;;) {
        pause();
    }
}

static int open_namespace(int proc, pid_t pid, int said, struct err *err) {
    char path[32], byte;
    snprintf(path, sizeof path, "%d/ns/cgroup", pid);
    if (read(said, &byte, 1) != 1) {
        return err_set(err, ERR_SYSTEM, "no cgroup namespace can be made");
    }
    int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? err_sys(err, errno, "open the cgroup namespace") : fd;
}

/* A cgroup namespace's root is the cgroup of the process that makes it, and once `own` has given
 * controllers to its leaves no process may be in it: so a helper is born there before. */
static int make_namespace(int own, int proc, struct err *err) {
    int said[2], pidfd = -1;
    if (pipe2(said, O_CLOEXEC) < 0) {
        return err_sys(err, errno, "pipe");
    }
    pid_t pid = ns_clone(0, own, &pidfd);
    if (pid == 0) {
        close(said[0]);
        bear_namespace(said[1]);
    }
    int sys = errno;
    close(said[1]);
    int fd = pid < 0 ? err_sys(err, sys, "clone") : open_namespace(proc, pid, said[0], err);
    if (pid > 0) {
        ns_kill_and_reap(pidfd);
        close(pidfd);
    }
    close(said[0]);
    return fd;
}

static int make_v2(int own, int proc, struct cgroup_birth *out, struct err *err) {
    out->namespace = make_namespace(own, proc, err);
    return out->namespace < 0 ? -1
                              : cgroup_write(own, "cgroup.subtree_control", v2_controllers, err);
}

int cgroup_make(const struct sandbox_cgroups *c, const char *id, int proc, struct cgroup_birth *out,
    struct err *err) {
    *out = (struct cgroup_birth){ -1, -1 };
    /* An id that was used before may have been killed: whatever is born there would die. */
    if (mkdirat(c->instances, id, 0755) < 0) {
        return err_sys(err, errno, "make cgroup %s", id);
    }
    CLEANUP_FD int own = open_dir(c->instances, id, err);
    if (own < 0 || (c->backend == &cgroup_v2 && make_v2(own, proc, out, err) < 0)) {
        return -1;
    }
    out->init = cgroup_make_dir(own, "init", err);
    return out->init < 0 ? -1 : 0;
}

static int give(int dir, const char *file, uid_t uid, struct err *err) {
    return fchownat(dir, file, uid, uid, 0) < 0 ? err_sys(err, errno, "give away %s", file) : 0;
}

/* Who may do what: paas-init bears the app into its leaf, the agent freezes and kills it. */
static int give_files(int own, int app, const struct cgroup_limits *limits, struct err *err) {
    if (give(own, "cgroup.procs", limits->init_uid, err) < 0 ||
        give(app, "cgroup.procs", limits->init_uid, err) < 0 ||
        give(app, "cgroup.freeze", limits->agent_uid, err) < 0) {
        return -1;
    }
    return give(app, "cgroup.kill", limits->agent_uid, err);
}

static int open_for_init(int app, struct cgroup_app *out, struct err *err) {
    out->kill = openat(app, "cgroup.kill", O_WRONLY | O_CLOEXEC);
    out->freeze = openat(app, "cgroup.freeze", O_WRONLY | O_CLOEXEC);
    out->procs = openat(app, "cgroup.procs", O_WRONLY | O_CLOEXEC);
    if (out->kill < 0 || out->freeze < 0 || out->procs < 0) {
        return err_sys(err, errno, "open the files of cgroup app");
    }
    return 0;
}

int cgroup_make_app(const struct sandbox_cgroups *c, const char *id,
    const struct cgroup_limits *limits, struct cgroup_app *out, struct err *err) {
    CLEANUP_FD int own = open_dir(c->instances, id, err);
    CLEANUP_FD int app = own < 0 ? -1 : cgroup_make_dir(own, "app", err);
    if (app < 0 || give_files(own, app, limits, err) < 0 || open_for_init(app, out, err) < 0 ||
        c->backend->limit(c, id, app, limits, out, err) < 0) {
        return -1;
    }
    out->dir = app;
    app = -1;
    return 0;
}

int cgroup_join_app(
    const struct sandbox_cgroups *c, const char *id, struct cgroup_app *out, struct err *err) {
    CLEANUP_FD int own = open_dir(c->instances, id, err);
    CLEANUP_FD int app = own < 0 ? -1 : open_dir(own, "app", err);
    if (app < 0 || c->backend->join(c, id, out, err) < 0) {
        return -1;
    }
    out->dir = app;
    app = -1;
    return 0;
}

static bool populated(int own) {
    char text[CGROUP_TEXT_MAX];
    return cgroup_read(own, "cgroup.events", text, NULL) > 0 && cgroup_value(text, "populated");
}

static int kill_and_wait(int own, const char *id, int wait_ms, struct err *err) {
    if (!populated(own)) {
        return 0;
    }
    if (cgroup_write(own, "cgroup.kill", "1", err) < 0) {
        return -1;
    }
    msec deadline = clock_msec() + wait_ms;
    while (populated(own)) {
        if (clock_msec() >= deadline) {
            return err_set(err, ERR_TIMEOUT, "processes of %s do not end after SIGKILL", id);
        }
        poll(NULL, 0, DEATH_STEP_MS);
    }
    return 0;
}

int cgroup_destroy(const struct sandbox_cgroups *c, const char *id, int wait_ms, struct err *err) {
    CLEANUP_FD int own = openat(c->instances, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (own < 0 && errno != ENOENT) {
        return err_sys(err, errno, "open cgroup %s", id);
    }
    if (own >= 0 &&
        (kill_and_wait(own, id, wait_ms, err) < 0 || cgroup_remove_dir(own, "app", err) < 0 ||
            cgroup_remove_dir(own, "init", err) < 0)) {
        return -1;
    }
    /* The v2 directory is the list of what exists, so it goes last. */
    if (c->backend->remove(c, id, err) < 0) {
        return -1;
    }
    return cgroup_remove_dir(c->instances, id, err);
}

pid_t cgroup_init_pid(const struct sandbox_cgroups *c, const char *id, struct err *err) {
    char file[SANDBOX_ID_MAX + sizeof "/init/cgroup.procs"], text[CGROUP_TEXT_MAX];
    snprintf(file, sizeof file, "%s/init/cgroup.procs", id);
    if (cgroup_read(c->instances, file, text, err) < 0) {
        return -1;
    }
    return (pid_t)strtol(text, NULL, 10);
}

/* ---- all of them ---- */

int cgroup_each(const struct sandbox_cgroups *c, int (*each)(void *arg, const char *id), void *arg,
    struct err *err) {
    int fd = openat(c->instances, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        err_sys(err, errno, "list cgroups");
        file_close(&fd);
        return -1;
    }
    int result = 0;
    struct dirent *entry;
    while (result == 0 && (entry = readdir(dir))) {
        if (entry->d_type == DT_DIR && entry->d_name[0] != '.' &&
            strlen(entry->d_name) < SANDBOX_ID_MAX) {
            result = each(arg, entry->d_name);
        }
    }
    closedir(dir);
    return result;
}

static uint32_t count_lines(int dir, const char *file) {
    CLEANUP_FD int fd = openat(dir, file, O_RDONLY | O_CLOEXEC);
    char text[CGROUP_TEXT_MAX];
    uint32_t lines = 0;
    ssize_t n;
    while (fd >= 0 && (n = read(fd, text, sizeof text)) > 0) {
        for (ssize_t i = 0; i < n; i++) {
            lines += text[i] == '\n';
        }
    }
    return lines;
}

struct census {
    const struct sandbox_cgroups *cgroups;
    struct sandbox_census *out;
};

static int count_one(void *arg, const char *id) {
    struct census *census = arg;
    static const char *const leaves[] = { "init", "app" };
    census->out->cgroups++;
    for (int i = 0; i < 2; i++) {
        char path[SANDBOX_ID_MAX + sizeof "/init/cgroup.procs"];
        snprintf(path, sizeof path, "%s/%s", id, leaves[i]);
        census->out->cgroups += faccessat(census->cgroups->instances, path, F_OK, 0) == 0;
        snprintf(path, sizeof path, "%s/%s/cgroup.procs", id, leaves[i]);
        census->out->processes += count_lines(census->cgroups->instances, path);
    }
    return 0;
}

static int count_v1(void *arg, const char *id) {
    (void)id;
    ++*(uint32_t *)arg;
    return 0;
}

int cgroup_census(const struct sandbox_cgroups *c, struct sandbox_census *out, struct err *err) {
    struct census census = { c, out };
    int result = cgroup_each(c, count_one, &census, err);
    for (int i = 0; result == 0 && i < CGROUP_V1 && c->v1[i] >= 0; i++) {
        struct sandbox_cgroups tree = { .instances = c->v1[i] };
        result = cgroup_each(&tree, count_v1, &out->cgroups, err);
    }
    return result;
}

/* ---- leaving ---- */

/* Removes the empty leaves of NAME/system. Leaves with a daemon in them are busy and stay. */
static void clear_daemons(int own) {
    int fd = openat(own, "system", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        file_close(&fd);
        return;
    }
    struct dirent *entry;
    for (int n = 0; n < REMOVE_DAEMONS_MAX && (entry = readdir(dir)); n++) {
        if (entry->d_type == DT_DIR && entry->d_name[0] != '.') {
            unlinkat(fd, entry->d_name, AT_REMOVEDIR);
        }
    }
    closedir(dir);
    unlinkat(own, "system", AT_REMOVEDIR);
}

static int clear_tree(int instances, const char *name, struct err *err) {
    CLEANUP_FD int own = openat(instances, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP_FD int delegated = own < 0 ? -1 : openat(own, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (delegated < 0) {
        return err_sys(err, errno, "open the delegated cgroup");
    }
    if (cgroup_remove_dir(own, "instances", err) < 0) {
        return -1;
    }
    clear_daemons(own);
    unlinkat(delegated, name, AT_REMOVEDIR);
    return 0;
}

int cgroup_clear(const struct sandbox_cgroups *c, const char *name, struct err *err) {
    for (int i = 0; i < CGROUP_V1; i++) {
        if (c->v1[i] >= 0 && clear_tree(c->v1[i], name, err) < 0) {
            return -1;
        }
    }
    return clear_tree(c->instances, name, err);
}

int sandbox_cgroup_enter(const char *cgroup, const char *leaf, struct err *err) {
    CLEANUP_FD int delegated = open_delegated(cgroup, NULL, err);
    CLEANUP_FD int own = delegated < 0 ? -1 : cgroup_make_dir(delegated, cgroup, err);
    CLEANUP_FD int system = own < 0 ? -1 : cgroup_make_dir(own, "system", err);
    CLEANUP_FD int dir = system < 0 ? -1 : cgroup_make_dir(system, leaf, err);
    return dir < 0 ? -1 : cgroup_write(dir, "cgroup.procs", "0", err);
}

/* ---- for the agent ---- */

struct sandbox_cgroups *sandbox_cgroups_open(const char *cgroup, struct err *err) {
    struct sandbox_cgroups *c = malloc(sizeof *c);
    if (!c) {
        err_no_memory(err);
        return NULL;
    }
    if (cgroup_open(c, cgroup, 0, err) < 0) {
        free(c);
        return NULL;
    }
    return c;
}

void sandbox_cgroups_close(struct sandbox_cgroups *c) {
    if (c) {
        cgroup_close(c);
        free(c);
    }
}

/* Opens ID/app. */
static int open_app(const struct sandbox_cgroups *c, const char *id, struct err *err) {
    char path[SANDBOX_ID_MAX + sizeof "/app"];
    if (strnlen(id, SANDBOX_ID_MAX) == SANDBOX_ID_MAX || !id[0] || strchr(id, '/') ||
        id[0] == '.') {
        return err_set(err, ERR_BAD_VALUE, "bad id");
    }
    snprintf(path, sizeof path, "%s/app", id);
    int fd = openat(c->instances, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? not_found_or(err, errno, "sandbox with this id") : fd;
}

int sandbox_usage(
    const struct sandbox_cgroups *c, const char *id, struct sandbox_usage *out, struct err *err) {
    char text[CGROUP_TEXT_MAX];
    *out = (struct sandbox_usage){ 0 };
    CLEANUP_FD int app = open_app(c, id, err);
    if (app < 0 || cgroup_read(app, "cgroup.events", text, err) < 0) {
        return -1;
    }
    out->populated = cgroup_value(text, "populated") != 0;
    out->frozen = cgroup_value(text, "frozen") != 0;
    if (cgroup_read(app, "cpu.stat", text, err) < 0) {
        return -1;
    }
    out->cpu_usec = cgroup_value(text, "usage_usec");
    return c->backend->usage(c, id, app, out, err);
}

int sandbox_freeze(const struct sandbox_cgroups *c, const char *id, bool frozen, struct err *err) {
    CLEANUP_FD int app = open_app(c, id, err);
    return app < 0 ? -1 : cgroup_write(app, "cgroup.freeze", frozen ? "1" : "0", err);
}

int sandbox_kill(const struct sandbox_cgroups *c, const char *id, struct err *err) {
    CLEANUP_FD int app = open_app(c, id, err);
    return app < 0 ? -1 : cgroup_write(app, "cgroup.kill", "1", err);
}
