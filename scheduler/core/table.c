/* Finding, copying and growing what the core holds. SPDX-License-Identifier: Apache-2.0 */
#include "state.h"

#include <stdlib.h>
#include <string.h>

uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t len) {
    const unsigned char *p = bytes;
    for (size_t i = 0; i < len; i++) {
        hash = (hash ^ p[i]) * UINT64_C(1099511628211); /* FNV-1a */
    }
    return hash;
}

uint64_t hash_text(uint64_t hash, const char *text) {
    while (*text) {
        hash = hash_bytes(hash, text++, 1);
    }
    return hash_bytes(hash, "", 1);
}

uint64_t hash_int(uint64_t hash, int64_t value) {
    return hash_bytes(hash, &value, sizeof(value));
}

uint64_t hash_rule(uint64_t hash, const struct scale_rule *rule) {
    const int64_t numbers[] = { rule->min, rule->max, rule->concurrency, rule->rps, rule->cpu,
        rule->memory, rule->p99, rule->queue_delay, rule->metric.per_instance,
        rule->metric.interval, rule->window, rule->step_up, rule->step_down, rule->step_period,
        rule->idle, rule->standby, rule->stop_after, rule->keep };
    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
        hash = hash_int(hash, numbers[i]);
    }
    hash = hash_text(hash_text(hash, rule->metric.path), rule->metric.process);
    return hash_text(hash, rule->schedule);
}

void text_copy(char *to, size_t size, const char *from) {
    size_t i = 0;
    for (; i + 1 < size && from[i]; i++) {
        to[i] = from[i];
    }
    memset(to + i, 0, size - i);
}

void *grow(void *items, size_t used, size_t *cap, size_t want, size_t size) {
    if (want <= *cap && items) {
        return items;
    }
    size_t room = *cap + *cap / 2 > want ? *cap + *cap / 2 : want;
    void *larger = calloc(room ? room : 1, size);
    if (!larger) {
        return NULL;
    }
    if (used) {
        memcpy(larger, items, used * size);
    }
    free(items);
    *cap = room ? room : 1;
    return larger;
}

size_t app_position(const struct core *c, const char *name, bool *found) {
    size_t low = 0, high = c->app_count;
    *found = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(c->apps[middle]->name, name);
        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

struct app *app_find(const struct core *c, const char *name) {
    bool found;
    size_t at = app_position(c, name, &found);
    return found ? c->apps[at] : NULL;
}

struct node *node_find(const struct core *c, const char *name, uint32_t *index) {
    for (size_t i = 0; i < c->node_count; i++) {
        if (strcmp(c->nodes[i]->name, name) == 0) {
            if (index) {
                *index = (uint32_t)i;
            }
            return c->nodes[i];
        }
    }
    return NULL;
}

size_t instance_position(const struct node *node, const char *id, bool *found) {
    size_t low = 0, high = node->instance_count;
    *found = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(node->instances[middle]->fact.id, id);
        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

void instance_attach(struct tracked *instance, struct app *app) {
    instance->app = app;
    instance->prev = NULL;
    instance->next = app ? app->instances : NULL;
    if (!app) {
        return;
    }
    if (app->instances) {
        app->instances->prev = instance;
    }
    app->instances = instance;
}

void instance_detach(struct tracked *instance) {
    if (!instance->app) {
        return;
    }
    if (instance->prev) {
        instance->prev->next = instance->next;
    } else {
        instance->app->instances = instance->next;
    }
    if (instance->next) {
        instance->next->prev = instance->prev;
    }
    instance->app = NULL;
    instance->next = instance->prev = NULL;
}

void release_free(struct release *release) {
    free(release->processes);
    free(release->placed);
    memset(release, 0, sizeof(*release));
}

void app_free(struct app *app) {
    if (!app) {
        return;
    }
    for (int slot = 0; slot < SLOTS; slot++) {
        release_free(&app->releases[slot]);
    }
    free(app->rules);
    free(app->routes);
    free(app);
}

int process_index(const struct release *release, const char *name) {
    for (size_t i = 0; i < release->process_count; i++) {
        if (strcmp(release->processes[i].name, name) == 0) {
            return (int)i;
        }
    }
    return -1;
}
