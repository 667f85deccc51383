/* From a call to a committed change and back. SPDX-License-Identifier: Apache-2.0
 *
 * The call stays alive until it is answered, also when its client went away. A change whose client
 * is gone before it is applied is dropped: it may have waited long, in the backlog of a scheduler
 * that was down, and whoever asked for it has heard that it failed. Later it is carried out all the
 * same.
 */
#include "handlers.h"

#include <stdlib.h>
#include <string.h>

static int on_apply(struct change *base, struct intent *intent, int64_t now, struct err *err) {
    struct app_change *change = (struct app_change *)base;
    if (call_client_is_gone(change->call)) {
        return err_set(err, ERR_CANCELLED, "the client did not wait for it");
    }
    if (call_header(change->call, "if-match").at) {
        char tag[APP_TAG_SIZE] = "";
        const struct app_row *row = intent_newest(intent, change->app);
        if (row) {
            app_tag(row, tag);
        }
        if (!row || call_if_match(change->call, tag, err) < 0) {
            return row ? -1 : err_set(err, ERR_STALE, "there is no app \"%.64s\"", change->app);
        }
    }
    return change->run(change, intent, now, err);
}

static void on_done(struct change *base, int64_t sequence, const struct err *err) {
    struct app_change *change = (struct app_change *)base;
    struct call *c = change->call;
    if (err->code != ERR_OK) {
        call_fail(c, err);
    } else {
        const struct api *api = call_ctx(c);
        const struct app_row *row = intent_app(api->intent, change->app);
        if (row) {
            app_url(api, row, change->answer.url);
            call_tag(c, row);
        }
        change->answer.sequence = change->replayed ? 0 : sequence;
        call_reply_as(c, &change_answer_json, &change->answer);
    }
    oci_image_free(&change->image);
    free(change);
}

enum call_result change_submit(struct call *c,
    int (*run)(struct app_change *change, struct intent *intent, int64_t now, struct err *err),
    const struct oci_image *image) {
    struct api *api = call_ctx(c);
    struct app_change *change = calloc(1, sizeof(*change));
    struct err err = { 0 };
    if (!change) {
        return call_fail_with(c, ERR_NO_MEMORY, "out of memory");
    }
    change->base.apply = on_apply;
    change->base.done = on_done;
    change->call = c;
    change->run = run;
    change->app = call_param(c, "app");
    if (image) {
        change->image = *image;
    }
    if (api->ops->change(api->owner, &change->base, &err) < 0) {
        oci_image_free(&change->image);
        free(change);
        return call_fail(c, &err);
    }
    return CALL_PENDING;
}
