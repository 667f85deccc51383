/* A fresh ext4 file system in a sparse file. SPDX-License-Identifier: Apache-2.0
 *
 * What mke2fs would write, without a program to run and without a template to keep: the superblock,
 * the groups' descriptors, the bitmaps of the first and the last group, and an empty root
 * directory. All else of a fresh file system reads as zeros, so a few dozen KiB are written for any
 * size. There is no journal: what lives on it does not outlive a crash of the machine.
 */
#ifndef SANDBOX_EXT4_H
#define SANDBOX_EXT4_H

#include <paas/err.h>

#include <stdint.h>

#define EXT4_BYTES_MIN (UINT64_C(1) << 20) /* its own records, and some */
#define EXT4_BYTES_MAX (UINT64_C(1) << 40) /* what descriptors in the first group can describe */
enum { EXT4_BLOCK = 4096, EXT4_SEED = 16 };

struct ext4_options {
    uint64_t bytes;          /* EXT4_BYTES_MIN..EXT4_BYTES_MAX; its own records are part of them */
    uint32_t owner;          /* user and group of the root directory */
    uint32_t now;            /* seconds since 1970 */
    uint8_t uuid[EXT4_SEED]; /* random */
    uint8_t hash[EXT4_SEED]; /* random: the order of names in large directories */
};

/* Formats `fd`, an empty file. It is as long as the file system afterwards, and holds a file for
 * every 16 KiB, at least 256. ERR_FULL when there is no room for what is written. */
int ext4_format(int fd, const struct ext4_options *options, struct err *err);

#endif
