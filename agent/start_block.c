/* The start block that tells paas-init what to run. SPDX-License-Identifier: Apache-2.0 */
#include "start_block.h"

#include <paas/buf.h>
#include <paas/file.h>
#include <paas/init.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SIGNAL_MAX = 64 };

static uint32_t append_strings(struct buf *b, const char *const *strings) {
    uint32_t count = 0;
    for (; strings && strings[count]; count++) {
        buf_append(b, strings[count], strlen(strings[count]) + 1);
    }
    return count;
}

static int check(const struct start_block *block, struct err *err) {
    if (!block->argv || !block->argv[0] || !block->argv[0][0]) {
        return err_set(err, ERR_BAD_VALUE, "no command");
    }
    if (block->cwd && block->cwd[0] != '/') {
        return err_set(err, ERR_BAD_VALUE, "working directory %s is not absolute", block->cwd);
    }
    if (block->stop_signal > SIGNAL_MAX || block->grace_ms > INIT_GRACE_MAX_MS) {
        return err_set(err, ERR_BAD_VALUE, "stop signal or grace is out of range");
    }
    if (block->port > UINT16_MAX) {
        return err_set(err, ERR_BAD_VALUE, "port %u is not in 0..65535", block->port);
    }
    if (block->segment_bytes &&
        (block->segment_bytes < LOG_SEGMENT_MIN || block->segment_bytes > LOG_SEGMENT_MAX)) {
        return err_set(err, ERR_BAD_VALUE, "log segment of %u bytes", block->segment_bytes);
    }
    for (const char *const *e = block->env; e && *e; e++) {
        const char *equals = strchr(*e, '=');
        if (!equals || equals == *e) {
            return err_set(err, ERR_BAD_VALUE, "a variable has no name or no value");
        }
    }
    return 0;
}

static int make_memfd(const struct buf *b, struct err *err) {
    int fd = memfd_create("paas-start", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) {
        return err_sys(err, errno, "memfd_create");
    }
    int seals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
    if (file_write_all(fd, b->data, b->len, err) < 0) {
        close(fd);
        return -1;
    }
    if (fcntl(fd, F_ADD_SEALS, seals) < 0) {
        int sys = errno;
        close(fd);
        return err_sys(err, sys, "seal the start block");
    }
    return fd;
}

int start_block_make(const struct start_block *block, struct err *err) {
    if (check(block, err) < 0) {
        return -1;
    }
    struct init_start header = { .magic = INIT_START_MAGIC,
        .version = INIT_VERSION,
        .header_bytes = sizeof header,
        .flags = block->flags,
        .stop_signal = block->stop_signal,
        .grace_ms = block->grace_ms,
        .port = block->port,
        .segment_bytes = block->segment_bytes,
        .log_rate = block->log_rate,
        .deadline_boot_ms = block->deadline_boot_ms };
    struct buf b;
    buf_init(&b, INIT_START_MAX);
    buf_append(&b, &header, sizeof header);
    header.args = append_strings(&b, block->argv);
    header.env = append_strings(&b, block->env);
    append_strings(&b, (const char *const[]){
                           block->cwd ? block->cwd : "/", block->user ? block->user : "", NULL });
    int fd = -1;
    if (b.failed || header.args > INIT_ARGS_MAX || header.env > INIT_ENV_MAX) {
        err_set(err, ERR_TOO_LARGE, "arguments and environment are larger than %d bytes",
            INIT_START_MAX);
    } else {
        header.strings_bytes = (uint32_t)(b.len - sizeof header);
        memcpy(b.data, &header, sizeof header);
        fd = make_memfd(&b, err);
    }
    buf_free(&b);
    return fd;
}
