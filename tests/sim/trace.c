/* A recorded or given load. SPDX-License-Identifier: Apache-2.0 */
#include "trace.h"

#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <paas/buf.h>
#include <paas/file.h>

#define HEADER "time_ms,rps"
#define LONG_HEADER "time_ms,requests_per_second"
enum { TRACE_BYTES_MAX = 64 << 20 };

static int refuse(size_t line, const char *why, struct err *err) {
    return err_set(err, ERR_BAD_VALUE, "line %zu: %s", line, why);
}

/* One line "time,rps" up to its end. */
static int parse_row(const char *text, size_t line, struct trace_row *row, struct err *err) {
    char *end;
    row->time_ms = strtoll(text, &end, 10);
    if (end == text || *end != ',') {
        return refuse(line, "two numbers are expected: time_ms,rps", err);
    }
    const char *second = end + 1;
    row->rps = strtod(second, &end);
    if (end == second || (*end != '\0' && *end != '\r')) {
        return refuse(line, "two numbers are expected: time_ms,rps", err);
    }
    if (row->time_ms < 0 || row->time_ms > TRACE_LENGTH_MAX) {
        return refuse(line, "the time is not within a day", err);
    }
    if (!isfinite(row->rps) || row->rps < 0 || row->rps > TRACE_RPS_MAX) {
        return refuse(line, "the rate is negative or absurd", err);
    }
    return 0;
}

static int add_row(struct trace *t, const struct trace_row *row, size_t line, struct err *err) {
    if (t->count > 0 && row->time_ms <= t->rows[t->count - 1].time_ms) {
        return refuse(line, "the time does not go forward", err);
    }
    if (t->count == TRACE_ROWS_MAX) {
        return refuse(line, "there are too many rows", err);
    }
    if ((t->count & (t->count - 1)) == 0) {
        size_t cap = t->count ? t->count * 2 : 1;
        struct trace_row *rows = realloc(t->rows, cap * sizeof *rows);
        if (!rows) {
            return err_no_memory(err);
        }
        t->rows = rows;
    }
    t->rows[t->count++] = *row;
    return 0;
}

int trace_parse(const char *text, struct trace *out, struct err *err) {
    char *copy = strdup(text), *rest = copy, *line;
    size_t number = 0;
    int result = copy ? 0 : err_no_memory(err);
    *out = (struct trace){ 0 };
    while (result == 0 && (line = strsep(&rest, "\n"))) {
        struct trace_row row;
        number++;
        if (number == 1) {
            line[strcspn(line, "\r")] = '\0';
            if (strcmp(line, HEADER) != 0 && strcmp(line, LONG_HEADER) != 0) {
                result = refuse(1, "the first line must be " HEADER " or " LONG_HEADER, err);
            }
        } else if (*line || rest) {
            result = parse_row(line, number, &row, err);
            result = result < 0 ? result : add_row(out, &row, number, err);
        }
    }
    if (result == 0 && out->count < 2) {
        result = refuse(number, "at least two rows are needed: a beginning and an end", err);
    }
    free(copy);
    if (result < 0) {
        trace_free(out);
    }
    return result;
}

int trace_read(const char *path, struct trace *out, struct err *err) {
    struct buf text;
    buf_init(&text, TRACE_BYTES_MAX);
    *out = (struct trace){ 0 };
    int result = file_read_whole(AT_FDCWD, path, &text, err);
    if (result == 0) {
        result = strlen(buf_str(&text)) == text.len ? trace_parse(buf_str(&text), out, err)
                                                    : refuse(1, "there is a NUL byte in it", err);
    }
    buf_free(&text);
    return result;
}

void trace_free(struct trace *trace) {
    free(trace->rows);
    *trace = (struct trace){ 0 };
}
