/* The way from clone3 to execve. SPDX-License-Identifier: Apache-2.0 */
#include "child.h"
#include "caps.h"
#include "mount.h"
#include "ns.h"
#include "rlimit.h"
#include "rootfs.h"

#include <paas/file.h>

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    FDS_ASIDE = 64, /* above every number that paas-init is given */
    FDS_MAX = INIT_FD_END,
    SHM_BYTES = 64 << 20, /* of /dev/shm beside a root on disk: what Docker gives */
};
#define SHM_FILES "4096"

/* What paas-init needs to watch over the app and to make it its user. */
static const uint64_t init_caps = 1ULL << CAP_KILL | 1ULL << CAP_SETUID | 1ULL << CAP_SETGID;
/* A command that is run beside the app has nobody to watch over. */
static const uint64_t exec_caps = 1ULL << CAP_SETUID | 1ULL << CAP_SETGID;

/* All that changes while the plan runs. */
struct run {
    const struct child *in;
    struct rootfs root;
    int fds[FDS_MAX]; /* by number in paas-init; -1: none */
};

/* ---- descriptors ---- */

/* Puts fds[n] on number n for every n, closes the other numbers below `count`, and has execve close
 * all above. */
static int place(int fds[], int count, struct err *err) {
    for (int i = 0; i < count; i++) {
        if (fds[i] >= 0 && (fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, FDS_ASIDE)) < 0) {
            return err_sys(err, errno, "put descriptor %d aside", i);
        }
    }
    for (int i = 0; i < count; i++) {
        if (fds[i] < 0) {
            close(i);
        } else if (dup2(fds[i], i) < 0) {
            return err_sys(err, errno, "place descriptor %d", i);
        }
    }
    return close_range((unsigned)count, ~0U, CLOSE_RANGE_CLOEXEC) < 0
               ? err_sys(err, errno, "close the rest")
               : 0;
}

/* Moves *fd to a number that place() does not touch. */
static int move_aside(int *fd, struct err *err) {
    int moved = fcntl(*fd, F_DUPFD_CLOEXEC, FDS_ASIDE);
    if (moved < 0) {
        return err_sys(err, errno, "move a descriptor");
    }
    *fd = moved;
    return 0;
}

/* ---- steps ---- */

static int do_cgroups(struct run *run, const struct plan_step *step, struct err *err) {
    (void)step;
    return cgroup_hide(&run->in->host->cgroups, run->in->cgroup_ns, err);
}

static int do_writable(struct run *run, const struct plan_step *step, struct err *err) {
    (void)step;
    return rootfs_make_writable(&run->root, err);
}

static int do_layer(struct run *run, const struct plan_step *step, struct err *err) {
    return rootfs_open_layer(&run->root, step->layer, run->in->userns.layers, err);
}

static int do_root(struct run *run, const struct plan_step *step, struct err *err) {
    (void)step;
    return rootfs_mount(&run->root, err);
}

/* Memory that processes share is memory, wherever the root is. */
static int make_shm(const struct run *run, unsigned attr, struct err *err) {
    char size[24], owner[16];
    snprintf(size, sizeof size, "%d", SHM_BYTES);
    snprintf(owner, sizeof owner, "%u", run->root.ids);
    const char *const params[] = { "size", size, "nr_inodes", SHM_FILES, "mode", "1777", "uid",
        owner, "gid", owner, NULL, NULL };
    return mount_new("tmpfs", params, attr, err);
}

static const char *const pts_params[] = { "ptmxmode", "0666", "mode", "0620", NULL, NULL };

static int make_mount(const struct run *run, const struct plan_mount *m, struct err *err) {
    struct mount_clone from = { .path = m->from,
        .flags = m->flags,
        .attr = m->attr,
        .userns = -1,
        .dir = m->source == PLAN_WRITABLE ? run->root.writable : AT_FDCWD };
    switch (m->source) {
    case PLAN_PROC:
        return mount_new("proc", NULL, m->attr, err);
    case PLAN_PTS:
        return mount_new("devpts", pts_params, m->attr, err);
    case PLAN_SHM:
        return make_shm(run, m->attr, err);
    case PLAN_WRITABLE:
    case PLAN_SHARED:
        return mount_clone(&from, err);
    }
    return err_set(err, ERR_INTERNAL, "no such source");
}

static int do_mount(struct run *run, const struct plan_step *step, struct err *err) {
    CLEANUP_FD int fd = make_mount(run, &step->mount, err);
    return fd < 0 ? -1 : mount_attach(fd, run->root.root, step->mount.target, err);
}

static int do_pivot(struct run *run, const struct plan_step *step, struct err *err) {
    (void)step;
    return ns_pivot(run->root.root, err);
}

static int do_hostname(struct run *run, const struct plan_step *step, struct err *err) {
    (void)step;
    const char *name = run->in->spec->hostname;
    if (sethostname(name, strlen(name)) < 0 || setdomainname("", 0) < 0) {
        return err_sys(err, errno, "%s", name);
    }
    return 0;
}

static int do_network(struct run *run, const struct plan_step *step, struct err *err) {
    (void)step;
    return setns(run->in->netns, CLONE_NEWNET) < 0 ? err_sys(err, errno, "setns") : 0;
}

static int do_descriptors(struct run *run, const struct plan_step *step, struct err *err) {
    (void)step;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0) {
        return err_sys(err, errno, "open /dev/null");
    }
    run->fds[0] = run->fds[1] = run->fds[2] = null;
    return place(run->fds, FDS_MAX, err);
}

static int do_limits(struct run *run, const struct plan_step *step, struct err *err) {
    (void)step;
    return rlimit_apply(run->in->spec->files_max, err);
}

static int do_user(struct run *run, const struct plan_step *step, struct err *err) {
    (void)step;
    return ns_enter_user(run->in->userns.app, err);
}

static int do_privileges(struct run *run, const struct plan_step *step, struct err *err) {
    (void)run;
    (void)step;
    return caps_keep(init_caps, err);
}

static int (*const steps[STEP_COUNT])(struct run *, const struct plan_step *, struct err *) = {
    [STEP_CGROUPS] = do_cgroups,
    [STEP_WRITABLE] = do_writable,
    [STEP_LAYER] = do_layer,
    [STEP_ROOT] = do_root,
    [STEP_MOUNT] = do_mount,
    [STEP_PIVOT] = do_pivot,
    [STEP_HOSTNAME] = do_hostname,
    [STEP_NETWORK] = do_network,
    [STEP_DESCRIPTORS] = do_descriptors,
    [STEP_LIMITS] = do_limits,
    [STEP_USER] = do_user,
    [STEP_PRIVILEGES] = do_privileges,
};

/* ---- running ---- */

static int run_plan(struct run *run, struct err *err) {
    const struct plan *plan = run->in->plan;
    for (size_t i = 0; i < plan->count; i++) {
        const struct plan_step *step = &plan->steps[i];
        if (steps[step->kind](run, step, err) < 0) {
            char what[ERR_TEXT_MAX];
            plan_describe(step, what, sizeof what);
            return err_wrap(err, "%s", what);
        }
    }
    return 0;
}

/* Takes known surroundings, not those of the host process, and dies of a lack of memory before it.
 */
static int reset_surroundings(const struct sandbox_host *host, struct err *err) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    umask(022);
    CLEANUP_FD int fd = openat(host->proc, "self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        return err_sys(err, errno, "open oom_score_adj");
    }
    int score = host->oom_score > RLIMIT_OOM_SCORE ? host->oom_score : RLIMIT_OOM_SCORE;
    return rlimit_oom_score(fd, score, err);
}

/* Keeps what is needed last out of the way of place(). */
static int prepare(struct child *in, struct err *err) {
    if (reset_surroundings(in->host, err) < 0) {
        return -1;
    }
    if (chdir("/") < 0) {
        return err_sys(err, errno, "chdir /");
    }
    return move_aside(&in->userns.app, err);
}

int child_prepare(const void *child, struct err *err) {
    struct child in = *(const struct child *)child;
    struct run run = { .in = &in };
    run.root.spec = in.spec;
    run.root.ids = sandbox_ids(in.host->id_base, in.spec->slot);
    run.root.address = in.address;
    run.root.overlay_fds = in.host->features.overlay_fds;
    rootfs_init(&run.root);
    run.root.writable = in.disk;
    memcpy(run.fds, in.fds, sizeof run.fds);
    return prepare(&in, err) < 0 ? -1 : run_plan(&run, err);
}

/* ---- a command beside the app ---- */

static int join_cgroups(const struct child_exec *exec, struct err *err) {
    for (int i = 0; i < exec->n_join; i++) {
        if (write(exec->join[i], "0", 1) != 1) {
            return err_sys(err, errno, "enter a cgroup");
        }
    }
    return 0;
}

static int join_namespaces(int init, struct err *err) {
    const int all = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWCGROUP;
    return setns(init, all) < 0 ? err_sys(err, errno, "enter the namespaces") : 0;
}

static int place_exec(const struct child_exec *exec, struct err *err) {
    int fds[FDS_MAX];
    for (int i = 0; i < FDS_MAX; i++) {
        fds[i] = -1;
    }
    fds[0] = exec->fds->in;
    fds[1] = exec->fds->out;
    fds[2] = exec->fds->err;
    fds[INIT_FD_START] = exec->fds->block;
    fds[INIT_FD_SECCOMP] = exec->host->seccomp_exec;
    return place(fds, FDS_MAX, err);
}

int child_prepare_exec(const void *exec, struct err *err) {
    struct child_exec in = *(const struct child_exec *)exec;
    if (reset_surroundings(in.host, err) < 0 || move_aside(&in.init, err) < 0 ||
        join_cgroups(&in, err) < 0 || join_namespaces(in.init, err) < 0 ||
        place_exec(&in, err) < 0 || rlimit_apply(in.files_max, err) < 0 ||
        ns_enter_user(in.init, err) < 0) {
        return -1;
    }
    return caps_keep(exec_caps, err);
}
