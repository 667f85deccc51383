/* What nodes report, kept as it came and handed to the core as facts. SPDX-License-Identifier:
 * Apache-2.0
 *
 * A report is lines: a head, rows of instances, and in a whole one the grants in force. It is
 * parsed as a whole before anything of it counts. A row that says, to the byte, what one of the
 * report before said is not parsed again: a node's thousand rows a second are mostly such.
 */
#include "scheduler.h"

#include <stdlib.h>
#include <string.h>

#include <paas/str.h>
#include <paas/wire.h>

enum {
    ENDED_KEPT = 1000,                        /* ended instances that can still be asked for */
    REPORT_ROWS_MAX = 4 * INSTANCES_PER_NODE, /* running, and ended ones not yet acknowledged */
};
#define TERM_MAX                                                                                   \
    (INT64_C(1) << 53) /* a node that says more is out of order: terms count starts                \
                        */

struct report {
    struct report_head head;
    struct map lines; /* text to struct instance */
    struct instance *instances;
    struct core_instance *facts;
    struct grant *grants;
    struct scaling_decision *decisions;
};

/* Frees a map whose values are single allocations. */
static void map_free_all(struct map *map) {
    MAP_FOREACH (e, map) {
        free(e->value);
    }
    map_free(map);
}

static void report_free(struct report *r) {
    map_free_all(&r->lines);
    free(r->instances);
    free(r->facts);
    free(r->grants);
    free(r->decisions);
    json_free(&report_head_json, &r->head);
}

/* --- records ---------------------------------------------------------------------------------- */

struct node_record *nodes_need(struct scheduler *s, const char *name, struct err *err) {
    struct node_record *record = map_get(&s->nodes.records, name);
    if (record) {
        return record;
    }
    record = calloc(1, sizeof(*record));
    if (!record) {
        err_no_memory(err);
        return NULL;
    }
    map_init(&record->instances);
    map_init(&record->lines);
    str_copy(record->summary.name, sizeof(record->summary.name), name);
    if (feed_create(s->loop, &record->grants, err) < 0) {
        free(record);
        return NULL;
    }
    if (map_set(&s->nodes.records, name, record) < 0) {
        feed_destroy(record->grants);
        free(record);
        err_no_memory(err);
        return NULL;
    }
    return record;
}

static int load_one(void *data, const char *key, const char *body, size_t len, struct err *err) {
    struct scheduler *s = data;
    (void)body;
    (void)len;
    struct node_record *record = nodes_need(s, key, err);
    if (record) {
        record->saved = true;
    }
    return record ? 0 : -1;
}

int nodes_load(struct scheduler *s, struct err *err) {
    map_init(&s->nodes.records);
    map_init(&s->nodes.recalled);
    s->nodes.ended = calloc(ENDED_KEPT, sizeof(*s->nodes.ended));
    if (!s->nodes.ended) {
        return err_no_memory(err);
    }
    return store_load(s->store, STORE_NODE, load_one, s, err);
}

void nodes_free(struct nodes *nodes) {
    MAP_FOREACH (e, &nodes->records) {
        struct node_record *record = e->value;
        map_free_all(&record->instances);
        map_free_all(&record->lines);
        feed_destroy(record->grants);
        free(record);
    }
    map_free(&nodes->records);
    map_free_all(&nodes->recalled);
    free(nodes->ended);
    nodes->ended = NULL;
}

static bool is_end(const struct instance *instance) {
    return instance->state == INSTANCE_STOPPED || instance->state == INSTANCE_FAILED;
}

/* --- ended ones ------------------------------------------------------------------------------- */

static const struct ended *find_ended(const struct nodes *nodes, const char *id) {
    for (size_t i = nodes->ended_count; i-- > 0;) {
        const struct ended *ended = &nodes->ended[(nodes->ended_first + i) % ENDED_KEPT];
        if (strcmp(ended->row.id, id) == 0) {
            return ended;
        }
    }
    return NULL;
}

static void keep_ended(struct nodes *nodes, const struct instance *instance, int64_t event) {
    nodes->ended[(nodes->ended_first + nodes->ended_count) % ENDED_KEPT] =
        (struct ended){ *instance, event };
    if (nodes->ended_count == ENDED_KEPT) {
        nodes->ended_first = (nodes->ended_first + 1) % ENDED_KEPT;
    } else {
        nodes->ended_count++;
    }
}

const struct instance *nodes_instance(const struct scheduler *s, const char *id) {
    MAP_FOREACH (e, &s->nodes.records) {
        const struct node_record *record = e->value;
        const struct known *found = map_get(&record->instances, id);
        if (found) {
            return &found->row;
        }
    }
    const struct ended *ended = find_ended(&s->nodes, id);
    return ended ? &ended->row : NULL;
}

/* So that a node's first report tells only what is new, and each end is told once. */
int nodes_recall(struct scheduler *s, const struct event *event, struct err *err) {
    struct instance *row = map_get(&s->nodes.recalled, event->instance);
    bool fresh = !row;
    if (fresh && !(row = calloc(1, sizeof(*row)))) {
        return err_no_memory(err);
    }
    if (fresh) {
        json_defaults(&instance_json, row);
    }
    if (!story_recall(event, row)) {
        if (fresh) {
            free(row);
        }
        return 0;
    }
    str_copy(row->node, sizeof(row->node), s->options->node);
    if (is_end(row)) {
        keep_ended(&s->nodes, row, event->sequence);
        map_remove(&s->nodes.recalled, event->instance);
        free(row);
    } else if (fresh && map_set(&s->nodes.recalled, event->instance, row) < 0) {
        free(row);
        return err_no_memory(err);
    }
    return 0;
}

static int by_slot(const void *a, const void *b) {
    const struct instance *x = *(const struct instance *const *)a;
    const struct instance *y = *(const struct instance *const *)b;
    int order = strcmp(x->app, y->app);
    order = order ? order : strcmp(x->process, y->process);
    /* What sleeps comes last. */
    order = order ? order : (x->state == INSTANCE_FROZEN) - (y->state == INSTANCE_FROZEN);
    size_t lx = strlen(x->slot), ly = strlen(y->slot);
    order = order ? order : (lx > ly) - (lx < ly); /* web.10 after web.9 */
    order = order ? order : strcmp(x->slot, y->slot);
    return order ? order : strcmp(x->id, y->id);
}

void nodes_each_instance(struct scheduler *s, bool ended,
    void (*each)(void *data, const struct instance *instance), void *data) {
    struct nodes *nodes = &s->nodes;
    size_t count = 0, max = ended ? nodes->ended_count : 0;
    MAP_FOREACH (e, &nodes->records) {
        max += ((struct node_record *)e->value)->instances.count;
    }
    const struct instance **rows = calloc(max + 1, sizeof(*rows));
    if (!rows) {
        return;
    }
    MAP_FOREACH (e, &nodes->records) {
        struct node_record *record = e->value;
        MAP_FOREACH (i, &record->instances) {
            rows[count++] = &((const struct known *)i->value)->row;
        }
    }
    for (size_t i = 0; ended && i < nodes->ended_count; i++) {
        rows[count++] = &nodes->ended[(nodes->ended_first + i) % ENDED_KEPT].row;
    }
    qsort(rows, count, sizeof(*rows), by_slot);
    for (size_t i = 0; i < count; i++) {
        each(data, rows[i]);
    }
    free(rows);
}

/* --- parsing ---------------------------------------------------------------------------------- */

static int next_row(
    const char **text, size_t *len, const struct json_type *type, void *out, struct err *err) {
    struct http_text line;
    if (!stream_next_line(text, len, &line)) {
        return err_set(
            err, ERR_BAD_REQUEST, "the report is cut: a line of %s is missing", type->name);
    }
    return json_decode(type, line.at, line.len, out, err);
}

static int check_head(const struct report_head *head, const char *node, struct err *err) {
    if (strcmp(head->node, node) != 0) {
        return err_set(err, ERR_BAD_VALUE, "node: the report is of \"%s\"", head->node);
    }
    if (head->instances > REPORT_ROWS_MAX || head->grants > REPORT_ROWS_MAX ||
        head->decisions > REPORT_ROWS_MAX) {
        return err_set(err, ERR_TOO_LARGE, "a report has at most %d rows", REPORT_ROWS_MAX);
    }
    if (head->term > TERM_MAX || head->routes_term > TERM_MAX) {
        return err_set(err, ERR_BAD_VALUE, "term: it is out of range");
    }
    return 0;
}

static void to_fact(const struct instance *from, struct core_instance *to) {
    memcpy(to->id, from->id, sizeof(to->id));
    memcpy(to->app, from->app, sizeof(to->app));
    memcpy(to->process, from->process, sizeof(to->process));
    to->release = from->release;
    to->state = from->state;
    to->reason = from->last_exit.reason;
    to->was_ready = from->ready_ms >= 0;
}

/* Reads a row, or takes what the same text said before. */
static int read_instance(struct report *r, struct map *before, const char **text, size_t *len,
    struct instance *out, struct err *err) {
    struct http_text line;
    if (!stream_next_line(text, len, &line)) {
        return err_set(err, ERR_BAD_REQUEST, "the report is cut: an instance is missing");
    }
    char *key = strndup(line.at, line.len);
    struct instance *said = key ? map_remove(before, key) : NULL;
    if (key && !said) {
        said = map_get(&r->lines, key) ? NULL : malloc(sizeof(*said));
        if (said && json_decode(&instance_json, line.at, line.len, said, err) < 0) {
            free(said);
            free(key);
            return -1;
        }
    }
    if (!said) {
        bool twice = key && map_get(&r->lines, key);
        free(key);
        return twice ? err_set(err, ERR_BAD_REQUEST, "the report has a row twice")
                     : err_no_memory(err);
    }
    *out = *said;
    int rc = map_set(&r->lines, key, said);
    free(key);
    if (rc < 0) {
        free(said);
        return err_no_memory(err);
    }
    return 0;
}

static int parse(struct report *r, struct map *before, const char *node, const char *text,
    size_t len, struct err *err) {
    if (next_row(&text, &len, &report_head_json, &r->head, err) < 0 ||
        check_head(&r->head, node, err) < 0) {
        return -1;
    }
    size_t instances = (size_t)r->head.instances, grants = (size_t)r->head.grants;
    size_t decisions = (size_t)r->head.decisions;
    r->instances = calloc(instances + 1, sizeof(*r->instances));
    r->facts = calloc(instances + 1, sizeof(*r->facts));
    r->grants = calloc(grants + 1, sizeof(*r->grants));
    r->decisions = calloc(decisions + 1, sizeof(*r->decisions));
    if (!r->instances || !r->facts || !r->grants || !r->decisions) {
        return err_no_memory(err);
    }
    for (size_t i = 0; i < instances; i++) {
        if (read_instance(r, before, &text, &len, &r->instances[i], err) < 0) {
            return err_wrap(err, "instance %zu", i);
        }
        str_copy(r->instances[i].node, sizeof(r->instances[i].node), node);
        to_fact(&r->instances[i], &r->facts[i]);
    }
    for (size_t i = 0; i < grants; i++) {
        if (next_row(&text, &len, &grant_json, &r->grants[i], err) < 0) {
            return err_wrap(err, "grant %zu", i);
        }
    }
    for (size_t i = 0; i < decisions; i++) {
        if (next_row(&text, &len, &scaling_decision_json, &r->decisions[i], err) < 0) {
            return err_wrap(err, "decision %zu", i);
        }
    }
    return 0;
}

/* --- taking it in ----------------------------------------------------------------------------- */

/* An end that is reported again, because the answer to its report was lost, is told once. */
static void take_end(
    struct scheduler *s, struct node_record *record, const struct instance *instance) {
    if (find_ended(&s->nodes, instance->id)) {
        return;
    }
    struct known *before = map_remove(&record->instances, instance->id);
    struct instance *recalled = map_remove(&s->nodes.recalled, instance->id);
    story_tell(s, before ? &before->row : recalled, instance);
    keep_ended(&s->nodes, instance, s->events.last);
    free(before);
    free(recalled);
}

/* One that is reported again is told once. */
static void take_decision(
    struct scheduler *s, struct node_record *record, const struct scaling_decision *decision) {
    for (size_t i = 0; i < DECISIONS_KEPT; i++) {
        if (record->decisions[i] == decision->sequence) {
            return;
        }
    }
    record->decisions[record->decision_count++ % DECISIONS_KEPT] = decision->sequence;
    story_tell_decision(s, decision);
}

static int take_row(struct scheduler *s, struct node_record *record,
    const struct instance *instance, struct err *err) {
    if (is_end(instance)) {
        take_end(s, record, instance);
        return 0;
    }
    struct known *known = map_get(&record->instances, instance->id);
    bool fresh = !known;
    if (fresh) {
        known = malloc(sizeof(*known));
        if (!known || map_set(&record->instances, instance->id, known) < 0) {
            free(known);
            return err_no_memory(err);
        }
    }
    struct instance *recalled = map_remove(&s->nodes.recalled, instance->id);
    struct instance before = recalled ? *recalled : fresh ? *instance : known->row;
    known->row = *instance;
    known->seen = record->reports;
    story_tell(s, fresh && !recalled ? NULL : &before, instance);
    free(recalled);
    return 0;
}

static void take_unseen_end(
    struct scheduler *s, struct node_record *record, const struct instance *last) {
    struct instance gone = *last;
    gone.state = INSTANCE_FAILED;
    gone.last_exit = (struct last_exit){ .code = -1, .reason = END_UNKNOWN };
    str_copy(gone.last_exit.detail, sizeof(gone.last_exit.detail), "nobody saw its end");
    take_end(s, record, &gone);
}

/* What a whole report does not list is gone, and nobody saw how. */
static void drop_unlisted(struct scheduler *s, struct node_record *record) {
    MAP_FOREACH (e, &record->instances) {
        const struct known *known = e->value;
        if (known->seen != record->reports) {
            take_unseen_end(s, record, &known->row);
        }
    }
    MAP_FOREACH (e, &s->nodes.recalled) {
        take_unseen_end(s, record, e->value);
    }
}

/* A node is full, or has room again. */
static void tell_of_room(struct scheduler *s, const char *node, const struct report_head *head) {
    bool full = head->reason[0] != '\0';
    char message[NAME_SIZE + 160];
    struct event event = { .message = message };
    snprintf(message, sizeof(message),
        "%s %s: %lld MiB of %lld MiB memory are left, its instances use %lld MiB", node,
        full ? "has no room for what should start" : "has room again",
        (long long)(head->memory_available >> 20), (long long)(head->memory_total >> 20),
        (long long)(head->memory_used >> 20));
    str_copy(event.type, sizeof(event.type), full ? "node-full" : "node-has-room");
    str_copy(event.code, sizeof(event.code), head->reason);
    events_add(s, &event);
}

static void take_head(
    struct scheduler *s, struct node_record *record, const struct report_head *head) {
    struct node_summary *summary = &record->summary;
    if ((summary->reason[0] != '\0') != (head->reason[0] != '\0')) {
        tell_of_room(s, summary->name, head);
    }
    summary->memory_promised = head->memory_promised;
    summary->memory_used = head->memory_used;
    summary->given_up = head->given_up;
    summary->reported_at = clock_wall_msec();
    summary->memory_total = head->memory_total;
    summary->memory_available = head->memory_available;
    summary->cpus = head->cpus;
    summary->grants_term = head->term;
    summary->grants_revision = head->revision;
    summary->routes_term = head->routes_term;
    summary->routes_revision = head->routes_revision;
    memcpy(summary->reason, head->reason, sizeof(summary->reason));
}

static void take_facts(struct scheduler *s, const struct report *r) {
    const struct report_head *head = &r->head;
    struct core_report report = { .whole = head->whole,
        .term = head->term > head->routes_term ? head->term : head->routes_term,
        .routes_term = head->routes_term,
        .routes_revision = head->routes_revision,
        .memory_total = head->memory_total,
        .full = head->reason[0] != '\0',
        .instances = r->facts,
        .instance_count = (size_t)head->instances,
        .grants = r->grants,
        .grant_count = (size_t)head->grants };
    memcpy(report.node, head->node, sizeof(report.node));
    driver_event(s, &(struct core_event){ .type = CORE_REPORT, .report = &report });
}

/* An end counts as kept once its event is saved: only then may the node forget it. */
static int answer_ends(
    struct scheduler *s, const struct report *r, struct report_answer *answer, struct err *err) {
    for (int64_t i = 0; i < r->head.instances; i++) {
        const struct instance *row = &r->instances[i];
        const struct ended *ended = is_end(row) ? find_ended(&s->nodes, row->id) : NULL;
        if (ended && ended->event <= s->events.settled &&
            strings_add(&answer->ended, row->id) < 0) {
            return err_no_memory(err);
        }
    }
    return 0;
}

int nodes_take_report(struct scheduler *s, const char *node, struct http_text text,
    struct report_answer *answer, struct err *err) {
    struct report r = { 0 };
    struct node_record *record = nodes_need(s, node, err);
    int rc = record ? parse(&r, &record->lines, node, text.at, text.len, err) : -1;
    if (rc == 0) {
        record->reports++;
        take_head(s, record, &r.head);
    }
    for (int64_t i = 0; rc == 0 && i < r.head.instances; i++) {
        rc = take_row(s, record, &r.instances[i], err);
    }
    for (int64_t i = 0; rc == 0 && i < r.head.decisions; i++) {
        take_decision(s, record, &r.decisions[i]);
    }
    if (rc == 0 && r.head.whole) {
        drop_unlisted(s, record);
    }
    if (rc == 0) {
        record->summary.instances = (int64_t)record->instances.count;
        take_facts(s, &r);
        s->reports++;
        rc = answer_ends(s, &r, answer, err);
    }
    if (record && r.head.whole) {
        struct map old = record->lines; /* rows that this report did not repeat */
        record->lines = r.lines;
        r.lines = old;
    }
    report_free(&r);
    return rc;
}
