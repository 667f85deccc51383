/* How long a slot waits before its next start. SPDX-License-Identifier: Apache-2.0
 *
 * Pure. The first restart is at once; then the pause doubles from RESPAWN_FIRST_MS to
 * RESPAWN_LONGEST_MS, each shortened by up to a quarter, so that slots that failed together do not
 * start together. An instance that was healthy for RESPAWN_FORGIVEN_MS starts the count anew.
 */
#ifndef PAAS_RESPAWN_H
#define PAAS_RESPAWN_H

#include <stdint.h>

#include <paas/clock.h>

enum {
    RESPAWN_FIRST_MS = 100,
    RESPAWN_LONGEST_MS = 30000,
    RESPAWN_FORGIVEN_MS = 10000,
};

/* The pause before the next start, after `failures` ends in a row that nobody asked for. `random`
 * is any number; the same gives the same pause. */
msec respawn_delay(int64_t failures, uint32_t random);
/* The failures in a row after an end that nobody asked for: of an instance that had been healthy
 * for `healthy_for` ms (0: never was). */
int64_t respawn_count(int64_t failures, msec healthy_for);

#endif
