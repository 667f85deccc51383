/* One line per event on standard error: `time level part message key=value …`.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Lines are written with one write(2) each, so lines of several processes do not mix. Secrets are
 * never passed to it. Safe from any thread. The level comes from PAAS_LOG (debug, info, warn,
 * error; info when unset).
 */
#ifndef PAAS_LOG_H
#define PAAS_LOG_H

#include <paas/err.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

enum { LOG_LINE_MAX = 2048 /* bytes; a longer line is cut: one line, one write */ };

/* Names the part that logs ("agent") and reads PAAS_LOG. `part` must outlive the process's logging;
 * call once, before threads start. */
void log_init(const char *part);
/* Writes one line. Control bytes in the message are shown as '?', so that no input can forge a
 * line. */
void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_write(LOG_INFO, __VA_ARGS__)
#define log_warn(...) log_write(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)

#endif
