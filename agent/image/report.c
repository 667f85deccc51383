/* What a helper says about its work, in one write. SPDX-License-Identifier: Apache-2.0 */
#include <paas/unpack.h>

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <paas/file.h>

#include "report.h"

enum { REPORT_MAGIC = 0x4c524551 };

static_assert(sizeof(struct unpack_report) <= PIPE_BUF, "one write must be whole");

int report_write(int fd, struct unpack_report *report, const struct err *err) {
    report->magic = REPORT_MAGIC;
    report->code = (int32_t)err->code;
    snprintf(report->text, sizeof report->text, "%s", err->text);
    int written = file_write_all(fd, report, sizeof *report, NULL);
    return written == 0 && err->code == ERR_OK ? 0 : 1;
}

int unpack_report_read(int fd, struct unpack_report *report, struct err *err) {
    ssize_t n;
    do {
        n = read(fd, report, sizeof *report);
    } while (n < 0 && errno == EINTR);
    if (n != (ssize_t)sizeof *report || report->magic != REPORT_MAGIC || report->code < 0 ||
        report->code >= ERR_COUNT) {
        memset(report, 0, sizeof *report);
        return err_set(err, ERR_INTERNAL, "the helper ended without a word: out of time or memory");
    }
    report->text[sizeof report->text - 1] = '\0';
    if (report->code != ERR_OK) {
        return err_set(err, (enum err_code)report->code, "%s", report->text);
    }
    err_clear(err);
    return 0;
}

void unpack_hidden_name(const char hex[DIGEST_HEX_SIZE], char name[DIGEST_HEX_SIZE]) {
    char text[sizeof "hidden by " + DIGEST_HEX_LENGTH], digest[DIGEST_SIZE];
    int len = snprintf(text, sizeof text, "hidden by %.64s", hex);
    /* Without memory there is no name, and no directory has it. */
    if (digest_of(text, (size_t)len, digest) == 0) {
        memcpy(name, digest_hex(digest), DIGEST_HEX_SIZE);
    } else {
        name[0] = '\0';
    }
}
