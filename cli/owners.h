/* Directories of a platform and whom they belong to. SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_OWNERS_H
#define CLI_OWNERS_H

#include <stdint.h>

#include <paas/err.h>

#include "places.h"

/* The platform number that the data directory was last used with, or -1. */
int owners_number(const struct places *places);
/* Makes the run and data directories of all parts with ids from `id_base` on. When the data belongs
 * to another platform number it is given to the new ids; unpacked layers are removed then: they are
 * a cache in the old number's ids. */
int owners_set(const struct places *places, int number, uint32_t id_base, struct err *err);

#endif
