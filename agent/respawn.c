/* How long a slot waits before its next start. SPDX-License-Identifier: Apache-2.0 */
#include "respawn.h"

msec respawn_delay(int64_t failures, uint32_t random) {
    if (failures <= 1) {
        return 0;
    }
    msec pause = RESPAWN_FIRST_MS;
    for (int64_t i = 2; i < failures && pause < RESPAWN_LONGEST_MS; i++) {
        pause *= 2;
    }
    pause = pause < RESPAWN_LONGEST_MS ? pause : RESPAWN_LONGEST_MS;
    return pause - pause * (msec)(random % 256) / 1024;
}

int64_t respawn_count(int64_t failures, msec healthy_for) {
    return healthy_for >= RESPAWN_FORGIVEN_MS ? 1 : failures + 1;
}
