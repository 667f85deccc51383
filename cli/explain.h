/* What an error code means and what helps. SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_EXPLAIN_H
#define CLI_EXPLAIN_H

#include <paas/err.h>

/* Some lines of advice; never NULL. */
const char *explain_advice(enum err_code code);

#endif
