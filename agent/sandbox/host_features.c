/* What this kernel can do. SPDX-License-Identifier: Apache-2.0 */
#include "host_features.h"
#include "mount.h"
#include "plan.h"

#include <paas/file.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

/* Offers a detached mount to overlayfs as its lower layer. */
static bool overlay_takes_detached(void) {
    const char *const params[] = { "size", "4k", NULL, NULL };
    CLEANUP_FD int layer = mount_new("tmpfs", params, 0, NULL);
    CLEANUP_FD int context = fsopen("overlay", FSOPEN_CLOEXEC);
    return layer >= 0 && context >= 0 &&
           fsconfig(context, FSCONFIG_SET_FD, "lowerdir+", NULL, layer) == 0;
}

/* Which of the paths worth masking are there and open to all. The rest needs no mask: an instance's
 * ids own nothing of the host and have no capability over it. */
static void find_masks(int proc, struct features *out) {
    const mode_t others = S_IROTH | S_IWOTH | S_IXOTH;
    for (unsigned i = 0; i < PLAN_MASKS; i++) {
        struct stat st;
        if (fstatat(proc, plan_masks[i], &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_mode & others) {
            *(S_ISDIR(st.st_mode) ? &out->mask_dirs : &out->mask_files) |= 1u << i;
        }
    }
}

int features_probe(int proc, struct features *out, struct err *err) {
    CLEANUP_FD int overlay = fsopen("overlay", FSOPEN_CLOEXEC);
    if (overlay < 0) {
        return err_sys(err, errno, "this kernel has no overlayfs");
    }
    *out = (struct features){ .overlay_fds = overlay_takes_detached() };
    find_masks(proc, out);
    return 0;
}
