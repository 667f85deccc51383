/* A platform's number: from it derive all names and ranges that the kernel sees.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A number is claimed by a file /run/paas/platforms/N with the boot id and the data directory in
 * it, locked (flock) by whoever supervises or takes down the platform. The claim outlives its
 * supervisor, as instances do; it is void in another boot, or when its data is gone.
 */
#ifndef CLI_PLATFORM_H
#define CLI_PLATFORM_H

#include <stdbool.h>
#include <stdint.h>

#include <paas/err.h>

#define PLATFORM_CLAIMS PLACES_RUN_DEFAULT "/platforms"

struct platform {
    int number; /* 0..PLATFORMS_MAX-1 */
    uint32_t id_base;
    int claim; /* the locked file, -1 when none */
};

/* Claims a number for `data` whose ids are in no range of /etc/subuid or /etc/subgid and whose
 * network no route of this host overlaps: `preferred` if it is free (-1: none), else the lowest.
 * What an earlier run under the preferred number left counts as free. ERR_FULL with the reasons
 * when none is free. */
int platform_claim(struct platform *platform, const char *data, int preferred, struct err *err);
/* Locks the claim that `data` already has on `number`, or makes it anew where its file is gone.
 * ERR_CONFLICT when another platform has it. */
int platform_reclaim(struct platform *platform, const char *data, int number, struct err *err);
/* Gives the number back: removes the claim. */
void platform_release(struct platform *platform);
/* Lets go of the lock, and keeps the claim. */
void platform_close(struct platform *platform);

/* True when the text of /etc/subuid or /etc/subgid gives somebody ids of [base, base+count). */
bool platform_ids_taken(const char *text, uint32_t base, uint32_t count);
/* How a range is looked at. Each platform has an unreachable route over its whole network, which
 * stays behind when all of it is killed. */
enum platform_range { RANGE_UNCHECKED, RANGE_WHOLE, RANGE_BUT_LEFTOVERS };

/* True when the text of /proc/net/route has a route, but a default one, into 10.(200+number).0.0/16
 * or around it. */
bool platform_network_taken(const char *text, int number, enum platform_range check);

#endif
