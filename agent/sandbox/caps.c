/* Privileges given up. SPDX-License-Identifier: Apache-2.0 */
#include "caps.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CAPS_END = 64 /* the kernel's capability sets have 64 bits */ };

static int set(uint64_t permitted, uint64_t inheritable, struct err *err) {
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[2];
    for (int i = 0; i < 2; i++) {
        uint32_t half = (uint32_t)(permitted >> (32 * i));
        data[i].permitted = half;
        data[i].effective = half;
        data[i].inheritable = (uint32_t)(inheritable >> (32 * i));
    }
    return syscall(SYS_capset, &header, data) < 0 ? err_sys(err, errno, "set capabilities") : 0;
}

static int raise_ambient(uint64_t keep, struct err *err) {
    for (int cap = 0; cap < CAPS_END; cap++) {
        if (keep >> cap & 1 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0) {
            return err_sys(err, errno, "raise ambient capability %d", cap);
        }
    }
    return 0;
}

static int drop_bounding(struct err *err) {
    for (int cap = 0; cap < CAPS_END; cap++) {
        if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0) {
            /* EINVAL is the first capability that this kernel does not know. */
            return errno == EINVAL && cap > CAP_AUDIT_READ
                       ? 0
                       : err_sys(err, errno, "drop capability %d for good", cap);
        }
    }
    return 0;
}

int caps_keep(uint64_t keep, struct err *err) {
    const unsigned long bits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED |
                               SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
                               SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
    const uint64_t setpcap = 1ULL << CAP_SETPCAP; /* for the bounding set and the securebits */
    if (set(keep | setpcap, keep, err) < 0 || raise_ambient(keep, err) < 0 ||
        drop_bounding(err) < 0) {
        return -1;
    }
    if (prctl(PR_SET_SECUREBITS, bits, 0, 0, 0) < 0) {
        return err_sys(err, errno, "lock the securebits");
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
        return err_sys(err, errno, "set no_new_privs");
    }
    return set(keep, keep, err);
}
