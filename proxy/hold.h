/* Requests that wait for an instance. SPDX-License-Identifier: Apache-2.0
 *
 * A request waits while no instance can take it but one may soon: one starts, the app may grow, one
 * that failed may be back in a moment, or all have as many requests as they may. The wait is
 * bounded in number for an app and a worker (each waiting request keeps one arena and at most one
 * block), and in time. Whose turn it is, and who is refused early when too much comes, queue.h
 * decides.
 */
#ifndef PAAS_PROXY_HOLD_H
#define PAAS_PROXY_HOLD_H

#include <stdbool.h>

struct app;
struct client;
struct app_rows;
struct wheel_timer;

/* Whether waiting is of any use; `in_rotation` says that a healthy instance is there, though it
 * takes nothing at the moment. */
bool hold_is_useful(const struct app_rows *rows, bool in_rotation);

/* Lets the client's request wait; or answers 503 with the reason, or 502 when an instance was tried
 * and broke. */
void hold_request(struct client *c);
/* The request is gone or goes on: takes it out of the queue. */
void hold_leave(struct client *c);
/* Something changed: sends on those that can go, refuses those that waited too long, and all when
 * waiting has become useless. */
void hold_review(struct app *app);
/* The app's timer `look`, while requests wait: time is a change, too. */
void hold_on_look(struct wheel_timer *t);
/* Shows the app's queue to the control thread. */
void hold_show(struct app *app);
/* The wait of this request was too long. */
void hold_expired(struct client *c);

#endif
