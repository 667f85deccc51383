/* Where a platform keeps what it has. SPDX-License-Identifier: Apache-2.0 */
#include "places.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <paas/file.h>
#include <paas/str.h>

enum { DATA_MODE = 0711 /* others pass through to their own directory, and list nothing */ };

/* `data` with links resolved, or only made absolute where it does not exist. */
static int absolute(const char *data, char path[PATH_MAX], struct err *err) {
    if (realpath(data, path)) {
        return 0;
    }
    char here[PATH_MAX] = "";
    if (data[0] != '/' && !getcwd(here, sizeof here)) {
        return err_sys(err, errno, "finding the current directory");
    }
    if (snprintf(path, PATH_MAX, "%s%s%s", here, here[0] ? "/" : "", data) >= PATH_MAX) {
        return err_set(err, ERR_BAD_VALUE, "the path %.80s… is too long", data);
    }
    return 0;
}

int places_find(struct places *places, const char *data, struct err *err) {
    char path[PATH_MAX];
    *places = (struct places){ 0 };
    if (absolute(data ? data : PLACES_DATA_DEFAULT, path, err) < 0) {
        return -1;
    }
    char run[PATH_MAX + sizeof "/run"];
    bool standard = strcmp(path, PLACES_DATA_DEFAULT) == 0;
    snprintf(run, sizeof run, "%s%s", standard ? PLACES_RUN_DEFAULT : path, standard ? "" : "/run");
    if (strlen(run) > PLACES_RUN_MAX) {
        err_set(err, ERR_BAD_VALUE,
            "--data: %.80s is too long: the sockets below it would not fit in %d bytes", path,
            (int)sizeof((struct sockaddr_un *)0)->sun_path);
        return err_hint(
            err, "use a path of at most %d bytes", (int)(PLACES_RUN_MAX - strlen("/run")));
    }
    str_copy(places->data, sizeof places->data, path);
    str_copy(places->run, sizeof places->run, run);
    snprintf(places->api, sizeof places->api, "%.100s/api.sock", run);
    return 0;
}

/* Daemons run as users of their own: each directory above must let others pass. */
static int check_reachable(const char *data, struct err *err) {
    char path[PLACES_SIZE];
    str_copy(path, sizeof path, data);
    for (char *slash; (slash = strrchr(path, '/')) && slash != path;) {
        struct stat facts;
        *slash = '\0';
        if (stat(path, &facts) == 0 && !(facts.st_mode & S_IXOTH)) {
            err_set(err, ERR_FORBIDDEN,
                "--data: %s is closed to other users, and the daemons are others", path);
            return err_hint(err, "chmod o+x %s, or another --data", path);
        }
    }
    return 0;
}

int places_make(struct places *places, const char *data, struct err *err) {
    if (places_find(places, data, err) < 0 || file_make_dirs(places->data, DATA_MODE, err) < 0) {
        return -1;
    }
    char given[PLACES_SIZE];
    str_copy(given, sizeof given, places->data);
    return places_find(places, given, err) < 0 ? -1 : check_reachable(places->data, err);
}
