/* Helpers that write and remove layers in the store's id range. SPDX-License-Identifier: Apache-2.0
 *
 * The child makes its user namespace and says so; the parent, who may, maps the store's range into
 * it and lets it go on; the child becomes the namespace's root, keeps the few capabilities that
 * writing foreign files takes, closes all else and does its work (agent/image). A layer is written
 * beside its name and moved there when it is whole: what a crash leaves has another name.
 */
#include "layer_helper.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/prctl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <paas/file.h>
#include <paas/limits.h>
#include <paas/log.h>
#include <paas/unpack.h>

#define NEW_SUFFIX ".new"
#define OLD_SUFFIX ".old"
enum { LAYER_PATH_SIZE = SANDBOX_DIGEST_LEN + sizeof NEW_SUFFIX };

/* Descriptors of a helper; those that it has no use for are -1. Those that a cover is made of
 * follow. */
enum { HELPER_LAYER, HELPER_HIDDEN, HELPER_REPORT, HELPER_TAR, HELPER_FDS };
enum { HELPER_FIRST_FD = 3 };
struct helper_fds {
    int fds[HELPER_FDS + SANDBOX_LAYERS_MAX];
    int count;
    bool hidden[SANDBOX_LAYERS_MAX]; /* of those that follow: what the next one hides */
};

static int is_layer(const char *name) {
    return strspn(name, "0123456789abcdef") == SANDBOX_DIGEST_LEN && !name[SANDBOX_DIGEST_LEN];
}

/* Gives up what is not needed to write files of any id of the namespace. */
static int keep_file_capabilities(void) {
    const uint64_t keep =
        1u << CAP_CHOWN | 1u << CAP_DAC_OVERRIDE | 1u << CAP_FOWNER | 1u << CAP_FSETID;
    for (int cap = 0; cap <= CAP_LAST_CAP; cap++) {
        if (!(keep >> cap & 1) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0 && errno != EINVAL) {
            return -1;
        }
    }
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[2] = {
        { .effective = (uint32_t)keep, .permitted = (uint32_t)keep },
    };
    return (int)syscall(SYS_capset, &header, data);
}

/* Puts the descriptors where they belong, from HELPER_FIRST_FD on, and closes all others. */
static int arrange_fds(const struct helper_fds *h) {
    const int end = HELPER_FIRST_FD + h->count;
    int moved[HELPER_FDS + SANDBOX_LAYERS_MAX];
    for (int i = 0; i < h->count; i++) {
        moved[i] = h->fds[i] < 0 ? -1 : fcntl(h->fds[i], F_DUPFD, end);
        if (h->fds[i] >= 0 && moved[i] < 0) {
            return -1;
        }
    }
    for (int i = 0; i < h->count; i++) {
        if (moved[i] >= 0 && dup2(moved[i], HELPER_FIRST_FD + i) < 0) {
            return -1;
        }
    }
    return (int)syscall(SYS_close_range, end, UINT_MAX, 0);
}

struct gate {
    int unshared[2]; /* child to parent: the namespace is there */
    int mapped[2];   /* parent to child: its ids are mapped */
};

/* Puts the directories back together as layers. */
static int cover_main(const struct helper_fds *h) {
    struct unpack_cover job = {
        .cover = HELPER_FIRST_FD + HELPER_LAYER,
        .report = HELPER_FIRST_FD + HELPER_REPORT,
    };
    int hidden = -1;
    for (int i = HELPER_FDS; i < h->count; i++) {
        if (h->hidden[i - HELPER_FDS]) {
            hidden = HELPER_FIRST_FD + i;
        } else {
            job.layers[job.count++] = (struct unpack_layer){ HELPER_FIRST_FD + i, hidden };
            hidden = -1;
        }
    }
    return unpack_cover_main(&job);
}

static _Noreturn void helper_main(
    const struct gate *gate, const struct helper_fds *fds, const struct layer_helper *h) {
    char byte = 0;
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || unshare(CLONE_NEWUSER) < 0 ||
        write(gate->unshared[1], &byte, 1) != 1 || read(gate->mapped[0], &byte, 1) != 1) {
        _exit(126);
    }
    if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0 || keep_file_capabilities() < 0 ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || arrange_fds(fds) < 0) {
        _exit(126);
    }
    umask(0);
    if (h->job == LAYER_COVER) {
        _exit(cover_main(fds));
    }
    if (h->job == LAYER_REMOVE) {
        _exit(unpack_remove_main(HELPER_FIRST_FD + HELPER_LAYER, HELPER_FIRST_FD + HELPER_REPORT));
    }
    struct unpack_job job = {
        .tar = HELPER_FIRST_FD + HELPER_TAR,
        .layer = HELPER_FIRST_FD + HELPER_LAYER,
        .hidden = HELPER_FIRST_FD + HELPER_HIDDEN,
        .report = HELPER_FIRST_FD + HELPER_REPORT,
    };
    memcpy(job.diff_id, h->layer, sizeof job.diff_id);
    _exit(unpack_main(&job, NULL));
}

static int write_map(pid_t pid, const char *file, uint32_t ids, struct err *err) {
    char path[64], text[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
    int len = snprintf(text, sizeof text, "0 %u %d\n", ids, SANDBOX_IDS_PER_SLOT);
    CLEANUP_FD int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, (size_t)len) != len) {
        return err_sys(err, errno, "writing %s", path);
    }
    return 0;
}

static void close_pair(int pair[2]) {
    file_close(&pair[0]);
    file_close(&pair[1]);
}

/* Maps the ids of the child that waits at the gate and lets it go. */
static int let_go(struct gate *gate, pid_t pid, uint32_t ids, struct err *err) {
    char byte = 0;
    file_close(&gate->unshared[1]);
    if (read(gate->unshared[0], &byte, 1) != 1) {
        return err_set(err, ERR_SYSTEM, "a helper could not make its user namespace");
    }
    if (write_map(pid, "uid_map", ids, err) < 0 || write_map(pid, "gid_map", ids, err) < 0) {
        return -1;
    }
    if (write(gate->mapped[1], &byte, 1) != 1) {
        return err_sys(err, errno, "waking a helper");
    }
    return 0;
}

/* `fds` has everything but the report's end. */
static int helper_start(
    struct layer_helper *h, struct helper_fds *fds, uint32_t ids, struct err *err) {
    struct gate gate = { { -1, -1 }, { -1, -1 } };
    int report[2] = { -1, -1 };
    int result = -1;
    if (pipe2(gate.unshared, O_CLOEXEC) < 0 || pipe2(gate.mapped, O_CLOEXEC) < 0 ||
        pipe2(report, O_CLOEXEC) < 0) {
        err_sys(err, errno, "making pipes for a helper");
        goto out;
    }
    fds->fds[HELPER_REPORT] = report[1];
    h->pid = fork();
    if (h->pid < 0) {
        err_sys(err, errno, "making a helper");
        goto out;
    }
    if (h->pid == 0) {
        helper_main(&gate, fds, h);
    }
    result = let_go(&gate, h->pid, ids, err);
    if (result < 0) {
        kill(h->pid, SIGKILL);
        waitpid(h->pid, NULL, 0);
        goto out;
    }
    h->report = report[0];
    report[0] = -1;
out:
    close_pair(gate.unshared);
    close_pair(gate.mapped);
    close_pair(report);
    return result;
}

static int check_name(struct layer_helper *h, const char *layer, struct err *err) {
    *h = (struct layer_helper){ .report = -1 };
    if (!is_layer(layer)) {
        return err_set(err, ERR_BAD_VALUE, "not a layer's digest");
    }
    memcpy(h->layer, layer, sizeof h->layer);
    unpack_hidden_name(h->layer, h->hidden);
    return 0;
}

/* Makes the directory LAYER.new of the store's root id and opens it. */
static int make_directory(int store, const char *layer, uint32_t ids, struct err *err) {
    char name[LAYER_PATH_SIZE];
    snprintf(name, sizeof name, "%s" NEW_SUFFIX, layer);
    if (mkdirat(store, name, 0755) < 0) {
        return err_sys(err, errno, "making the directory of layer %.12s", layer);
    }
    int fd = openat(store, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fchown(fd, ids, ids) < 0) {
        err_sys(err, errno, "opening the directory of layer %.12s", layer);
        file_close(&fd);
        unlinkat(store, name, AT_REMOVEDIR);
        return -1;
    }
    return fd;
}

/* Removes an empty directory of an unfinished layer. */
static void drop_directory(int store, const char *layer) {
    char name[LAYER_PATH_SIZE];
    snprintf(name, sizeof name, "%s" NEW_SUFFIX, layer);
    unlinkat(store, name, AT_REMOVEDIR);
}

static void old_name(const char *layer, char name[LAYER_PATH_SIZE]) {
    snprintf(name, LAYER_PATH_SIZE, "%s" OLD_SUFFIX, layer);
}

static int set_aside(int store, const char *layer, struct err *err) {
    char name[LAYER_PATH_SIZE];
    old_name(layer, name);
    if (renameat(store, layer, store, name) < 0 && errno != ENOENT) {
        return err_sys(err, errno, "setting layer %.12s aside", layer);
    }
    return 0;
}

int layer_unpack(
    struct layer_helper *h, int store, const char *layer, int tar, uint32_t ids, struct err *err) {
    if (check_name(h, layer, err) < 0) {
        return -1;
    }
    /* What a crash between the two renames of layer_finish() left would be in the way. */
    if (faccessat(store, h->layer, F_OK, 0) < 0 && set_aside(store, h->hidden, err) < 0) {
        return -1;
    }
    CLEANUP_FD int whole = make_directory(store, h->layer, ids, err);
    if (whole < 0) {
        return -1;
    }
    CLEANUP_FD int hidden = make_directory(store, h->hidden, ids, err);
    struct helper_fds fds = { { whole, hidden, -1, tar }, .count = HELPER_FDS };
    if (hidden < 0 || helper_start(h, &fds, ids, err) < 0) {
        drop_directory(store, h->layer);
        drop_directory(store, h->hidden);
        return -1;
    }
    return 0;
}

/* Opens the directories that a cover is made of. */
static int open_sources(int store, const char (*names)[SANDBOX_DIGEST_LEN], size_t count,
    struct helper_fds *fds, struct err *err) {
    for (size_t i = 0; i < count; i++) {
        struct layer_helper above;
        char name[SANDBOX_DIGEST_LEN + 1] = "";
        memcpy(name, names[i], SANDBOX_DIGEST_LEN);
        if (check_name(&above, name, err) < 0) {
            return -1;
        }
        fds->hidden[i] = false;
        if (i > 0 && memcmp(above.hidden, names[i - 1], SANDBOX_DIGEST_LEN) == 0) {
            fds->hidden[i - 1] = true;
        }
        int fd = openat(store, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0) {
            return err_sys(err, errno, "opening layer %.12s", name);
        }
        fds->fds[fds->count++] = fd;
    }
    return 0;
}

int layer_cover(struct layer_helper *h, int store, const char (*names)[SANDBOX_DIGEST_LEN],
    size_t count, uint32_t ids, struct err *err) {
    char name[SANDBOX_DIGEST_LEN + 1];
    if (count > SANDBOX_LAYERS_MAX) {
        return err_set(err, ERR_BAD_VALUE, "a cover over %zu directories", count);
    }
    unpack_cover_name(names, count, name);
    if (check_name(h, name, err) < 0) {
        return -1;
    }
    h->job = LAYER_COVER;
    CLEANUP_FD int cover = make_directory(store, name, ids, err);
    if (cover < 0) {
        return -1;
    }
    struct helper_fds fds = { { cover, -1, -1, -1 }, .count = HELPER_FDS };
    int result = open_sources(store, names, count, &fds, err);
    if (result == 0) {
        result = helper_start(h, &fds, ids, err);
    }
    while (fds.count > HELPER_FDS) {
        close(fds.fds[--fds.count]);
    }
    if (result < 0) {
        drop_directory(store, name);
    }
    return result;
}

/* Empties the directory `name` in a helper, waiting for it, and removes it. */
static int remove_directory(int store, const char *name, uint32_t ids, struct err *err) {
    struct layer_helper h = { .job = LAYER_REMOVE, .report = -1 };
    struct unpack_report report;
    int status;
    /* Nothing there, or nothing in it: no helper is needed. */
    if (unlinkat(store, name, AT_REMOVEDIR) == 0 || errno == ENOENT) {
        return 0;
    }
    CLEANUP_FD int fd = openat(store, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct helper_fds fds = { { fd, -1, -1, -1 }, .count = HELPER_FDS };
    if (fd < 0) {
        return errno == ENOENT ? 0 : err_sys(err, errno, "opening %s", name);
    }
    if (helper_start(&h, &fds, ids, err) < 0) {
        return -1;
    }
    waitpid(h.pid, &status, 0);
    int result = unpack_report_read(h.report, &report, err);
    file_close(&h.report);
    if (result == 0 && unlinkat(store, name, AT_REMOVEDIR) < 0) {
        result = err_sys(err, errno, "removing %s", name);
    }
    return result;
}

/* The helper has emptied the layer: what is left are its directory and what it hides, which is
 * little. */
static int finish_removal(struct layer_helper *h, int store, uint32_t ids, struct err *err) {
    char name[LAYER_PATH_SIZE];
    old_name(h->layer, name);
    if (unlinkat(store, name, AT_REMOVEDIR) < 0 && errno != ENOENT) {
        return err_sys(err, errno, "removing %s", name);
    }
    old_name(h->hidden, name);
    return remove_directory(store, name, ids, err);
}

int layer_remove(
    struct layer_helper *h, int store, const char *layer, uint32_t ids, struct err *err) {
    char name[LAYER_PATH_SIZE];
    /* The layer first: one without what it hides would be another layer. */
    if (check_name(h, layer, err) < 0 || set_aside(store, h->layer, err) < 0 ||
        set_aside(store, h->hidden, err) < 0) {
        return -1;
    }
    h->job = LAYER_REMOVE;
    old_name(h->layer, name);
    CLEANUP_FD int fd = openat(store, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT ? finish_removal(h, store, ids, err)
                               : err_sys(err, errno, "opening %s", name);
    }
    struct helper_fds fds = { { fd, -1, -1, -1 }, .count = HELPER_FDS };
    return helper_start(h, &fds, ids, err);
}

/* Gives a whole directory its name. */
static int put_in_place(int store, const char *layer, struct err *err) {
    char name[LAYER_PATH_SIZE];
    snprintf(name, sizeof name, "%s" NEW_SUFFIX, layer);
    if (renameat(store, name, store, layer) < 0) {
        return err_sys(err, errno, "putting layer %.12s in its place", layer);
    }
    return 0;
}

int layer_finish(struct layer_helper *h, int store, uint32_t ids, struct err *err) {
    struct unpack_report report;
    char name[LAYER_PATH_SIZE];
    int result = unpack_report_read(h->report, &report, err);
    file_close(&h->report);
    if (h->job == LAYER_REMOVE) {
        return result < 0 ? -1 : finish_removal(h, store, ids, err);
    }
    /* The helper has synced before it said so: a layer with a name is whole on disk, and so is what
     * it hides. */
    if (result == 0 && report.hides > 0) {
        result = put_in_place(store, h->hidden, err);
    }
    if (result == 0) {
        result = put_in_place(store, h->layer, err);
    }
    for (int i = 0; i < 2; i++) {
        struct err why;
        snprintf(name, sizeof name, "%s" NEW_SUFFIX, i ? h->hidden : h->layer);
        if (remove_directory(store, name, ids, &why) < 0) {
            log_warn("removing what is left of a layer: %s", why.text);
        }
    }
    return result < 0 ? err_wrap(err, "layer %.12s", h->layer) : 0;
}

static bool is_leftover(const char *name) {
    size_t len = strlen(name);
    return len == LAYER_PATH_SIZE - 1 && (strcmp(name + SANDBOX_DIGEST_LEN, NEW_SUFFIX) == 0 ||
                                             strcmp(name + SANDBOX_DIGEST_LEN, OLD_SUFFIX) == 0);
}

int layer_sweep(int store, uint32_t ids, struct err *err) {
    int fd = openat(store, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = fd < 0 ? NULL : fdopendir(fd);
    if (!entries) {
        return err_sys(err, errno, "reading the layers");
    }
    int result = 0;
    struct dirent *entry;
    while (result == 0 && (entry = readdir(entries))) {
        if (is_leftover(entry->d_name)) {
            log_info("removing %s, which was never finished", entry->d_name);
            result = remove_directory(store, entry->d_name, ids, err);
        }
    }
    closedir(entries);
    return result;
}
