/* Requests: no input may crash the parser, and no cut into reads may change what it says.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http_trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static const struct http_limits limits = {
    .uri = 64,
    .header_bytes = 256,
    .header_count = 8,
    .chunk_line = 32,
    .trailer_bytes = 64,
    .body_max = 512,
};

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
    if (len < 1) {
        return 0;
    }
    struct trace_run run = { .kind = HTTP_PARSE_REQUESTS, .limits = &limits, .eof = true };
    const char *text = (const char *)bytes + 1;
    struct buf whole = trace(&run, text, len - 1);
    run.cut = 1 + bytes[0] % 16;
    struct buf cut = trace(&run, text, len - 1);
    if (strcmp(buf_str(&whole), buf_str(&cut)) != 0) {
        fprintf(
            stderr, "whole:\n%s\nin reads of %zu:\n%s\n", buf_str(&whole), run.cut, buf_str(&cut));
        abort();
    }
    buf_free(&whole);
    buf_free(&cut);
    return 0;
}
