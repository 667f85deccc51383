/* Starting, entering and destroying sandboxes. SPDX-License-Identifier: Apache-2.0
 *
 * The story of a start: the parent makes the cgroups, paas-init's and the app's with its limits,
 * the network namespace where none is ready, and the files of the exit record and the logs. Then it
 * clones the child into paas-init's cgroup, with new pid, mount, uts and ipc namespaces. The child
 * builds its root, enters the network, then the user namespace, gives up what it may not keep, and
 * becomes paas-init; till then the parent waits (spawn.h).
 *
 * Whatever fails on either side, the parent kills the child and takes away all that was made.
 */
#include "child.h"
#include "host.h"
#include "ns.h"
#include "spawn.h"
#include "state.h"

#include <paas/file.h>

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    DESTROY_WAIT_MS = 1000, /* SIGKILL takes a few ms; more means a process stuck in the kernel */
    STAT_START_TIME = 22,   /* field of /proc/PID/stat */
    STAT_TEXT_MAX = 1024,
};

struct in_addr sandbox_address(uint32_t platform, uint32_t slot) {
    return netns_slot_address(platform, slot);
}

/* ---- start ---- */

/* What the parent holds while a start is under way. */
struct start {
    struct sandbox_host *host;
    const struct sandbox_spec *spec;
    const struct sandbox_fds *fds;
    struct plan plan;
    struct idmap_pair userns;
    int disk; /* the root's mount, where it lies on disk */
    struct state state;
    struct cgroup_birth birth;
    struct cgroup_app app;
    int netns;
    pid_t pid;
    int pidfd;
};

/* Takes the slot's network namespace, made ahead or now. */
static int take_network(struct start *s, struct err *err) {
    struct netns_made *ready = &s->host->networks[s->spec->slot];
    struct netns_made made = *ready;
    if (made.fd < 0 && netns_create(&s->host->net, s->spec->slot, &made, err) < 0) {
        return -1;
    }
    ready->fd = -1;
    s->netns = made.fd;
    return 0;
}

/* Makes all that the child is given. */
static int make_parts(struct start *s, struct err *err) {
    if (cgroup_make(&s->host->cgroups, s->spec->id, &s->birth, err) < 0 ||
        host_ensure_firewall(s->host, err) < 0 || (s->host->network && take_network(s, err) < 0)) {
        return -1;
    }
    uint32_t ids = sandbox_ids(s->host->id_base, s->spec->slot);
    struct cgroup_limits limits = { .memory_bytes = s->spec->memory_bytes,
        .cpu_milli = s->spec->cpu_milli,
        .pids_max = s->spec->pids_max,
        .init_uid = ids + SANDBOX_INIT_ID,
        .agent_uid = s->host->agent_uid };
    if (cgroup_make_app(&s->host->cgroups, s->spec->id, &limits, &s->app, err) < 0) {
        return -1;
    }
    return state_make(&s->state, s->fds->dir, s->host->agent_uid, err);
}

/* As init.h numbers them. */
static void number_fds(const struct start *s, int fds[INIT_FD_END]) {
    for (int i = 0; i < INIT_FD_END; i++) {
        fds[i] = -1;
    }
    fds[INIT_FD_START] = s->fds->block;
    fds[INIT_FD_EXIT] = s->state.fds[STATE_EXIT];
    fds[INIT_FD_LOG0] = s->state.fds[STATE_LOG0];
    fds[INIT_FD_LOG1] = s->state.fds[STATE_LOG1];
    fds[INIT_FD_SOCKET] = s->state.fds[STATE_SOCKET];
    fds[INIT_FD_OOM] = s->app.oom;
    fds[INIT_FD_KILL] = s->app.kill;
    fds[INIT_FD_FREEZE] = s->app.freeze;
    fds[INIT_FD_SECCOMP] = s->host->seccomp_app;
    fds[INIT_FD_CGROUP] = s->app.dir;
    fds[INIT_FD_PROCS] = s->app.procs;
    for (int i = 0; i < s->app.n_join; i++) {
        fds[INIT_FD_JOIN + i] = s->app.join[i];
    }
}

static int bear_child(struct start *s, struct err *err) {
    struct child child = { .host = s->host,
        .spec = s->spec,
        .plan = &s->plan,
        .userns = s->userns,
        .address = s->host->network ? sandbox_address(s->host->platform, s->spec->slot)
                                    : (struct in_addr){ 0 },
        .disk = s->disk,
        .cgroup_ns = s->birth.namespace,
        .netns = s->netns };
    number_fds(s, child.fds);
    char *const argv[] = { (char *)"paas-init", NULL };
    struct spawn how = { .flags = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC,
        .cgroup = s->birth.init,
        .prepare = child_prepare,
        .arg = &child,
        .program = s->host->init_program,
        .argv = argv };
    how.flags |= s->host->network ? 0 : CLONE_NEWNET;
    s->pid = spawn_child(&s->host->place, &how, &s->pidfd, err);
    return s->pid < 0 ? -1 : 0;
}

static int read_start_time(int proc, pid_t pid, uint64_t *out, struct err *err) {
    char path[32], text[STAT_TEXT_MAX];
    snprintf(path, sizeof path, "%d/stat", pid);
    CLEANUP_FD int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (n < 0) {
        return err_sys(err, errno, "read /proc/%s", path);
    }
    text[n] = '\0';
    /* The second field is a name in brackets that may hold anything. */
    const char *p = strrchr(text, ')');
    for (int field = 2; p && field < STAT_START_TIME; field++) {
        p = strchr(p + 1, ' ');
    }
    if (!p) {
        return err_set(err, ERR_INTERNAL, "/proc/%s is not as expected", path);
    }
    *out = strtoull(p + 1, NULL, 10);
    return 0;
}

/* Not in the child: its cgroup may use no disk, and so it can't mount one. */
static int make_disk(struct start *s, struct err *err) {
    if (s->spec->flags & SANDBOX_DISK) {
        s->disk = disk_make(s->host, s->spec, sandbox_ids(s->host->id_base, s->spec->slot), err);
        return s->disk < 0 ? err_wrap(err, "can't make the root on disk") : 0;
    }
    return 0;
}

static int run_start(struct start *s, struct sandbox_started *out, struct err *err) {
    if (make_disk(s, err) < 0 || make_parts(s, err) < 0 || bear_child(s, err) < 0) {
        return -1;
    }
    *out = (struct sandbox_started){ .pid = s->pid, .slot = s->spec->slot };
    if (s->host->network) {
        out->address = sandbox_address(s->host->platform, s->spec->slot);
    }
    return read_start_time(s->host->proc, s->pid, &out->start_time, err);
}

/* Takes away what a failed start has made. */
static void undo(struct start *s) {
    if (s->pid > 0) {
        ns_kill_and_reap(s->pidfd);
    }
    cgroup_destroy(&s->host->cgroups, s->spec->id, DESTROY_WAIT_MS, NULL);
    state_unmake(&s->state, s->fds->dir);
    disk_drop(s->host, s->spec->id);
}

static void release(struct start *s) {
    file_close(&s->disk);
    file_close(&s->birth.init);
    file_close(&s->birth.namespace);
    cgroup_app_close(&s->app);
    state_close(&s->state);
    file_close(&s->netns);
    file_close(&s->pidfd);
    idmap_put(&s->host->ids, s->spec->slot);
}

int sandbox_start(struct sandbox_host *host, const struct sandbox_spec *spec,
    const struct sandbox_fds *fds, struct sandbox_started *out, struct err *err) {
    struct start s = { .host = host,
        .spec = spec,
        .fds = fds,
        .disk = -1,
        .birth = { -1, -1 },
        .netns = -1,
        .pidfd = -1 };
    state_init(&s.state);
    cgroup_app_init(&s.app);
    if (sandbox_spec_check(spec, err) < 0) {
        return -1;
    }
    if (faccessat(host->cgroups.instances, spec->id, F_OK, 0) == 0) {
        return err_set(err, ERR_CONFLICT, "sandbox %s exists", spec->id);
    }
    if (idmap_get(&host->ids, spec->slot, &s.userns, err) < 0) {
        return -1;
    }
    plan_make(spec, &host->features, host->network, &s.plan);
    int result = run_start(&s, out, err);
    if (result < 0) {
        undo(&s);
        err_wrap(err, "start %s", spec->id);
    } else {
        out->pidfd = s.pidfd;
        s.pidfd = -1;
    }
    release(&s);
    return result;
}

int sandbox_prepare(struct sandbox_host *host, uint32_t slot, struct err *err) {
    if (slot < SANDBOX_SLOT_MIN || slot > SANDBOX_SLOT_MAX) {
        return err_set(err, ERR_BAD_VALUE, "no such slot");
    }
    int made = idmap_prepare(&host->ids, slot, err);
    if (made != 0 || !host->network || host->networks[slot].fd >= 0) {
        return made;
    }
    return netns_create(&host->net, slot, &host->networks[slot], err) < 0 ? -1 : 1;
}

bool sandbox_unprepare(struct sandbox_host *host, uint32_t slot) {
    bool made = slot <= SANDBOX_SLOT_MAX && host->networks[slot].fd >= 0;
    if (made) {
        file_close(&host->networks[slot].fd); /* the last hold on it */
    }
    return made;
}

/* ---- destroy ---- */

static bool id_is_safe(const char *id) {
    size_t len = strnlen(id, SANDBOX_ID_MAX);
    return len > 0 && len < SANDBOX_ID_MAX && id[0] != '.' && !strchr(id, '/');
}

/* Its end shall not wait for the disk. */
static void hold_disk(struct sandbox_host *host, const char *id) {
    pid_t init = cgroup_init_pid(&host->cgroups, id, NULL);
    if (init > 0) {
        disk_adopt(host, id, init);
    }
}

int sandbox_destroy(struct sandbox_host *host, const char *id, struct err *err) {
    if (!id_is_safe(id)) {
        return err_set(err, ERR_BAD_VALUE, "bad id");
    }
    hold_disk(host, id);
    if (cgroup_destroy(&host->cgroups, id, DESTROY_WAIT_MS, err) < 0) {
        return err_wrap(err, "destroy %s", id);
    }
    disk_drop(host, id);
    return 0;
}

struct sweep {
    struct sandbox_host *host;
    const char (*keep)[SANDBOX_ID_MAX];
    size_t n_keep;
    struct err *err;
    bool failed;
};

static int sweep_one(void *arg, const char *id) {
    struct sweep *sweep = arg;
    for (size_t i = 0; i < sweep->n_keep; i++) {
        if (strncmp(sweep->keep[i], id, SANDBOX_ID_MAX) == 0) {
            hold_disk(sweep->host, id);
            return 0;
        }
    }
    /* One that can't be removed must not keep the others. */
    sweep->failed |= sandbox_destroy(sweep->host, id, sweep->err) < 0;
    return 0;
}

int sandbox_sweep(
    struct sandbox_host *host, const char (*keep)[SANDBOX_ID_MAX], size_t n_keep, struct err *err) {
    struct sweep sweep = { host, keep, n_keep, err, false };
    if (cgroup_each(&host->cgroups, sweep_one, &sweep, err) < 0) {
        return -1;
    }
    return sweep.failed ? -1 : 0;
}

/* ---- exec ---- */

static int open_pidfd(pid_t pid) {
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

/* Holds paas-init of `id`: the pid is read again once it is held, so that it can't be another's. */
static int hold_init(struct sandbox_host *host, const char *id, pid_t *pid, struct err *err) {
    *pid = cgroup_init_pid(&host->cgroups, id, err);
    CLEANUP_FD int pidfd = *pid > 0 ? open_pidfd(*pid) : -1;
    if (*pid < 0) {
        return -1;
    }
    if (pidfd < 0 || cgroup_init_pid(&host->cgroups, id, NULL) != *pid) {
        return err_set(err, ERR_NOT_FOUND, "sandbox %s does not run", id);
    }
    int held = pidfd;
    pidfd = -1;
    return held;
}

/* Clones a process that is born in the app's cgroup and in its pid namespace. */
static int bear_exec(struct sandbox_host *host, const struct child_exec *exec, int cgroup,
    pid_t *pid, int *pidfd, struct err *err) {
    if (setns(exec->init, CLONE_NEWPID) < 0) {
        return err_sys(err, errno, "enter the pid namespace");
    }
    char *const argv[] = { (char *)"paas-init", (char *)"exec", NULL };
    struct spawn how = { .cgroup = cgroup,
        .copies = true,
        .prepare = child_prepare_exec,
        .arg = exec,
        .program = host->init_program,
        .argv = argv };
    *pid = spawn_child(&host->place, &how, pidfd, err);
    /* One's own pid namespace can always be entered: with another, every start would go astray. */
    if (setns(host->pid_ns, CLONE_NEWPID) < 0) {
        abort();
    }
    return *pid < 0 ? -1 : 0;
}

static int run_exec(struct sandbox_host *host, const char *id, struct child_exec *exec, pid_t *pid,
    int *pidfd, struct err *err) {
    struct cgroup_app app;
    cgroup_app_init(&app);
    int result = cgroup_join_app(&host->cgroups, id, &app, err);
    if (result == 0) {
        exec->join = app.join;
        exec->n_join = app.n_join;
        result = bear_exec(host, exec, app.dir, pid, pidfd, err);
    }
    cgroup_app_close(&app);
    return result;
}

int sandbox_exec(struct sandbox_host *host, const char *id, const struct sandbox_exec_fds *fds,
    pid_t *pid, int *pidfd, struct err *err) {
    if (!id_is_safe(id)) {
        return err_set(err, ERR_BAD_VALUE, "bad id");
    }
    pid_t init_pid;
    CLEANUP_FD int init = hold_init(host, id, &init_pid, err);
    struct rlimit files;
    if (init < 0) {
        return -1;
    }
    if (prlimit(init_pid, RLIMIT_NOFILE, NULL, &files) < 0) {
        return err_set(err, ERR_NOT_FOUND, "sandbox %s does not run", id);
    }
    struct child_exec exec = {
        .host = host, .fds = fds, .init = init, .files_max = (uint32_t)files.rlim_cur
    };
    *pidfd = -1;
    return run_exec(host, id, &exec, pid, pidfd, err) < 0 ? err_wrap(err, "exec in %s", id) : 0;
}
