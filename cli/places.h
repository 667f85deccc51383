/* Where a platform keeps what it has. SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_PLACES_H
#define CLI_PLACES_H

#include <sys/un.h>

#include <paas/err.h>

#define PLACES_DATA_DEFAULT "/var/lib/paas"
#define PLACES_RUN_DEFAULT "/run/paas"

enum {
    /* The longest socket below the run directory must fit sockaddr_un. */
    PLACES_RUN_MAX =
        sizeof((struct sockaddr_un *)0)->sun_path - sizeof "/agent/instances/abcdefghij/init.sock",
    PLACES_SIZE = 128, /* bytes of any path below the run or data directory that we name */
};

struct places {
    char data[PLACES_SIZE];
    char run[PLACES_SIZE];
    char api[PLACES_SIZE]; /* the API's socket */
};

/* Fills the places for the data directory `data` (NULL: the default). It is made absolute, and
 * links in it are resolved as far as it exists, so that one directory has one name. ERR_BAD_VALUE
 * when it is too long for the sockets below it. */
int places_find(struct places *places, const char *data, struct err *err);
/* As places_find, and makes the data directory (0711). ERR_FORBIDDEN when a directory on the way to
 * it is closed to other users: the daemons could not reach what is theirs. */
int places_make(struct places *places, const char *data, struct err *err);

#endif
