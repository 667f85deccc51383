/* An instance's directory on disk. SPDX-License-Identifier: Apache-2.0
 *
 * `dir_fd` is the directory of all instances (R/instances); an instance's own is named by its id
 * and holds `record` (the agent's: what a next agent must know), and paas-init's `exit`, `log.0`,
 * `log.1` and `init.sock`. All functions check the id; all block on the file system, which is a
 * tmpfs or the page cache.
 */
#ifndef AGENT_RECORD_H
#define AGENT_RECORD_H

#include <paas/err.h>
#include <paas/file.h>
#include <paas/init.h>
#include <paas/model.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct record {
    int64_t version; /* RECORD_VERSION; set by record_write() */
    char boot_id[BOOT_ID_SIZE];
    struct instance row;
    int64_t number;   /* 1 for "web.1" */
    int64_t failures; /* in a row, of the slot: before its start, or, once it ended, with it */
    int64_t attempt;  /* of the grant that it was started under */
    /* Monotonic, ms; 0 in a record of another boot. */
    int64_t healthy_since; /* 0: it never was */
    int64_t not_before;    /* once it ended: when the slot may start again; 0: at once */
    int64_t init_pid;      /* paas-init on the host; 0: there is no such process any more */
    int64_t start_time;    /* clock ticks since boot, field 22 of /proc/PID/stat */
    int reason;            /* enum end_reason */
    bool acknowledged;     /* the scheduler has heard of the end */
    char config[DIGEST_SIZE];
};

enum { RECORD_VERSION = 1 };

/* Makes the instance's directory, mode 0700. Returns its descriptor, the caller's. */
int record_make(int dir_fd, const char *id, struct err *err);
/* Opens it. ERR_NOT_FOUND. */
int record_open(int dir_fd, const char *id, struct err *err);
/* Writes `record` whole, with this boot's id; a reader sees the old one or the new one. */
int record_write(int dir_fd, const char *id, const struct record *record, struct err *err);
/* Reads it. A record of another boot comes with init_pid 0: its process is gone. Nothing in it
 * needs to be freed. ERR_NOT_FOUND, ERR_VERSION_NOT_SUPPORTED, or what JSON may be wrong with. */
int record_read(int dir_fd, const char *id, struct record *record, struct err *err);
/* Reads paas-init's exit record. `end` is INIT_END_NONE while the app runs. ERR_NOT_FOUND when
 * there is none yet, ERR_DIGEST when it isn't whole. */
int record_read_exit(int dir_fd, const char *id, struct init_exit *exit, struct err *err);
/* Calls `each` for every directory with a valid id, in no order. `each` may remove it. */
int record_list(int dir_fd, void (*each)(void *arg, const char *id), void *arg, struct err *err);
/* Removes the directory with all in it; nothing there is no error. */
int record_remove(int dir_fd, const char *id, struct err *err);

/* Why it ended, with words for people in `words`: "exited with code 1", "used all of its 64M of
 * memory". `memory` is the limit in bytes, 0 when it is not known. Pure. */
enum end_reason record_end_reason(
    const struct init_exit *exit, int64_t memory, char *words, size_t size);

#endif
