/* Devices that a cgroup may use, as a BPF program. SPDX-License-Identifier: Apache-2.0
 *
 * One program on the cgroup of all instances covers every one below it, so a start pays nothing for
 * it, and the v1 devices controller is not needed.
 */
#include "device.h"

#include <paas/file.h>

#include <errno.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    INSNS_MAX = 64,
    TTY_MAJOR_PTMX = 5, /* /dev/pts/ptmx is 5:2 */
    TTY_MINOR_PTMX = 2,
    PTS_MAJOR_FIRST = 136, /* terminals of devpts: majors 136 to 143 */
    PTS_MAJOR_LAST = 143,
    VERDICT = 2, /* instructions of a verdict: set r0, leave */
};

struct program {
    struct bpf_insn insns[INSNS_MAX];
    unsigned count;
};

static void emit(struct program *p, struct bpf_insn insn) {
    p->insns[p->count++] = insn;
}

static void load(struct program *p, uint8_t to, size_t offset) {
    emit(p, (struct bpf_insn){ .code = BPF_LDX | BPF_MEM | BPF_W,
                .dst_reg = to,
                .src_reg = BPF_REG_1,
                .off = (int16_t)offset });
}

static void compute(struct program *p, uint8_t op, uint8_t reg, int32_t value) {
    emit(p, (struct bpf_insn){
                .code = (uint8_t)(BPF_ALU64 | op | BPF_K), .dst_reg = reg, .imm = value });
}

/* Skips `skip` instructions if the register compares so. */
static void jump(struct program *p, uint8_t op, uint8_t reg, int32_t value, int16_t skip) {
    emit(p,
        (struct bpf_insn){
            .code = (uint8_t)(BPF_JMP | op | BPF_K), .dst_reg = reg, .imm = value, .off = skip });
}

static void give(struct program *p, bool allowed) {
    compute(p, BPF_MOV, BPF_REG_0, allowed);
    emit(p, (struct bpf_insn){ .code = BPF_JMP | BPF_EXIT });
}

static void allow(struct program *p, unsigned major, unsigned minor) {
    jump(p, BPF_JNE, BPF_REG_3, (int32_t)major, VERDICT + 1);
    jump(p, BPF_JNE, BPF_REG_4, (int32_t)minor, VERDICT);
    give(p, true);
}

static void write_program(struct program *p) {
    load(p, BPF_REG_2, offsetof(struct bpf_cgroup_dev_ctx, access_type));
    load(p, BPF_REG_3, offsetof(struct bpf_cgroup_dev_ctx, major));
    load(p, BPF_REG_4, offsetof(struct bpf_cgroup_dev_ctx, minor));
    /* The low half is the type, the high half what is wanted. */
    emit(p, (struct bpf_insn){
                .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_5, .src_reg = BPF_REG_2 });
    compute(p, BPF_AND, BPF_REG_5, 0xffff);
    jump(p, BPF_JEQ, BPF_REG_5, BPF_DEVCG_DEV_CHAR, VERDICT);
    give(p, false);
    compute(p, BPF_RSH, BPF_REG_2, 16);
    compute(p, BPF_AND, BPF_REG_2, BPF_DEVCG_ACC_MKNOD);
    jump(p, BPF_JEQ, BPF_REG_2, 0, VERDICT);
    give(p, false);
    for (int i = 0; i < DEVICE_NODES; i++) {
        allow(p, device_nodes[i].major, device_nodes[i].minor);
    }
    allow(p, TTY_MAJOR_PTMX, TTY_MINOR_PTMX);
    jump(p, BPF_JLT, BPF_REG_3, PTS_MAJOR_FIRST, VERDICT + 1);
    jump(p, BPF_JGT, BPF_REG_3, PTS_MAJOR_LAST, VERDICT);
    give(p, true);
    give(p, false);
}

static int bpf(int command, union bpf_attr *attr) {
    return (int)syscall(SYS_bpf, command, attr, sizeof *attr);
}

int device_guard(int cgroup, struct err *err) {
    struct program program = { .count = 0 };
    write_program(&program);
    union bpf_attr attr;
    memset(&attr, 0, sizeof attr);
    attr.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
    attr.insns = (uint64_t)(uintptr_t)program.insns;
    attr.insn_cnt = program.count;
    attr.license = (uint64_t)(uintptr_t) "Apache-2.0";
    CLEANUP_FD int loaded = bpf(BPF_PROG_LOAD, &attr);
    if (loaded < 0 && (errno == ENOSYS || errno == EPERM)) {
        return 1; /* a kernel without it, or locked down */
    }
    if (loaded < 0) {
        return err_sys(err, errno, "load the program that guards devices");
    }
    memset(&attr, 0, sizeof attr);
    attr.target_fd = (uint32_t)cgroup;
    attr.attach_bpf_fd = (uint32_t)loaded;
    attr.attach_type = BPF_CGROUP_DEVICE;
    if (bpf(BPF_PROG_ATTACH, &attr) < 0) {
        /* Someone's program above does not let others be put below it. */
        return errno == EPERM || errno == EINVAL ? 1 : err_sys(err, errno, "guard devices");
    }
    return 0;
}
