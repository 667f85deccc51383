/* paas-init's own privileges. SPDX-License-Identifier: Apache-2.0 */
#include "guard.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined __x86_64__
enum { ARCHITECTURE = (int)AUDIT_ARCH_X86_64 };
#elif defined __aarch64__
enum { ARCHITECTURE = (int)AUDIT_ARCH_AARCH64 };
#else
#error "the filter needs this machine's AUDIT_ARCH"
#endif

int guard_early(struct failure *failure) {
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
        return failure_set(failure, INIT_STAGE_PRIVILEGES, errno, "dumpable, no_new_privs");
    }
    for (int cap = 0;; cap++) {
        int there = prctl(PR_CAPBSET_READ, cap, 0, 0, 0);
        if (there < 0) {
            return 0; /* past the kernel's last one */
        }
        if (there) {
            return failure_set(failure, INIT_STAGE_PRIVILEGES, EPERM, "bounding set");
        }
    }
}

int guard_capabilities(uint32_t keep) {
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[2] = { { .effective = keep, .permitted = keep } };
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0) {
        return -1;
    }
    return (int)syscall(SYS_capset, &header, data);
}

#define ALLOW(name)                                                                                \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##name, 0, 1),                                         \
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

/* Loads the number of a call of this machine's own kind. */
#define LOAD_NUMBER                                                                                \
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),                       \
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)ARCHITECTURE, 1, 0),                         \
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),                                       \
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))

static int install(const struct sock_filter *code, size_t count) {
    struct sock_fprog program = { .len = (unsigned short)count,
        .filter = (struct sock_filter *)code };
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
}

int guard_reader(void) {
    /* Not the kernel's own strict mode: whoever has a filter already can't enter that. */
    static const struct sock_filter code[] = {
        LOAD_NUMBER,
        ALLOW(read),
        ALLOW(write),
        ALLOW(exit),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    return install(code, sizeof code / sizeof *code);
}

int guard_late(struct failure *failure) {
    static const struct sock_filter code[] = {
        LOAD_NUMBER,
        ALLOW(ppoll),
        ALLOW(read),
        ALLOW(pwrite64),
        ALLOW(write),
        ALLOW(ftruncate),
        ALLOW(lseek),
        ALLOW(ioctl),
        ALLOW(accept4),
        ALLOW(getsockopt),
        ALLOW(sendto),
        ALLOW(recvfrom),
        ALLOW(recvmsg),
        ALLOW(close),
        ALLOW(kill),
        ALLOW(wait4),
        ALLOW(clock_gettime),
        ALLOW(timerfd_settime),
        ALLOW(munmap),
        ALLOW(exit_group),
        ALLOW(rt_sigreturn),
        ALLOW(restart_syscall),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
    };
    if (guard_capabilities(1u << CAP_KILL) < 0) {
        return failure_set(failure, INIT_STAGE_PRIVILEGES, errno, "capabilities");
    }
    if (install(code, sizeof code / sizeof *code) < 0) {
        return failure_set(failure, INIT_STAGE_PRIVILEGES, errno, "own filter");
    }
    return 0;
}
