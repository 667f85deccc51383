/* A small world round a core: apps and nodes in words, actions as text. SPDX-License-Identifier:
 * Apache-2.0 */
#ifndef TEST_CORE_WORLD_H
#define TEST_CORE_WORLD_H

#include <paas/core.h>

enum {
    WORLD_RELEASES = 8,
    WORLD_NODES = 8,
    WORLD_ROWS = 64,
    WORLD_TEXT = 8192,
    WORLD_KEEP_MS = 60000
};

struct world_app {
    struct core_app app;
    struct core_release releases[WORLD_RELEASES];
    struct core_process processes[WORLD_RELEASES][2];
    struct core_rule rules[2];
    struct core_route routes[2];
};

struct world {
    struct core *core;
    int64_t now;
    int64_t routes_revision; /* last sent */
    const char *full;        /* the node whose reports say so; NULL: none */
    struct core_actions last;
    char text[WORLD_TEXT]; /* all actions since world_clear(), one a line */
};

/* A core in term 1 at time 0. */
void world_begin(struct world *w);
void world_end(struct world *w);
void world_clear(struct world *w);
/* Steps, follows up what did not fit, checks all invariants, appends the actions to the text. */
int world_step(struct world *w, const struct core_event *event);
void world_time(struct world *w, int64_t now);

/* An app "NAME" with route NAME.localhost and a web process. */
void app_begin(struct world_app *a, const char *name);
/* Adds a release with `web` instances and, unless negative, `worker` ones. */
void app_release_add(struct world_app *a, int64_t release, int64_t web, int64_t worker);
void app_rule_set(struct world_app *a, const char *process, int64_t min, int64_t max);
int app_send(struct world *w, struct world_app *a);

/* A report of a node with rows "id app process release state[ reason]", one a line; state is
 * starting, healthy, failed or stopped. It has applied the routes last sent. */
int report(struct world *w, const char *node, bool whole, const char *rows);
/* Grants of a node as text: "app.process rR floor..ceiling[ frozen N][ demand]", one a line. */
const char *grants_of(struct world *w, const char *node, char text[WORLD_TEXT]);

#endif
