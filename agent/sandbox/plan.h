/* The way from clone3 to execve, as a list of steps. Pure. SPDX-License-Identifier: Apache-2.0
 *
 * What is done, in which order and with which attributes is decided here from the spec and the
 * kernel's features, and can be read and tested as data; child.c carries it out.
 */
#ifndef SANDBOX_PLAN_H
#define SANDBOX_PLAN_H

#include "host_features.h"

#include <paas/sandbox.h>

/* kind, words for errors: "can't " and these */
#define PLAN_STEPS(X)                                                                              \
    X(CGROUPS, "hide the cgroups above")                                                           \
    X(WRITABLE, "make the writable file system")                                                   \
    X(LAYER, "open a layer")                                                                       \
    X(ROOT, "put the layers together")                                                             \
    X(MOUNT, "mount")                                                                              \
    X(PIVOT, "change the root")                                                                    \
    X(NETWORK, "enter the network")                                                                \
    X(HOSTNAME, "set the host name")                                                               \
    X(DESCRIPTORS, "arrange the descriptors")                                                      \
    X(LIMITS, "set the resource limits")                                                           \
    X(USER, "enter the user namespace")                                                            \
    X(PRIVILEGES, "give up privileges")

enum plan_kind {
#define X(id, words) STEP_##id,
    PLAN_STEPS(X)
#undef X
        STEP_COUNT
};

enum plan_source {
    PLAN_PROC,     /* a fresh proc */
    PLAN_PTS,      /* a fresh devpts */
    PLAN_SHM,      /* a fresh tmpfs for /dev/shm */
    PLAN_WRITABLE, /* a directory of the instance's writable file system: `from` */
    PLAN_SHARED,   /* a path of the small root: `from` */
};

/* A mount in the instance. */
struct plan_mount {
    const char *target; /* below the root */
    enum plan_source source;
    const char *from;
    unsigned flags; /* enum mount_clone_flags */
    unsigned attr;  /* MOUNT_ATTR_ */
};

struct plan_step {
    enum plan_kind kind;
    uint32_t layer;          /* STEP_LAYER: index in the spec; spec->n_layers is the skeleton */
    struct plan_mount mount; /* STEP_MOUNT */
};

enum {
    PLAN_MASKS = 7, /* paths in /proc that tell of the machine or of other tenants */
    PLAN_STEPS_MAX = SANDBOX_LAYERS_MAX + 32,
};
extern const char *const plan_masks[PLAN_MASKS];

struct plan {
    size_t count;
    struct plan_step steps[PLAN_STEPS_MAX];
};

/* Lists the steps. `network`: a network namespace comes from the parent. */
void plan_make(const struct sandbox_spec *spec, const struct features *features, bool network,
    struct plan *out);

/* "can't mount proc/keys" and the like. */
void plan_describe(const struct plan_step *step, char *text, size_t size);

#endif
