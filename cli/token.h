/* The token for the API on TCP. SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_TOKEN_H
#define CLI_TOKEN_H

#include <sys/types.h>

#include <paas/err.h>

#include "places.h"

enum token_wish {
    TOKEN_IF_THERE, /* only repeats the hash of a token that was made before */
    TOKEN_WANTED,   /* makes the token if there is none */
};
/* D/api.token (0600, root) holds the token, D/scheduler/api.token.sha256 its hash for the
 * scheduler, which runs as `scheduler`. */
int token_make(const struct places *places, uid_t scheduler, enum token_wish wish, struct err *err);

#endif
