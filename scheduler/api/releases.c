/* Endpoints of releases: push, list, rollback, restart. SPDX-License-Identifier: Apache-2.0 */
#include "handlers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <paas/http_page.h>
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
    struct http_page page;
    if (http_page_begin(&page, c) < 0) {
        return CALL_DONE;
    }
    const struct release_entry *entries = row->releases.items;
    for (size_t i = row->releases.count; i-- > 0;) {
        const struct release_entry *entry = &entries[i];
        struct release_summary summary = {
            .release = entry->release, .created_at = entry->created_at, .reason = entry->reason
        };
        char key[24];
        memcpy(summary.image, entry->image, sizeof(summary.image));
        str_copy(summary.state, sizeof(summary.state), state_of(row, entry));
        snprintf(key, sizeof(key), "%019lld", (long long)(INT64_MAX - entry->release));
        http_page_row(&page, key, &summary);
    }
    return http_page_end(&page);
}

enum {
    KEY_BYTES_MAX = 255,         /* of Idempotency-Key */
    REQUEST_BYTES_MAX = 4 << 20, /* a body of 1 MiB, written anew */
};

/* The push's own name and what it asks for, as digests. */
static int name_push(const struct call *c, struct push_key *key, struct err *err) {
    struct http_text name = call_header(c, "idempotency-key");
    if (!name.at) {
        return 0;
    }
    if (name.len == 0 || name.len > KEY_BYTES_MAX) {
        return err_set(err, ERR_BAD_VALUE, "Idempotency-Key: 1 to %d bytes", KEY_BYTES_MAX);
    }
    struct buf body;
    buf_init(&body, REQUEST_BYTES_MAX);
    json_encode(&release_request_json, call_body((struct call *)c), &body);
    int rc = body.failed || digest_of(buf_str(&body), body.len, key->body) < 0 ||
                     digest_of(name.at, name.len, key->key) < 0
                 ? err_no_memory(err)
                 : 0;
    buf_free(&body);
    return rc;
}

static int push(struct app_change *change, struct intent *intent, int64_t now, struct err *err) {
    struct intent_push what = { .request = call_body(change->call) };
    if (what.request->image[0]) {
        what.image = &change->image;
    }
    int pushed = name_push(change->call, &what.key, err) < 0
                     ? -1
                     : intent_pushed(intent, change->app, &what, now, &change->answer, err);
    if (pushed) {
        change->replayed = pushed > 0;
        return pushed > 0 ? 0 : -1;
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
