/* Control groups: where a sandbox's processes are counted, limited, frozen and killed.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Below the delegated cgroup D lies, in the v2 tree, D/NAME/instances/ID with two leaves: `init`
 * for paas-init and `app` for the app and what is run beside it. Membership, freeze and kill are
 * that tree's on every host. Limits are too where it has the controllers (back end v2). On a hybrid
 * host (back end v1) they are those of D/NAME/instances/ID in the memory, cpu and pids hierarchies,
 * which only the app joins; paas-init stays in the one above.
 *
 * D is the cgroup of the process that opens it, or the part before NAME when it is inside already.
 *
 * Traps that the code avoids: a tree that is mounted nsdelegate lets nobody move across the root of
 * its cgroup namespace, so that root is ID itself where paas-init must bear the app into ID/app;
 * writing to cgroup.procs, and giving controllers to a cgroup with processes, waits for an RCU
 * grace period (10 ms when the machine is idle), so processes are born where they belong, after the
 * controllers, and v1 is joined through `tasks`; a
 * cgroup that was killed kills what is born in it, so an id is never used again.
 */
#ifndef SANDBOX_CGROUP_H
#define SANDBOX_CGROUP_H

#include "lean.h"

#include <paas/err.h>
#include <paas/sandbox.h>

enum {
    CGROUP_V1 = 3,        /* hierarchies used on a hybrid host: memory, cpu, pids */
    CGROUP_PATH_MAX = 512 /* bytes of the path of D */
};

/* What a v2 cgroup gives to those below it. */
#define CGROUP_V2_CONTROLLERS "+memory +cpu +pids"

struct cgroup_backend;

struct sandbox_cgroups {
    const struct cgroup_backend *backend;
    int proc;                /* for cgroup_make: the host's /proc, borrowed */
    const struct lean *lean; /* for cgroup_make: see lean.h; may be NULL */
    int instances;           /* NAME/instances in the v2 tree */
    int v1[CGROUP_V1];       /* the same in v1 hierarchies; -1 on v2 */
    int tasks[CGROUP_V1];    /* their `tasks`, write-only; -1 on v2 and without CGROUP_MAKE */
};

struct cgroup_limits {
    uint64_t memory_bytes;
    uint32_t cpu_milli;
    uint32_t pids_max;
    uid_t init_uid;  /* paas-init, as the host sees it: may place processes in `app` */
    uid_t agent_uid; /* may freeze and kill `app`, and let its memory go to swap */
};

/* What paas-init gets of its app's cgroup; -1 where there is none. */
struct cgroup_app {
    int kill;            /* cgroup.kill, write-only */
    int freeze;          /* cgroup.freeze, write-only */
    int oom;             /* v1: an eventfd; v2: memory.events */
    int dir;             /* the v2 leaf, to be born in */
    int procs;           /* its cgroup.procs, write-only: the slow way in */
    int join[CGROUP_V1]; /* v1 `tasks`, write-only: the process itself writes "0" to each */
    int n_join;
};
void cgroup_app_init(struct cgroup_app *app);
void cgroup_app_close(struct cgroup_app *app);

/* What differs between the back ends. */
struct cgroup_backend {
    const char *name;
    /* Files of a group's memory, and lines of its memory.stat that count those below it, too. */
    const char *memory_limit, *memory_usage, *inactive_file, *active_file;
    /* Makes what the leaf `app` (a v2 directory) needs beyond itself and sets the limits. Sets
     * out->join and out->oom. */
    int (*limit)(const struct sandbox_cgroups *c, const char *id, int app,
        const struct cgroup_limits *limits, struct cgroup_app *out, struct err *err);
    /* Sets out->join to the `tasks` files of a sandbox that exists. */
    int (*join)(
        const struct sandbox_cgroups *c, const char *id, struct cgroup_app *out, struct err *err);
    /* Removes what `limit` made; nothing there is no error. */
    int (*remove)(const struct sandbox_cgroups *c, const char *id, struct err *err);
    /* Fills memory, pids and OOM figures of *out. */
    int (*usage)(const struct sandbox_cgroups *c, const char *id, int app,
        struct sandbox_usage *out, struct err *err);
    /* sandbox_swap() and sandbox_give_back(). */
    int (*swap)(
        const struct sandbox_cgroups *c, const char *id, int app, bool allowed, struct err *err);
    int (*give_back)(const struct sandbox_cgroups *c, const char *id, int app, struct err *err);
};
extern const struct cgroup_backend cgroup_v1, cgroup_v2;

enum cgroup_open_flags {
    CGROUP_MAKE = 1 << 0, /* make NAME/instances and give it the controllers */
};
int cgroup_open(struct sandbox_cgroups *c, const char *name, int flags, struct err *err);
void cgroup_close(struct sandbox_cgroups *c);
/* Removes NAME/instances and NAME/system with their empty leaves, then NAME. What a process still
 * lives in is left without an error: daemons may outlive the host. */
int cgroup_clear(const struct sandbox_cgroups *c, const char *name, struct err *err);

/* Where a sandbox's first process is born. */
struct cgroup_birth {
    int init;      /* directory of ID/init, to be born in */
    int namespace; /* v2: a cgroup namespace whose root is ID; v1: -1 */
};
/* Makes ID and ID/init. The caller closes what *out holds. c->proc and c->lean are set. */
int cgroup_make(
    const struct sandbox_cgroups *c, const char *id, struct cgroup_birth *out, struct err *err);
/* Hides what lies above from the calling process and its children: on v2 by entering the namespace
 * of cgroup_make; on v1 by one of its own, from D/NAME/instances and ID/init on. */
int cgroup_hide(const struct sandbox_cgroups *c, int namespace, struct err *err);
/* Makes ID/app with its limits. */
int cgroup_make_app(const struct sandbox_cgroups *c, const char *id,
    const struct cgroup_limits *limits, struct cgroup_app *out, struct err *err);
/* Opens what a further process needs to join ID/app: out->dir and out->join. ERR_NOT_FOUND. */
int cgroup_join_app(
    const struct sandbox_cgroups *c, const char *id, struct cgroup_app *out, struct err *err);
/* Kills all of ID, waits at most `wait_ms` for the end, and removes it. Idempotent. */
int cgroup_destroy(const struct sandbox_cgroups *c, const char *id, int wait_ms, struct err *err);

/* The first process of ID/init, 0 when there is none (then it has ended), -1 with *err. */
pid_t cgroup_init_pid(const struct sandbox_cgroups *c, const char *id, struct err *err);

/* Calls `each` for every sandbox until it returns other than 0, which is returned. */
int cgroup_each(const struct sandbox_cgroups *c, int (*each)(void *arg, const char *id), void *arg,
    struct err *err);
/* Counts directories and processes of all sandboxes. */
int cgroup_census(const struct sandbox_cgroups *c, struct sandbox_census *out, struct err *err);

/* ---- for the back ends ---- */

/* Writes `text` to `file` below `dir`. */
int cgroup_write(int dir, const char *file, const char *text, struct err *err);
int cgroup_write_number(int dir, const char *file, uint64_t number, struct err *err);
/* Makes `file` the user's, to write to. */
int cgroup_give(int dir, const char *file, uid_t uid, struct err *err);
/* Reads a small file as text. Returns its length, or -1 with *err (ERR_NOT_FOUND for ENOENT). */
enum { CGROUP_TEXT_MAX = 1024 /* bytes with the NUL; the longest read is a v2 cpu.stat */ };
int cgroup_read(int dir, const char *file, char text[CGROUP_TEXT_MAX], struct err *err);
/* Has the kernel bring its figures of that memory cgroup up to date, as it does for who reads them,
 * else only now and then: with old ones a reclaim may find nothing to do. */
void cgroup_count_anew(int dir);
/* The number after `key` and a blank at the start of a line, or 0. */
uint64_t cgroup_value(const char *text, const char *key);
/* The single number in `file`, 0 where it is missing. */
uint64_t cgroup_read_number(int dir, const char *file);
/* rmdir of `name`, which may be gone; tries again a bounded while when it is busy. */
int cgroup_remove_dir(int dir, const char *name, struct err *err);
/* Opens the directory `name` below `dir`. ERR_NOT_FOUND. */
int cgroup_open_dir(int dir, const char *name, struct err *err);
/* Fills *err for the errno `sys`: ERR_NOT_FOUND and "no `what`" where that is the reason. */
int cgroup_not_found_or(struct err *err, int sys, const char *what);
/* The directory `name` below `dir`, made if it is not there. */
int cgroup_make_dir(int dir, const char *name, struct err *err);

/* Where a hierarchy is mounted and D lies in it: pure, from the text of /proc/self/mountinfo and
 * /proc/self/cgroup. `controller` NULL means v2. Returns -1 when there is no such hierarchy. */
int cgroup_find(const char *mountinfo, const char *membership, const char *controller,
    const char *name, char path[CGROUP_PATH_MAX]);

#endif
