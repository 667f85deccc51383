/* A platform's number. SPDX-License-Identifier: Apache-2.0 */
#include "platform.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <net/route.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <paas/buf.h>
#include <paas/file.h>
#include <paas/limits.h>

#include "places.h"

enum {
    CLAIM_BYTES = 512,     /* a boot id and a path */
    TABLE_BYTES = 4 << 20, /* /etc/subuid or /proc/net/route of a large host */
    NETWORK_FIRST = 200,   /* platform 0 has 10.200.0.0/16 */
    CLAIM_TRIES = 8,       /* a claim removed while we locked it: look again */
};

static uint32_t id_base_of(int number) {
    return PLATFORM_ID_BASE + (uint32_t)number * PLATFORM_ID_COUNT;
}

static const char *next_line(const char *line) {
    const char *end = strchr(line, '\n');
    return end ? end + 1 : "";
}

bool platform_ids_taken(const char *text, uint32_t base, uint32_t count) {
    for (const char *line = text; *line; line = next_line(line)) {
        uint64_t start, length;
        if (sscanf(line, "%*[^:\n]:%" SCNu64 ":%" SCNu64, &start, &length) == 2 &&
            start < (uint64_t)base + count && base < start + length) {
            return true;
        }
    }
    return false;
}

bool platform_network_taken(const char *text, int number, enum platform_range check) {
    uint32_t ours = UINT32_C(10) << 24 | (uint32_t)(NETWORK_FIRST + number) << 16;
    for (const char *line = text; *line; line = next_line(line)) {
        uint32_t destination, flags, mask;
        if (sscanf(line, "%*s %" SCNx32 " %*x %" SCNx32 " %*d %*d %*d %" SCNx32, &destination,
                &flags, &mask) != 3) {
            continue;
        }
        if (check == RANGE_BUT_LEFTOVERS && flags & RTF_REJECT && ntohl(destination) == ours &&
            ntohl(mask) == UINT32_C(0xffff0000)) {
            continue;
        }
        uint32_t common = ntohl(mask) & UINT32_C(0xffff0000);
        if (mask && (ntohl(destination) & common) == (ours & common)) {
            return true;
        }
    }
    return false;
}

/* True when the text of the file at `path` has `test` say so; an absent file takes nothing. */
static bool ids_in_file(const char *path, uint32_t base) {
    struct buf text;
    buf_init(&text, TABLE_BYTES);
    bool taken = file_read_whole(AT_FDCWD, path, &text, NULL) == 0 &&
                 platform_ids_taken(buf_str(&text), base, PLATFORM_ID_COUNT);
    buf_free(&text);
    return taken;
}

static bool range_is_free(int number, enum platform_range check) {
    struct buf routes;
    buf_init(&routes, TABLE_BYTES);
    bool taken = file_read_whole(AT_FDCWD, "/proc/net/route", &routes, NULL) == 0 &&
                 platform_network_taken(buf_str(&routes), number, check);
    buf_free(&routes);
    return !taken && !ids_in_file("/etc/subuid", id_base_of(number)) &&
           !ids_in_file("/etc/subgid", id_base_of(number));
}

/* Opens and locks the claim's file as it is in the directory now. -1 when somebody holds it. */
static int lock_claim(const char *path) {
    for (int i = 0; i < CLAIM_TRIES; i++) {
        int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
        if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0) {
            file_close(&fd);
            return -1;
        }
        struct stat held, named;
        if (fstat(fd, &held) == 0 && stat(path, &named) == 0 && held.st_ino == named.st_ino) {
            return fd;
        }
        close(fd);
    }
    return -1;
}

enum claim_state { CLAIM_VOID, CLAIM_OURS, CLAIM_OTHERS };

/* What a locked claim says. One whose platform has no state left is void. */
static enum claim_state read_claim(int fd, const char *boot_id, const char *data) {
    char text[CLAIM_BYTES] = "", boot[BOOT_ID_SIZE] = "", owner[PLACES_SIZE] = "";
    if (pread(fd, text, sizeof text - 1, 0) <= 0 ||
        sscanf(text, "%36s %127[^\n]", boot, owner) != 2 || strcmp(boot, boot_id) != 0) {
        return CLAIM_VOID;
    }
    if (strcmp(owner, data) == 0) {
        return CLAIM_OURS;
    }
    struct places places;
    char state[PLACES_SIZE + 16];
    if (places_find(&places, owner, NULL) < 0) {
        return CLAIM_VOID;
    }
    snprintf(state, sizeof state, "%s/supervisor", places.run);
    return access(state, F_OK) == 0 ? CLAIM_OTHERS : CLAIM_VOID;
}

static int write_claim(int fd, const char *boot_id, const char *data, struct err *err) {
    char text[CLAIM_BYTES];
    int len = snprintf(text, sizeof text, "%s %s\n", boot_id, data);
    if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)len, 0) != len) {
        return err_sys(err, errno, "writing a claim in %s", PLATFORM_CLAIMS);
    }
    return 0;
}

/* 1: claimed. 0: somebody else's, or its ranges are in use. -1: an error. */
static int try_number(struct platform *platform, const char *data, int number,
    enum platform_range check, struct err *err) {
    char path[sizeof PLATFORM_CLAIMS + 8], boot_id[BOOT_ID_SIZE];
    snprintf(path, sizeof path, "%s/%d", PLATFORM_CLAIMS, number);
    if (file_boot_id(boot_id, err) < 0) {
        return -1;
    }
    int fd = lock_claim(path);
    if (fd < 0) {
        return 0;
    }
    enum claim_state state = read_claim(fd, boot_id, data);
    if (state == CLAIM_OTHERS) {
        close(fd);
        return 0;
    }
    if (state == CLAIM_VOID && check != RANGE_UNCHECKED && !range_is_free(number, check)) {
        unlink(path);
        close(fd);
        return 0;
    }
    if (write_claim(fd, boot_id, data, err) < 0) {
        close(fd);
        return -1;
    }
    *platform = (struct platform){ number, id_base_of(number), fd };
    return 1;
}

int platform_claim(struct platform *platform, const char *data, int preferred, struct err *err) {
    if (file_make_dirs(PLATFORM_CLAIMS, 0755, err) < 0) {
        return -1;
    }
    int claimed = 0;
    if (preferred >= 0 && preferred < PLATFORMS_MAX) {
        claimed = try_number(platform, data, preferred, RANGE_BUT_LEFTOVERS, err);
    }
    for (int number = 0; claimed == 0 && number < PLATFORMS_MAX; number++) {
        claimed = try_number(platform, data, number, RANGE_WHOLE, err);
    }
    if (claimed == 0) {
        err_set(err, ERR_FULL,
            "no platform number is free: all %d are claimed in %s, or their ids "
            "or networks (10.%d.0.0/16 on) are in use",
            PLATFORMS_MAX, PLATFORM_CLAIMS, NETWORK_FIRST);
        return err_hint(err, "paas down --data DIR   for a platform that is not needed");
    }
    return claimed < 0 ? -1 : 0;
}

int platform_reclaim(struct platform *platform, const char *data, int number, struct err *err) {
    if (number < 0 || number >= PLATFORMS_MAX) {
        return err_set(err, ERR_BAD_VALUE, "%d is not the number of a platform", number);
    }
    if (file_make_dirs(PLATFORM_CLAIMS, 0755, err) < 0) {
        return -1;
    }
    int claimed = try_number(platform, data, number, RANGE_UNCHECKED, err);
    if (claimed == 0) {
        return err_set(
            err, ERR_CONFLICT, "platform number %d belongs to another platform now", number);
    }
    return claimed < 0 ? -1 : 0;
}

void platform_release(struct platform *platform) {
    if (platform->claim >= 0) {
        char path[sizeof PLATFORM_CLAIMS + 8];
        snprintf(path, sizeof path, "%s/%d", PLATFORM_CLAIMS, platform->number);
        unlink(path);
        rmdir(PLATFORM_CLAIMS);
        rmdir(PLACES_RUN_DEFAULT);
    }
    platform_close(platform);
}

void platform_close(struct platform *platform) {
    file_close(&platform->claim);
}
