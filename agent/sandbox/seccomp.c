/* The filter on system calls. SPDX-License-Identifier: Apache-2.0 */
#include "seccomp_filter.h"

#include <paas/file.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct {
    const char *name;
    enum seccomp_verdict verdict;
} table[] = {
#define SYSCALL(name, verdict) { #name, SECCOMP_##verdict },
#include "seccomp.def"
#undef SYSCALL
};

enum {
    RUNS_MAX = 256,         /* ranges of equal verdict; about 110 are needed */
    JUMP_MAX = 255,         /* instructions that a conditional jump can skip */
    X32_FIRST = 0x40000000, /* numbers of the x32 ABI start here */
};

/* clone(2) reads its flags from the low 32 bits. NEWTIME lies among the bits of the exit signal. */
static const uint32_t namespace_flags = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS |
                                        CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET |
                                        CLONE_NEWTIME;

static const uint32_t refused_ioctls[] = { TIOCSTI, TIOCLINUX, TIOCSETD };

static const uint32_t allowed_personalities[] = { PER_LINUX, PER_LINUX32, UNAME26,
    UNAME26 | PER_LINUX32, 0xffffffff /* asks only */ };

/* ---- writing instructions ---- */

static void emit(struct seccomp_program *p, struct sock_filter insn) {
    /* Past the end only the count goes on; seccomp_compile looks at it. */
    if (p->count < SECCOMP_INSNS_MAX) {
        p->insns[p->count] = insn;
    }
    p->count++;
}

static void load(struct seccomp_program *p, size_t offset) {
    emit(p, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset));
}

/* Loads the low half of an argument. */
static void load_arg(struct seccomp_program *p, int n) {
    size_t low = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 0 : sizeof(uint32_t);
    load(p, offsetof(struct seccomp_data, args) + (size_t)n * sizeof(uint64_t) + low);
}

static void give(struct seccomp_program *p, uint32_t action) {
    emit(p, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action));
}

/* If the loaded word compares by `op` with `value`, the next instruction runs, else it is
 * skipped. */
static void when(struct seccomp_program *p, int op, uint32_t value) {
    emit(p, (struct sock_filter)BPF_JUMP(BPF_JMP | op | BPF_K, value, 0, 1));
}

static uint32_t fail(int sys) {
    return SECCOMP_RET_ERRNO | (uint32_t)sys;
}

/* ---- verdicts ---- */

static void give_clone(struct seccomp_program *p) {
    load_arg(p, 0);
    when(p, BPF_JSET, namespace_flags);
    give(p, fail(EPERM));
    give(p, SECCOMP_RET_ALLOW);
}

static void give_socket(struct seccomp_program *p) {
    static const uint32_t families[] = { AF_UNIX, AF_INET, AF_INET6 };
    load_arg(p, 0);
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
        when(p, BPF_JEQ, families[i]);
        give(p, SECCOMP_RET_ALLOW);
    }
    emit(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_NETLINK, 1, 0));
    give(p, fail(EAFNOSUPPORT));
    load_arg(p, 2);
    when(p, BPF_JEQ, 0 /* NETLINK_ROUTE */);
    give(p, SECCOMP_RET_ALLOW);
    give(p, fail(EAFNOSUPPORT));
}

static void give_ioctl(struct seccomp_program *p) {
    load_arg(p, 1);
    for (size_t i = 0; i < sizeof refused_ioctls / sizeof refused_ioctls[0]; i++) {
        when(p, BPF_JEQ, refused_ioctls[i]);
        give(p, fail(EPERM));
    }
    give(p, SECCOMP_RET_ALLOW);
}

static void give_personality(struct seccomp_program *p) {
    load_arg(p, 0);
    for (size_t i = 0; i < sizeof allowed_personalities / sizeof allowed_personalities[0]; i++) {
        when(p, BPF_JEQ, allowed_personalities[i]);
        give(p, SECCOMP_RET_ALLOW);
    }
    give(p, fail(EPERM));
}

static void give_verdict(
    struct seccomp_program *p, enum seccomp_verdict verdict, enum seccomp_variant variant) {
    switch (verdict) {
    case SECCOMP_ALLOW:
        give(p, SECCOMP_RET_ALLOW);
        break;
    case SECCOMP_REFUSE:
        give(p, fail(EPERM));
        break;
    case SECCOMP_NOTIFY:
        give(p, variant == SECCOMP_WITH_LISTENER ? SECCOMP_RET_USER_NOTIF : SECCOMP_RET_ALLOW);
        break;
    case SECCOMP_CLONE:
        give_clone(p);
        break;
    case SECCOMP_SOCKET:
        give_socket(p);
        break;
    case SECCOMP_IOCTL:
        give_ioctl(p);
        break;
    case SECCOMP_PERSONALITY:
        give_personality(p);
        break;
    case SECCOMP_KILL:
        give(p, SECCOMP_RET_KILL_PROCESS);
        break;
    case SECCOMP_ABSENT:
    case SECCOMP_VERDICTS:
        give(p, fail(ENOSYS));
        break;
    }
}

/* ---- the tree ---- */

struct run {
    uint32_t first; /* number; the run reaches to the next one's */
    enum seccomp_verdict verdict;
};

struct runs {
    struct run runs[RUNS_MAX];
    size_t count;
};

static void add_run(struct runs *r, uint32_t first, enum seccomp_verdict verdict) {
    if (r->count && r->runs[r->count - 1].verdict == verdict) {
        return;
    }
    if (r->count < RUNS_MAX) {
        r->runs[r->count] = (struct run){ first, verdict };
    }
    r->count++;
}

/* Writes the tree over runs [from, to). The left half follows its comparison at once; the right
 * one comes after it. */
static void emit_tree(struct seccomp_program *p, const struct runs *r, size_t from, size_t to,
    enum seccomp_variant variant) {
    if (to - from == 1) {
        give_verdict(p, r->runs[from].verdict, variant);
        return;
    }
    size_t middle = from + (to - from) / 2, jump = p->count;
    emit(p, (struct sock_filter){ 0 });
    emit_tree(p, r, from, middle, variant);
    size_t skip = p->count - jump - 1;
    if (skip > JUMP_MAX) {
        p->count = SECCOMP_INSNS_MAX + 1; /* says "too long" */
    }
    if (p->count <= SECCOMP_INSNS_MAX) {
        p->insns[jump] = (struct sock_filter)BPF_JUMP(
            BPF_JMP | BPF_JGE | BPF_K, r->runs[middle].first, (uint8_t)skip, 0);
    }
    emit_tree(p, r, middle, to, variant);
}

static void find_runs(struct runs *r, uint32_t arch) {
    enum seccomp_verdict verdicts[SECCOMP_NUMBERS] = { SECCOMP_ABSENT };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        int number = seccomp_syscall_resolve_name_arch(arch, table[i].name);
        if (number >= 0 && number < SECCOMP_NUMBERS) {
            verdicts[number] = table[i].verdict;
        }
    }
    r->count = 0;
    for (uint32_t i = 0; i < SECCOMP_NUMBERS; i++) {
        add_run(r, i, verdicts[i]);
    }
    add_run(r, SECCOMP_NUMBERS, SECCOMP_ABSENT);
    if (arch == SCMP_ARCH_X86_64) {
        add_run(r, X32_FIRST, SECCOMP_KILL);
    }
}

int seccomp_compile(enum seccomp_variant variant, struct seccomp_program *out, struct err *err) {
    uint32_t arch = seccomp_arch_native();
    struct runs runs;
    find_runs(&runs, arch);
    if (runs.count > RUNS_MAX) {
        return err_set(err, ERR_INTERNAL, "seccomp: %zu ranges of calls", runs.count);
    }
    out->count = 0;
    load(out, offsetof(struct seccomp_data, arch));
    /* libseccomp's token of an architecture is the kernel's own AUDIT_ARCH_ number. */
    emit(out, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, arch, 1, 0));
    give(out, SECCOMP_RET_KILL_PROCESS);
    load(out, offsetof(struct seccomp_data, nr));
    emit_tree(out, &runs, 0, runs.count, variant);
    if (out->count > SECCOMP_INSNS_MAX) {
        return err_set(err, ERR_INTERNAL, "seccomp: the program is too long");
    }
    return 0;
}

int seccomp_memfd(const struct seccomp_program *program, struct err *err) {
    CLEANUP_FD int fd = memfd_create("seccomp", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) {
        return err_sys(err, errno, "seccomp: memfd");
    }
    size_t bytes = program->count * sizeof program->insns[0];
    if (file_write_all(fd, program->insns, bytes, err) < 0) {
        return -1;
    }
    int seals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
    if (fcntl(fd, F_ADD_SEALS, seals) < 0 || lseek(fd, 0, SEEK_SET) < 0) {
        return err_sys(err, errno, "seccomp: seal");
    }
    int made = fd;
    fd = -1;
    return made;
}
