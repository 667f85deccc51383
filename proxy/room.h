/* The room that instances have for requests, shared by all workers. SPDX-License-Identifier:
 * Apache-2.0
 *
 * An app with a concurrency of its own never has more requests at an instance than that, from all
 * workers together. Whoever takes a request there takes a place, and gives it back at its end. When
 * others wait for one, a worker does not let go of the place: it hands it over, to a worker drawn
 * by how many wait there, so that no worker's newcomers overtake those that wait at another one.
 *
 * A worker that begins to wait says so before it looks a last time, one that gives back looks who
 * waits afterwards: so no place stays free unseen.
 */
#ifndef PAAS_PROXY_ROOM_H
#define PAAS_PROXY_ROOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct app;
struct app_rows;
struct backend;
struct exchange;
struct proxy_worker;

/* An instance with room for the request, with a place taken there; NULL when there is none.
 * *counted: it is to be given back by room_give(). */
struct backend *room_take(struct app *app, const struct exchange *x, bool *counted);
/* Gives back a counted place; the instance may have left the app's rows. Those that wait go on. */
void room_give(struct app *app, struct backend *b);
/* Some instance has room now; for this request, which has tried some already. */
bool room_is_there(const struct app *app);
bool room_is_there_for(const struct app *app, const struct exchange *x);
/* Some instance is in rotation and not passed over, whether it has room or not. */
bool room_exists(const struct app *app);

/* A place at instance number `index` of `rows` that another worker hands over; `asked` is the set
 * of workers that had no use for it. */
struct room_offer {
    struct app_rows *rows; /* a reference */
    size_t index;
    uint64_t asked;
};
void room_offered(struct proxy_worker *w, const struct room_offer *offer);

#endif
