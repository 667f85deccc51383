/* One libuv loop of a thread: stopping, jobs beside it, and how long its turns take.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Nothing that may block runs on the loop: it goes to a worker, a thread of its own with a queue in
 * order (libuv's shared pool of four is not used: one slow disk would stall name look-ups).
 */
#ifndef PAAS_LOOP_H
#define PAAS_LOOP_H

#include <stdint.h>
#include <uv.h>

#include <paas/err.h>

/* A thread with a queue of jobs, done in order. */
struct worker;

struct worker_job {
    /* Runs on the worker's thread; may block. */
    void (*run)(struct worker_job *job);
    /* Runs on the loop's thread after run(); may free the job. Called for every submitted job,
     * also when the worker is destroyed first (then without run(), `cancelled` set). */
    void (*done)(struct worker_job *job);
    int cancelled;
    struct worker_job *next; /* the worker's */
};

enum { WORKER_QUEUE_MAX = 1024 /* jobs; more is refused: the disk is not keeping up */ };

/* Starts a thread that serves `loop`; `name` is at most 15 bytes. NULL with *err on failure. */
struct worker *worker_create(uv_loop_t *loop, const char *name, struct err *err);
/* Queues a job that the caller owns until done(). -1 with ERR_BUSY when the queue is full. */
int worker_submit(struct worker *worker, struct worker_job *job, struct err *err);
/* Lets the running job finish, hands back the queued ones as cancelled, ends the thread and, in a
 * later turn of the loop, frees the worker. Blocks for the running job. NULL is allowed. */
void worker_destroy(struct worker *worker);

/* Measures turns of a loop: the time between the return of the poll and the next poll. */
struct loop_watch {
    uv_prepare_t prepare;
    uv_check_t check;
    uint64_t began;      /* ns */
    uint64_t slow_turns; /* turns over LOOP_SLOW_MS */
    uint64_t longest_us;
};
enum { LOOP_SLOW_MS = 10 /* a longer turn is a bug that a metric shows */ };
/* Starts watching; `watch` must live until the loop's handles are closed. The handles do not keep
 * the loop alive. */
void loop_watch_start(struct loop_watch *watch, uv_loop_t *loop);
/* Closes the watch's handles. */
void loop_watch_stop(struct loop_watch *watch);

/* Ends `loop` on SIGTERM and SIGINT by calling `stop(data)` once, on the loop's thread. */
struct loop_signals {
    uv_signal_t term, interrupt;
    void (*stop)(void *data);
    void *data;
};
int loop_signals_start(struct loop_signals *signals, uv_loop_t *loop, void (*stop)(void *data),
    void *data, struct err *err);
void loop_signals_stop(struct loop_signals *signals);

/* The passed sockets of the LISTEN_FDS protocol (sd_listen_fds(3)): checks LISTEN_PID when it is
 * set, makes them close-on-exec, clears the variables. Returns how many, from fd 3 on. */
enum { LISTEN_FDS_FIRST = 3 };
int loop_listen_fds(void);
/* The name of passed socket `index` from LISTEN_FDNAMES as it was at loop_listen_fds(), or "". */
const char *loop_listen_name(int index);

#endif
