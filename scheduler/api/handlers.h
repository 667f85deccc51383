/* The handlers that the table of endpoints names, and what they share.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef API_HANDLERS_H
#define API_HANDLERS_H

#include <paas/api.h>
#include <paas/oci.h>

enum call_result apps_list(struct call *c);
enum call_result apps_get(struct call *c);
enum call_result apps_destroy(struct call *c);
enum call_result apps_stop(struct call *c);
enum call_result apps_start(struct call *c);
enum call_result apps_scale(struct call *c);
enum call_result apps_autoscale(struct call *c);
enum call_result env_get(struct call *c);
enum call_result env_change(struct call *c);

enum call_result releases_list(struct call *c);
enum call_result releases_create(struct call *c);
enum call_result releases_rollback(struct call *c);
enum call_result releases_restart(struct call *c);

enum call_result routes_list(struct call *c);
enum call_result routes_add(struct call *c);
enum call_result routes_remove(struct call *c);
enum call_result routes_watch(struct call *c);

enum call_result instances_list(struct call *c);
enum call_result instances_of_app(struct call *c);
enum call_result instances_kill(struct call *c);
enum call_result instances_exec(struct call *c);
enum call_result instances_logs(struct call *c);
enum call_result instances_decisions(struct call *c);
enum call_result instances_load(struct call *c);

enum call_result nodes_list(struct call *c);
enum call_result nodes_grants(struct call *c);
enum call_result nodes_config(struct call *c);
enum call_result nodes_report(struct call *c);

enum call_result events_list(struct call *c);
enum call_result status_get(struct call *c);
enum call_result status_health(struct call *c);
enum call_result status_ready(struct call *c);
enum call_result status_metrics(struct call *c);
enum call_result status_openapi(struct call *c);

/* The app of the path, committed; NULL: the call was failed. */
const struct app_row *call_app(struct call *c);
/* Says the app's tag, for If-Match. */
void call_tag(struct call *c, const struct app_row *row);
/* Where the app answers: its first route. */
void app_url(const struct api *api, const struct app_row *row, char url[URL_SIZE]);

/* A change that a call asks for, and answers with a change_answer. */
struct app_change {
    struct change base;
    struct call *call;
    int (*run)(struct app_change *change, struct intent *intent, int64_t now, struct err *err);
    const char *app;        /* the path's */
    struct oci_image image; /* of a push */
    bool replayed;          /* it was done before: its events are among the old ones */
    struct change_answer answer;
};
/* Submits a change that calls `run`; always for the caller to return. */
enum call_result change_submit(struct call *c,
    int (*run)(struct app_change *change, struct intent *intent, int64_t now, struct err *err),
    const struct oci_image *image);

#endif
