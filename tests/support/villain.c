/* An app that does what apps do wrong, on request. SPDX-License-Identifier: Apache-2.0
 *
 *     villain serve [ADDRESS:PORT] [deaf] [sick] [large] [hungry]
 *
 * answers HTTP requests on PORT (or there): GET / with its slot, and each path below with what it
 * then does. "deaf" ignores SIGTERM; else it says which signal it got, and ends. "sick" answers 500
 * on /healthz. "large" takes 24 MiB of memory, and looks on each request whether all of it is
 * as it was. "hungry" takes memory without end, before anything else, once it has slept.
 *
 *     /exit/CODE      ends with the status
 *     /close          closes its listener and lives on
 *     /slow/MS        answers after so long
 *     /hang           answers nobody any more
 *     /memory /forks  uses one thing up
 *     /disk           fills /tmp, says how far it came, and serves on
 *     /logs/BYTES     writes as much in lines of 100 bytes, each with its number
 *     /line/BYTES     writes one line of so many bytes, then one that says "after the line"
 *     /noise          writes a line with NUL, escapes and bytes that are not UTF-8
 *
 *     villain exit CODE   says so and ends
 *     villain silent      lives and never listens
 *     villain memory      takes memory without end
 *     villain who         prints ids, directory and environment
 *     villain try         tries what no instance may; prints what worked, one line each
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

enum {
    REQUEST_MAX = 8192,
    BLOCK = 1 << 16,
    LOG_LINE = 100,
    BACKLOG = 512,
    FORKS_SETTLE_US = 10000,
    LARGE = 24 << 20,
    TICK_MS = 20,
    SLEPT_MS = 200, /* between two ticks: it was frozen */
};

struct villain {
    int listener;
    bool sick, hangs, hungry;
    long long ticked; /* monotonic ms */
    unsigned *large;  /* each with its place */
    const char *slot;
};

/* ---- What it uses up ---- */

static void use_memory(void) {
    for (;;) {
        char *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p != MAP_FAILED) {
            memset(p, 1, 1 << 20);
        }
    }
}

/* Every child forks on: only a limit ends it. */
static void use_forks(void) {
    for (;;) {
        if (fork() < 0) {
            usleep(FORKS_SETTLE_US);
        }
    }
}

static void use_disk(void) {
    static char block[BLOCK];
    int fd = open("/tmp/full", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    long total = 0;
    ssize_t n;
    while ((n = write(fd, block, sizeof block)) > 0) {
        total += n;
    }
    printf("disk: %ld KiB, then %s\n", total >> 10, strerror(errno));
}

static void write_all(const char *bytes, size_t len) {
    while (len > 0) {
        ssize_t n = write(STDOUT_FILENO, bytes, len);
        if (n <= 0) {
            return;
        }
        bytes += n;
        len -= (size_t)n;
    }
}

static void write_lines(long bytes) {
    char line[LOG_LINE + 1];
    for (long n = 0; n < bytes / LOG_LINE; n++) {
        int len = snprintf(line, sizeof line, "line %ld ", n);
        memset(line + len, 'x', sizeof line - (size_t)len);
        line[LOG_LINE - 1] = '\n';
        write_all(line, LOG_LINE);
    }
}

static void write_line(long bytes) {
    static const char after[] = "\nafter the line\n";
    char *line = malloc((size_t)bytes);
    if (line) {
        memset(line, 'y', (size_t)bytes);
        write_all(line, (size_t)bytes);
        write_all(after, sizeof after - 1);
        free(line);
    }
}

static void write_noise(void) {
    static const char noise[] = "noise \0 \x1b[2J \x1b]0;title\x07 \x9b \xff\xfe \r end\n";
    write_all(noise, sizeof noise - 1);
}

static unsigned *take_large(void) {
    unsigned *all = malloc(LARGE);
    for (unsigned i = 0; all && i < LARGE / sizeof *all; i++) {
        all[i] = i;
    }
    return all;
}

static bool is_whole(const unsigned *large) {
    unsigned i = 0;
    while (large && i < LARGE / sizeof *large && large[i] == i) {
        i++;
    }
    return !large || i == LARGE / sizeof *large;
}

/* ---- What it serves ---- */

static void on_signal(int signal) {
    static const char term[] = "got SIGTERM\n", quit[] = "got SIGQUIT\n", other[] = "got another\n";
    const char *words = signal == SIGTERM ? term : signal == SIGQUIT ? quit : other;
    write_all(words, strlen(words));
    _exit(0);
}

static int listen_at(const char *address, int port) {
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    if (inet_pton(AF_INET, address, &at.sin_addr) != 1 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        bind(fd, (struct sockaddr *)&at, sizeof at) < 0 || listen(fd, BACKLOG) < 0) {
        perror("listen");
        exit(1);
    }
    return fd;
}

static void say(int client, int status, const char *body) {
    dprintf(client, "HTTP/1.1 %d Said\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
        status, strlen(body), body);
}

/* What the path asks for, after its answer. */
static void act(struct villain *v, const char *path) {
    long number = 0;
    if (sscanf(path, "/exit/%ld", &number) == 1) {
        exit((int)number);
    } else if (strcmp(path, "/close") == 0) {
        close(v->listener);
        v->listener = -1;
    } else if (strcmp(path, "/hang") == 0) {
        v->hangs = true;
    } else if (strcmp(path, "/memory") == 0) {
        use_memory();
    } else if (strcmp(path, "/forks") == 0) {
        use_forks();
    } else if (strcmp(path, "/disk") == 0) {
        use_disk();
    } else if (sscanf(path, "/logs/%ld", &number) == 1) {
        write_lines(number);
        printf("%ld bytes written\n", number);
    } else if (sscanf(path, "/line/%ld", &number) == 1) {
        write_line(number);
    } else if (strcmp(path, "/noise") == 0) {
        write_noise();
    }
}

static void serve_one(struct villain *v, int client) {
    char request[REQUEST_MAX] = "", path[256] = "/", body[128];
    size_t len = 0;
    ssize_t n = 0;
    while (!strstr(request, "\r\n\r\n") && len < sizeof request - 1 &&
           (n = read(client, request + len, sizeof request - 1 - len)) > 0) {
        len += (size_t)n;
        request[len] = '\0';
    }
    sscanf(request, "%*s %255s", path);
    bool health = strcmp(path, "/healthz") == 0;
    long ms = 0;
    if (sscanf(path, "/slow/%ld", &ms) == 1) {
        usleep((useconds_t)ms * 1000);
    }
    bool whole = health || is_whole(v->large);
    snprintf(body, sizeof body, "%s from %s\n", whole ? "villain" : "spoilt", v->slot);
    say(client, health && v->sick ? 500 : 200, health && v->sick ? "sick\n" : body);
    shutdown(client, SHUT_WR);
    close(client);
    if (!health) {
        act(v, path);
    }
}

/* Waits for a client, and notices that it slept meanwhile. */
static int wait_for_client(struct villain *v) {
    struct pollfd waits = { .fd = v->listener, .events = POLLIN };
    for (;;) {
        struct timespec now;
        int ready = poll(&waits, 1, v->hungry ? TICK_MS : -1);
        clock_gettime(CLOCK_MONOTONIC, &now);
        long long ms = now.tv_sec * 1000LL + now.tv_nsec / 1000000;
        if (v->hungry && v->ticked && ms - v->ticked > SLEPT_MS) {
            use_memory();
        }
        v->ticked = ms;
        if (ready > 0) {
            return accept(v->listener, NULL, NULL);
        }
    }
}

static _Noreturn void serve(int argc, char **argv) {
    const char *port = getenv("PORT"), *slot = getenv("PAAS_SLOT");
    struct villain v = { .slot = slot ? slot : "nowhere" };
    char address[32] = "0.0.0.0";
    int number = atoi(port ? port : "8080");
    signal(SIGTERM, on_signal);
    signal(SIGQUIT, on_signal);
    signal(SIGPIPE, SIG_IGN);
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "deaf") == 0) {
            signal(SIGTERM, SIG_IGN);
        } else if (strcmp(argv[i], "sick") == 0) {
            v.sick = true;
        } else if (strcmp(argv[i], "large") == 0) {
            v.large = take_large();
        } else if (strcmp(argv[i], "hungry") == 0) {
            v.hungry = true;
        } else {
            sscanf(argv[i], "%31[0-9.]:%d", address, &number);
        }
    }
    v.listener = listen_at(address, number);
    printf("listening on %s:%d\n", address, number);
    for (;;) {
        int client = v.hangs || v.listener < 0 ? pause() : wait_for_client(&v);
        if (client >= 0) {
            serve_one(&v, client);
        }
    }
}

/* ---- What it is ---- */

static int tell_who(void) {
    char directory[4096] = "?";
    if (!getcwd(directory, sizeof directory)) {
        perror("getcwd");
    }
    printf("uid=%d gid=%d cwd=%s\n", (int)getuid(), (int)getgid(), directory);
    for (char **e = environ; *e; e++) {
        printf("env %s\n", *e);
    }
    return 0;
}

/* ---- What it may not ---- */

static void worked(const char *what, bool did) {
    if (did) {
        printf("%s\n", what);
    }
}

static bool connects(const char *path) {
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    strncpy(at.sun_path, path, sizeof at.sun_path - 1);
    bool did = connect(fd, (struct sockaddr *)&at, sizeof at) == 0;
    close(fd);
    return did;
}

static bool has_capability(void) {
    struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
    struct __user_cap_data_struct data[2] = { 0 };
    return syscall(SYS_capget, &head, data) < 0 || data[0].permitted || data[1].permitted ||
           data[0].inheritable || data[1].inheritable;
}

static bool opens(const char *path, int mode) {
    int fd = open(path, mode | O_NONBLOCK | O_CLOEXEC, 0600);
    close(fd);
    return fd >= 0;
}

/* Paths that are not to be there or not to be opened, for reading and for writing. */
static void try_paths(void) {
    static const char *const unread[] = { "/dev/mem", "/dev/kmsg", "/dev/sda", "/dev/vda",
        "/dev/fuse", "/dev/net/tun", "/dev/kvm", "/proc/1/root/", "/proc/1/cwd/", "/proc/1/fd",
        "/proc/1/fd/0", "/proc/1/mem", "/proc/1/exe", "/proc/1/environ", "/proc/1/ns/net",
        "/proc/1/map_files", "/proc/kcore", "/proc/kmsg", "/sys/kernel", "/sys/fs/cgroup",
        "/run/paas", "/var/lib/paas", "/etc/shadow", "/root/.bashrc", "/etc/ssh" };
    static const char *const unwritten[] = { "/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern",
        "/proc/sys/net/ipv4/ip_forward", "/proc/sys/vm/overcommit_memory", "/proc/1/oom_score_adj",
        "/proc/1/comm", "/proc/self/uid_map", "/proc/self/oom_score_adj", "/usr/new", "/dev/new" };
    for (size_t i = 0; i < sizeof unread / sizeof *unread; i++) {
        worked(unread[i], opens(unread[i], O_RDONLY));
    }
    for (size_t i = 0; i < sizeof unwritten / sizeof *unwritten; i++) {
        int made = strstr(unwritten[i], "/new") ? O_CREAT : 0;
        worked(unwritten[i], opens(unwritten[i], O_WRONLY | made));
    }
}

static int try_all(void) {
    worked("a capability", has_capability());
    worked("mount", mount("none", "/tmp", "tmpfs", 0, "") == 0);
    worked("a bind mount", mount("/proc", "/tmp", NULL, MS_BIND | MS_REC, NULL) == 0);
    worked("umount /proc", umount2("/proc", MNT_DETACH) == 0);
    worked("a user namespace", unshare(CLONE_NEWUSER) == 0);
    worked("a device", mknod("/tmp/disk", S_IFBLK | 0600, makedev(8, 0)) == 0);
    try_paths();
    worked("a signal to paas-init", kill(1, SIGTERM) == 0);
    worked("a trace of paas-init", ptrace(PTRACE_SEIZE, 1, 0, 0) == 0);
    worked("a raw socket", socket(AF_INET, SOCK_RAW, 1) >= 0);
    worked("a packet socket", socket(AF_PACKET, SOCK_RAW, 0) >= 0);
    worked("a set-uid change", setuid(1) == 0 || setgid(1) == 0);
    worked("chroot", chroot("/tmp") == 0);
    worked("the platform's API", connects("/run/paas/api.sock"));
    return 0;
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "serve";
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (strcmp(what, "exit") == 0) {
        int code = argc > 2 ? atoi(argv[2]) : 0;
        printf("one of the last lines\nexits with %d\n", code);
        return code;
    }
    if (strcmp(what, "silent") == 0) {
        printf("lives and is silent\n");
        return pause();
    }
    if (strcmp(what, "memory") == 0) {
        printf("takes memory\n");
        use_memory();
    }
    if (strcmp(what, "who") == 0) {
        return tell_who();
    }
    if (strcmp(what, "try") == 0) {
        return try_all();
    }
    serve(argc > 2 ? argc - 2 : 0, argv + 2);
}
