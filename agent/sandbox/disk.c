/* Roots on disk. SPDX-License-Identifier: Apache-2.0 */
#include "disk.h"
#include "ext4.h"
#include "host.h"
#include "mount.h"
#include "ns.h"

#include <paas/file.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

enum {
    ATTACH_TRIES = 64, /* others may take the device that is free */
    DEVICE_PATH = 64,
};

int disk_open(struct disk_holds *d, int images, struct err *err) {
    d->images = images;
    d->dev = images < 0 ? -1 : open("/dev", O_PATH | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = 0; i <= SANDBOX_SLOT_MAX; i++) {
        d->holds[i].root = -1;
    }
    return images >= 0 && d->dev < 0 ? err_sys(err, errno, "open /dev") : 0;
}

void disk_close(struct disk_holds *d) {
    for (size_t i = 0; i <= SANDBOX_SLOT_MAX; i++) {
        file_close(&d->holds[i].root);
    }
    file_close(&d->dev);
}

static struct disk_hold *find(struct disk_holds *d, const char *id) {
    for (size_t i = 0; i <= SANDBOX_SLOT_MAX; i++) {
        if (d->holds[i].root >= 0 && strcmp(d->holds[i].id, id) == 0) {
            return &d->holds[i];
        }
    }
    return NULL;
}

/* Keeps `root`, or closes it where there is no room: a hold is of use, not needed. */
static void hold(struct disk_holds *d, const char *id, int root) {
    for (size_t i = 0; i <= SANDBOX_SLOT_MAX; i++) {
        if (d->holds[i].root < 0) {
            snprintf(d->holds[i].id, sizeof d->holds[i].id, "%s", id);
            d->holds[i].root = root;
            return;
        }
    }
    close(root);
}

/* ---- making ---- */

/* A file without a name; with one for a moment where the file system knows no other way. */
static int make_file(int images, const char *id, struct err *err) {
    int fd = openat(images, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR)) {
        fd = openat(images, id, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd >= 0 && unlinkat(images, id, 0) < 0) {
            file_close(&fd);
        }
    }
    if (fd < 0) {
        err_sys(err, errno, "make the file of a root");
        return err_mark_full(err);
    }
    return fd;
}

static int make_image(
    int images, const struct sandbox_spec *spec, uint32_t owner, struct err *err) {
    struct ext4_options options = {
        .bytes = spec->rootfs_bytes, .owner = owner, .now = (uint32_t)time(NULL)
    };
    if (getrandom(options.uuid, EXT4_SEED, 0) != EXT4_SEED ||
        getrandom(options.hash, EXT4_SEED, 0) != EXT4_SEED) {
        return err_sys(err, errno, "random bytes");
    }
    int fd = make_file(images, spec->id, err);
    if (fd >= 0 && ext4_format(fd, &options, err) < 0) {
        file_close(&fd);
    }
    return fd;
}

static int no_devices(struct err *err) {
    return err_set(err, ERR_UNAVAILABLE, "this host has no loop devices: modprobe loop");
}

/* Opens the loop device that is free, or -1 with errno. */
static int open_free(int dev, int control) {
    char name[DEVICE_PATH];
    int number = ioctl(control, LOOP_CTL_GET_FREE);
    if (number < 0) {
        return -1;
    }
    snprintf(name, sizeof name, "loop%d", number);
    return openat(dev, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
}

/* Puts `image` behind a loop device, which is free again when nobody has it open. */
static int attach(int dev, int image, struct err *err) {
    /* Past the page cache: what the app writes is in memory once, as its own. */
    struct loop_config config = { .fd = (uint32_t)image,
        .block_size = EXT4_BLOCK,
        .info.lo_flags = LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO };
    CLEANUP_FD int control = openat(dev, "loop-control", O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (control < 0) {
        return no_devices(err);
    }
    for (int i = 0; i < ATTACH_TRIES; i++) {
        CLEANUP_FD int loop = open_free(dev, control);
        if (loop < 0) {
            return errno == ENOTTY || errno == ENOENT ? no_devices(err)
                                                      : err_sys(err, errno, "open a loop device");
        }
        if (ioctl(loop, LOOP_CONFIGURE, &config) == 0) {
            int attached = loop;
            loop = -1;
            return attached;
        }
        if (errno != EBUSY) {
            return err_sys(err, errno, "set up a loop device");
        }
    }
    return err_set(err, ERR_BUSY, "others take every loop device that is free");
}

/* By a path that leads to the descriptor: the device's own name is not in the small root. */
static int mount_device(int loop, struct err *err) {
    char source[DEVICE_PATH];
    snprintf(source, sizeof source, "/proc/self/fd/%d", loop);
    const char *const params[] = { "source", source, NULL, NULL };
    return mount_new("ext4", params,
        MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOATIME | MOUNT_ATTR_NODIRATIME, err);
}

int disk_make(
    struct sandbox_host *host, const struct sandbox_spec *spec, uint32_t owner, struct err *err) {
    struct disk_holds *d = &host->disks;
    if (d->images < 0) {
        return err_set(err, ERR_UNAVAILABLE, "this host keeps no roots on disk");
    }
    CLEANUP_FD int image = make_image(d->images, spec, owner, err);
    CLEANUP_FD int loop = image < 0 ? -1 : attach(d->dev, image, err);
    if (loop < 0) {
        return -1;
    }
    CLEANUP_FD int mount = mount_device(loop, err);
    if (mount < 0) {
        return -1;
    }
    int root = openat(mount, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0) {
        return err_sys(err, errno, "open a root on disk");
    }
    hold(d, spec->id, root);
    int made = mount;
    mount = -1;
    return made;
}

/* ---- ends ---- */

void disk_adopt(struct sandbox_host *host, const char *id, pid_t init) {
    struct disk_holds *d = &host->disks;
    char path[DEVICE_PATH];
    struct statfs fs;
    if (d->images < 0 || find(d, id)) {
        return;
    }
    /* A mount point there, whatever the app does, and of no other ext4 than its own. */
    snprintf(path, sizeof path, "%d/root/tmp", (int)init);
    int root = openat(host->proc, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (root >= 0 && fstatfs(root, &fs) == 0 && fs.f_type == EXT4_SUPER_MAGIC) {
        hold(d, id, root);
    } else {
        file_close(&root);
    }
}

void disk_drop(struct sandbox_host *host, const char *id) {
    struct disk_hold *held = find(&host->disks, id);
    int go[2], pidfd;
    if (!held) {
        return;
    }
    /* A child has the last hold: its end is that of the file system. It waits until ours is gone.
     */
    if (pipe2(go, O_CLOEXEC) == 0) {
        struct ns_clone how = { .cgroup = -1, .lean = &host->lean };
        pid_t pid = ns_clone(&how, &pidfd);
        if (pid == 0) {
            char byte;
            close(go[1]);
            _exit(read(go[0], &byte, 1) == 0 ? 0 : 1);
        }
        if (pid > 0) {
            close(pidfd);
        }
        file_close(&held->root);
        close(go[0]);
        close(go[1]);
    }
    file_close(&held->root);
}
