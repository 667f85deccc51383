/* Removes images that no release names any more. SPDX-License-Identifier: Apache-2.0
 *
 * What a push has just uploaded is safe: the registry keeps what is young by itself.
 */
#include "scheduler.h"

#include <stdlib.h>

#include <paas/log.h>

enum {
    FIRST_CLEAN_MS = 60000,  /* after the start, which has other things to do */
    CLEAN_EVERY_MS = 600000, /* images are large; minutes do not matter */
    HURRY_MS = 2000,         /* what was removed has ended by then, and given back its disk */
};

/* The digests that releases name; they live as long as the intent's rows. */
static const char **images_in_use(const struct intent *intent, size_t *count) {
    size_t room = 1;
    MAP_FOREACH (e, &intent->apps) {
        room += ((const struct app_row *)e->value)->releases.count;
    }
    const char **images = calloc(room, sizeof(*images));
    *count = 0;
    MAP_FOREACH (e, &intent->apps) {
        const struct app_row *row = e->value;
        const struct release_entry *entries = row->releases.items;
        for (size_t i = 0; images && i < row->releases.count; i++) {
            images[(*count)++] = entries[i].image;
        }
    }
    return images;
}

static void on_cleaned(void *data, uint64_t freed) {
    (void)data;
    if (freed > 0) {
        log_info("%llu bytes of unused images removed", (unsigned long long)freed);
    }
}

static void on_timer(uv_timer_t *timer) {
    struct scheduler *s = timer->data;
    struct err err = { 0 };
    size_t count;
    const char **images = images_in_use(&s->intent, &count);
    if (images && api_collect(&s->api, images, count, on_cleaned, s, &err) < 0) {
        log_warn("removing unused images: %s", err.text);
    }
    free(images);
    scheduler_reserve(s); /* it may have been used where the disk was full */
}

void cleaner_start(struct scheduler *s) {
    uv_timer_init(s->loop, &s->cleaner);
    s->cleaner.data = s;
    uv_timer_start(&s->cleaner, on_timer, FIRST_CLEAN_MS, CLEAN_EVERY_MS);
    uv_unref((uv_handle_t *)&s->cleaner);
}

void cleaner_hurry(struct scheduler *s) {
    uv_timer_start(&s->cleaner, on_timer, HURRY_MS, CLEAN_EVERY_MS);
}

void cleaner_close(struct scheduler *s) {
    uv_close((uv_handle_t *)&s->cleaner, NULL);
}
