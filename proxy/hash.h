/* FNV-1a over bytes. SPDX-License-Identifier: Apache-2.0
 *
 * For tables whose keys come from the platform itself (routes, apps): a client can choose what is
 * looked up, not what is in them, so no secret is needed against collisions.
 */
#ifndef PAAS_PROXY_HASH_H
#define PAAS_PROXY_HASH_H

#include <stddef.h>
#include <stdint.h>

#define HASH_START UINT32_C(2166136261)

static inline uint32_t hash_bytes(uint32_t hash, const void *bytes, size_t len) {
    for (const unsigned char *p = bytes, *end = p + len; p < end; p++) {
        hash = (hash ^ *p) * UINT32_C(16777619);
    }
    return hash;
}

#endif
