/* What others may see of the state. SPDX-License-Identifier: Apache-2.0 */
#include "state.h"

/* The release whose numbers people see: the serving one, else the one that rolls out. */
static enum release_slot shown(const struct app *app) {
    return app->releases[SERVING].number ? SERVING : TARGET;
}

bool core_view_app(const struct core *c, const char *name, struct core_app_view *out) {
    const struct app *app = app_find(c, name);
    if (!app) {
        return false;
    }
    *out = (struct core_app_view){ .rolling = app_is_rolling(app) };
    enum release_slot slot = shown(app);
    const struct release *r = &app->releases[slot];
    for (size_t i = 0; !app->stopped && i < r->process_count; i++) {
        out->desired += process_wants(app, slot, i).floor;
        out->healthy += count_healthy(c, app, r, (int)i);
    }
    for (size_t i = 0; i < r->placed_count; i++) {
        out->placed += r->placed[i].floor;
    }
    return true;
}

bool core_view_process(const struct core *c, const char *app_name, const char *process,
    int64_t *floor, int64_t *ceiling) {
    const struct app *app = app_find(c, app_name);
    if (!app) {
        return false;
    }
    enum release_slot slot = shown(app);
    int index = process_index(&app->releases[slot], process);
    if (index < 0) {
        return false;
    }
    struct wanted wanted = process_wants(app, slot, (size_t)index);
    *floor = wanted.floor;
    *ceiling = wanted.ceiling;
    return true;
}
