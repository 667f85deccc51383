/* What the API keeps itself. SPDX-License-Identifier: Apache-2.0 */
#include <paas/api.h>

#include "registry.h"

int api_open(struct api *api, uv_loop_t *loop, const char *directory, struct err *err) {
    api->registry = registry_open(loop, directory, err);
    return api->registry ? 0 : -1;
}

int api_collect(struct api *api, const char *const *keep, size_t keep_count,
    void (*done)(void *data, uint64_t freed), void *data, struct err *err) {
    return registry_collect(api->registry, keep, keep_count, done, data, err);
}

void api_close(struct api *api) {
    registry_close(api->registry, NULL, NULL);
    api->registry = NULL;
}

struct registry *registry_of_call(const struct call *c) {
    const struct api *api = call_ctx(c);
    return api->registry;
}
