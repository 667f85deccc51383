/* The container runtime: a process with its own root, ids, network and limits.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Two users, two halves.
 *
 * `struct sandbox_host` is for one root process, single-threaded: it starts, enters and destroys
 * sandboxes. It is opened once and holds what does not depend on the sandbox: the kernel's
 * features, the cgroup back end, the shared /dev, the compiled seccomp programs, a sealed copy of
 * paas-init, the netlink socket, user namespaces made ahead. It reads fixed-size structs only;
 * what an app is told (arguments, environment) passes through as a sealed file that paas-init reads
 * once all privilege is gone.
 *
 * `struct sandbox_cgroups` is for anyone who may read the cgroup tree; freezing and killing need
 * the uid that the host was opened with (`agent_uid`).
 *
 * A sandbox lives on when its host closes: all that is needed to find and destroy it again is its
 * id, and a destroy of something half-made or half-gone finishes the work.
 */
#ifndef PAAS_SANDBOX_H
#define PAAS_SANDBOX_H

#include <paas/err.h>

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    SANDBOX_ID_MAX = 16,       /* bytes of an id with its NUL: [a-z2-7]{1,15} */
    SANDBOX_HOSTNAME_MAX = 64, /* bytes with the NUL; the kernel's own bound */
    SANDBOX_LAYERS_MAX = 128,  /* what Docker allows; overlayfs takes 500 */
    SANDBOX_DIGEST_LEN = 64,   /* lower-case hexadecimal digits of a layer's SHA-256 */
    SANDBOX_RESOLVERS_MAX = 3, /* the C library reads no more from resolv.conf */

    SANDBOX_IDS_PER_SLOT = 65537,     /* 0..65535 for the image, 65536 for paas-init */
    SANDBOX_INIT_ID = 65536,          /* paas-init's id inside */
    SANDBOX_SLOT_STORE = 1,           /* the slot whose ids own layers on disk */
    SANDBOX_SLOT_MIN = 16,            /* slots below are for daemons and the store */
    SANDBOX_SLOT_MAX = 1039,          /* the last slot of a platform's range */
    SANDBOX_PLATFORM_MAX = 31,        /* platforms on one kernel, minus one */
    SANDBOX_PLATFORM_IDS = 0x4100000, /* ids of one platform */
    SANDBOX_ID_BASE = 0x40000000,     /* the first id of platform 0 */
};

/* The first id of `slot`, as the host sees it. */
static inline uint32_t sandbox_ids(uint32_t id_base, uint32_t slot) {
    return id_base + slot * SANDBOX_IDS_PER_SLOT;
}

struct sandbox_host;

enum sandbox_host_flags {
    /* No network namespace plumbing, no firewall: instances have a loopback device only. */
    SANDBOX_NO_NETWORK = 1u << 0,
};

struct sandbox_host_options {
    uint32_t platform;     /* 0..SANDBOX_PLATFORM_MAX: names and addresses derive from it */
    uint32_t id_base;      /* first id of the platform's range */
    uint32_t agent_uid;    /* owns freeze, kill, the way to swap and the instance's files; its gid
                              is the same */
    uint32_t flags;        /* enum sandbox_host_flags */
    const char *cgroup;    /* name below the delegated cgroup, "paas3" */
    const char *init_path; /* the paas-init program; copied */
    uint32_t n_resolvers;  /* name servers that instances may ask on port 53 */
    struct in_addr resolvers[SANDBOX_RESOLVERS_MAX];
    int store_fd;  /* directory with one subdirectory for each layer, named by digest; its
                               files are owned by ids of slot SANDBOX_SLOT_STORE. Borrowed. */
    int images_fd; /* directory in which roots on disk are made, as files without names; -1: there
                      are none. Borrowed. */
};

/* Opens the host: probes the kernel, makes the cgroup `cgroup`/instances, claims the network range
 * and firewall table of the platform. All of it is idempotent and finds leftovers of a crash.
 *
 * Afterwards the calling process has a mount namespace of its own whose root holds only /proc,
 * /store, /usr, /ssl, /dev and empty directories, read-only, so that a start costs the same however
 * many mounts the machine has. Descriptors opened before keep working; paths don't: open what is
 * needed first. The working directory is "/" from then on. The soft limit of descriptors is raised
 * to the hard one. Returns NULL with *err set. */
struct sandbox_host *sandbox_host_open(const struct sandbox_host_options *options, struct err *err);

/* Looks again where the machine's default routes lead and writes the firewall anew, for the name
 * servers given: call it when routes or resolvers may have changed, and now and then, as others may
 * flush all rules. A start looks whether the rules are there, and writes them if not. About 1 ms.
 */
int sandbox_network_refresh(
    struct sandbox_host *host, const struct in_addr *resolvers, size_t n, struct err *err);

enum sandbox_close {
    SANDBOX_LEAVE, /* sandboxes, their network and the firewall stay, for the next host */
    SANDBOX_CLEAR, /* what host_open made is removed; destroy the sandboxes first */
};
/* Closes it. `host` may be NULL. Returns -1 with *err set if something could not be removed; the
 * memory is freed all the same. */
int sandbox_host_close(struct sandbox_host *host, enum sandbox_close how, struct err *err);

enum sandbox_stack {
    SANDBOX_IMAGE, /* the layers are the whole root */
    SANDBOX_HOST,  /* the host's /usr, read-only, under a small /etc; layers lie over it */
};

enum sandbox_flags {
    SANDBOX_DISK = 1u << 0, /* what is written lies on disk, not in memory */
};

/* What to start. Fixed size, no pointers: it travels between processes as it is. */
struct sandbox_spec {
    char id[SANDBOX_ID_MAX];
    char hostname[SANDBOX_HOSTNAME_MAX];
    uint32_t slot;         /* SANDBOX_SLOT_MIN..SANDBOX_SLOT_MAX, used by no other living sandbox */
    uint32_t stack;        /* enum sandbox_stack */
    uint32_t flags;        /* enum sandbox_flags */
    uint32_t cpu_milli;    /* thousandths of a cpu, 10..1024000 */
    uint32_t pids_max;     /* processes and threads of the app, 1..1048576 */
    uint32_t files_max;    /* descriptors of one process, 64..1048576, cut to what the host has */
    uint64_t memory_bytes; /* the app's memory with its files in memory, at least 1 MiB; see
                              sandbox_swap() */
    uint64_t rootfs_bytes; /* what may be written to the root, /tmp and /dev/shm together, at least
                              64 KiB; it counts as memory. With SANDBOX_DISK the size of the file
                              system for root and /tmp, 1 MiB to 1 TiB; /dev/shm is of its own */
    uint32_t n_resolvers;  /* name servers for /etc/resolv.conf */
    struct in_addr resolvers[SANDBOX_RESOLVERS_MAX];
    uint32_t n_layers;                                   /* at least 1 for SANDBOX_IMAGE */
    char layers[SANDBOX_LAYERS_MAX][SANDBOX_DIGEST_LEN]; /* lowest first, no NUL */
};

/* Fills *spec with defaults: 128 MiB, one cpu, 512 pids, 1024 files, 64 MiB of root. */
void sandbox_spec_init(struct sandbox_spec *spec);
/* Checks every member. Returns -1 with *err naming the member (ERR_BAD_VALUE). Pure. */
int sandbox_spec_check(const struct sandbox_spec *spec, struct err *err);

/* Descriptors for a start. All are borrowed. */
struct sandbox_fds {
    int block; /* sealed memfd for paas-init (<paas/init.h>): what to run and how */
    int dir;   /* the instance's directory: exit, log.0, log.1 and init.sock are made in it */
};

struct sandbox_started {
    pid_t pid;              /* of paas-init, as the host sees it */
    int pidfd;              /* of paas-init; the caller owns it */
    uint64_t start_time;    /* clock ticks since boot, field 22 of /proc/PID/stat */
    struct in_addr address; /* 0 without network */
    uint32_t slot;
};

/* Starts a sandbox and returns when paas-init has been exec'ed in it. The caller is its parent and
 * reaps it. On failure nothing is left, -1 is returned and *err says which step failed and why. */
int sandbox_start(struct sandbox_host *host, const struct sandbox_spec *spec,
    const struct sandbox_fds *fds, struct sandbox_started *out, struct err *err);

/* Kills what runs in the sandbox, app and paas-init, and removes its cgroups. Idempotent; unknown
 * ids are fine. Its namespaces, mounts and network device end with its last process. The caller
 * still reaps paas-init. Waits at most a second for the processes to end (ERR_TIMEOUT). */
int sandbox_destroy(struct sandbox_host *host, const char *id, struct err *err);

/* Destroys every sandbox of this host that is not among `keep`, an array of ids. */
int sandbox_sweep(
    struct sandbox_host *host, const char (*keep)[SANDBOX_ID_MAX], size_t n_keep, struct err *err);

/* Descriptors for a command in a sandbox. All are borrowed. */
struct sandbox_exec_fds {
    int block; /* sealed memfd for paas-init (<paas/init.h>): what to run and as whom */
    int in, out, err;
};

/* Runs a command beside the app, in its namespaces, limits and filter. The app must not be frozen.
 * On success *pid is the process and *pidfd its descriptor; the caller is the parent, reaps it and
 * owns the descriptor. ERR_NOT_FOUND when the sandbox does not run. */
int sandbox_exec(struct sandbox_host *host, const char *id, const struct sandbox_exec_fds *fds,
    pid_t *pid, int *pidfd, struct err *err);

/* Makes ahead what a start in `slot` needs, off its path: call it when idle. Makes at most one
 * thing a call (under 1 ms); returns 1 when there was something to make, 0 when not, -1 with *err
 * set. */
int sandbox_prepare(struct sandbox_host *host, uint32_t slot, struct err *err);
/* Lets go of the network that was made ahead for `slot`; false when there is none. */
bool sandbox_unprepare(struct sandbox_host *host, uint32_t slot);

/* The address that instances of `slot` have. Pure. */
struct in_addr sandbox_address(uint32_t platform, uint32_t slot);

/* What of ours the kernel holds: for tests that count before and after. */
struct sandbox_census {
    uint32_t processes; /* in cgroups of sandboxes */
    uint32_t cgroups;   /* directories of sandboxes, in all trees */
    uint32_t mounts;    /* in the host process's mount namespace */
    uint32_t devices;   /* network devices of sandboxes */
    uint32_t files;     /* open descriptors of the host process */
};
int sandbox_census(struct sandbox_host *host, struct sandbox_census *out, struct err *err);

/* Moves the calling process into the cgroup `cgroup`/system/`leaf` below the delegated one and
 * makes it if need be. Threads move with it. A pure v2 host needs this before sandbox_host_open,
 * for a cgroup that limits others must hold no process itself. */
int sandbox_cgroup_enter(const char *cgroup, const char *leaf, struct err *err);

/* ---- for the agent: reading, freezing, giving back and killing by id ---- */

struct sandbox_cgroups;

/* Opens the tree of `cgroup` below the delegated cgroup. NULL with *err set when there is none. */
struct sandbox_cgroups *sandbox_cgroups_open(const char *cgroup, struct err *err);
void sandbox_cgroups_close(struct sandbox_cgroups *c);

/* Lowers *total and *available, in bytes and positive, to what limits of cgroups leave to all
 * sandboxes together: of the platform's own, and of those above it, as in a container. */
void sandbox_memory_room(const struct sandbox_cgroups *c, int64_t *total, int64_t *available);

struct sandbox_usage {
    uint64_t memory_bytes;  /* charged now, with files in memory */
    uint64_t memory_peak;   /* highest seen; 0 where the kernel does not say */
    uint64_t swapped_bytes; /* in the host's swap; not among memory_bytes */
    uint64_t cpu_usec;      /* user and system time used so far */
    uint64_t pids;
    uint64_t oom_kills; /* kills for lack of memory that the kernel counted */
    bool frozen;
    bool populated; /* some process of the app lives */
};
/* What the app's cgroup says. ERR_NOT_FOUND when it is gone. */
int sandbox_usage(
    const struct sandbox_cgroups *c, const char *id, struct sandbox_usage *out, struct err *err);
/* Asks for a freeze or thaw of the app; sandbox_usage() says when it is done. */
int sandbox_freeze(const struct sandbox_cgroups *c, const char *id, bool frozen, struct err *err);
/* Whether the app's memory may go to the host's swap: only while this allows it, which is meant for
 * apps that are frozen. Forbid it again before a thaw: what lies in swap then comes back page by
 * page as it is used, and nothing more goes there. With v1 controllers memory and swap together
 * stay within memory_bytes. v2 counts them apart: what is in memory is never more than
 * memory_bytes, and beside it there may be what went to swap while the app slept and was not used
 * since. -1 with *err where there is no such file: the cgroup is gone, or the kernel has no swap.
 */
int sandbox_swap(const struct sandbox_cgroups *c, const char *id, bool allowed, struct err *err);
/* Has the kernel move memory of an app to swap that sandbox_swap() allows it, and let go of files
 * that it can read again: one step, of all or of some MiB, as the kernel likes; sandbox_usage()
 * says what has gone, and another step may do more. Blocks for a few milliseconds a MiB, so it
 * wants a thread of its own; the caller sees to it that `c` lives as long. A thaw does not wait for
 * it: once swap is forbidden the call finds nothing more to move, and returns. */
int sandbox_give_back(const struct sandbox_cgroups *c, const char *id, struct err *err);
/* Kills all of the app at once, frozen or not. paas-init lives on to record it. */
int sandbox_kill(const struct sandbox_cgroups *c, const char *id, struct err *err);

#endif
