/* The helpers' processes: what they give up, and what they say. SPDX-License-Identifier: Apache-2.0
 */
#include <paas/unpack.h>

#include <dirent.h>
#include <errno.h>
#include <locale.h>
#include <string.h>
#include <unistd.h>

#include <paas/file.h>

#include "confine.h"
#include "cover.h"
#include "report.h"
#include "tree.h"

static void sort(int *fds, size_t count) {
    for (size_t i = 1; i < count; i++) {
        for (size_t j = i; j > 0 && fds[j] < fds[j - 1]; j--) {
            int higher = fds[j - 1];
            fds[j - 1] = fds[j];
            fds[j] = higher;
        }
    }
}

int unpack_main(const struct unpack_job *job, const struct unpack_limits *limits) {
    const struct unpack_limits *l = limits ? limits : &unpack_limits_default;
    int directories[] = { job->layer, job->hidden };
    int fds[] = { STDERR_FILENO, job->tar, job->layer, job->hidden, job->report };
    struct unpack_report report = { 0 };
    struct err err = { 0 };
    sort(fds, sizeof fds / sizeof fds[0]);
    struct confine c = {
        .fds = fds,
        .fd_count = sizeof fds / sizeof fds[0],
        .directories = directories,
        .directory_count = sizeof directories / sizeof directories[0],
        .file_bytes = l->bytes,
        .memory = l->memory,
        .seconds = l->seconds,
    };
    /* Names in a tar's extended headers are UTF-8, and are kept so. */
    setlocale(LC_CTYPE, "C.UTF-8");
    if (confine_self(&c, &err) == 0) {
        unpack_unconfined(job, l, &report, &err);
    }
    return report_write(job->report, &report, &err);
}

static int empty_directory(int directory, struct err *err) {
    DIR *entries = tree_list(directory);
    if (!entries) {
        return err_sys(err, errno, "reading a directory");
    }
    int result = 0;
    struct dirent *entry;
    while (result == 0 && (entry = readdir(entries))) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            result = file_remove_tree(directory, entry->d_name, err);
        }
    }
    closedir(entries);
    return result;
}

int unpack_remove_main(int directory, int report_fd) {
    int fds[] = { STDERR_FILENO, directory, report_fd };
    struct unpack_report report = { 0 };
    struct err err = { 0 };
    sort(fds, sizeof fds / sizeof fds[0]);
    struct confine c = {
        .fds = fds,
        .fd_count = sizeof fds / sizeof fds[0],
        .directories = &directory,
        .directory_count = 1,
        .memory = unpack_limits_default.memory,
        .seconds = unpack_limits_default.seconds,
    };
    if (confine_self(&c, &err) == 0) {
        empty_directory(directory, &err);
    }
    return report_write(report_fd, &report, &err);
}

int unpack_cover_main(const struct unpack_cover *job) {
    int fds[2 * LAYERS_PER_IMAGE + 3] = { STDERR_FILENO, job->cover, job->report };
    int sources[2 * LAYERS_PER_IMAGE];
    size_t count = 0;
    struct unpack_report report = { 0 };
    struct err err = { 0 };
    for (size_t i = 0; i < job->count; i++) {
        sources[count++] = job->layers[i].layer;
        if (job->layers[i].hidden >= 0) {
            sources[count++] = job->layers[i].hidden;
        }
    }
    memcpy(fds + 3, sources, count * sizeof sources[0]);
    sort(fds, count + 3);
    struct confine c = {
        .fds = fds,
        .fd_count = count + 3,
        .directories = &job->cover,
        .directory_count = 1,
        .sources = sources,
        .source_count = count,
        .memory = unpack_limits_default.memory,
        .seconds = unpack_limits_default.seconds,
    };
    if (confine_self(&c, &err) == 0) {
        cover_make(job, unpack_limits_default.entries, &err);
    }
    return report_write(job->report, &report, &err);
}
