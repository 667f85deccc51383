/* A sandbox by hand. SPDX-License-Identifier: Apache-2.0 */
#include "box.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            give_up(__LINE__, #condition);                                                         \
        }                                                                                          \
    } while (0)

/* Fails the test; in a child, which has no test to fail, it ends the process. */
static void give_up(int line, const char *condition) {
    if (getpid() == 1) {
        fprintf(stderr, "box.c:%d: %s: %s\n", line, condition, strerror(errno));
        _exit(98);
    }
    fail_msg("box.c:%d: %s: %s", line, condition, strerror(errno));
}

static const char unified_root[] = "/sys/fs/cgroup/unified";
static const char memory_root[] = "/sys/fs/cgroup/memory";
static const char v2_root[] = "/sys/fs/cgroup";

/* ---- cgroups ------------------------------------------------------------------------------ */

static void tree_path(const struct box *box, const char *leaf, char path[BOX_PATH_MAX]) {
    snprintf(path, BOX_PATH_MAX, "%s/%s%s", box->hybrid ? unified_root : v2_root, box->name, leaf);
}

void box_cgroup_file(const struct box *box, const char *file, char path[BOX_PATH_MAX]) {
    char leaf[64];
    snprintf(leaf, sizeof leaf, "/app/%s", file);
    tree_path(box, leaf, path);
}

static void write_text(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
}

static void make_cgroups(struct box *box) {
    char path[BOX_PATH_MAX];
    box->hybrid = access("/sys/fs/cgroup/cgroup.controllers", F_OK) < 0;
    static const char *const leaves[] = { "", "/init", "/app" };
    for (int i = 0; i < 3; i++) {
        tree_path(box, leaves[i], path);
        CHECK(mkdir(path, 0755) == 0);
        if (!box->hybrid && i == 0) {
            write_text("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
            tree_path(box, "/cgroup.subtree_control", path);
            write_text(path, "+memory");
        }
    }
    static const char *const owned[] = { "/cgroup.procs", "/app/cgroup.procs" };
    for (int i = 0; i < 2; i++) {
        tree_path(box, owned[i], path);
        CHECK(chown(path, BOX_IDS + INIT_ID, BOX_IDS + INIT_ID) == 0);
    }
    if (box->hybrid) {
        snprintf(path, sizeof path, "%s/%s", memory_root, box->name);
        CHECK(mkdir(path, 0755) == 0);
    }
}

static int open_oom(const struct box *box) {
    char path[BOX_PATH_MAX];
    if (!box->hybrid) {
        box_cgroup_file(box, "memory.events", path);
        return open(path, O_RDONLY | O_CLOEXEC);
    }
    snprintf(path, sizeof path, "%s/%s/memory.oom_control", memory_root, box->name);
    int control = open(path, O_RDONLY | O_CLOEXEC);
    int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    CHECK(control >= 0 && event >= 0);
    char text[64];
    snprintf(text, sizeof text, "%d %d", event, control);
    snprintf(path, sizeof path, "%s/%s/cgroup.event_control", memory_root, box->name);
    write_text(path, text);
    close(control);
    return event;
}

static void limit_memory(const struct box *box, unsigned long bytes) {
    char path[BOX_PATH_MAX], text[32];
    snprintf(text, sizeof text, "%lu", bytes);
    if (box->hybrid) {
        snprintf(path, sizeof path, "%s/%s/memory.limit_in_bytes", memory_root, box->name);
        write_text(path, text);
    } else {
        box_cgroup_file(box, "memory.max", path);
        write_text(path, text);
        box_cgroup_file(box, "memory.oom.group", path);
        write_text(path, "1");
    }
}

/* Removes a directory that empties in a moment. */
static void remove_cgroup(const char *path) {
    for (int i = 0; i < 200 && rmdir(path) < 0 && errno == EBUSY; i++) {
        nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
    }
}

/* ---- files -------------------------------------------------------------------------------- */

static int sealed(const void *bytes, size_t len) {
    int fd = memfd_create("box", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    CHECK(fd >= 0 && write(fd, bytes, len) == (ssize_t)len);
    CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW) == 0);
    return fd;
}

/* A filter that notifies listen and unshare and lets all else pass, so that what fails fails for
 * want of permission. */
static int make_filter(void) {
    static const struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_listen, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_unshare, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    return sealed(code, sizeof code);
}

static int copy_program(const char *path) {
    char bytes[65536];
    int from = open(path, O_RDONLY | O_CLOEXEC);
    int to = memfd_create("paas-init", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    CHECK(from >= 0 && to >= 0);
    for (ssize_t n; (n = read(from, bytes, sizeof bytes)) > 0;) {
        CHECK(write(to, bytes, (size_t)n) == n);
    }
    close(from);
    CHECK(fchmod(to, 0111) == 0);
    CHECK(fcntl(to, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW) == 0);
    return to;
}

static int make_user_namespace(void) {
    int ready[2], done[2];
    char path[64], map[64], byte = 0;
    CHECK(pipe2(ready, O_CLOEXEC) == 0 && pipe2(done, O_CLOEXEC) == 0);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        CHECK(unshare(CLONE_NEWUSER) == 0);
        close(done[1]);
        CHECK(write(ready[1], "x", 1) == 1);
        _exit(read(done[0], &byte, 1) < 0);
    }
    CHECK(read(ready[0], &byte, 1) == 1);
    snprintf(map, sizeof map, "0 %d %d", BOX_IDS, INIT_ID + 1);
    snprintf(path, sizeof path, "/proc/%d/uid_map", pid);
    write_text(path, map);
    snprintf(path, sizeof path, "/proc/%d/gid_map", pid);
    write_text(path, map);
    snprintf(path, sizeof path, "/proc/%d/ns/user", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    close(done[1]);
    waitpid(pid, NULL, 0);
    close(ready[0]);
    close(ready[1]);
    close(done[0]);
    return fd;
}

static int listen_socket(const struct box *box) {
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    snprintf(address.sun_path, sizeof address.sun_path, "%s/%s", box->dir, INIT_NAME_SOCKET);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0);
    CHECK(listen(fd, INIT_CONNECTIONS_MAX) == 0);
    return fd;
}

/* ---- in the child ------------------------------------------------------------------------- */

static void put_file(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
}

static void make_root(const struct box_options *options, const char *app) {
    static const struct {
        const char *path;
        unsigned minor;
    } nodes[] = { { "dev/null", 3 }, { "dev/zero", 5 }, { "dev/urandom", 9 } };
    CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
    CHECK(mount("box", "/mnt", "tmpfs", 0, "mode=0755,size=16m") == 0 && chdir("/mnt") == 0);
    static const char *const dirs[] = { "proc", "dev", "etc", "tmp", "app", "home" };
    for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++) {
        CHECK(mkdir(dirs[i], 0755) == 0);
    }
    CHECK(chmod("tmp", 01777) == 0);
    umask(0);
    for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++) {
        CHECK(mknod(nodes[i].path, S_IFCHR | 0666, makedev(1, nodes[i].minor)) == 0);
    }
    umask(022);
    put_file("app/init_app", "");
    CHECK(mount(app, "app/init_app", NULL, MS_BIND, NULL) == 0);
    put_file("app/text", "no program\n");
    put_file("app/broken", "#!/nowhere\n");
    CHECK(chmod("app/broken", 0755) == 0);
    if (options->passwd) {
        put_file("etc/passwd", options->passwd);
    }
    if (options->group) {
        put_file("etc/group", options->group);
    }
    CHECK(mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == 0);
    CHECK(syscall(SYS_pivot_root, ".", ".") == 0 && umount2(".", MNT_DETACH) == 0);
    CHECK(chdir("/") == 0);
}

static void loopback_up(void) {
    struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0);
    close(fd);
}

/* Effective and permitted become `bits` and CAP_SETPCAP, as long as that is needed. */
static void set_capabilities(unsigned bits, unsigned more) {
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[2] = {
        { .effective = bits | more, .permitted = bits | more, .inheritable = bits }
    };
    CHECK(syscall(SYS_capset, &header, data) == 0);
}

/* Its starter has a filter, and so does all that it starts. */
static void take_filter(void) {
    static const struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_init_module, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { sizeof code / sizeof *code, (struct sock_filter *)code };
    CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0);
}

static void become_init(int user_ns, bool keep_bounding_set) {
    static const int three[] = { CAP_KILL, CAP_SETUID, CAP_SETGID };
    unsigned bits = 1u << CAP_KILL | 1u << CAP_SETUID | 1u << CAP_SETGID;
    CHECK(setns(user_ns, CLONE_NEWUSER) == 0);
    CHECK(setgroups(0, NULL) == 0 && setresgid(INIT_ID, INIT_ID, INIT_ID) == 0);
    set_capabilities(bits, 1u << CAP_SETPCAP); /* nothing becomes inheritable without the set */
    for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++) {
        CHECK(keep_bounding_set || prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0);
    }
    CHECK(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0);
    CHECK(setresuid(INIT_ID, INIT_ID, INIT_ID) == 0);
    set_capabilities(bits, 1u << CAP_SETPCAP);
    for (int i = 0; i < 3; i++) {
        CHECK(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, three[i], 0, 0) == 0);
    }
    CHECK(prctl(PR_SET_SECUREBITS,
              SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE |
                  SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED | SECBIT_KEEP_CAPS_LOCKED) == 0);
    set_capabilities(bits, 0);
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    take_filter();
}

static void run_init(int init_fd, const int fds[INIT_FD_END]) {
    enum { ASIDE = 100 };
    CHECK(dup2(init_fd, ASIDE) == ASIDE);
    for (int i = 0; i < INIT_FD_END; i++) {
        if (fds[i] >= 0) {
            CHECK(fcntl(fds[i], F_DUPFD_CLOEXEC, ASIDE + 1 + i) == ASIDE + 1 + i);
        }
    }
    for (int i = 0; i < INIT_FD_END; i++) {
        if (fds[i] >= 0) {
            CHECK(dup2(ASIDE + 1 + i, i) == i);
        } else {
            close(i);
        }
    }
    CHECK(fcntl(ASIDE, F_SETFD, FD_CLOEXEC) == 0);
    char *const none[] = { NULL };
    char *const name[] = { (char *)"paas-init", NULL };
    syscall(SYS_execveat, ASIDE, "", name, none, AT_EMPTY_PATH);
    _exit(99);
}

/* ---- the box ------------------------------------------------------------------------------ */

static int open_in_tree(const struct box *box, const char *leaf, int flags) {
    char path[BOX_PATH_MAX];
    tree_path(box, leaf, path);
    int fd = open(path, flags | O_CLOEXEC);
    CHECK(fd >= 0);
    return fd;
}

static int open_log(const struct box *box, const char *name) {
    int fd = openat(box->dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    CHECK(fd >= 0);
    return fd;
}

static void open_descriptors(
    struct box *box, const struct box_options *options, int fds[INIT_FD_END]) {
    memset(fds, -1, INIT_FD_END * sizeof *fds);
    for (int i = 0; i < 3; i++) {
        fds[i] = open("/dev/null", O_RDWR | O_CLOEXEC);
    }
    fds[INIT_FD_START] = fcntl(options->start_fd, F_DUPFD_CLOEXEC, 3);
    fds[INIT_FD_EXIT] = open_log(box, INIT_NAME_EXIT);
    fds[INIT_FD_LOG0] = open_log(box, INIT_NAME_LOG0);
    fds[INIT_FD_LOG1] = open_log(box, INIT_NAME_LOG1);
    fds[INIT_FD_SOCKET] = listen_socket(box);
    fds[INIT_FD_OOM] = open_oom(box);
    fds[INIT_FD_KILL] = open_in_tree(box, "/app/cgroup.kill", O_WRONLY);
    fds[INIT_FD_FREEZE] = open_in_tree(box, "/app/cgroup.freeze", O_WRONLY);
    fds[INIT_FD_SECCOMP] = make_filter();
    fds[INIT_FD_CGROUP] = options->procs_only ? open("/dev/null", O_RDONLY | O_CLOEXEC)
                                              : open_in_tree(box, "/app", O_DIRECTORY);
    fds[INIT_FD_PROCS] = open_in_tree(box, "/app/cgroup.procs", O_WRONLY);
    if (box->hybrid) {
        char path[BOX_PATH_MAX];
        snprintf(path, sizeof path, "%s/%s/tasks", memory_root, box->name);
        fds[INIT_FD_JOIN] = open(path, O_WRONLY | O_CLOEXEC);
        CHECK(fds[INIT_FD_JOIN] >= 0);
    }
}

static void run_child(
    const struct box_options *options, int user_ns, int init_fd, const int fds[INIT_FD_END]) {
    const char *app = getenv("INIT_APP");
    CHECK(app);
    make_root(options, app);
    loopback_up();
    become_init(user_ns, options->keep_bounding_set);
    run_init(init_fd, fds);
}

void box_start(struct box *box, const struct box_options *options) {
    static int count;
    *box = (struct box){ .pid = -1, .dir_fd = -1, .small_logs = options->small_logs };
    snprintf(box->name, sizeof box->name, "paas-test-init-%d-%d", getpid(), count++);
    snprintf(box->dir, sizeof box->dir, "/tmp/%s", box->name);
    CHECK(mkdir(box->dir, 0700) == 0);
    if (options->small_logs) {
        CHECK(mount("box", box->dir, "tmpfs", 0, "size=64k") == 0);
    }
    box->dir_fd = open(box->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    make_cgroups(box);
    if (options->memory_bytes) {
        limit_memory(box, options->memory_bytes);
    }
    int fds[INIT_FD_END];
    open_descriptors(box, options, fds);
    int user_ns = make_user_namespace();
    const char *program = getenv("PAAS_INIT");
    CHECK(program);
    int init_fd = copy_program(program);
    int leaf = open_in_tree(box, "/init", O_DIRECTORY);
    struct clone_args args = { .flags = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC |
                                        CLONE_NEWNET | CLONE_INTO_CGROUP,
        .exit_signal = SIGCHLD,
        .cgroup = (uint64_t)leaf };
    box->pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);
    CHECK(box->pid >= 0);
    if (box->pid == 0) {
        run_child(options, user_ns, init_fd, fds);
    }
    for (int i = 0; i < INIT_FD_END; i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
    close(user_ns);
    close(init_fd);
    close(leaf);
}

bool box_wait(struct box *box, int ms) {
    if (box->pid <= 0) {
        return true;
    }
    int pidfd = (int)syscall(SYS_pidfd_open, box->pid, 0);
    struct pollfd p = { .fd = pidfd, .events = POLLIN };
    bool ended = pidfd >= 0 && poll(&p, 1, ms) == 1;
    close(pidfd);
    if (ended) {
        waitpid(box->pid, NULL, 0);
        box->pid = -1;
    }
    return ended;
}

void box_destroy(struct box *box) {
    char path[BOX_PATH_MAX];
    if (box->dir_fd < 0) {
        return;
    }
    if (box->pid > 0) {
        kill(box->pid, SIGKILL);
        waitpid(box->pid, NULL, 0);
    }
    static const char *const leaves[] = { "/app", "/init", "" };
    for (int i = 0; i < 3; i++) {
        tree_path(box, leaves[i], path);
        remove_cgroup(path);
    }
    if (box->hybrid) {
        snprintf(path, sizeof path, "%s/%s", memory_root, box->name);
        remove_cgroup(path);
    }
    static const char *const names[] = { INIT_NAME_EXIT, INIT_NAME_LOG0, INIT_NAME_LOG1,
        INIT_NAME_SOCKET };
    for (int i = 0; i < 4; i++) {
        unlinkat(box->dir_fd, names[i], 0);
    }
    close(box->dir_fd);
    if (box->small_logs) {
        umount2(box->dir, MNT_DETACH);
    }
    rmdir(box->dir);
    box->dir_fd = -1;
}

int box_connect(struct box *box) {
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    snprintf(address.sun_path, sizeof address.sun_path, "%s/%s", box->dir, INIT_NAME_SOCKET);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    return fd;
}

void box_request(int fd, const struct init_request *request) {
    struct init_request r = *request;
    r.magic = INIT_MESSAGE_MAGIC;
    r.version = INIT_VERSION;
    r.bytes = sizeof r;
    CHECK(send(fd, &r, sizeof r, MSG_NOSIGNAL) == (ssize_t)sizeof r);
}

static long now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void box_await(int fd, struct init_state *state, bool (*want)(const struct init_state *), int ms) {
    long end = now_ms() + ms;
    memset(state, 0, sizeof *state);
    for (;;) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        long left = end - now_ms();
        if (left <= 0 || poll(&p, 1, (int)left) != 1) {
            fail_msg("no such state; phase %u listeners %u end %u", state->phase,
                state->listener_count, state->exit.end);
        }
        ssize_t n = recv(fd, state, sizeof *state, 0);
        if (n < 0 && errno == ECONNRESET) {
            continue; /* it ended with requests unread; what it sent is still there */
        }
        CHECK(n == (ssize_t)sizeof *state);
        CHECK(state->magic == INIT_MESSAGE_MAGIC && state->version == INIT_VERSION);
        if (want(state)) {
            return;
        }
    }
}

bool box_exit(const struct box *box, struct init_exit *exit) {
    int fd = openat(box->dir_fd, INIT_NAME_EXIT, O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    ssize_t n = read(fd, exit, sizeof *exit);
    close(fd);
    return n == (ssize_t)sizeof *exit && exit->magic == INIT_EXIT_MAGIC &&
           exit->checksum ==
               init_checksum(INIT_CHECKSUM_START, exit, offsetof(struct init_exit, checksum));
}

int box_app_processes(const struct box *box) {
    char path[BOX_PATH_MAX];
    box_cgroup_file(box, "cgroup.procs", path);
    FILE *file = fopen(path, "re");
    CHECK(file);
    int count = 0;
    for (int c; (c = fgetc(file)) != EOF;) {
        count += c == '\n';
    }
    fclose(file);
    return count;
}
