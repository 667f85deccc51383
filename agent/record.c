/* An instance's directory on disk. SPDX-License-Identifier: Apache-2.0 */
#include "record.h"

#include <paas/id.h>
#include <paas/json_bind.h>
#include <paas/reserve.h>
#include <paas/str.h>
#include <paas/wire.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RECORD_BYTES_MAX = 64 << 10 };

static const char record_name[] = "record";

/* For the records of a few dozen starts, of which each takes a block or two. */
static struct reserve room_of(int dir_fd) {
    return (struct reserve){ dir_fd, RESERVE_NAME, 512 << 10 };
}

static const struct json_type record_json = { "record", sizeof(struct record),
    (const struct json_field[]){
        F_INT(record, version, 0, INT64_MAX, 0, JF_REQUIRED, "of this layout"),
        F_TEXT(record, boot_id, 0, "the kernel's, when it was written"),
        F_OBJECT(record, row, instance, &instance_json, 0, "the instance as reports have it"),
        F_INT(record, number, 0, INT64_MAX, 0, 0, "1 for web.1"),
        F_INT(record, failures, 0, INT64_MAX, 0, 0, "of the slot, in a row"),
        F_INT(record, attempt, 0, INT64_MAX, 0, 0, "of the grant it was started under"),
        F_INT(record, healthy_since, 0, INT64_MAX, 0, 0, "monotonic, in ms"),
        F_INT(record, not_before, 0, INT64_MAX, 0, 0, "of the slot's next start; monotonic, in ms"),
        F_INT(record, init_pid, 0, INT32_MAX, 0, 0, "of paas-init, on the host"),
        F_INT(record, start_time, 0, INT64_MAX, 0, 0, "of paas-init, in ticks since boot"),
        F_ENUM(record, reason, end_reason_names, END_NONE, 0, "why it ends"),
        F_BOOL(record, acknowledged, 0, "the scheduler has heard of the end"),
        F_TEXT(record, config, 0, "digest of its release's configuration"),
        F_OPEN,
    } };

int record_open(int dir_fd, const char *id, struct err *err) {
    if (!id_is_valid(id)) {
        return err_set(err, ERR_BAD_VALUE, "not an instance's id");
    }
    int fd = openat(dir_fd, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        return err_set(err, ERR_NOT_FOUND, "instance %s has no directory", id);
    }
    return fd < 0 ? err_sys(err, errno, "open the directory of instance %s", id) : fd;
}

int record_make(int dir_fd, const char *id, struct err *err) {
    if (!id_is_valid(id)) {
        return err_set(err, ERR_BAD_VALUE, "not an instance's id");
    }
    struct reserve room = room_of(dir_fd);
    if (reserve_mkdir(&room, id, 0700) < 0) {
        return err_sys(err, errno, "make the directory of instance %s", id);
    }
    return record_open(dir_fd, id, err);
}

int record_write(int dir_fd, const char *id, const struct record *record, struct err *err) {
    struct record whole = *record;
    struct reserve room = room_of(dir_fd);
    char name[64];
    whole.version = RECORD_VERSION;
    if (!id_is_valid(id)) {
        return err_set(err, ERR_BAD_VALUE, "not an instance's id");
    }
    if (file_boot_id(whole.boot_id, err) < 0) {
        return -1;
    }
    snprintf(name, sizeof name, "%s/%s", id, record_name);
    struct buf text;
    buf_init(&text, RECORD_BYTES_MAX);
    json_encode(&record_json, &whole, &text);
    int result = text.failed ? err_set(err, ERR_TOO_LARGE, "record of instance %s", id)
                             : reserve_write(&room, name, text.data, text.len, 0600, err);
    buf_free(&text);
    return result;
}

static int decode(const struct buf *text, struct record *record, struct err *err) {
    char boot_id[BOOT_ID_SIZE];
    if (file_boot_id(boot_id, err) < 0 ||
        json_decode(&record_json, buf_str(text), text->len, record, err) < 0) {
        return -1;
    }
    if (record->version != RECORD_VERSION) {
        return err_set(
            err, ERR_VERSION_NOT_SUPPORTED, "it has version %lld", (long long)record->version);
    }
    if (strcmp(boot_id, record->boot_id) != 0) {
        record->init_pid = 0;
        record->healthy_since = 0;
        record->not_before = 0;
    }
    return 0;
}

int record_read(int dir_fd, const char *id, struct record *record, struct err *err) {
    CLEANUP_FD int fd = record_open(dir_fd, id, err);
    if (fd < 0) {
        return -1;
    }
    struct buf text;
    buf_init(&text, RECORD_BYTES_MAX);
    int result = file_read_whole(fd, record_name, &text, err);
    if (result == 0) {
        result = decode(&text, record, err);
    }
    buf_free(&text);
    return result < 0 ? err_wrap(err, "record of instance %s", id) : 0;
}

int record_read_exit(int dir_fd, const char *id, struct init_exit *exit, struct err *err) {
    CLEANUP_FD int dir = record_open(dir_fd, id, err);
    if (dir < 0) {
        return -1;
    }
    CLEANUP_FD int fd = openat(dir, INIT_NAME_EXIT, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT ? err_set(err, ERR_NOT_FOUND, "instance %s has no exit record", id)
                               : err_sys(err, errno, "open the exit record of instance %s", id);
    }
    ssize_t n = pread(fd, exit, sizeof *exit, 0);
    if (n == 0) {
        return err_set(err, ERR_NOT_FOUND, "the exit record of instance %s is empty", id);
    }
    uint32_t sum = init_checksum(INIT_CHECKSUM_START, exit, offsetof(struct init_exit, checksum));
    if (n != (ssize_t)sizeof *exit || exit->magic != INIT_EXIT_MAGIC || exit->checksum != sum) {
        return err_set(err, ERR_DIGEST, "the exit record of instance %s is not whole", id);
    }
    if (exit->version != INIT_VERSION || exit->bytes != sizeof *exit) {
        return err_set(err, ERR_VERSION_NOT_SUPPORTED, "the exit record of instance %s", id);
    }
    exit->text[sizeof exit->text - 1] = '\0';
    return 0;
}

int record_list(int dir_fd, void (*each)(void *arg, const char *id), void *arg, struct err *err) {
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct reserve room = room_of(dir_fd);
    reserve_keep(&room); /* before the disk is full */
    if (!dir) {
        int sys = errno;
        file_close(&fd);
        return err_sys(err, sys, "list the instances");
    }
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (id_is_valid(entry->d_name)) {
            each(arg, entry->d_name);
        }
    }
    closedir(dir);
    return 0;
}

int record_remove(int dir_fd, const char *id, struct err *err) {
    if (!id_is_valid(id)) {
        return err_set(err, ERR_BAD_VALUE, "not an instance's id");
    }
    return file_remove_tree(dir_fd, id, err);
}

/* ---- ends in words ------------------------------------------------------------------------- */

static const char *const stage_words[INIT_STAGE_COUNT] = {
#define X(id, words) [INIT_STAGE_##id] = words,
    INIT_STAGES(X)
#undef X
};

static void describe_failure(const struct init_exit *exit, char *words, size_t size) {
    enum init_stage stage = exit->stage < INIT_STAGE_COUNT ? exit->stage : INIT_STAGE_NONE;
    const char *why = exit->sys == ENOENT && stage == INIT_STAGE_EXEC ? "there is no such command"
                                                                      : strerror(exit->sys);
    if (stage == INIT_STAGE_LOADER) {
        snprintf(words, size, "can't %s %s", stage_words[stage], exit->text);
    } else {
        snprintf(words, size, "can't %s %s: %s", stage_words[stage], exit->text, why);
    }
}

static void describe_memory(
    const struct init_exit *exit, int64_t memory, char *words, size_t size) {
    char limit[STR_AMOUNT_MAX], used[STR_AMOUNT_MAX];
    str_format_size((int64_t)exit->max_rss_kib * 1024, used);
    if (memory > 0) {
        snprintf(words, size, "ran out of memory: its limit is %s, its largest process had %s",
            str_format_size(memory, limit), used);
    } else {
        snprintf(words, size, "ran out of memory: its largest process had %s", used);
    }
}

static enum end_reason describe_signal(const struct init_exit *exit, char *words, size_t size) {
    char name[SIGNAL_SIZE];
    signal_name((int)exit->signal, name);
    if (exit->flags & INIT_EXIT_DEADLINE) {
        snprintf(words, size, "its lease ran out, so it was killed");
        return END_KILLED;
    }
    if (exit->flags & INIT_EXIT_KILLED) {
        snprintf(words, size, "did not stop in time, so it was killed");
        return END_STOPPED;
    }
    if (exit->flags & INIT_EXIT_STOPPED) {
        snprintf(words, size, "stopped by %s", name);
        return END_STOPPED;
    }
    snprintf(words, size, "killed by %s", name);
    return END_SIGNALED;
}

enum end_reason record_end_reason(
    const struct init_exit *exit, int64_t memory, char *words, size_t size) {
    switch ((enum init_end)exit->end) {
    case INIT_END_EXITED:
        snprintf(words, size, "exited with code %d", exit->code);
        return exit->flags & INIT_EXIT_STOPPED ? END_STOPPED : END_EXITED;
    case INIT_END_SIGNALED:
        return describe_signal(exit, words, size);
    case INIT_END_OOM:
        describe_memory(exit, memory, words, size);
        return END_OOM;
    case INIT_END_EXEC_FAILED:
        describe_failure(exit, words, size);
        return END_COMMAND;
    case INIT_END_INIT_ERROR:
        describe_failure(exit, words, size);
        return END_START;
    case INIT_END_NONE:
    case INIT_END_COUNT:
        break;
    }
    snprintf(words, size, "ended without a word");
    return END_UNKNOWN;
}
