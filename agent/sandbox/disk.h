/* Roots on disk: for each sandbox a file system of its own in a nameless sparse file.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The file has no name from its birth on, its loop device frees itself (autoclear), and the file
 * system is attached in the sandbox's mount namespace alone: the last of them to end takes all of
 * it away, whoever has died. What the host adds is a hold on the file system, so that it is not the
 * end of paas-init that waits until the disk has taken what nobody will read: disk_drop() lets a
 * process of its own wait for that.
 */
#ifndef SANDBOX_DISK_H
#define SANDBOX_DISK_H

#include <paas/err.h>
#include <paas/sandbox.h>

struct sandbox_host;

/* Holds on file systems, one for each sandbox that has one and that this process knows of. */
struct disk_holds {
    int dev;    /* /dev of the machine */
    int images; /* where the files lie; -1: no sandbox has its root on disk. Borrowed. */
    struct disk_hold {
        char id[SANDBOX_ID_MAX];
        int root; /* -1: free */
    } holds[SANDBOX_SLOT_MAX + 1];
};

/* Opens what is needed of the machine's paths. A machine without loop devices is found out at a
 * start. */
int disk_open(struct disk_holds *d, int images, struct err *err);
void disk_close(struct disk_holds *d);

/* Makes the file system of spec->rootfs_bytes, its root directory owned by `owner`. Returns a
 * detached mount, and holds it as spec->id. ERR_UNAVAILABLE without loop devices, ERR_FULL without
 * room. */
int disk_make(
    struct sandbox_host *host, const struct sandbox_spec *spec, uint32_t owner, struct err *err);

/* Holds the file system of a running sandbox, whose paas-init is `init`, that another process has
 * made. Does nothing where it has none, or is held already. */
void disk_adopt(struct sandbox_host *host, const char *id, pid_t init);

/* Lets go of what is held as `id`, if there is any; does not wait for the disk. */
void disk_drop(struct sandbox_host *host, const char *id);

#endif
