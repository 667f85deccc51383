/* Workers, turn times, signals and passed sockets of a libuv loop. SPDX-License-Identifier:
 * Apache-2.0 */
#include <paas/loop.h>

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <paas/str.h>

/* Jobs go from the loop to the thread through `queued`, under the lock, and back through
 * `finished`; the async handle wakes the loop. */
struct worker {
    uv_thread_t thread;
    uv_mutex_t lock;
    uv_cond_t wake;
    uv_async_t returned;
    struct worker_job *queued, **queued_end;
    struct worker_job *finished, **finished_end;
    size_t waiting;
    bool stopping;
    char name[16];
};

static void job_append(struct worker_job ***end, struct worker_job *job) {
    job->next = NULL;
    **end = job;
    *end = &job->next;
}

static void worker_main(void *arg) {
    struct worker *w = arg;
    pthread_setname_np(pthread_self(), w->name);
    uv_mutex_lock(&w->lock);
    while (!w->stopping) {
        struct worker_job *job = w->queued;
        if (!job) {
            uv_cond_wait(&w->wake, &w->lock);
            continue;
        }
        w->queued = job->next;
        if (!w->queued) {
            w->queued_end = &w->queued;
        }
        w->waiting--;
        uv_mutex_unlock(&w->lock);
        job->run(job);
        uv_mutex_lock(&w->lock);
        job_append(&w->finished_end, job);
        uv_async_send(&w->returned);
    }
    uv_mutex_unlock(&w->lock);
}

static void hand_back(struct worker *w) {
    uv_mutex_lock(&w->lock);
    struct worker_job *job = w->finished;
    w->finished = NULL;
    w->finished_end = &w->finished;
    uv_mutex_unlock(&w->lock);
    while (job) {
        struct worker_job *next = job->next;
        job->done(job);
        job = next;
    }
}

static void on_returned(uv_async_t *async) {
    hand_back(async->data);
}

struct worker *worker_create(uv_loop_t *loop, const char *name, struct err *err) {
    struct worker *w = calloc(1, sizeof *w);
    if (!w) {
        err_no_memory(err);
        return NULL;
    }
    str_copy(w->name, sizeof w->name, name);
    w->queued_end = &w->queued;
    w->finished_end = &w->finished;
    w->returned.data = w;
    int failed = uv_async_init(loop, &w->returned, on_returned);
    if (failed) {
        free(w);
        err_sys(err, -failed, "making a wake-up for the worker %s", name);
        return NULL;
    }
    /* An idle worker does not keep the loop alive. */
    uv_unref((uv_handle_t *)&w->returned);
    if (uv_mutex_init(&w->lock) || uv_cond_init(&w->wake) ||
        uv_thread_create(&w->thread, worker_main, w)) {
        uv_close((uv_handle_t *)&w->returned, (uv_close_cb)free);
        err_set(err, ERR_SYSTEM, "starting the worker %s", name);
        return NULL;
    }
    return w;
}

int worker_submit(struct worker *w, struct worker_job *job, struct err *err) {
    uv_mutex_lock(&w->lock);
    bool full = w->waiting >= WORKER_QUEUE_MAX;
    if (!full) {
        job->cancelled = 0;
        job_append(&w->queued_end, job);
        w->waiting++;
        uv_cond_signal(&w->wake);
    }
    uv_mutex_unlock(&w->lock);
    return full ? err_set(err, ERR_BUSY, "%s: %d jobs wait already", w->name, WORKER_QUEUE_MAX) : 0;
}

static void on_closed(uv_handle_t *handle) {
    struct worker *w = handle->data;
    uv_mutex_destroy(&w->lock);
    uv_cond_destroy(&w->wake);
    free(w);
}

void worker_destroy(struct worker *w) {
    if (!w) {
        return;
    }
    uv_mutex_lock(&w->lock);
    w->stopping = true;
    uv_cond_signal(&w->wake);
    uv_mutex_unlock(&w->lock);
    uv_thread_join(&w->thread);
    for (struct worker_job *job = w->queued, *next; job; job = next) {
        next = job->next;
        job->cancelled = 1;
        job_append(&w->finished_end, job);
    }
    hand_back(w);
    uv_close((uv_handle_t *)&w->returned, on_closed);
}

static void on_prepare(uv_prepare_t *prepare) {
    struct loop_watch *watch = prepare->data;
    if (watch->began) {
        uint64_t us = (uv_hrtime() - watch->began) / 1000;
        watch->slow_turns += us > LOOP_SLOW_MS * 1000;
        watch->longest_us = us > watch->longest_us ? us : watch->longest_us;
    }
}

static void on_check(uv_check_t *check) {
    ((struct loop_watch *)check->data)->began = uv_hrtime();
}

void loop_watch_start(struct loop_watch *watch, uv_loop_t *loop) {
    *watch = (struct loop_watch){ 0 };
    watch->prepare.data = watch->check.data = watch;
    uv_prepare_init(loop, &watch->prepare);
    uv_check_init(loop, &watch->check);
    uv_prepare_start(&watch->prepare, on_prepare);
    uv_check_start(&watch->check, on_check);
    uv_unref((uv_handle_t *)&watch->prepare);
    uv_unref((uv_handle_t *)&watch->check);
}

void loop_watch_stop(struct loop_watch *watch) {
    uv_close((uv_handle_t *)&watch->prepare, NULL);
    uv_close((uv_handle_t *)&watch->check, NULL);
}

static void on_signal(uv_signal_t *handle, int number) {
    (void)number;
    struct loop_signals *signals = handle->data;
    void (*stop)(void *) = signals->stop;
    signals->stop = NULL;
    if (stop) {
        stop(signals->data);
    }
}

int loop_signals_start(struct loop_signals *signals, uv_loop_t *loop, void (*stop)(void *data),
    void *data, struct err *err) {
    *signals = (struct loop_signals){ .stop = stop, .data = data };
    uv_signal_t *handles[] = { &signals->term, &signals->interrupt };
    const int numbers[] = { SIGTERM, SIGINT };
    for (int i = 0; i < 2; i++) {
        int failed = uv_signal_init(loop, handles[i]);
        handles[i]->data = signals;
        failed = failed ? failed : uv_signal_start(handles[i], on_signal, numbers[i]);
        if (failed) {
            return err_sys(err, -failed, "waiting for signal %d", numbers[i]);
        }
        uv_unref((uv_handle_t *)handles[i]);
    }
    return 0;
}

void loop_signals_stop(struct loop_signals *signals) {
    uv_close((uv_handle_t *)&signals->term, NULL);
    uv_close((uv_handle_t *)&signals->interrupt, NULL);
}

enum {
    LISTEN_MAX = 64,       /* sockets that a manager may pass: more than any part has */
    LISTEN_NAME_SIZE = 32, /* "http", "https", "api" */
};
static char listen_names[LISTEN_MAX][LISTEN_NAME_SIZE];

static void read_names(const char *names) {
    for (int i = 0; names && i < LISTEN_MAX; i++) {
        size_t len = strcspn(names, ":");
        if (len < LISTEN_NAME_SIZE) {
            memcpy(listen_names[i], names, len);
        }
        names = names[len] ? names + len + 1 : NULL;
    }
}

int loop_listen_fds(void) {
    const char *count_text = getenv("LISTEN_FDS");
    const char *pid_text = getenv("LISTEN_PID");
    int64_t count = 0, pid = 0;
    if (count_text && str_int(count_text, 0, LISTEN_MAX, "LISTEN_FDS", &count, NULL) < 0) {
        count = 0;
    }
    if (pid_text &&
        (str_int(pid_text, 1, INT32_MAX, "LISTEN_PID", &pid, NULL) < 0 || pid != getpid())) {
        count = 0;
    }
    if (count) {
        read_names(getenv("LISTEN_FDNAMES"));
    }
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDNAMES");
    for (int fd = LISTEN_FDS_FIRST; fd < LISTEN_FDS_FIRST + (int)count; fd++) {
        fcntl(fd, F_SETFD, FD_CLOEXEC);
    }
    return (int)count;
}

const char *loop_listen_name(int index) {
    return index >= 0 && index < LISTEN_MAX ? listen_names[index] : "";
}
