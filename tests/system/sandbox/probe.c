/* Runs as root inside a sandbox and tries what must not work. SPDX-License-Identifier: Apache-2.0
 *
 *   probe checks WORD…   everything below; no WORD may appear in what the kernel tells of the host
 *   probe memory|forks|disk|inodes    uses one thing up
 *   probe hello|stay    says so, and ends or stays
 * One line for each failure; the exit status is their number.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TEXT_MAX = 1 << 16, CLONE3 = 435 };

static int failures;

static void fail(const char *format, ...) {
    va_list args;
    va_start(args, format);
    printf("FAIL ");
    vprintf(format, args);
    printf("\n");
    va_end(args);
    failures++;
}

/* The call must fail with `sys`. */
static void refused(const char *what, long result, int sys) {
    int got = errno;
    if (result != -1) {
        fail("%s works", what);
    } else if (got != sys) {
        fail("%s: %s instead of %s", what, strerror(got), strerror(sys));
    }
}

static char *slurp(const char *path) {
    static char text[TEXT_MAX];
    int fd = open(path, O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    return n < 0 ? NULL : text;
}

/* ---- who it is ---- */

static void status_line(const char *status, const char *key, const char *value) {
    char line[128];
    snprintf(line, sizeof line, "\n%s:\t%s\n", key, value);
    if (!strstr(status, line)) {
        fail("/proc/self/status: %s is not '%s'", key, value);
    }
}

static void check_privileges(void) {
    const char *status = slurp("/proc/self/status");
    static const char *const sets[] = { "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb" };
    for (int i = 0; i < 5; i++) {
        status_line(status, sets[i], "0000000000000000");
    }
    status_line(status, "NoNewPrivs", "1");
    status_line(status, "Seccomp", "2");
    status_line(status, "Groups", " ");
    int locked = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP_LOCKED |
                 SECBIT_KEEP_CAPS_LOCKED;
    if ((prctl(PR_GET_SECUREBITS) & locked) != locked) {
        fail("securebits %#x", prctl(PR_GET_SECUREBITS));
    }
    refused("setuid", setuid(1234), EPERM);
    refused("setgid", setgid(1234), EPERM);
    refused("chown", chown("/tmp", 1, 1), EPERM);
    struct rlimit core;
    getrlimit(RLIMIT_CORE, &core);
    if (core.rlim_max != 0) {
        fail("cores may be written");
    }
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_max++;
    refused("raise a limit", setrlimit(RLIMIT_NOFILE, &files), EPERM);
    const char *score = slurp("/proc/self/oom_score_adj");
    if (!score || atoi(score) < 500) {
        fail("oom_score_adj %s", score);
    }
}

/* ---- what it sees ---- */

static void check_words(int n_words, char **words) {
    static const char *const files[] = { "/proc/self/mountinfo", "/proc/self/mounts",
        "/proc/self/cgroup", "/proc/self/environ", "/proc/self/maps", "/proc/self/auxv" };
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        const char *text = slurp(files[i]);
        for (int w = 0; text && w < n_words; w++) {
            if (strstr(text, words[w])) {
                fail("%s says '%s'", files[i], words[w]);
            }
        }
    }
}

static void check_mounts(void) {
    char *text = slurp("/proc/self/mounts"), *save;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char point[256], type[64], options[512];
        if (sscanf(line, "%*s %255s %63s %511s", point, type, options) != 3) {
            fail("mount '%s'", line);
            continue;
        }
        bool devices = strncmp(point, "/dev", 4) == 0 && strcmp(point, "/dev/shm") != 0;
        bool mask = strncmp(point, "/proc/", 6) == 0;
        if (!strstr(options, "nosuid")) {
            fail("%s is not nosuid", point);
        }
        if (!devices && !mask && !strstr(options, "nodev")) {
            fail("%s is not nodev", point);
        }
        if (strcmp(type, "sysfs") == 0 || strncmp(type, "cgroup", 6) == 0) {
            fail("%s is mounted", type);
        }
    }
}

static void check_proc(void) {
    static const char *const unreadable[] = { "/proc/1/environ", "/proc/1/maps", "/proc/1/mem",
        "/proc/kcore", "/proc/timer_list", "/proc/kmsg", "/proc/1/auxv", "/proc/1/syscall",
        "/proc/1/stack" };
    for (size_t i = 0; i < sizeof unreadable / sizeof unreadable[0]; i++) {
        const char *text = slurp(unreadable[i]);
        if (text && text[0]) {
            fail("%s can be read", unreadable[i]);
        }
    }
    static const char *const masked[] = { "/proc/keys", "/proc/interrupts", "/proc/latency_stats",
        "/proc/sched_debug" };
    for (size_t i = 0; i < sizeof masked / sizeof masked[0]; i++) {
        const char *text = slurp(masked[i]);
        if (text && text[0]) {
            fail("%s says something", masked[i]);
        }
    }
    static const char *const unwritable[] = { "/proc/sysrq-trigger", "/proc/sys/kernel/hostname",
        "/proc/sys/net/ipv4/ip_forward", "/proc/sys/kernel/core_pattern", "/proc/self/setgroups",
        "/proc/self/uid_map", "/proc/self/oom_score_adj", "/proc/1/oom_score_adj",
        "/proc/irq/default_smp_affinity" };
    for (size_t i = 0; i < sizeof unwritable / sizeof unwritable[0]; i++) {
        if (open(unwritable[i], O_WRONLY) >= 0) {
            fail("%s can be written", unwritable[i]);
        }
    }
    char target[256];
    refused("readlink /proc/1/exe", readlink("/proc/1/exe", target, sizeof target), EACCES);
    refused("open /proc/1/fd", open("/proc/1/fd", O_RDONLY), EACCES);
    refused("open /proc/1/root", open("/proc/1/root/", O_RDONLY), EACCES);
    if (access("/sys/kernel", F_OK) == 0 || access("/sys/fs", F_OK) == 0) {
        fail("/sys is there");
    }
}

static void check_descriptors(void) {
    DIR *dir = opendir("/proc/self/fd");
    for (struct dirent *e; (e = readdir(dir));) {
        int fd = atoi(e->d_name);
        if (e->d_name[0] != '.' && fd > 2 && fd != dirfd(dir)) {
            char path[64], target[256] = "";
            snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
            (void)!readlink(path, target, sizeof target - 1);
            fail("descriptor %d is open: %s", fd, target);
        }
    }
    closedir(dir);
}

static void check_devices(void) {
    static const char *const known[] = { "null", "zero", "full", "random", "urandom", "tty" };
    DIR *dir = opendir("/dev");
    for (struct dirent *e; (e = readdir(dir));) {
        struct stat st;
        bool ours = false;
        for (int i = 0; i < 6; i++) {
            ours = ours || strcmp(known[i], e->d_name) == 0;
        }
        if (fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && !ours &&
            (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode))) {
            fail("/dev/%s is a device", e->d_name);
        }
    }
    closedir(dir);
    struct stat null;
    if (stat("/dev/null", &null) < 0 || null.st_rdev != makedev(1, 3)) {
        fail("/dev/null is something else");
    }
    char byte;
    int random = open("/dev/urandom", O_RDONLY);
    if (random < 0 || read(random, &byte, 1) != 1) {
        fail("/dev/urandom does not work");
    }
    close(random);
    int terminal = open("/dev/ptmx", O_RDWR | O_NOCTTY);
    if (terminal < 0) {
        fail("/dev/ptmx: %s", strerror(errno));
    }
    close(terminal);
    refused("mknod /tmp/disk", mknod("/tmp/disk", S_IFBLK | 0600, makedev(254, 0)), EPERM);
    refused("mknod /dev/x", mknod("/dev/x", S_IFCHR | 0600, makedev(1, 3)), EROFS);
    if (mknod("/tmp/pipe", S_IFIFO | 0600, 0) < 0) {
        fail("mkfifo: %s", strerror(errno));
    }
}

/* ---- what it tries ---- */

static int in_child(void (*run)(void)) {
    pid_t pid = fork();
    if (pid == 0) {
        run();
        _exit(0);
    }
    int status = -1;
    waitpid(pid, &status, 0);
    return status;
}

#ifdef __x86_64__
static void call_as_i386(void) {
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(20L) : "memory"); /* getpid */
}

static void call_as_x32(void) {
    syscall(0x40000000 | SYS_getpid);
}
#endif

static void check_calls(void) {
    refused("mount", mount("none", "/tmp", "tmpfs", 0, ""), EPERM);
    refused("umount", umount2("/proc", MNT_DETACH), EPERM);
    refused("remount /proc", mount("", "/proc", "", MS_REMOUNT | MS_BIND, ""), EPERM);
    refused("unshare user", unshare(CLONE_NEWUSER), EPERM);
    refused("unshare net", unshare(CLONE_NEWNET), EPERM);
    refused("setns", setns(0, 0), EPERM);
    refused("clone user", syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0), EPERM);
    refused("clone3", syscall(CLONE3, NULL, 0), ENOSYS);
    refused("a call of tomorrow", syscall(900), ENOSYS);
    refused("pivot_root", syscall(SYS_pivot_root, "/tmp", "/tmp"), EPERM);
    refused("chroot", chroot("/tmp"), EPERM);
    refused("bpf", syscall(SYS_bpf, 0, NULL, 0), EPERM);
    refused("perf_event_open", syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0), EPERM);
    refused("keyctl", syscall(SYS_keyctl, 0, 0, 0, 0, 0), EPERM);
    refused("add_key", syscall(SYS_add_key, "user", "x", "x", 1, -2), EPERM);
    refused("sethostname", sethostname("x", 1), EPERM);
    refused("reboot", syscall(SYS_reboot, 0, 0, 0, 0), EPERM);
    refused("init_module", syscall(SYS_init_module, NULL, 0, ""), EPERM);
    refused("userfaultfd", syscall(SYS_userfaultfd, 0), EPERM);
    refused("AF_ALG", socket(AF_ALG, SOCK_SEQPACKET, 0), EAFNOSUPPORT);
    refused("AF_PACKET", socket(AF_PACKET, SOCK_RAW, 0), EAFNOSUPPORT);
    refused("AF_VSOCK", socket(40, SOCK_STREAM, 0), EAFNOSUPPORT);
    refused("netfilter", socket(AF_NETLINK, SOCK_RAW, 12), EAFNOSUPPORT);
    refused("raw socket", socket(AF_INET, SOCK_RAW, 1), EPERM);
    refused("TIOCSTI", ioctl(0, TIOCSTI, "x"), EPERM);
#ifdef __x86_64__
    int status = in_child(call_as_i386);
    /* A kernel without them answers SIGSEGV before the filter can. */
    if (!WIFSIGNALED(status) || (WTERMSIG(status) != SIGSYS && WTERMSIG(status) != SIGSEGV)) {
        fail("an i386 call: status %#x", (unsigned)status);
    }
    status = in_child(call_as_x32);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS) {
        fail("an x32 call: status %#x", (unsigned)status);
    }
#endif
}

static void check_init(void) {
    struct rlimit limit = { 1, 1 };
    refused("kill init", kill(1, SIGKILL), EPERM);
    refused("stop init", kill(1, SIGSTOP), EPERM);
    refused("trace init", ptrace(PTRACE_ATTACH, 1, 0, 0), EPERM);
    refused("limit init", (long)prlimit(1, RLIMIT_NOFILE, &limit, NULL), EPERM);
    char byte;
    struct iovec local = { &byte, 1 }, remote = { (void *)0x400000, 1 };
    refused("read init", syscall(SYS_process_vm_readv, 1, &local, 1, &remote, 1, 0), EPERM);
}

static void copy_self(const char *to) {
    int in = open("/proc/self/exe", O_RDONLY), out = open(to, O_WRONLY | O_CREAT, 0755);
    char bytes[4096];
    for (ssize_t n; (n = read(in, bytes, sizeof bytes)) > 0;) {
        (void)!write(out, bytes, (size_t)n);
    }
    close(in);
    close(out);
}

static void exec_from_shm(void) {
    execl("/dev/shm/probe", "probe", "nothing", NULL);
    _exit(errno == EACCES ? 42 : 43);
}

static void exec_from_tmp(void) {
    execl("/tmp/probe", "probe", "nothing", NULL);
    _exit(43);
}

static void check_files(void) {
    copy_self("/dev/shm/probe");
    copy_self("/tmp/probe");
    if (WEXITSTATUS(in_child(exec_from_shm)) != 42) {
        fail("/dev/shm runs programs");
    }
    if (WEXITSTATUS(in_child(exec_from_tmp)) != 0) {
        fail("/tmp does not run programs");
    }
    int fd = open("/own-file", O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (fd < 0) {
        fail("the root can't be written: %s", strerror(errno));
    }
    close(fd);
    struct stat st;
    if (stat("/own-file", &st) < 0 || st.st_uid != 0) {
        fail("what root makes is not root's");
    }
    if (stat("/app/probe", &st) < 0 || st.st_uid != 0) {
        fail("the layer's files are not root's: %u", st.st_uid);
    }
    refused("write to the layer's busy program", open("/app/probe", O_WRONLY), ETXTBSY);
    char name[65] = "";
    gethostname(name, sizeof name);
    if (strcmp(name, "web-1") != 0) {
        fail("the host name is %s", name);
    }
    const char *hosts = slurp("/etc/hosts");
    if (!hosts || !strstr(hosts, "web-1") || !strstr(hosts, "127.0.0.1\tlocalhost")) {
        fail("/etc/hosts: %s", hosts);
    }
    const char *resolvers = slurp("/etc/resolv.conf");
    if (!resolvers || strcmp(resolvers, "nameserver 192.0.2.53\n") != 0) {
        fail("/etc/resolv.conf: %s", resolvers);
    }
}

static int run_checks(int n_words, char **words) {
    check_privileges();
    check_words(n_words, words);
    check_mounts();
    check_proc();
    check_descriptors();
    check_devices();
    check_calls();
    check_init();
    check_files();
    printf("checks done, %d failed\n", failures);
    return failures;
}

/* ---- using things up ---- */

static int use_memory(void) {
    for (;;) {
        char *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED) {
            return 9;
        }
        memset(p, 1, 1 << 20);
    }
}

/* Prints how many processes there could be, and why not more. */
static int use_forks(void) {
    int n = 0;
    for (;; n++) {
        pid_t pid = fork();
        if (pid == 0) {
            pause();
        }
        if (pid < 0) {
            break;
        }
    }
    printf("forks %d %s\n", n, strerror(errno));
    return 0;
}

static int use_disk(const char *path) {
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    static char block[65536];
    long total = 0;
    for (ssize_t n; (n = write(fd, block, sizeof block)) > 0;) {
        total += n;
    }
    printf("%s %ld KiB %s\n", path, total >> 10, strerror(errno));
    return errno == ENOSPC ? 0 : 1;
}

static int use_inodes(void) {
    for (int i = 0;; i++) {
        char path[64];
        snprintf(path, sizeof path, "/tmp/%d", i);
        int fd = open(path, O_WRONLY | O_CREAT, 0600);
        if (fd < 0) {
            printf("inodes %d %s\n", i, strerror(errno));
            return errno == ENOSPC ? 0 : 1;
        }
        close(fd);
    }
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "";
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (strcmp(what, "checks") == 0) {
        return run_checks(argc - 2, argv + 2);
    }
    if (strcmp(what, "memory") == 0) {
        return use_memory();
    }
    if (strcmp(what, "forks") == 0) {
        return use_forks();
    }
    if (strcmp(what, "disk") == 0) {
        return use_disk("/disk") | use_disk("/tmp/disk") | use_disk("/dev/shm/disk");
    }
    if (strcmp(what, "inodes") == 0) {
        return use_inodes();
    }
    if (strcmp(what, "stay") == 0) {
        printf("staying\n");
        return pause();
    }
    if (strcmp(what, "hello") == 0) {
        printf("hello\n");
    }
    return 0;
}
