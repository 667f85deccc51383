/* A child's way to its program. SPDX-License-Identifier: Apache-2.0 */
#include "spawn.h"

#include "lean.h"
#include "ns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    SPAWN_STACK =
        128 << 10,          /* bytes: a layer's path and a page of mount options, many times over */
    SPAWN_GUARD = 64 << 10, /* a page, whatever its size */
    FAILED_STATUS = 127,
};

enum stage { PREPARES, EXECUTES, HAS_FAILED };

struct spawn_news {
    enum stage stage; /* that it reached */
    struct err err;   /* why it failed */
};

int spawn_place_make(struct spawn_place *place, struct err *err) {
    place->stack = mmap(NULL, SPAWN_GUARD + SPAWN_STACK, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    place->news =
        mmap(NULL, sizeof *place->news, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (place->stack == MAP_FAILED || place->news == MAP_FAILED ||
        mprotect(place->stack, SPAWN_GUARD, PROT_NONE) < 0) {
        err_sys(err, errno, "map a stack for children");
        spawn_place_free(place);
        return -1;
    }
    return 0;
}

void spawn_place_free(struct spawn_place *place) {
    if (place->stack && place->stack != MAP_FAILED) {
        munmap(place->stack, SPAWN_GUARD + SPAWN_STACK);
    }
    if (place->news && place->news != MAP_FAILED) {
        munmap(place->news, sizeof *place->news);
    }
    *place = (struct spawn_place){ 0 };
}

/* ---- in the child ---- */

struct birth {
    const struct spawn *how;
    struct spawn_news *news;
};

_Noreturn static void live(const struct birth *birth) {
    const struct spawn *how = birth->how;
    struct spawn_news *news = birth->news;
    char *const no_environment[] = { NULL };
    if (how->prepare(how->arg, &news->err) == 0) {
        news->stage = EXECUTES;
        syscall(SYS_execveat, how->program, "", how->argv, no_environment, AT_EMPTY_PATH);
        err_sys(&news->err, errno, "execute");
    }
    news->stage = HAS_FAILED;
    _exit(FAILED_STATUS);
}

/* ---- in the parent ---- */

/* clone3(2), whose child calls live(birth) on the stack that `args` names. A call of the C library
 * would return in the child, too, where its return address no longer is. Returns the child or
 * -errno. */
#if !LEAN_SANITIZED && defined(__x86_64__)
#define HAS_OWN_STACK 1
static long clone_to_live(struct clone_args *args, const struct birth *birth) {
    register void (*entry)(const struct birth *) __asm__("r12") = live;
    register const struct birth *argument __asm__("r13") = birth;
    long result = SYS_clone3;
    __asm__ volatile("syscall\n\t"
                     "test %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "xor %%ebp, %%ebp\n\t" /* the end of the chain of frames */
                     "mov %%r13, %%rdi\n\t"
                     "call *%%r12\n\t"
                     "1:"
                     : "+a"(result)
                     : "D"(args), "S"(sizeof *args), "r"(entry), "r"(argument)
                     : "rcx", "r11", "memory");
    return result;
}
#elif !LEAN_SANITIZED && defined(__aarch64__)
#define HAS_OWN_STACK 1
static long clone_to_live(struct clone_args *args, const struct birth *birth) {
    register long x0 __asm__("x0") = (long)args;
    register long x1 __asm__("x1") = sizeof *args;
    register long x8 __asm__("x8") = SYS_clone3;
    register void (*entry)(const struct birth *) __asm__("x20") = live;
    register const struct birth *argument __asm__("x21") = birth;
    __asm__ volatile("svc #0\n\t"
                     "cbnz x0, 1f\n\t"
                     "mov x29, xzr\n\t"
                     "mov x0, x21\n\t"
                     "blr x20\n\t"
                     "1:"
                     : "+r"(x0)
                     : "r"(x1), "r"(x8), "r"(entry), "r"(argument)
                     : "memory");
    return x0;
}
#else
#define HAS_OWN_STACK 0
static long clone_to_live(struct clone_args *args, const struct birth *birth) {
    long pid = syscall(SYS_clone3, args, sizeof *args);
    if (pid == 0) {
        live(birth);
    }
    return pid < 0 ? -errno : pid;
}
#endif

/* Of a child that has executed its program or ended: 0 for the first. */
static int judge(const struct spawn_news *news, struct err *err) {
    if (news->stage == HAS_FAILED) {
        return err ? (*err = news->err, -1) : -1;
    }
    return news->stage == EXECUTES ? 0 : err_set(err, ERR_INTERNAL, "the child died on its way");
}

pid_t spawn_child(
    const struct spawn_place *place, const struct spawn *how, int *pidfd, struct err *err) {
    struct birth birth = { how, place->news };
    struct clone_args args = {
        .flags = how->flags | CLONE_PIDFD | CLONE_CLEAR_SIGHAND | CLONE_VFORK,
        .pidfd = (uint64_t)(uintptr_t)pidfd,
        .exit_signal = SIGCHLD,
    };
    if (how->cgroup >= 0) {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = (uint64_t)how->cgroup;
    }
    if (HAS_OWN_STACK) {
        args.flags |= how->copies ? 0 : CLONE_VM;
        args.stack = (uint64_t)(uintptr_t)(place->stack + SPAWN_GUARD);
        args.stack_size = SPAWN_STACK;
    }
    place->news->stage = PREPARES;
    long pid = clone_to_live(&args, &birth);
    if (pid < 0) {
        *pidfd = -1; /* the kernel may have written one that it took back */
        return err_sys(err, (int)-pid, "clone");
    }
    if (judge(place->news, err) < 0) {
        ns_kill_and_reap(*pidfd);
        close(*pidfd);
        *pidfd = -1;
        return -1;
    }
    return (pid_t)pid;
}
