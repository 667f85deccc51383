/* The host: what all sandboxes share. SPDX-License-Identifier: Apache-2.0 */
#include "host.h"
#include "device.h"
#include "firewall.h"
#include "ns.h"
#include "rlimit.h"
#include "seccomp_filter.h"

#include <paas/file.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U /* Linux 6.3 */
#endif

enum {
    INIT_PROGRAM_MAX = 4 << 20, /* bytes of paas-init; with sanitizers it grows */
    MOUNTS_TEXT_MAX = 64 << 10, /* bytes of mountinfo in the small root */
    /* Descriptors that a child needs to the last are kept above those it hands on. */
    FD_ASIDE = 64,
};

/* ---- paas-init ---- */

static int copy_into(int to, const char *path, struct err *err) {
    struct buf program;
    buf_init(&program, INIT_PROGRAM_MAX);
    int result = file_read_whole(AT_FDCWD, path, &program, err);
    if (result == 0) {
        result = file_write_all(to, buf_str(&program), program.len, err);
    }
    buf_free(&program);
    return result;
}

static int make_program_memfd(void) {
    int fd = memfd_create("paas-init", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
    /* Kernels before 6.3 don't know that flag, nor a memfd that can't be executed. */
    return fd >= 0 ? fd : memfd_create("paas-init", MFD_CLOEXEC | MFD_ALLOW_SEALING);
}

/* Copies paas-init, so that an upgrade of the file can't reach instances, sealed against change.
 * That nobody may read it makes the kernel treat its process as none of the instance's business:
 * not traced, not read, even by the instance's root. */
static int load_program(const char *path, struct err *err) {
    CLEANUP_FD int memfd = make_program_memfd();
    if (memfd < 0) {
        return err_sys(err, errno, "memfd");
    }
    if (copy_into(memfd, path, err) < 0) {
        return -1;
    }
    int seals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
    if (fchmod(memfd, 0111) < 0 || fcntl(memfd, F_ADD_SEALS, seals) < 0) {
        return err_sys(err, errno, "seal paas-init");
    }
    /* A descriptor open for writing keeps a file from being executed. */
    char self[64];
    snprintf(self, sizeof self, "/proc/self/fd/%d", memfd);
    CLEANUP_FD int fd = open(self, O_PATH | O_CLOEXEC);
    int aside = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, FD_ASIDE);
    return aside < 0 ? err_sys(err, errno, "reopen paas-init") : aside;
}

/* ---- opening ---- */

static int compile_filter(enum seccomp_variant variant, struct err *err) {
    struct seccomp_program program;
    return seccomp_compile(variant, &program, err) < 0 ? -1 : seccomp_memfd(&program, err);
}

static int set_firewall(struct sandbox_host *host, struct err *err) {
    struct firewall_spec spec = { .platform = host->platform, .resolver_count = host->n_resolvers };
    memcpy(spec.resolvers, host->resolvers, host->n_resolvers * sizeof host->resolvers[0]);
    if (netns_forwarding(&host->net, spec.uplinks, &spec.uplink_count, err) < 0) {
        return -1;
    }
    return firewall_set(&spec, err);
}

int sandbox_network_refresh(
    struct sandbox_host *host, const struct in_addr *resolvers, size_t n, struct err *err) {
    _Static_assert(
        (int)SANDBOX_RESOLVERS_MAX <= (int)FIREWALL_RESOLVERS, "the firewall takes them all");
    if (n > SANDBOX_RESOLVERS_MAX) {
        return err_set(err, ERR_BAD_VALUE, "too many name servers");
    }
    memcpy(host->resolvers, resolvers, n * sizeof *resolvers);
    host->n_resolvers = (uint32_t)n;
    return host->network ? set_firewall(host, err) : 0;
}

int host_ensure_firewall(struct sandbox_host *host, struct err *err) {
    bool present = true;
    if (host->network && firewall_present(host->platform, &present, err) < 0) {
        return -1;
    }
    return present ? 0 : set_firewall(host, err);
}

static int open_network(
    struct sandbox_host *host, const struct sandbox_host_options *o, struct err *err) {
    if (netns_host_open(&host->net, host->platform, err) < 0) {
        return -1;
    }
    host->network = true;
    return sandbox_network_refresh(host, o->resolvers, o->n_resolvers, err);
}

static int open_parts(
    struct sandbox_host *host, const struct sandbox_host_options *o, struct err *err) {
    host->proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    host->pid_ns = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
    CLEANUP_FD int oom_score = open("/proc/self/oom_score_adj", O_RDONLY | O_CLOEXEC);
    if (host->proc < 0 || host->pid_ns < 0 || oom_score < 0) {
        return err_sys(err, errno, "open /proc");
    }
    if (spawn_place_make(&host->place, err) < 0 ||
        rlimit_read_oom_score(oom_score, &host->oom_score, err) < 0 || rlimit_most_files(err) < 0 ||
        features_probe(host->proc, &host->features, err) < 0 ||
        (host->init_program = load_program(o->init_path, err)) < 0 ||
        (host->seccomp_app = compile_filter(SECCOMP_WITH_LISTENER, err)) < 0 ||
        (host->seccomp_exec = compile_filter(SECCOMP_WITHOUT_LISTENER, err)) < 0 ||
        cgroup_open(&host->cgroups, host->cgroup, CGROUP_MAKE, err) < 0 ||
        device_guard(host->cgroups.instances, err) < 0) {
        return -1;
    }
    if (!(o->flags & SANDBOX_NO_NETWORK) && open_network(host, o, err) < 0) {
        return -1;
    }
    if (disk_open(&host->disks, o->images_fd, err) < 0) {
        return -1;
    }
    host->ids.proc = host->cgroups.proc = host->proc;
    host->cgroups.lean = &host->lean;
    /* Last: after it, paths of the machine are gone. */
    return ns_enter_small_root(o->store_fd, err);
}

static void close_parts(struct sandbox_host *host) {
    for (size_t i = 0; i < IDMAP_SLOTS; i++) {
        file_close(&host->networks[i].fd);
    }
    if (host->network) {
        netns_host_close(&host->net);
    }
    disk_close(&host->disks);
    idmap_cache_finish(&host->ids);
    cgroup_close(&host->cgroups);
    file_close(&host->seccomp_exec);
    file_close(&host->seccomp_app);
    file_close(&host->init_program);
    file_close(&host->pid_ns);
    spawn_place_free(&host->place);
    file_close(&host->proc);
}

static int check_options(const struct sandbox_host_options *o, struct err *err) {
    if (o->platform > SANDBOX_PLATFORM_MAX || o->n_resolvers > SANDBOX_RESOLVERS_MAX ||
        strlen(o->cgroup) >= HOST_CGROUP_MAX || !o->cgroup[0] || strchr(o->cgroup, '/')) {
        return err_set(err, ERR_BAD_VALUE, "sandbox host: bad options");
    }
    return 0;
}

struct sandbox_host *sandbox_host_open(const struct sandbox_host_options *o, struct err *err) {
    if (check_options(o, err) < 0) {
        return NULL;
    }
    struct sandbox_host *host = calloc(1, sizeof *host);
    if (!host) {
        err_no_memory(err);
        return NULL;
    }
    host->platform = o->platform;
    host->id_base = o->id_base;
    host->agent_uid = o->agent_uid;
    disk_open(&host->disks, -1, NULL);
    host->proc = host->pid_ns = host->init_program = host->seccomp_app = host->seccomp_exec = -1;
    host->cgroups =
        (struct sandbox_cgroups){ .instances = -1, .v1 = { -1, -1, -1 }, .tasks = { -1, -1, -1 } };
    snprintf(host->cgroup, sizeof host->cgroup, "%s", o->cgroup);
    lean_find(&host->lean);
    idmap_cache_init(&host->ids, o->id_base, &host->lean);
    for (size_t i = 0; i < IDMAP_SLOTS; i++) {
        host->networks[i].fd = -1;
    }
    if (open_parts(host, o, err) < 0) {
        close_parts(host);
        free(host);
        return NULL;
    }
    return host;
}

static int clear(struct sandbox_host *host, struct err *err) {
    int result = cgroup_clear(&host->cgroups, host->cgroup, err);
    if (host->network) {
        if (firewall_clear(host->platform, err) < 0) {
            result = -1;
        }
        if (netns_host_remove(host->platform, err) < 0) {
            result = -1;
        }
    }
    return result;
}

int sandbox_host_close(struct sandbox_host *host, enum sandbox_close how, struct err *err) {
    if (!host) {
        return 0;
    }
    int result = how == SANDBOX_CLEAR ? clear(host, err) : 0;
    close_parts(host);
    free(host);
    return result;
}

/* ---- counting ---- */

static uint32_t count_entries(int dir, const char *path) {
    int fd = openat(dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = fd < 0 ? NULL : fdopendir(fd);
    if (!entries) {
        file_close(&fd);
        return 0;
    }
    uint32_t count = 0;
    for (struct dirent *e; (e = readdir(entries));) {
        count += e->d_name[0] != '.';
    }
    closedir(entries);
    return count - 1; /* the descriptor that counts */
}

static int count_mounts(int proc, uint32_t *out, struct err *err) {
    struct buf text;
    buf_init(&text, MOUNTS_TEXT_MAX);
    int result = file_read_whole(proc, "self/mountinfo", &text, err);
    *out = 0;
    for (size_t i = 0; i < text.len; i++) {
        *out += text.data[i] == '\n';
    }
    buf_free(&text);
    return result;
}

static int count_devices(struct sandbox_host *host, uint32_t *out, struct err *err) {
    struct if_nameindex *all = if_nameindex();
    if (!all) {
        return err_sys(err, errno, "list network devices");
    }
    char prefix[IF_NAMESIZE];
    int len = snprintf(prefix, sizeof prefix, "p%ui", host->platform);
    *out = 0;
    for (struct if_nameindex *i = all; i->if_index; i++) {
        *out += strncmp(i->if_name, prefix, (size_t)len) == 0;
    }
    if_freenameindex(all);
    return 0;
}

int sandbox_census(struct sandbox_host *host, struct sandbox_census *out, struct err *err) {
    *out = (struct sandbox_census){ .files = count_entries(host->proc, "self/fd") };
    if (cgroup_census(&host->cgroups, out, err) < 0 ||
        count_mounts(host->proc, &out->mounts, err) < 0) {
        return -1;
    }
    return count_devices(host, &out->devices, err);
}
