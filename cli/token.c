/* The token for the API on TCP. SPDX-License-Identifier: Apache-2.0 */
#include "token.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <paas/buf.h>
#include <paas/digest.h>
#include <paas/file.h>
#include <paas/id.h>

enum { TOKEN_FILE_MAX = 1024 /* bytes: a token and a line's end */ };

static int make_file(const char *path, struct err *err) {
    char token[TOKEN_SIZE];
    if (id_make_token(token, err) < 0) {
        return -1;
    }
    token[TOKEN_SIZE - 1] = '\n';
    return file_write_whole(AT_FDCWD, path, token, TOKEN_SIZE, 0600, FILE_DURABLE, err);
}

static int write_hash(
    const struct places *places, const char *token, uid_t scheduler, struct err *err) {
    char path[PLACES_SIZE + 32], digest[DIGEST_SIZE];
    snprintf(path, sizeof path, "%s/scheduler/api.token.sha256", places->data);
    if (digest_of(token, strcspn(token, "\r\n"), digest) < 0) {
        return err_no_memory(err);
    }
    const char *hex = digest_hex(digest);
    if (file_write_whole(AT_FDCWD, path, hex, strlen(hex), 0600, FILE_DURABLE, err) < 0) {
        return -1;
    }
    if (lchown(path, scheduler, scheduler) < 0) {
        return err_sys(err, errno, "giving %s to the scheduler", path);
    }
    return 0;
}

int token_make(
    const struct places *places, uid_t scheduler, enum token_wish wish, struct err *err) {
    char path[PLACES_SIZE + 16];
    snprintf(path, sizeof path, "%s/api.token", places->data);
    bool there = access(path, F_OK) == 0;
    if (!there && wish == TOKEN_IF_THERE) {
        return 0;
    }
    if (!there && make_file(path, err) < 0) {
        return -1;
    }
    struct buf token;
    buf_init(&token, TOKEN_FILE_MAX);
    int result = file_read_whole(AT_FDCWD, path, &token, err);
    if (result == 0) {
        result = write_hash(places, buf_str(&token), scheduler, err);
    }
    buf_free(&token);
    return result;
}
