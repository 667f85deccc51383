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

/* Without memory there is no name, and no directory has it. */
static void name_for(const char *text, size_t len, char name[DIGEST_HEX_SIZE]) {
    char digest[DIGEST_SIZE];
    if (digest_of(text, len, digest) == 0) {
        memcpy(name, digest_hex(digest), DIGEST_HEX_SIZE);
    } else {
        name[0] = '\0';
    }
}

void unpack_hidden_name(const char hex[DIGEST_HEX_SIZE], char name[DIGEST_HEX_SIZE]) {
    char text[sizeof "hidden by " + DIGEST_HEX_LENGTH];
    int len = snprintf(text, sizeof text, "hidden by %.64s", hex);
    name_for(text, (size_t)len, name);
}

void unpack_cover_name(
    const char (*names)[DIGEST_HEX_LENGTH], size_t count, char name[DIGEST_HEX_SIZE]) {
    char text[sizeof "cover of " + 2 * LAYERS_PER_IMAGE * DIGEST_HEX_LENGTH] = "cover of ";
    size_t len = strlen(text);
    for (size_t i = 0; i < count && i < 2 * LAYERS_PER_IMAGE; i++, len += DIGEST_HEX_LENGTH) {
        memcpy(text + len, names[i], DIGEST_HEX_LENGTH);
    }
    name_for(text, len, name);
}
