/* One sandbox's cgroups, and all of them. SPDX-License-Identifier: Apache-2.0 */
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
    DEATH_STEP_MS = 2, /* cgroup.events is told late: read it, don't trust the event */
};

/* ---- birth ---- */

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
static int make_namespace(int own, int proc, const struct lean *lean, struct err *err) {
    int said[2], pidfd = -1;
    if (pipe2(said, O_CLOEXEC) < 0) {
        return err_sys(err, errno, "pipe");
    }
    pid_t pid = ns_clone(&(struct ns_clone){ .cgroup = own, .lean = lean }, &pidfd);
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

static int make_v2(
    int own, int proc, const struct lean *lean, struct cgroup_birth *out, struct err *err) {
    out->namespace = make_namespace(own, proc, lean, err);
    return out->namespace < 0
               ? -1
               : cgroup_write(own, "cgroup.subtree_control", CGROUP_V2_CONTROLLERS, err);
}

int cgroup_make(
    const struct sandbox_cgroups *c, const char *id, struct cgroup_birth *out, struct err *err) {
    *out = (struct cgroup_birth){ -1, -1 };
    /* An id that was used before may have been killed: whatever is born there would die. */
    if (mkdirat(c->instances, id, 0755) < 0) {
        return err_sys(err, errno, "make cgroup %s", id);
    }
    CLEANUP_FD int own = cgroup_open_dir(c->instances, id, err);
    if (own < 0 || (c->backend == &cgroup_v2 && make_v2(own, c->proc, c->lean, out, err) < 0)) {
        return -1;
    }
    out->init = cgroup_make_dir(own, "init", err);
    return out->init < 0 ? -1 : 0;
}

/* Who may do what: paas-init bears the app into its leaf, the agent freezes and kills it. */
static int give_files(int own, int app, const struct cgroup_limits *limits, struct err *err) {
    if (cgroup_give(own, "cgroup.procs", limits->init_uid, err) < 0 ||
        cgroup_give(app, "cgroup.procs", limits->init_uid, err) < 0 ||
        cgroup_give(app, "cgroup.freeze", limits->agent_uid, err) < 0) {
        return -1;
    }
    return cgroup_give(app, "cgroup.kill", limits->agent_uid, err);
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
    CLEANUP_FD int own = cgroup_open_dir(c->instances, id, err);
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
    CLEANUP_FD int own = cgroup_open_dir(c->instances, id, err);
    CLEANUP_FD int app = own < 0 ? -1 : cgroup_open_dir(own, "app", err);
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
