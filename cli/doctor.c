/* `paas doctor`: what a platform needs of its host. SPDX-License-Identifier: Apache-2.0
 *
 * Each check looks, changes nothing that stays, and says in words what it found. A check that fails
 * means that no platform can run, a warning that something will be missed.
 */
#include "doctor.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/loop.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>

#include <paas/buf.h>
#include <paas/file.h>
#include <paas/limits.h>
#include <paas/str.h>

#include "groups.h"
#include "listeners.h"
#include "places.h"
#include "platform.h"
#include "programs.h"
#include "run_state.h"
#include "show.h"
#include "supervisor.h"

const struct option_row doctor_options[] = {
    { "data", 0, "DIR", "the platform's data directory; /var/lib/paas" },
    { "http", 0, "ADDRESS:PORT", "where apps shall be served; 127.0.0.1:8080" },
    { 0 },
};

enum verdict { CHECK_OK, CHECK_WARNING, CHECK_FAILED };
static const char *const verdict_names[] = { "ok", "warning", "failed", NULL };

enum {
    KERNEL_MAJOR = 6, /* 6.1 is what Debian 12 boots */
    KERNEL_MINOR = 1,
    FILES_WANTED = 65536,   /* descriptors of a proxy under load */
    PIDS_WANTED = 32768,    /* the kernel's own default */
    PROC_FILE_MAX = 1 << 20 /* bytes */
};
#define MEMORY_WANTED (INT64_C(256) << 20) /* the daemons and a small app */
#define DISK_WANTED (INT64_C(512) << 20)   /* images of a few small apps */

struct host {
    struct places places;
    struct run_state state; /* of the platform that runs here */
    bool runs;
    const char *http;
};

struct finding {
    char id[32];
    int verdict;
    char words[200];
    char remedy[200];
};

static int found(struct finding *f, enum verdict verdict, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static int found(struct finding *f, enum verdict verdict, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(f->words, sizeof f->words, format, args);
    va_end(args);
    f->verdict = verdict;
    return 0;
}

/* ---- The kernel ---- */

static void check_kernel(const struct host *host, struct finding *f) {
    (void)host;
    struct utsname name;
    int major = 0, minor = 0;
    uname(&name);
    sscanf(name.release, "%d.%d", &major, &minor);
    bool good = major > KERNEL_MAJOR || (major == KERNEL_MAJOR && minor >= KERNEL_MINOR);
    found(f, good ? CHECK_OK : CHECK_FAILED, "Linux %.60s", name.release);
}

static void check_root(const struct host *host, struct finding *f) {
    (void)host;
    found(f, geteuid() == 0 ? CHECK_OK : CHECK_FAILED, "user id %d", (int)geteuid());
}

static void check_capabilities(const struct host *host, struct finding *f) {
    (void)host;
    static const struct {
        int number;
        const char *name;
    } needed[] = { { 21, "SYS_ADMIN" }, { 12, "NET_ADMIN" }, { 7, "SETUID" }, { 6, "SETGID" },
        { 0, "CHOWN" }, { 5, "KILL" }, { 18, "SYS_CHROOT" }, { 19, "SYS_PTRACE" } };
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        if (prctl(PR_CAPBSET_READ, needed[i].number) != 1) {
            found(f, CHECK_FAILED, "CAP_%s is taken away", needed[i].name);
            return;
        }
    }
    found(f, CHECK_OK, "all that are needed");
}

static void check_cgroups(const struct host *host, struct finding *f) {
    (void)host;
    struct groups groups;
    struct err err;
    if (groups_find(&groups, 0, &err) < 0) {
        found(f, CHECK_FAILED, "%.150s", err.text);
        return;
    }
    found(f, CHECK_OK, groups.count == 1 ? "version 2" : "hybrid, %zu hierarchies", groups.count);
}

/* The file's text has the word; for controllers of version 2. */
static bool file_has(const char *path, const char *word) {
    struct buf text;
    buf_init(&text, PROC_FILE_MAX);
    bool has =
        file_read_whole(AT_FDCWD, path, &text, NULL) == 0 && strstr(buf_str(&text), word) != NULL;
    buf_free(&text);
    return has;
}

static void check_controllers(const struct host *host, struct finding *f) {
    (void)host;
    static const char *const needed[] = { "cpu", "memory", "pids" };
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        char line[32];
        snprintf(line, sizeof line, "\n%s\t", needed[i]);
        if (!file_has("/proc/cgroups", line)) {
            found(f, CHECK_FAILED, "no %s controller", needed[i]);
            return;
        }
    }
    bool memory_off = file_has("/proc/cmdline", "cgroup_disable=memory");
    found(f, memory_off ? CHECK_FAILED : CHECK_OK,
        memory_off ? "memory is switched off" : "cpu, memory, pids");
}

/* Runs `try` in a child, as what it does to the process must not stay: 0, or its errno. */
static int in_child(int (*try)(void)) {
    pid_t pid = fork();
    int status = 0;
    if (pid == 0) {
        errno = 0;
        _exit(try() < 0 ? (errno ? errno : EPERM) : 0);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status)
                                                                           : EAGAIN;
}

static int try_namespaces(void) {
    return unshare(
        CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWCGROUP);
}

static int try_user_namespace(void) {
    return unshare(CLONE_NEWUSER);
}

static int try_openat2(void) {
    struct err err;
    return file_open_beneath(AT_FDCWD, "proc", O_PATH, 0, &err) >= 0 || err.sys != ENOSYS ? 0 : -1;
}

static int try_nftables(void) {
    return socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER) < 0 ? -1 : 0;
}

static int try_seccomp(void) {
    uint32_t action = SECCOMP_RET_USER_NOTIF;
    return (int)syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action);
}

static void judge_try(struct finding *f, int (*try)(void), const char *good) {
    int sys = in_child(try);
    if (sys) {
        found(f, CHECK_FAILED, "%s", strerror(sys));
    } else {
        found(f, CHECK_OK, "%s", good);
    }
}

static void check_namespaces(const struct host *host, struct finding *f) {
    (void)host;
    judge_try(f, try_namespaces, "mount, pid, net, uts, ipc, cgroup");
}

static void check_user_namespaces(const struct host *host, struct finding *f) {
    (void)host;
    judge_try(f, try_user_namespace, "can be made");
}

static void check_openat2(const struct host *host, struct finding *f) {
    (void)host;
    judge_try(f, try_openat2, "openat2 is there");
}

static void check_seccomp(const struct host *host, struct finding *f) {
    (void)host;
    judge_try(f, try_seccomp, "filters with notification");
}

static void check_nftables(const struct host *host, struct finding *f) {
    (void)host;
    judge_try(f, try_nftables, "netlink answers");
}

static void check_overlay(const struct host *host, struct finding *f) {
    (void)host;
    bool there =
        file_has("/proc/filesystems", "overlay") || access("/sys/module/overlay", F_OK) == 0;
    found(f, there ? CHECK_OK : CHECK_WARNING, there ? "overlay is there" : "not loaded yet");
}

static void check_loop(const struct host *host, struct finding *f) {
    (void)host;
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    bool there = control >= 0 && ioctl(control, LOOP_CTL_GET_FREE) >= 0;
    file_close(&control);
    found(f, there ? CHECK_OK : CHECK_WARNING,
        there ? "loop devices are there, for roots on disk" : "no roots on disk: no loop devices");
}

/* ---- Room ---- */

static void check_ids(const struct host *host, struct finding *f) {
    (void)host;
    struct buf text;
    int free_ranges = 0;
    buf_init(&text, PROC_FILE_MAX);
    file_read_whole(AT_FDCWD, "/etc/subuid", &text, NULL);
    for (uint32_t i = 0; i < PLATFORMS_MAX; i++) {
        free_ranges += !platform_ids_taken(
            buf_str(&text), PLATFORM_ID_BASE + i * PLATFORM_ID_COUNT, PLATFORM_ID_COUNT);
    }
    buf_free(&text);
    found(f, free_ranges ? CHECK_OK : CHECK_FAILED, "%d of %d ranges are free", free_ranges,
        PLATFORMS_MAX);
}

static void check_network(const struct host *host, struct finding *f) {
    struct buf text;
    int free_networks = 0;
    buf_init(&text, PROC_FILE_MAX);
    file_read_whole(AT_FDCWD, "/proc/net/route", &text, NULL);
    for (int i = 0; i < PLATFORMS_MAX; i++) {
        free_networks += !platform_network_taken(buf_str(&text), i, RANGE_WHOLE);
    }
    buf_free(&text);
    found(f, free_networks || host->runs ? CHECK_OK : CHECK_FAILED,
        "%d of %d networks (10.200.0.0/16 on) are free", free_networks, PLATFORMS_MAX);
}

static void check_port(const struct host *host, struct finding *f) {
    struct err err;
    const char *http = host->http   ? host->http
                       : host->runs ? host->state.http
                                    : SUPERVISOR_HTTP_DEFAULT;
    if (host->runs && strcmp(http, host->state.http) == 0) {
        found(f, CHECK_OK, "%s serves already", http);
        return;
    }
    int fd = listener_open_tcp(http, &err);
    if (fd < 0) {
        found(f, CHECK_FAILED, "%.180s", err.text);
    } else {
        close(fd);
        found(f, CHECK_OK, "%s is free", http);
    }
}

/* Bytes that a line of /proc/meminfo tells; 0 when there is none. */
static int64_t memory_line(const char *name) {
    struct buf text;
    int64_t kilobytes = 0;
    buf_init(&text, PROC_FILE_MAX);
    file_read_whole(AT_FDCWD, "/proc/meminfo", &text, NULL);
    const char *line = strstr(buf_str(&text), name);
    if (line) {
        kilobytes = strtoll(line + strlen(name), NULL, 10);
    }
    buf_free(&text);
    return kilobytes * 1024;
}

static void check_memory(const struct host *host, struct finding *f) {
    (void)host;
    char amount[STR_AMOUNT_MAX];
    int64_t available = memory_line("MemAvailable:");
    found(f, available >= MEMORY_WANTED ? CHECK_OK : CHECK_WARNING, "%s available",
        str_format_size(available, amount));
}

static void check_swap(const struct host *host, struct finding *f) {
    (void)host;
    char all[STR_AMOUNT_MAX], free[STR_AMOUNT_MAX];
    int64_t total = memory_line("SwapTotal:");
    if (total > 0) {
        found(f, CHECK_OK, "%s, %s free, which takes the memory of apps that sleep for long",
            str_format_size(total, all), str_format_size(memory_line("SwapFree:"), free));
    } else {
        found(f, CHECK_OK, "none: nothing of the memory of apps that sleep comes back");
    }
}

static void check_disk(const struct host *host, struct finding *f) {
    char path[PLACES_SIZE], amount[STR_AMOUNT_MAX];
    struct statvfs facts;
    str_copy(path, sizeof path, host->places.data);
    while (statvfs(path, &facts) < 0 && strrchr(path, '/')) {
        *strrchr(path, '/') = '\0';
        str_copy(path, sizeof path, path[0] ? path : "/");
        if (strcmp(path, "/") == 0) {
            statvfs("/", &facts);
            break;
        }
    }
    int64_t bytes = (int64_t)facts.f_bavail * (int64_t)facts.f_frsize;
    found(f, bytes >= DISK_WANTED ? CHECK_OK : CHECK_WARNING, "%s free for %s",
        str_format_size(bytes, amount), host->places.data);
}

static void check_data(const struct host *host, struct finding *f) {
    struct places places;
    struct err err;
    if (access(host->places.data, F_OK) < 0) {
        found(f, CHECK_OK, "%s is made at the first start", host->places.data);
    } else if (places_make(&places, host->places.data, &err) < 0) {
        found(f, CHECK_FAILED, "%.180s", err.text);
    } else {
        found(f, CHECK_OK, "%s", host->places.data);
    }
}

static void check_files(const struct host *host, struct finding *f) {
    (void)host;
    struct buf text;
    buf_init(&text, 64);
    file_read_whole(AT_FDCWD, "/proc/sys/fs/nr_open", &text, NULL);
    long most = strtol(buf_str(&text), NULL, 10);
    buf_free(&text);
    found(f, most >= FILES_WANTED ? CHECK_OK : CHECK_WARNING, "%ld descriptors a process", most);
}

static void check_pids(const struct host *host, struct finding *f) {
    (void)host;
    struct buf text;
    buf_init(&text, 64);
    file_read_whole(AT_FDCWD, "/proc/sys/kernel/pid_max", &text, NULL);
    long most = strtol(buf_str(&text), NULL, 10);
    buf_free(&text);
    found(f, most >= PIDS_WANTED ? CHECK_OK : CHECK_WARNING, "%ld processes", most);
}

/* ---- What belongs to it ---- */

static void check_programs(const struct host *host, struct finding *f) {
    (void)host;
    static const char *const programs[] = { "paas-scheduler", "paas-agent", "paas-proxy",
        "paas-init" };
    char path[PATH_MAX];
    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
        if (program_find(programs[i], path, NULL) < 0) {
            found(f, CHECK_FAILED, "%s is not beside paas", programs[i]);
            return;
        }
    }
    found(f, CHECK_OK, "scheduler, agent, proxy, init");
}

static void check_resolver(const struct host *host, struct finding *f) {
    (void)host;
    bool there = file_has("/etc/resolv.conf", "nameserver");
    found(f, there ? CHECK_OK : CHECK_WARNING,
        there ? "/etc/resolv.conf names servers" : "apps will resolve no names");
}

static void check_localhost(const struct host *host, struct finding *f) {
    (void)host;
    struct addrinfo *addresses = NULL;
    int failed = getaddrinfo("paas-doctor.localhost", NULL, NULL, &addresses);
    if (addresses) {
        freeaddrinfo(addresses);
    }
    found(f, failed ? CHECK_WARNING : CHECK_OK,
        failed ? "APP.localhost resolves in curl and browsers only" : "APP.localhost resolves");
}

static const struct check {
    const char *id;
    void (*look)(const struct host *host, struct finding *f);
    const char *remedy;
} checks[] = {
    { "root", check_root, "sudo paas doctor" },
    { "kernel", check_kernel, "boot a kernel of 6.1 or newer: apt install linux-image-amd64" },
    { "capabilities", check_capabilities, "run on the host itself, or in a privileged container" },
    { "cgroups", check_cgroups, "mount -t cgroup2 none /sys/fs/cgroup" },
    { "controllers", check_controllers, "boot without cgroup_disable=memory" },
    { "namespaces", check_namespaces, "run on the host itself, or in a privileged container" },
    { "user-namespaces", check_user_namespaces, "sysctl -w user.max_user_namespaces=15000" },
    { "overlayfs", check_overlay, "modprobe overlay" },
    { "loop", check_loop, "modprobe loop" },
    { "seccomp", check_seccomp, "boot a kernel with CONFIG_SECCOMP_FILTER" },
    { "openat2", check_openat2, "boot a kernel of 5.6 or newer" },
    { "nftables", check_nftables, "modprobe nf_tables" },
    { "ids", check_ids, "remove large ranges from /etc/subuid and /etc/subgid" },
    { "network", check_network, "free one network of 10.200.0.0/16 to 10.231.0.0/16" },
    { "port", check_port, "paas up --http ADDRESS:PORT with another port" },
    { "memory", check_memory, "end what is not needed, or add memory" },
    { "swap", check_swap, "" },
    { "disk", check_disk, "make room, or use --data on a larger disk" },
    { "data", check_data, "chmod o+x the directory that is closed, or use another --data" },
    { "files", check_files, "sysctl -w fs.nr_open=1048576" },
    { "pids", check_pids, "sysctl -w kernel.pid_max=4194304" },
    { "programs", check_programs, "build all: cmake --build build" },
    { "resolver", check_resolver, "name a server in /etc/resolv.conf" },
    { "localhost", check_localhost, "apt install libnss-myhostname" },
};
enum { CHECK_COUNT = sizeof checks / sizeof *checks };

static const struct json_type finding_json = { "finding", sizeof(struct finding),
    (const struct json_field[]){
        F_TEXT(finding, id, 0, "stable name of the check"),
        F_ENUM(finding, verdict, verdict_names, CHECK_OK, 0, "ok, warning or failed"),
        F_TEXT(finding, words, 0, "what was found"),
        F_TEXT(finding, remedy, JF_OMIT, "what helps"),
        { 0 },
    } };

static void print(const struct finding *findings, int good) {
    for (int i = 0; i < CHECK_COUNT; i++) {
        const struct finding *f = &findings[i];
        printf("%-8s %-16s %s\n", verdict_names[f->verdict], f->id, f->words);
        if (f->verdict != CHECK_OK) {
            printf("%-8s %-16s try: %s\n", "", "", f->remedy);
        }
    }
    printf("%d of %d ok\n", good, CHECK_COUNT);
}

int doctor_run(struct cli *cli, struct err *err) {
    struct finding findings[CHECK_COUNT] = { 0 };
    struct host host = { .http = options_value(&cli->options, "http") };
    int good = 0, failed = 0;
    if (places_find(&host.places, options_value(&cli->options, "data"), err) < 0) {
        return -1;
    }
    host.runs = run_state_read(&host.state, host.places.run, NULL) == 0;
    for (int i = 0; i < CHECK_COUNT; i++) {
        str_copy(findings[i].id, sizeof findings[i].id, checks[i].id);
        checks[i].look(&host, &findings[i]);
        good += findings[i].verdict == CHECK_OK;
        failed += findings[i].verdict == CHECK_FAILED;
        if (findings[i].verdict != CHECK_OK) {
            str_copy(findings[i].remedy, sizeof findings[i].remedy, checks[i].remedy);
        }
    }
    if (cli->output == OUTPUT_JSON) {
        show_json_list(&finding_json, &(struct json_array){ findings, CHECK_COUNT });
    } else {
        print(findings, good);
    }
    cli->exit_status = failed ? 1 : 0;
    return 0;
}
