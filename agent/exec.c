/* A command inside a running instance. SPDX-License-Identifier: Apache-2.0
 *
 * Three pipes; their far ends go to the spawner with the start block. on_started() begins to read;
 * each piece becomes a line of the answer, and a client that reads slowly stops the reading. When
 * the command has ended and both streams are at their end, the exit code is the last line. If the
 * client goes away, the spawner kills the command, and the rest is dropped.
 */
#include "exec.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <paas/base64.h>
#include <paas/file.h>
#include <paas/log.h>
#include <paas/str.h>
#include <paas/wire.h>

#include "launch.h"

enum {
    PIECE_MAX = 16384, /* bytes of output on one line */
    LINE_MAX_BYTES = PIECE_MAX * 2,
    INPUT_MAX = 1 << 20, /* bytes of standard input: it travels in one JSON body */
};

enum { STREAM_OUT, STREAM_ERR, STREAMS };
static const char *const stream_names[STREAMS] = { "out", "err" };

struct exec;

struct stream {
    struct exec *exec;
    uv_pipe_t pipe;
    char chunk[PIECE_MAX];
};

struct exec {
    struct call *call; /* NULL: the client went away */
    struct spawner_link *spawner;
    int far[3]; /* ends that go to the spawner: in, out, err */
    uv_pipe_t input;
    uv_write_t input_write;
    struct buf given; /* standard input, whole */
    struct stream streams[STREAMS];
    int open_streams;
    pid_t pid;
    bool ended;
    int status; /* of wait(2) */
    int handles;
};

static void exec_free(struct exec *e) {
    for (int n = 0; n < 3; n++) {
        file_close(&e->far[n]);
    }
    buf_free(&e->given);
    free(e);
}

static void on_handle_closed(uv_handle_t *handle) {
    struct exec *e = handle->data;
    if (--e->handles == 0 && e->ended) {
        exec_free(e);
    }
}

static void on_stream_closed(uv_handle_t *handle) {
    struct exec *e = ((struct stream *)handle->data)->exec;
    if (--e->handles == 0 && e->ended) {
        exec_free(e);
    }
}

static void write_line(struct exec *e, const struct exec_output *output) {
    struct buf line;
    buf_init(&line, LINE_MAX_BYTES * 2);
    json_encode(&exec_output_json, output, &line);
    buf_putc(&line, '\n');
    if (e->call && !line.failed) {
        call_stream_write(e->call, line.data, line.len);
    }
    buf_free(&line);
}

/* Both streams ended and the command did: the answer is whole. */
static void finish_if_done(struct exec *e) {
    if (!e->ended || e->open_streams > 0) {
        return;
    }
    struct exec_output output = {
        .stream = "exit",
        .code = WIFEXITED(e->status) ? WEXITSTATUS(e->status) : 128 + WTERMSIG(e->status),
    };
    struct call *call = e->call;
    write_line(e, &output);
    e->call = NULL;
    if (call) {
        call_stream_end(call);
    }
    if (e->handles == 0) {
        exec_free(e);
    }
}

static void close_stream(struct stream *s) {
    if (!uv_is_closing((uv_handle_t *)&s->pipe)) {
        s->exec->open_streams--;
        uv_close((uv_handle_t *)&s->pipe, on_stream_closed);
    }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    struct stream *s = handle->data;
    (void)suggested;
    *buf = uv_buf_init(s->chunk, sizeof s->chunk);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
    struct stream *s = stream->data;
    struct exec *e = s->exec;
    if (n < 0) {
        close_stream(s);
        finish_if_done(e);
        return;
    }
    struct buf text;
    struct exec_output output = { 0 };
    buf_init(&text, LINE_MAX_BYTES);
    base64_encode(buf->base, (size_t)n, &text);
    str_copy(output.stream, sizeof output.stream, stream_names[s - e->streams]);
    output.data = text.data;
    write_line(e, &output);
    buf_free(&text);
    if (e->call && call_stream_queued(e->call) > HTTP_STREAM_HIGH) {
        for (int k = 0; k < STREAMS; k++) {
            uv_read_stop((uv_stream_t *)&e->streams[k].pipe);
        }
    }
}

static void on_writable(struct call *c, void *data) {
    struct exec *e = data;
    (void)c;
    for (int k = 0; k < STREAMS; k++) {
        if (!uv_is_closing((uv_handle_t *)&e->streams[k].pipe)) {
            uv_read_start((uv_stream_t *)&e->streams[k].pipe, on_alloc, on_read);
        }
    }
}

static void end_command(struct exec *e) {
    struct spawner_request request = { .operation = SPAWNER_END_EXEC, .pid = e->pid };
    struct err err;
    if (e->pid && !e->ended && spawner_ask(e->spawner, &request, NULL, NULL, NULL, &err) < 0) {
        log_warn("ending a command: %s", err.text);
    }
}

static void on_client_gone(struct call *c, void *data) {
    struct exec *e = data;
    (void)c;
    e->call = NULL;
    end_command(e);
    on_writable(NULL, e); /* drains what it still writes */
}

static void on_input_written(uv_write_t *write, int status) {
    struct exec *e = write->handle->data;
    (void)status; /* a command need not read all of its input */
    uv_close((uv_handle_t *)&e->input, on_handle_closed);
}

static void start_io(struct exec *e) {
    call_stream_begin(e->call, "application/x-ndjson", -1);
    call_on_writable(e->call, on_writable, e);
    on_writable(e->call, e);
    uv_buf_t buf = uv_buf_init(e->given.data, (unsigned)e->given.len);
    if (e->given.len == 0 ||
        uv_write(&e->input_write, (uv_stream_t *)&e->input, &buf, 1, on_input_written)) {
        uv_close((uv_handle_t *)&e->input, on_handle_closed);
    }
}

static void close_all(struct exec *e) {
    e->ended = true;
    for (int k = 0; k < STREAMS; k++) {
        close_stream(&e->streams[k]);
    }
    if (!uv_is_closing((uv_handle_t *)&e->input)) {
        uv_close((uv_handle_t *)&e->input, on_handle_closed);
    }
}

/* Told twice: the command started, or could not; then it ended. */
static void on_answer(
    void *data, const struct spawner_answer *answer, int *fds, const struct err *err) {
    struct exec *e = data;
    (void)fds; /* the spawner tells the end: no pidfd is needed */
    for (int n = 0; n < 3; n++) {
        file_close(&e->far[n]);
    }
    if (err->code != ERR_OK) {
        struct call *call = e->call;
        e->call = NULL;
        close_all(e);
        if (call) {
            call_fail(call, err);
        }
    } else if (answer->operation == SPAWNER_EXEC) {
        e->pid = answer->pid;
        if (e->call) {
            start_io(e);
        } else {
            end_command(e);
            close_all(e);
            e->ended = false;
        }
    } else {
        e->ended = true;
        e->status = answer->status;
        finish_if_done(e);
    }
}

/* Makes a pipe; `near` of ours, the other end in `far`. */
static int open_pipe(
    uv_loop_t *loop, uv_pipe_t *near, int *far, bool ours_writes, struct err *err) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) {
        return err_sys(err, errno, "making a pipe");
    }
    *far = ends[ours_writes ? 0 : 1];
    uv_pipe_init(loop, near, 0);
    int failed = uv_pipe_open(near, ends[ours_writes ? 1 : 0]);
    if (failed) {
        close(ends[ours_writes ? 1 : 0]);
        return err_sys(err, -failed, "opening a pipe");
    }
    return 0;
}

static int open_pipes(struct exec *e, uv_loop_t *loop, struct err *err) {
    e->input.data = e;
    e->handles = 1;
    if (open_pipe(loop, &e->input, &e->far[0], true, err) < 0) {
        return -1;
    }
    for (int k = 0; k < STREAMS; k++) {
        e->streams[k].exec = e;
        e->streams[k].pipe.data = &e->streams[k];
        e->handles++;
        e->open_streams++;
        if (open_pipe(loop, &e->streams[k].pipe, &e->far[1 + k], false, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int ask(
    struct exec *e, struct agent_instance *i, const struct exec_request *r, struct err *err) {
    CLEANUP_FD int block = launch_exec_block(i->release, i->spec, &i->row, &r->command, err);
    if (block < 0) {
        return -1;
    }
    struct spawner_request request = { .operation = SPAWNER_EXEC };
    memcpy(request.id, i->row.id, sizeof i->row.id);
    int fds[] = { block, e->far[0], e->far[1], e->far[2] };
    return spawner_ask(e->spawner, &request, fds, on_answer, e, err);
}

enum call_result exec_run(
    struct call *c, struct agent_instance *i, const struct exec_request *request) {
    struct err err;
    if (i->phase < PHASE_START || i->phase > PHASE_DRAIN || !i->release) {
        return call_fail_with(c, ERR_CONFLICT, "%s (%s) does not run", i->row.slot, i->row.id);
    }
    if (request->command.count == 0) {
        return call_fail_with(c, ERR_BAD_VALUE, "command: there is none");
    }
    struct exec *e = calloc(1, sizeof *e);
    if (!e) {
        err_no_memory(&err);
        return call_fail(c, &err);
    }
    e->spawner = i->host->spawner;
    e->far[0] = e->far[1] = e->far[2] = -1;
    buf_init(&e->given, INPUT_MAX);
    if (request->input &&
        base64_decode(request->input, strlen(request->input), &e->given, &err) < 0) {
        exec_free(e);
        return call_fail(c, &err);
    }
    if (open_pipes(e, call_loop(c), &err) < 0 || ask(e, i, request, &err) < 0) {
        close_all(e);
        return call_fail(c, &err);
    }
    e->call = c;
    call_on_closed(c, on_client_gone, e);
    return CALL_PENDING;
}
