/* The endpoint of events. SPDX-License-Identifier: Apache-2.0 */
#include "handlers.h"

#include <string.h>

#include <paas/str.h>

static void send_line(void *data, const char *line, size_t len) {
    struct call *c = data;
    call_stream_write(c, line, len);
    call_stream_write(c, "\n", 1);
}

/* What was, bounded by the log's size, then what comes. Nothing is missed or doubled between the
 * two: both happen in one turn of the loop. */
enum call_result events_list(struct call *c) {
    const struct api *api = call_ctx(c);
    const char *app = call_query(c, "app");
    int64_t after;
    struct err err = { 0 };
    if (app && !str_is_name(app)) {
        return call_fail_with(c, ERR_BAD_VALUE, "app: \"%.64s\" is not a name", app);
    }
    if (call_query_int(c, "after", 0, INT64_MAX, 0, &after, &err) < 0) {
        return call_fail(c, &err);
    }
    call_stream_begin(c, "application/x-ndjson", -1);
    api->ops->each_event(api->owner, app, after, send_line, c);
    if (call_query(c, "watch")) {
        return feed_join(api->events, c, app);
    }
    return call_stream_end(c);
}
