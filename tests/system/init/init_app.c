/* The app that paas-init's test runs: one behaviour for each first argument. Static.
 * SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static int number(char **args, int index, int otherwise) {
    return args[index] ? atoi(args[index]) : otherwise;
}

static int do_exit(char **args) {
    return number(args, 0, 0);
}

/* Who and where it is, one fact a line. */
static int do_facts(char **args) {
    (void)args;
    gid_t groups[64];
    char cwd[256], line[512];
    int n = getgroups(64, groups);
    printf("uid %d gid %d groups", getuid(), getgid());
    for (int i = 0; i < n; i++) {
        printf(" %d", groups[i]);
    }
    printf("\ncwd %s home %s pid1 %d\n", getcwd(cwd, sizeof cwd), getenv("HOME"), getppid());
    FILE *status = fopen("/proc/self/status", "r");
    while (status && fgets(line, sizeof line, status)) {
        if (strncmp(line, "Cap", 3) == 0 || strncmp(line, "NoNewPrivs", 10) == 0 ||
            strncmp(line, "SigBlk", 6) == 0 || strncmp(line, "SigIgn", 6) == 0) {
            fputs(line, stdout);
        }
    }
    for (int fd = 0; fd < 256; fd++) {
        if (fcntl(fd, F_GETFD) >= 0) {
            printf("fd %d\n", fd);
        }
    }
    int again = open("/dev/../proc/self/fd/1", O_WRONLY);
    printf("reopen %s\n", again >= 0 ? "ok" : strerror(errno));
    fprintf(stderr, "on stderr\n");
    return 0;
}

static int listen_on(int family, int port) {
    int fd = socket(family, SOCK_STREAM, 0);
    struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port) };
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    int r = family == AF_INET ? bind(fd, (struct sockaddr *)&v4, sizeof v4)
                              : bind(fd, (struct sockaddr *)&v6, sizeof v6);
    return r < 0 || listen(fd, 16) < 0 ? -1 : fd;
}

static int do_listen(char **args) {
    if (listen_on(AF_INET, number(args, 0, 8080)) < 0) {
        return 1;
    }
    if (args[0] && args[1] && listen_on(AF_INET6, number(args, 1, 0)) < 0) {
        return 2;
    }
    pause();
    return 0;
}

/* Listens anew without end. */
static int do_listen_flood(char **args) {
    (void)args;
    for (;;) {
        int fd = listen_on(AF_INET, 9000);
        if (fd < 0) {
            return 1;
        }
        listen(fd, 16);
        close(fd);
    }
}

static int do_sleep(char **args) {
    (void)args;
    puts("sleeping");
    fflush(stdout);
    while (pause() < 0) {
    }
    return 0;
}

static int do_ignore(char **args) {
    signal(SIGTERM, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    return do_sleep(args);
}

/* A tree of processes that outlive their parents; the last ones keep the streams. */
static int do_tree(char **args) {
    for (int i = 0; i < number(args, 0, 8); i++) {
        if (fork() == 0) {
            setsid();
            if (fork() == 0) {
                signal(SIGTERM, SIG_IGN);
                for (;;) {
                    pause();
                }
            }
            _exit(0);
        }
    }
    while (wait(NULL) > 0) {
    }
    puts("orphans made");
    fflush(stdout);
    if (args[0] && args[1]) {
        pause();
    }
    return 3;
}

static int do_oom(char **args) {
    (void)args;
    if (fork() == 0) { /* a second process, small, which must die too */
        for (;;) {
            pause();
        }
    }
    for (;;) {
        char *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED) {
            return 4;
        }
        memset(p, 1, 1 << 20);
    }
}

/* args: lines, bytes of a line. */
static int do_print(char **args) {
    int lines = number(args, 0, 10), bytes = args[0] ? number(args, 1, 10) : 10;
    char *line = malloc((size_t)bytes + 32);
    memset(line, 'x', (size_t)bytes);
    line[bytes] = '\n';
    for (int i = 0; i < lines; i++) {
        int n = snprintf(line, 16, "%d ", i + 1);
        line[n] = 'x';
        for (int done = 0; done < bytes + 1;) {
            ssize_t w = write(1, line + done, (size_t)(bytes + 1 - done));
            if (w < 0) {
                return 5;
            }
            done += (int)w;
        }
    }
    return 0;
}

static int do_raw(char **args) {
    (void)args;
    static const char bytes[] = "a\0b\x1b[31m\nno newline";
    return write(1, bytes, sizeof bytes - 1) < 0;
}

/* ---- hostile: each line is "what: refused" or "what: DONE" -------------------------------- */

static int leaks;

static void tried(const char *what, bool done) {
    printf("%s: %s\n", what, done ? "DONE" : "refused");
    leaks += done;
}

static bool can_open(const char *path, int flags) {
    int fd = open(path, flags);
    if (fd >= 0) {
        close(fd);
    }
    return fd >= 0;
}

static void try_proc(const char *base) {
    static const struct {
        const char *name;
        int flags;
    } files[] = { { "mem", O_RDONLY }, { "mem", O_RDWR }, { "maps", O_RDONLY },
        { "environ", O_RDONLY }, { "auxv", O_RDONLY }, { "syscall", O_RDONLY },
        { "stack", O_RDONLY }, { "pagemap", O_RDONLY }, { "smaps", O_RDONLY }, { "io", O_RDONLY },
        { "clear_refs", O_WRONLY }, { "oom_score_adj", O_WRONLY }, { "coredump_filter", O_WRONLY },
        { "comm", O_WRONLY }, { "setgroups", O_WRONLY }, { "fd/3", O_RDONLY }, { "fd/4", O_RDWR },
        { "fd/7", O_RDWR }, { "fd/9", O_WRONLY }, { "fdinfo/3", O_RDONLY }, { "exe", O_RDONLY },
        { "map_files", O_RDONLY } };
    char path[128], text[256];
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "%s/%s", base, files[i].name);
        int fd = open(path, files[i].flags);
        /* Some may be opened and then not read: what counts is whether bytes come out. */
        bool done = fd >= 0 && (files[i].flags != O_RDONLY || read(fd, text, sizeof text) > 0);
        tried(path, done);
    }
    static const char *const links[] = { "exe", "root", "cwd", "fd/3", "ns/user" };
    for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
        snprintf(path, sizeof path, "%s/%s", base, links[i]);
        tried(path, readlink(path, text, sizeof text) > 0);
    }
    snprintf(path, sizeof path, "%s/fd", base);
    DIR *dir = opendir(path);
    int seen = 0;
    while (dir && readdir(dir)) {
        seen++;
    }
    tried("list fd", seen > 2);
    snprintf(path, sizeof path, "%s/root/app", base);
    tried("through root", can_open(path, O_RDONLY));
}

static int do_hostile(char **args) {
    (void)args;
    char byte;
    struct iovec local = { &byte, 1 }, remote = { (void *)0x400000, 1 };
    struct rlimit limit = { 0, 0 }, old;
    for (int sig = 1; sig < 65; sig++) {
        char what[32];
        snprintf(what, sizeof what, "kill %d", sig);
        tried(what, kill(1, sig) == 0);
    }
    tried("kill 0", kill(1, 0) == 0);
    int pidfd = (int)syscall(SYS_pidfd_open, 1, 0);
    tried("pidfd_send_signal", syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0) == 0);
    tried("pidfd_getfd", syscall(SYS_pidfd_getfd, pidfd, 3, 0) >= 0);
    tried("ptrace attach", ptrace(PTRACE_ATTACH, 1, NULL, NULL) == 0);
    tried("ptrace seize", ptrace(PTRACE_SEIZE, 1, NULL, NULL) == 0);
    tried("process_vm_readv", process_vm_readv(1, &local, 1, &remote, 1, 0) >= 0);
    tried("process_vm_writev", process_vm_writev(1, &local, 1, &remote, 1, 0) >= 0);
    tried("prlimit set", prlimit(1, RLIMIT_CPU, &limit, NULL) == 0);
    tried("prlimit get", prlimit(1, RLIMIT_CPU, NULL, &old) == 0);
    tried("setpriority", setpriority(PRIO_PROCESS, 1, 19) == 0);
    struct sched_param idle = { 0 };
    tried("sched_setscheduler", sched_setscheduler(1, SCHED_IDLE, &idle) == 0);
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(0, &cpus);
    tried("sched_setaffinity", sched_setaffinity(1, sizeof cpus, &cpus) == 0);
    tried("ioprio_set", syscall(SYS_ioprio_set, 1, 1, 3 << 13) == 0);
    tried("kcmp", syscall(SYS_kcmp, 1, 1, 0, 0, 0) >= 0);
    tried("move_pages", syscall(SYS_move_pages, 1, 0, NULL, NULL, NULL, 0) == 0);
    tried("process_madvise", syscall(SYS_process_madvise, pidfd, &remote, 1, 20, 0) >= 0);
    tried("unshare", unshare(CLONE_NEWUSER) == 0);
    tried("setuid of paas-init", setuid(65536) == 0);
    tried("setgid of paas-init", setgid(65536) == 0);
    try_proc("/proc/1");
    try_proc("/proc/1/task/1");
    printf("leaks %d\n", leaks);
    return leaks ? 1 : 0;
}

/* The same on itself, where nothing protects: says how much of it an attack can find. */
static int do_control(char **args) {
    (void)args;
    try_proc("/proc/self");
    return leaks;
}

static const struct {
    const char *name;
    int (*run)(char **args);
} behaviours[] = {
    { "exit", do_exit },
    { "facts", do_facts },
    { "listen", do_listen },
    { "listen-flood", do_listen_flood },
    { "sleep", do_sleep },
    { "ignore", do_ignore },
    { "tree", do_tree },
    { "oom", do_oom },
    { "print", do_print },
    { "raw", do_raw },
    { "hostile", do_hostile },
    { "control", do_control },
};

int main(int argc, char **argv) {
    for (size_t i = 0; argc > 1 && i < sizeof behaviours / sizeof *behaviours; i++) {
        if (strcmp(argv[1], behaviours[i].name) == 0) {
            return behaviours[i].run(argv + 2);
        }
    }
    return 64;
}
