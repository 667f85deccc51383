/* Every bound that more than one part relies on, with its unit and its reason.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PAAS_LIMITS_H
#define PAAS_LIMITS_H

enum {
    /* Kernel-visible names and ranges of a platform. */
    PLATFORMS_MAX = 32,       /* platforms side by side: 32 id ranges fit below 2^32 */
    PLATFORM_SLOTS = 1040,    /* id ranges of a platform */
    PLATFORM_FIRST_SLOT = 16, /* the first slot of an instance; those below are ours */
    IDS_PER_SLOT = 65537,     /* 0..65535 for the image, 65536 for paas-init */
    INSTANCES_PER_NODE = PLATFORM_SLOTS - PLATFORM_FIRST_SLOT,

    /* Names. */
    NAME_SIZE = 64,                 /* a DNS label and a NUL (RFC 1035 2.3.4) */
    HOST_SIZE = 254,                /* a host name and a NUL (RFC 1035 2.3.4) */
    PATH_SIZE = 256,                /* a route's or probe's path and a NUL */
    DIGEST_SIZE = 72,               /* "sha256:", 64 digits and a NUL */
    SLOT_NAME_SIZE = NAME_SIZE + 8, /* "web.1023" */
    ADDRESS_SIZE = 46,              /* INET6_ADDRSTRLEN */
    SIGNAL_SIZE = 16,               /* "SIGRTMAX-14" fits */
    SCHEDULE_SIZE = 512,            /* sixteen lines of 30 characters and a NUL */

    /* How many. */
    APPS_MAX = 10000,
    PROCESSES_PER_APP = 32,
    ROUTES_PER_APP = 64,
    RELEASES_KEPT = 50,     /* older ones that serve nothing are forgotten */
    LAYERS_PER_IMAGE = 128, /* overlayfs takes 500; Docker's own limit is 127 */
    COMMAND_WORDS = 256,
    ENV_PAIRS = 512,

    /* How large, in bytes. */
    ENV_VALUE_MAX = 32768,
    WORD_MAX = 4096,              /* one argument of a command */
    MANIFEST_BYTES_MAX = 1 << 20, /* paas.json, an image manifest, an image config */
    JSON_LINE_MAX = 1 << 20,      /* one line of a stream */
};

/* Sizes beyond an int. */
#define LAYER_BYTES_MAX (INT64_C(4) << 30)     /* a compressed layer */
#define UNPACKED_BYTES_MAX (INT64_C(16) << 30) /* an unpacked layer, holes counted */
#define MEMORY_MIN (INT64_C(4) << 20)          /* of an instance: below it paas-init cannot live */
#define MEMORY_MAX (INT64_C(4) << 40)
#define MEMORY_DEFAULT (INT64_C(256) << 20)
#define CPU_MILLI_MIN INT64_C(10)
#define CPU_MILLI_MAX INT64_C(1024000)
#define DAY_MS INT64_C(86400000)

/* The first user and group id of platform 0; see sandbox.h for what each slot is for. */
#define PLATFORM_ID_BASE UINT32_C(0x40000000)
#define PLATFORM_ID_COUNT UINT32_C(0x4100000)

#endif
