/* Lines that tell how long work goes. SPDX-License-Identifier: Apache-2.0 */
#include "progress.h"

#include <stdarg.h>
#include <stdio.h>

enum { WORDS_WIDTH = 52 };

void progress_step(const struct cli *cli, msec ms, const char *step, const char *format, ...) {
    (void)cli;
    char words[256];
    va_list args;
    va_start(args, format);
    vsnprintf(words, sizeof words, format, args);
    va_end(args);
    if (ms < 0) {
        fprintf(stderr, "  %-9s %s\n", step, words);
    } else {
        fprintf(stderr, "  %-9s %-*s %6.2f s\n", step, WORDS_WIDTH, words, (double)ms / 1000);
    }
}

void progress_quote(const struct cli *cli, const char *text) {
    (void)cli;
    fputs("    | ", stderr);
    for (; *text; text++) {
        /* An app's bytes must not move the cursor. */
        fputc((unsigned char)*text < ' ' && *text != '\t' ? '?' : *text, stderr);
    }
    fputc('\n', stderr);
}
