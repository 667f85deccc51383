/* Layers become directories, in a process that can do nothing else. SPDX-License-Identifier:
 * Apache-2.0
 *
 * The helper process is made by a privileged parent: a child inside a user namespace that maps the
 * image's ids 0..65535 and nothing else of value, as root of that namespace. What unpack_main() and
 * unpack_remove_main() get are descriptors; they then give up everything that the job does not need
 * (other descriptors, capabilities but for the few that write files of foreign ids, new privileges,
 * the file system outside of the given directories by Landlock, system calls by a filter, memory,
 * time) before they look at the first byte.
 *
 * A layer on disk is two directories. STORE/HEX (the hexadecimal digits of its diff id) has what
 * the layer adds, and nothing else. What it hides of the layers below (whiteouts and opaque
 * directories) lies as character devices 0:0 in a second directory that belongs right under it in
 * the overlay, STORE/<unpack_hidden_name(HEX)>; it exists only where the layer hides something, or
 * uses directories that it does not describe. So
 * a layer means the same over whatever it lies, no privileged attribute is needed (which a user
 * namespace can't set, and which a tmpfs of Linux 6.1 can't hold), and a layer that hides a
 * directory and makes it anew needs no special case.
 *
 * A layer that has a file without an entry for its directory says nothing of that directory's
 * owner, mode, time and attributes: a lower layer does, if one has it. On disk the layer must have
 * the directory, and over another one it would count; so an image with such layers has a cover,
 * STORE/<unpack_cover_name()>, which belongs over all its layers: these directories alone, each as
 * the layer that describes it has it, or as a new one (0755, of root).
 */
#ifndef PAAS_UNPACK_H
#define PAAS_UNPACK_H

#include <stdbool.h>
#include <stdint.h>

#include <paas/digest.h>
#include <paas/err.h>
#include <paas/limits.h>

/* Bounds of one layer; all are checked before anything is written. */
struct unpack_limits {
    uint64_t bytes;      /* of all files, holes counted at full length */
    uint64_t entries;    /* files, directories, links, whiteouts */
    uint64_t ratio;      /* unpacked bytes for each packed one, once past `ratio_free` */
    uint64_t ratio_free; /* bytes */
    uint32_t depth;      /* names in a path */
    uint32_t path;       /* bytes of a path or a link's target */
    uint32_t xattrs;     /* bytes of names and values of one entry */
    uint32_t seconds;    /* from the first byte to the last */
    uint64_t memory;     /* bytes of the helper's own address space, 0: no bound */
};
extern const struct unpack_limits unpack_limits_default;

struct unpack_job {
    int tar;                       /* the packed layer to its end: tar, plain or in gzip or zstd */
    int layer;                     /* an empty directory, owned by id 0 of the namespace */
    int hidden;                    /* another one */
    int report;                    /* pipe for the one struct unpack_report */
    char diff_id[DIGEST_HEX_SIZE]; /* digits of the digest that the unpacked tar must have */
};

/* What came of it. Fixed size, written at once (PIPE_BUF): read it with unpack_report_read(). */
struct unpack_report {
    uint32_t magic;
    int32_t code; /* enum err_code, ERR_OK when the layer is whole and on disk */
    uint64_t bytes, entries;
    /* Whiteouts, and directories that are used and not described: with 0 the second directory is
     * empty and to be removed. */
    uint32_t hides;
    char text[ERR_TEXT_MAX];
};

/* Unpacks in the calling process, which must be a helper as above. `limits` may be NULL. Returns
 * its exit status: 0 when the report says ERR_OK. */
int unpack_main(const struct unpack_job *job, const struct unpack_limits *limits);
/* The same work without giving anything up first, for tests. -1 with *err; `report` has the counts
 * either way. */
int unpack_unconfined(const struct unpack_job *job, const struct unpack_limits *limits,
    struct unpack_report *report, struct err *err);
struct unpack_layer {
    int layer, hidden; /* its directories; -1: there is no second one */
};
struct unpack_cover {
    int cover; /* an empty directory, owned by id 0 of the namespace */
    int report;
    size_t count;
    struct unpack_layer layers[LAYERS_PER_IMAGE]; /* lowest first; only looked at */
};
/* Makes the cover of an image in the same kind of helper. Returns the exit status. */
int unpack_cover_main(const struct unpack_cover *job);

/* Removes everything in `directory` in the same kind of helper; the parent then removes the empty
 * directory. Returns the exit status; the report has the words. */
int unpack_remove_main(int directory, int report);
/* Reads the report after the helper ended: fills *report and *err (ERR_OK, or why it failed;
 * ERR_BAD_IMAGE and ERR_TOO_LARGE blame the image, ERR_FULL the disk, ERR_DIGEST a wrong diff id).
 * A helper that said nothing, or nonsense, is ERR_INTERNAL. -1 unless the layer is good. */
int unpack_report_read(int fd, struct unpack_report *report, struct err *err);

/* The name of the directory with what layer `hex` hides: 64 digits too, and of no layer. */
void unpack_hidden_name(const char hex[DIGEST_HEX_SIZE], char name[DIGEST_HEX_SIZE]);
/* The name of the cover over the directories `names`, lowest first: of no layer either. */
void unpack_cover_name(
    const char (*names)[DIGEST_HEX_LENGTH], size_t count, char name[DIGEST_HEX_SIZE]);
/* The name, in the directory of what a layer hides, that says that its images have a cover. */
#define UNPACK_COVER_MARKER ".wh..wh.cover"

#endif
