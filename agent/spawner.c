/* The root process beside the agent. SPDX-License-Identifier: Apache-2.0
 *
 * One thread, one poll: the agent's socket and a signalfd for ended children. A start, a destroy
 * and an exec are done while the agent waits for the answer, each in a few milliseconds; unpacking
 * and removing layers run in helpers of their own (layer_helper.c) and are answered when these end.
 * What is decided here is one thing: which id range an instance gets (slots.c). It ends when the
 * agent does, and the instances live on: the next spawner finds them by their slots' files.
 */
#include "spawner.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <paas/clock.h>
#include <paas/file.h>
#include <paas/id.h>
#include <paas/limits.h>
#include <paas/list.h>
#include <paas/log.h>
#include <paas/sandbox.h>
#include <paas/str.h>

#include "dns.h"
#include "layer_helper.h"
#include "slots.h"
#include "spawner_wire.h"

enum {
    HELPERS_MAX = 8,    /* layers at once: more only compete for the disk */
    AHEAD_SLOTS = 8,    /* starts for which namespaces are made ahead */
    AHEAD_PAUSE_MS = 5, /* without a request, before something is made ahead */
    REFRESH_MS = 5000,  /* between looks at routes and firewall, which others may change */
    EXECS_MAX = 256,    /* commands at once on a host: each is a process in an instance */
};

/* A child that is no instance: a helper, or a command inside one. */
struct child {
    struct list link;
    pid_t pid;
    uint32_t operation; /* enum spawner_operation */
    uint32_t sequence;
    struct layer_helper helper; /* with UNPACK, REMOVE_LAYER and COVER */
};

struct spawner {
    int socket;
    int signals;
    int store;  /* the directory of layers */
    int images; /* that of roots on disk */
    struct slots slots;
    struct sandbox_host *host;
    struct in_addr forwarder; /* address of the name server for instances */
    struct dns_plan names;
    msec refreshed;
    bool failing;       /* the last refresh did */
    uint32_t store_ids; /* first id of the store's range */
    struct list children;
    unsigned helpers, execs;
};

static void answer_with(
    struct spawner *s, struct spawner_answer *answer, const int *fds, size_t fd_count) {
    answer->magic = SPAWNER_MAGIC;
    /* An agent that is gone or does not read ends this process by its closed socket. */
    if (spawner_send(s->socket, answer, sizeof *answer, fds, fd_count) < 0) {
        log_warn("answering the agent: %s", strerror(errno));
    }
}

static void answer_error(
    struct spawner *s, uint32_t operation, uint32_t sequence, const struct err *err) {
    struct spawner_answer answer = {
        .operation = operation,
        .sequence = sequence,
        .code = (int32_t)err->code,
        .sys = err->sys,
    };
    memcpy(answer.text, err->text, sizeof answer.text);
    answer_with(s, &answer, NULL, 0);
}

static void answer_result(
    struct spawner *s, const struct spawner_request *r, int result, const struct err *err) {
    struct err ok = { .code = ERR_OK };
    answer_error(s, r->operation, r->sequence, result < 0 ? err : &ok);
}

static int do_start(struct spawner *s, struct spawner_request *r, const int *fds, struct err *err) {
    struct sandbox_spec *spec = &r->start;
    struct sandbox_started started;
    spec->id[sizeof spec->id - 1] = '\0';
    if (!id_is_valid(spec->id)) {
        return err_set(err, ERR_BAD_VALUE, "not an instance's id");
    }
    if (slots_take(&s->slots, spec->id, &spec->slot, err) < 0) {
        return -1;
    }
    struct sandbox_fds sandbox_fds = { .block = fds[0], .dir = fds[1] };
    if (sandbox_start(s->host, spec, &sandbox_fds, &started, err) < 0) {
        slots_release(&s->slots, spec->id);
        return -1;
    }
    struct spawner_answer answer = {
        .operation = r->operation,
        .sequence = r->sequence,
        .pid = started.pid,
        .slot = started.slot,
        .start_time = started.start_time,
        .address = started.address.s_addr,
    };
    answer_with(s, &answer, &started.pidfd, 1);
    close(started.pidfd);
    return 0;
}

static struct child *child_add(
    struct spawner *s, const struct spawner_request *r, struct err *err) {
    struct child *child = calloc(1, sizeof *child);
    if (!child) {
        err_no_memory(err);
        return NULL;
    }
    child->operation = r->operation;
    child->sequence = r->sequence;
    list_append(&s->children, &child->link);
    return child;
}

static void child_drop(struct child *child) {
    list_remove(&child->link);
    free(child);
}

static int do_exec(struct spawner *s, struct spawner_request *r, const int *fds, struct err *err) {
    int pidfd;
    struct sandbox_exec_fds exec_fds = { fds[0], fds[1], fds[2], fds[3] };
    r->id[sizeof r->id - 1] = '\0';
    if (s->execs >= EXECS_MAX) {
        return err_set(err, ERR_BUSY, "%d commands run already on this host", EXECS_MAX);
    }
    struct child *child = child_add(s, r, err);
    if (!child) {
        return -1;
    }
    if (sandbox_exec(s->host, r->id, &exec_fds, &child->pid, &pidfd, err) < 0) {
        child_drop(child);
        return -1;
    }
    s->execs++;
    struct spawner_answer answer = {
        .operation = r->operation,
        .sequence = r->sequence,
        .pid = child->pid,
    };
    answer_with(s, &answer, &pidfd, 1);
    close(pidfd);
    return 0;
}

/* Only a child of ours that is not reaped yet can be meant: its pid is nobody else's. */
static int do_end_exec(struct spawner *s, pid_t pid, struct err *err) {
    LIST_FOREACH (item, &s->children) {
        struct child *child = LIST_ITEM(item, struct child, link);
        if (child->operation == SPAWNER_EXEC && child->pid == pid) {
            return kill(pid, SIGKILL) < 0 ? err_sys(err, errno, "ending a command") : 0;
        }
    }
    return err_set(err, ERR_NOT_FOUND, "no such command runs");
}

static int do_destroy(struct spawner *s, const char *id, struct err *err) {
    if (sandbox_destroy(s->host, id, err) < 0) {
        return -1;
    }
    slots_release(&s->slots, id);
    return 0;
}

struct sweep {
    struct spawner *s;
    const struct spawner_keep *keep;
    struct err err;
    int result;
};

static void sweep_one(void *data, const char *id) {
    struct sweep *sweep = data;
    for (uint32_t i = 0; sweep->keep && i < sweep->keep->count; i++) {
        if (strcmp(sweep->keep->ids[i], id) == 0) {
            return;
        }
    }
    log_info("sweeping %s, which nobody wants any more", id);
    if (do_destroy(sweep->s, id, &sweep->err) < 0) {
        sweep->result = -1;
    }
}

/* Destroys what has a slot and is not among `keep` (NULL: all), then what has none. */
static int do_sweep(struct spawner *s, struct spawner_keep *keep, struct err *err) {
    struct sweep sweep = { .s = s, .keep = keep };
    if (keep && keep->count > INSTANCES_PER_NODE) {
        return err_set(err, ERR_BAD_VALUE, "more instances to keep than a host can have");
    }
    for (uint32_t i = 0; keep && i < keep->count; i++) {
        keep->ids[i][SANDBOX_ID_MAX - 1] = '\0';
    }
    if (slots_each(&s->slots, sweep_one, &sweep, err) < 0) {
        return -1;
    }
    if (sweep.result < 0) {
        *err = sweep.err;
        return -1;
    }
    return sandbox_sweep(s->host, keep ? (const char(*)[SANDBOX_ID_MAX])keep->ids : NULL,
        keep ? keep->count : 0, err);
}

/* The forwarder's port takes a right that the agent does not have. */
static int do_bind_dns(struct spawner *s, const struct spawner_request *r, struct err *err) {
    int fds[SPAWNER_ANSWER_FDS];
    if (dns_bind(s->forwarder, &fds[0], &fds[1], err) < 0) {
        return -1;
    }
    struct spawner_answer answer = { .operation = r->operation, .sequence = r->sequence };
    answer_with(s, &answer, fds, SPAWNER_ANSWER_FDS);
    close(fds[0]);
    close(fds[1]);
    return 0;
}

static int start_helper(struct spawner *s, struct spawner_request *r, int tar,
    struct layer_helper *h, struct err *err) {
    if (r->operation == SPAWNER_COVER) {
        return layer_cover(h, s->store, (const char(*)[SANDBOX_DIGEST_LEN])r->cover.layers,
            r->cover.count, s->store_ids, err);
    }
    r->layer[sizeof r->layer - 1] = '\0';
    return r->operation == SPAWNER_UNPACK
               ? layer_unpack(h, s->store, r->layer, tar, s->store_ids, err)
               : layer_remove(h, s->store, r->layer, s->store_ids, err);
}

/* Unpacks a layer from `tar`, removes one, or makes a cover. Returns 0 when that is over already, 1
 * when it is answered as its helper ends. */
static int do_layer(struct spawner *s, struct spawner_request *r, int tar, struct err *err) {
    if (s->helpers >= HELPERS_MAX) {
        return err_set(err, ERR_BUSY, "%d layers are unpacked or removed already", HELPERS_MAX);
    }
    struct child *child = child_add(s, r, err);
    if (!child) {
        return -1;
    }
    struct layer_helper *h = &child->helper;
    int result = start_helper(s, r, tar, h, err);
    if (result < 0 || h->pid == 0) {
        child_drop(child);
        return result;
    }
    child->pid = h->pid;
    s->helpers++;
    return 1;
}

/* Answers by itself what is answered later or with more than a result; returns 0 and 1 then. */
static int serve(struct spawner *s, struct spawner_request *r, const int *fds, struct err *err) {
    switch ((enum spawner_operation)r->operation) {
    case SPAWNER_HELLO:
        return 0;
    case SPAWNER_START:
        return do_start(s, r, fds, err) < 0 ? -1 : 1;
    case SPAWNER_EXEC:
        return do_exec(s, r, fds, err) < 0 ? -1 : 1;
    case SPAWNER_END_EXEC:
        return do_end_exec(s, r->pid, err);
    case SPAWNER_DESTROY:
        r->id[sizeof r->id - 1] = '\0';
        return do_destroy(s, r->id, err);
    case SPAWNER_SWEEP:
        return do_sweep(s, &r->keep, err);
    case SPAWNER_BIND_DNS:
        return do_bind_dns(s, r, err) < 0 ? -1 : 1;
    case SPAWNER_UNPACK:
        return do_layer(s, r, fds[0], err);
    case SPAWNER_REMOVE_LAYER:
    case SPAWNER_COVER:
        return do_layer(s, r, -1, err);
    case SPAWNER_ENDED:
    case SPAWNER_OPERATION_COUNT:
        break;
    }
    return err_set(err, ERR_INTERNAL, "unknown operation %u", r->operation);
}

/* One packet. 1 to go on, 0 when the agent is gone, -1 when it can't be understood. */
static int on_request(struct spawner *s, struct err *err) {
    struct spawner_request request;
    int fds[SPAWNER_FDS_MAX];
    size_t fd_count;
    ssize_t n = spawner_receive(s->socket, &request, sizeof request, fds, &fd_count);
    if (n == 0 || (n < 0 && errno == ECONNRESET)) {
        return 0;
    }
    if (n < 0) {
        return err_sys(err, errno, "reading the agent's request");
    }
    int result;
    if ((size_t)n < offsetof(struct spawner_request, start) || request.magic != SPAWNER_MAGIC ||
        (size_t)n != spawner_request_size(request.operation) ||
        fd_count != spawner_request_fds(request.operation)) {
        result = err_set(err, ERR_INTERNAL, "a request of %zd bytes that is none", n);
    } else {
        struct err why = { 0 };
        int served = serve(s, &request, fds, &why);
        if (served <= 0) {
            answer_result(s, &request, served, &why);
        }
        result = 1;
    }
    while (fd_count > 0) {
        close(fds[--fd_count]);
    }
    return result;
}

static void on_child_end(struct spawner *s, struct child *child, int status) {
    struct err err = { 0 };
    if (child->operation == SPAWNER_EXEC) {
        struct spawner_answer answer = {
            .operation = SPAWNER_ENDED,
            .sequence = child->sequence,
            .pid = child->pid,
            .status = status,
        };
        s->execs--;
        answer_with(s, &answer, NULL, 0);
    } else {
        s->helpers--;
        layer_finish(&child->helper, s->store, s->store_ids, &err);
        answer_error(s, child->operation, child->sequence, &err);
    }
    child_drop(child);
}

static void reap(struct spawner *s) {
    struct signalfd_siginfo drained[16];
    ssize_t got = read(s->signals, drained, sizeof drained);
    (void)got; /* which signals they were does not matter: all ended children are waited for */
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        LIST_FOREACH_SAFE (item, after, &s->children) {
            struct child *child = LIST_ITEM(item, struct child, link);
            if (child->pid == pid) {
                on_child_end(s, child, status);
                break;
            }
        }
    }
}

/* A directory of root's below `path`, made if need be. */
static int open_directory(const char *path, const char *name, mode_t mode, struct err *err) {
    char whole[PATH_MAX];
    if (snprintf(whole, sizeof whole, "%s/%s", path, name) >= (int)sizeof whole) {
        return err_set(err, ERR_BAD_VALUE, "path too long: %s", path);
    }
    if (file_make_dirs(whole, mode, err) < 0) {
        return -1;
    }
    int fd = open(whole, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? err_sys(err, errno, "opening %s", whole) : fd;
}

static int open_host(struct spawner *s, const struct spawner_options *o, struct err *err) {
    char cgroup[16];
    uint32_t id_base = PLATFORM_ID_BASE + o->platform * PLATFORM_ID_COUNT;
    snprintf(cgroup, sizeof cgroup, "paas%u", o->platform);
    s->forwarder = spawner_forwarder(o->platform);
    if (dns_plan_read("/etc/resolv.conf", s->forwarder, &s->names, err) < 0) {
        return -1;
    }
    struct sandbox_host_options options = {
        .platform = o->platform,
        .id_base = id_base,
        .agent_uid = id_base + 2,
        .cgroup = cgroup,
        .init_path = o->init_path,
        .n_resolvers = s->names.instance_count,
        .store_fd = s->store,
        .images_fd = s->images,
    };
    memcpy(options.resolvers, s->names.instances, sizeof options.resolvers);
    s->host = sandbox_host_open(&options, err);
    s->refreshed = clock_msec();
    return s->host ? 0 : -1;
}

static int spawner_open(struct spawner *s, const struct spawner_options *o, struct err *err) {
    *s = (struct spawner){ .socket = o->socket, .signals = -1, .store = -1, .images = -1 };
    list_init(&s->children);
    int slots = open_directory(o->run, "spawner", 0700, err);
    if (slots < 0 || slots_open(&s->slots, slots, err) < 0) {
        return -1;
    }
    s->store_ids =
        sandbox_ids(PLATFORM_ID_BASE + o->platform * PLATFORM_ID_COUNT, SANDBOX_SLOT_STORE);
    s->store = open_directory(o->data, "layers", 0711, err);
    s->images = open_directory(o->data, "roots", 0700, err);
    if (s->store < 0 || s->images < 0 || layer_sweep(s->store, s->store_ids, err) < 0) {
        return -1;
    }
    return open_host(s, o, err);
}

static void spawner_close(struct spawner *s) {
    LIST_FOREACH_SAFE (item, after, &s->children) {
        child_drop(LIST_ITEM(item, struct child, link)); /* whoever asked for them is gone */
    }
    slots_close(&s->slots);
    file_close(&s->store);
    file_close(&s->images);
    file_close(&s->signals);
    file_close(&s->socket);
}

/* What was made ahead for slots whose turn has passed: the round of slots grows and shrinks. */
static bool drop_one_passed(struct spawner *s, const uint32_t next[AHEAD_SLOTS]) {
    for (uint32_t slot = PLATFORM_FIRST_SLOT; slot < PLATFORM_SLOTS; slot++) {
        bool wanted = false;
        for (unsigned i = 0; i < AHEAD_SLOTS; i++) {
            wanted = wanted || next[i] == slot;
        }
        if (!wanted && sandbox_unprepare(s->host, slot)) {
            return true;
        }
    }
    return false;
}

/* Makes one thing ahead for the next starts. False when all of it is made, or can't be. */
static bool make_ahead(struct spawner *s) {
    uint32_t next[AHEAD_SLOTS];
    struct err err;
    for (unsigned ahead = 0; ahead < AHEAD_SLOTS; ahead++) {
        uint32_t slot = next[ahead] = slots_next(&s->slots, ahead);
        int made = slot ? sandbox_prepare(s->host, slot, &err) : 0;
        if (made < 0) {
            log_warn("making slot %u ahead: %s", slot, err.text);
            return false;
        }
        if (made > 0) {
            return true;
        }
    }
    return drop_one_passed(s, next);
}

static void refresh(struct spawner *s) {
    struct err err = { 0 };
    s->refreshed = clock_msec();
    bool failed =
        sandbox_network_refresh(s->host, s->names.instances, s->names.instance_count, &err) < 0;
    if (failed && !s->failing) {
        log_warn("looking at the network again: %s", err.text);
    }
    s->failing = failed;
}

static int serve_until_closed(struct spawner *s, struct err *err) {
    bool more = true; /* to make ahead */
    for (;;) {
        struct pollfd waits[] = {
            { .fd = s->socket, .events = POLLIN },
            { .fd = s->signals, .events = POLLIN },
        };
        msec left = s->refreshed + REFRESH_MS - clock_msec();
        int ready = poll(waits, 2, more ? AHEAD_PAUSE_MS : left > 0 ? (int)left : 0);
        if (ready < 0 && errno != EINTR) {
            return err_sys(err, errno, "waiting for the agent");
        }
        more = ready == 0 ? more && make_ahead(s) : true;
        if (clock_msec() - s->refreshed >= REFRESH_MS) {
            refresh(s);
        }
        if (waits[1].revents) {
            reap(s);
        }
        if (waits[0].revents) {
            int result = on_request(s, err);
            if (result <= 0) {
                return result;
            }
        }
    }
}

int spawner_run(const struct spawner_options *options, struct err *err) {
    struct spawner s;
    sigset_t ended;
    sigemptyset(&ended);
    sigaddset(&ended, SIGCHLD);
    sigprocmask(SIG_BLOCK, &ended, NULL);
    int result = spawner_open(&s, options, err);
    if (result == 0) {
        s.signals = signalfd(-1, &ended, SFD_CLOEXEC | SFD_NONBLOCK);
        result =
            s.signals < 0 ? err_sys(err, errno, "making a signalfd") : serve_until_closed(&s, err);
    }
    if (s.host) {
        sandbox_host_close(s.host, SANDBOX_LEAVE, NULL);
    }
    spawner_close(&s);
    return result;
}

int spawner_clear(const struct spawner_options *options, struct err *err) {
    struct spawner s;
    int result = spawner_open(&s, options, err);
    if (result == 0) {
        result = do_sweep(&s, NULL, err);
        while (waitpid(-1, NULL, 0) > 0) {
            /* All of its children wait for disks that roots lie on. */
        }
    }
    if (s.host && sandbox_host_close(s.host, SANDBOX_CLEAR, result < 0 ? NULL : err) < 0) {
        result = -1;
    }
    spawner_close(&s);
    return result;
}
