/* Endpoints of releases: push, list, rollback, restart. SPDX-License-Identifier: Apache-2.0 */
#include "handlers.h"

#include <stdlib.h>
#include <string.h>

#include <paas/str.h>

#include "registry.h"

static const char *state_of(const struct app_row *row, const struct release_entry *entry) {
    if (entry->release == row->serving) {
        return "serving";
    }
    switch ((enum verdict)entry->verdict) {
    case VERDICT_ROLLING:
        return "rolling";
    case VERDICT_DONE:
        return "previous";
    case VERDICT_FAILED:
        return "failed";
    case VERDICT_SUPERSEDED:
        break;
    }
    return "superseded";
}

/* Newest first. */
enum call_result releases_list(struct call *c) {
    const struct app_row *row = call_app(c);
    if (!row) {
        return CALL_DONE;
    }
    const struct release_entry *entries = row->releases.items;
    size_t count = row->releases.count;
    struct release_summary *list = calloc(count + 1, sizeof(*list));
    if (!list) {
        return call_fail_with(c, ERR_NO_MEMORY, "out of memory");
    }
    for (size_t i = 0; i < count; i++) {
        const struct release_entry *entry = &entries[count - 1 - i];
        list[i].release = entry->release;
        list[i].created_at = entry->created_at;
        list[i].reason = entry->reason;
        memcpy(list[i].image, entry->image, sizeof(list[i].image));
        str_copy(list[i].state, sizeof(list[i].state), state_of(row, entry));
    }
    call_reply_list(c, list, count);
    free(list);
    return CALL_DONE;
}

static int push(struct app_change *change, struct intent *intent, int64_t now, struct err *err) {
    struct intent_push what = { .request = call_body(change->call) };
    if (what.request->image[0]) {
        what.image = &change->image;
    }
    return intent_push(intent, change->app, &what, now, &change->answer, err);
}

enum call_result releases_create(struct call *c) {
    const struct api *api = call_ctx(c);
    const struct release_request *request = call_body(c);
    struct oci_image image = { 0 };
    struct err err = { 0 };
    if (request->image[0] && registry_image(api->registry, request->image, &image, &err) < 0) {
        return call_fail(c, &err);
    }
    return change_submit(c, push, &image);
}

static int rollback(
    struct app_change *change, struct intent *intent, int64_t now, struct err *err) {
    const struct rollback_request *request = call_body(change->call);
    (void)now;
    return intent_rollback(
        intent, change->app, request ? request->release : 0, &change->answer, err);
}

enum call_result releases_rollback(struct call *c) {
    return change_submit(c, rollback, NULL);
}

static int restart(struct app_change *change, struct intent *intent, int64_t now, struct err *err) {
    return intent_restart(intent, change->app, now, &change->answer, err);
}

enum call_result releases_restart(struct call *c) {
    return change_submit(c, restart, NULL);
}
