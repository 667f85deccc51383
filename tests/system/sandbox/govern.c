/* The agent's half of a sandbox: reads, freezes, swaps, thaws and kills it without privilege.
 * SPDX-License-Identifier: Apache-2.0
 *
 *   govern CGROUP ID UID    becomes UID first; each step must take effect within a second
 */
#include <paas/clock.h>
#include <paas/sandbox.h>

#include <grp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sysinfo.h>
#include <unistd.h>

enum { STEP_MS = 1000, GIVE_STEPS = 3 };

static void must(int result, const char *what, const struct err *err) {
    if (result < 0) {
        printf("FAIL %s: %s\n", what, err->text);
        exit(1);
    }
}

static struct sandbox_usage usage(const struct sandbox_cgroups *c, const char *id) {
    struct err err;
    struct sandbox_usage u;
    must(sandbox_usage(c, id, &u, &err), "usage", &err);
    return u;
}

/* Waits until `frozen` or `populated` is as wanted. */
static void wait_for(const struct sandbox_cgroups *c, const char *id, bool frozen, bool populated) {
    for (msec end = clock_msec() + STEP_MS; clock_msec() < end; poll(NULL, 0, 1)) {
        struct sandbox_usage u = usage(c, id);
        if (u.frozen == frozen && u.populated == populated) {
            return;
        }
    }
    printf("FAIL it does not become %s, %s\n", frozen ? "frozen" : "thawed",
        populated ? "populated" : "empty");
    exit(1);
}

/* The memory of one that is frozen goes to swap, if there is any, and no more once that is
 * forbidden.
 */
static void give_back(const struct sandbox_cgroups *c, const char *id) {
    struct err err;
    struct sysinfo host;
    must(sandbox_swap(c, id, true, &err), "allow swap", &err);
    for (int n = 0; n < GIVE_STEPS; n++) {
        must(sandbox_give_back(c, id, &err), "give back", &err);
    }
    must(sandbox_swap(c, id, false, &err), "forbid swap", &err);
    struct sandbox_usage u = usage(c, id);
    bool has_swap = sysinfo(&host) == 0 && host.totalswap > 0;
    if ((u.swapped_bytes > 0) != has_swap) {
        printf("FAIL memory %llu swapped %llu with%s swap\n", (unsigned long long)u.memory_bytes,
            (unsigned long long)u.swapped_bytes, has_swap ? "" : "out");
        exit(1);
    }
    printf("%s\n", has_swap ? "swapped" : "there is no swap");
}

int main(int argc, char **argv) {
    struct err err;
    uid_t uid = argc == 4 ? (uid_t)strtoul(argv[3], NULL, 10) : 0;
    if (uid == 0 || setgroups(0, NULL) < 0 || setgid(uid) < 0 || setuid(uid) < 0) {
        return 2;
    }
    const char *id = argv[2];
    struct sandbox_cgroups *c = sandbox_cgroups_open(argv[1], &err);
    must(c ? 0 : -1, "open", &err);
    struct sandbox_usage u = usage(c, id);
    if (u.frozen || !u.populated || u.pids < 1 || u.memory_bytes == 0 || u.cpu_usec == 0) {
        printf("FAIL pids %llu memory %llu cpu %llu\n", (unsigned long long)u.pids,
            (unsigned long long)u.memory_bytes, (unsigned long long)u.cpu_usec);
        return 1;
    }
    must(sandbox_freeze(c, id, true, &err), "freeze", &err);
    wait_for(c, id, true, true);
    give_back(c, id);
    must(sandbox_freeze(c, id, false, &err), "thaw", &err);
    wait_for(c, id, false, true);
    /* A frozen one dies as well. */
    must(sandbox_freeze(c, id, true, &err), "freeze", &err);
    must(sandbox_kill(c, id, &err), "kill", &err);
    for (msec end = clock_msec() + STEP_MS; clock_msec() < end; poll(NULL, 0, 1)) {
        if (sandbox_usage(c, id, &u, &err) < 0 && err.code == ERR_NOT_FOUND) {
            break; /* all was quicker than we looked */
        }
        if (!u.populated) {
            break;
        }
    }
    if (u.populated && sandbox_usage(c, id, &u, NULL) == 0 && u.populated) {
        printf("FAIL it lives\n");
        return 1;
    }
    if (sandbox_usage(c, "../system", &u, &err) == 0 || sandbox_kill(c, "nosuchid", &err) == 0) {
        printf("FAIL an id that is none\n");
        return 1;
    }
    sandbox_cgroups_close(c);
    printf("governed\n");
    return 0;
}
