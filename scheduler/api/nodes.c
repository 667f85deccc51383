/* Endpoints of nodes: grants and configurations to them, reports from them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "handlers.h"

#include <stdlib.h>
#include <string.h>

#include <paas/http_page.h>

struct rows {
    struct json_array array; /* struct node_summary; shallow */
    bool failed;
};

static void collect(void *data, const struct node_summary *node) {
    struct rows *rows = data;
    struct node_summary *items =
        reallocarray(rows->array.items, rows->array.count + 1, sizeof(*items));
    if (!items) {
        rows->failed = true;
        return;
    }
    items[rows->array.count++] = *node;
    rows->array.items = items;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const struct node_summary *)a)->name, ((const struct node_summary *)b)->name);
}

enum call_result nodes_list(struct call *c) {
    const struct api *api = call_ctx(c);
    struct rows rows = { 0 };
    struct http_page page;
    if (http_page_begin(&page, c) < 0) {
        return CALL_DONE;
    }
    api->ops->each_node(api->owner, collect, &rows);
    if (rows.failed) {
        buf_free(&page.text);
        call_fail_with(c, ERR_NO_MEMORY, "out of memory");
    } else {
        const struct node_summary *nodes = rows.array.items;
        if (nodes) {
            qsort(rows.array.items, rows.array.count, sizeof(*nodes), by_name);
        }
        for (size_t i = 0; i < rows.array.count; i++) {
            http_page_row(&page, nodes[i].name, &nodes[i]);
        }
        http_page_end(&page);
    }
    free(rows.array.items);
    return CALL_DONE;
}

/* An agent reaches its own node only. */
static const char *own_node(struct call *c) {
    const struct api *api = call_ctx(c);
    const char *node = call_param(c, "node");
    if (strcmp(node, api->node) != 0) {
        call_fail_with(c, ERR_FORBIDDEN, "this agent is of node \"%s\"", api->node);
        return NULL;
    }
    return node;
}

enum call_result nodes_grants(struct call *c) {
    const struct api *api = call_ctx(c);
    const char *node = own_node(c);
    struct err err = { 0 };
    if (!node) {
        return CALL_DONE;
    }
    struct feed *feed = api->ops->grants(api->owner, node, &err);
    return feed ? feed_watch(feed, c) : call_fail(c, &err);
}

enum call_result nodes_config(struct call *c) {
    const struct api *api = call_ctx(c);
    const char *digest = call_param(c, "digest");
    if (!own_node(c)) {
        return CALL_DONE;
    }
    const struct config *config = intent_config(api->intent, digest);
    if (!config) {
        return call_fail_with(c, ERR_NOT_FOUND, "there is no configuration %.80s", digest);
    }
    return call_reply_bytes(c, "application/json", config->text, config->len);
}

enum call_result nodes_report(struct call *c) {
    const struct api *api = call_ctx(c);
    const char *node = own_node(c);
    struct err err = { 0 };
    if (!node) {
        return CALL_DONE;
    }
    struct report_answer answer = { 0 };
    if (api->ops->report(api->owner, node, call_body_bytes(c), &answer, &err) < 0) {
        return call_fail(c, &err);
    }
    enum call_result result = answer.ended.count > 0 ? call_reply(c, &answer) : call_reply_empty(c);
    json_free(&report_answer_json, &answer);
    return result;
}
