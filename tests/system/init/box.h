/* A sandbox by hand, just enough for paas-init: namespaces, ids, cgroup leaves, descriptors.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_BOX_H
#define TEST_BOX_H

#include <paas/init.h>

#include <stdbool.h>
#include <sys/types.h>

enum {
    BOX_NAME_MAX = 48,
    BOX_PATH_MAX = 256,
    BOX_IDS = 0x7e000000, /* host ids of a box: outside every platform's range */
};

struct box_options {
    int start_fd;               /* the start block; borrowed */
    const char *passwd;         /* /etc/passwd of the image, or NULL for none */
    const char *group;          /* /etc/group, or NULL */
    unsigned long memory_bytes; /* limit of leaf app, 0: none */
    bool keep_bounding_set;     /* leaves a capability where an app could regain it */
    bool small_logs;            /* the logs lie on a file system of 64 KiB */
    bool procs_only;            /* no CLONE_INTO_CGROUP: the directory is not handed over */
};

struct box {
    char name[BOX_NAME_MAX];
    char dir[BOX_PATH_MAX]; /* instance directory: exit, log.0, log.1, init.sock */
    pid_t pid;              /* paas-init */
    int dir_fd;
    bool small_logs;
    bool hybrid;
};

/* Starts paas-init (the program in $PAAS_INIT) and the app of the start block. Fails the test where
 * it can't. */
void box_start(struct box *box, const struct box_options *options);
/* Kills what is left and removes everything of the box. Idempotent. */
void box_destroy(struct box *box);
/* Waits until paas-init has ended; false when `ms` passed first. */
bool box_wait(struct box *box, int ms);
/* Connects to init.sock; the caller closes. */
int box_connect(struct box *box);
/* Sends a request. */
void box_request(int fd, const struct init_request *request);
/* Receives states until `want` says true of one, or `ms` passed: then it fails the test. */
void box_await(int fd, struct init_state *state, bool (*want)(const struct init_state *), int ms);
/* Reads the exit record; false when it is not whole. */
bool box_exit(const struct box *box, struct init_exit *exit);
/* Path of a file of leaf app in the v2 tree. */
void box_cgroup_file(const struct box *box, const char *file, char path[BOX_PATH_MAX]);
/* Processes in leaf app. */
int box_app_processes(const struct box *box);

#endif
