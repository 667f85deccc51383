/* A fresh ext4 file system. SPDX-License-Identifier: Apache-2.0
 *
 * The format is that of the kernel's Documentation/filesystems/ext4: little-endian numbers at fixed
 * places. A group is 128 MiB, with its bitmaps and its table of inodes at its start; only the first
 * has a superblock and descriptors (sparse_super2 with no backups). A group whose bitmaps are not
 * written says so in its descriptor, under a checksum (gdt_csum).
 */
#include "ext4.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

enum {
    GROUP_BLOCKS = 8 * EXT4_BLOCK, /* a bit of one block for each */
    INODE_SIZE = 256,
    INODES_PER_BLOCK = EXT4_BLOCK / INODE_SIZE,
    INODES_MIN = 256,
    INODE_BYTES = 16384, /* of the file system for each file it may hold */
    INODES_RESERVED = 10,
    ROOT_INODE = 2,
    DESCRIPTOR = 32, /* bytes */
    DESCRIPTORS_PER_BLOCK = EXT4_BLOCK / DESCRIPTOR,
    SUPER_AT = 1024, /* in block 0 */
    GROUP_ROOM = 16, /* blocks beyond its own records without which a last group is left out */
    BITMAPS = 2,
};

/* Of a descriptor. */
enum { INODES_UNWRITTEN = 1, BLOCKS_UNWRITTEN = 2, TABLE_ZEROED = 4, CHECKSUM_AT = 0x1e };

enum {
    COMPAT = 0x8 /* ext_attr */ | 0x20 /* dir_index */ | 0x200 /* sparse_super2 */,
    INCOMPAT = 0x2 /* filetype */ | 0x40 /* extents */,
    RO_COMPAT = 0x2 /* large_file */ | 0x8 /* huge_file */ | 0x10 /* gdt_csum */ |
                0x20 /* dir_nlink */ | 0x40 /* extra_isize */,
};

struct layout {
    int fd;
    const struct ext4_options *options;
    uint32_t blocks, groups;
    uint32_t inodes;      /* of a group */
    uint32_t table;       /* blocks of a group's inodes */
    uint32_t descriptors; /* blocks */
};

static void put16(uint8_t *at, uint32_t value) {
    at[0] = (uint8_t)value;
    at[1] = (uint8_t)(value >> 8);
}

static void put32(uint8_t *at, uint32_t value) {
    put16(at, value);
    put16(at + 2, value >> 16);
}

static void share_inodes(struct layout *l) {
    uint32_t inodes = (uint32_t)(l->options->bytes / INODE_BYTES);
    inodes = inodes < INODES_MIN ? INODES_MIN : inodes;
    l->table = (inodes / l->groups + INODES_PER_BLOCK - 1) / INODES_PER_BLOCK;
    l->inodes = l->table * INODES_PER_BLOCK;
}

static void lay_out(struct layout *l) {
    l->blocks = (uint32_t)(l->options->bytes / EXT4_BLOCK);
    l->groups = (l->blocks + GROUP_BLOCKS - 1) / GROUP_BLOCKS;
    share_inodes(l);
    uint32_t last = l->blocks - (l->groups - 1) * GROUP_BLOCKS;
    if (l->groups > 1 && last < BITMAPS + l->table + GROUP_ROOM) {
        l->groups--;
        l->blocks -= last;
        share_inodes(l);
    }
    l->descriptors = (l->groups + DESCRIPTORS_PER_BLOCK - 1) / DESCRIPTORS_PER_BLOCK;
}

/* The first block of a group's own records that every group has. */
static uint32_t records_at(const struct layout *l, uint32_t group) {
    return group * GROUP_BLOCKS + (group == 0 ? 1 + l->descriptors : 0);
}

static uint32_t table_at(const struct layout *l, uint32_t group) {
    return records_at(l, group) + BITMAPS;
}

/* The root directory's only block: the first one after the first group's records. */
static uint32_t root_at(const struct layout *l) {
    return table_at(l, 0) + l->table;
}

static uint32_t group_blocks(const struct layout *l, uint32_t group) {
    return group + 1 < l->groups ? GROUP_BLOCKS : l->blocks - group * GROUP_BLOCKS;
}

/* From the group's start on. */
static uint32_t group_used(const struct layout *l, uint32_t group) {
    return group == 0 ? root_at(l) + 1 : BITMAPS + l->table;
}

static int write_block(
    const struct layout *l, uint32_t block, const uint8_t bytes[EXT4_BLOCK], struct err *err) {
    ssize_t n = pwrite(l->fd, bytes, EXT4_BLOCK, (off_t)block * EXT4_BLOCK);
    if (n == EXT4_BLOCK) {
        return 0;
    }
    err_sys(err, n < 0 ? errno : ENOSPC, "write a file system");
    return err_mark_full(err);
}

static int write_super(const struct layout *l, struct err *err) {
    const struct ext4_options *o = l->options;
    uint32_t free_blocks = 0;
    for (uint32_t g = 0; g < l->groups; g++) {
        free_blocks += group_blocks(l, g) - group_used(l, g);
    }
    const struct {
        uint16_t at;
        uint32_t value;
    } numbers[] = {
        { 0x00, l->groups * l->inodes }, { 0x04, l->blocks }, { 0x0c, free_blocks },
        { 0x10, l->groups * l->inodes - INODES_RESERVED }, { 0x18, 2 }, /* a block is 1024 << 2 */
        { 0x1c, 2 }, { 0x20, GROUP_BLOCKS }, { 0x24, GROUP_BLOCKS }, { 0x28, l->inodes },
        { 0x30, o->now },             /* written */
        { 0x34, 0xffffu << 16 },      /* mounts without a check: any number */
        { 0x38, 1u << 16 | 0xef53u }, /* clean; the magic number */
        { 0x3c, 2 },                  /* after an error: read-only */
        { 0x40, o->now },             /* checked */
        { 0x4c, 1 },                  /* revision */
        { 0x54, INODES_RESERVED + 1 }, { 0x58, INODE_SIZE }, { 0x5c, COMPAT }, { 0x60, INCOMPAT },
        { 0x64, RO_COMPAT }, { 0xfc, 1 }, /* names are hashed by half MD4 */
        { 0x108, o->now },
        { 0x15c, 32u << 16 | 32 }, /* bytes of an inode beyond the first 128 that are used */
        { 0x160, 2 },              /* names are hashed as unsigned bytes */
    };
    uint8_t block[EXT4_BLOCK] = { 0 };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        put32(block + SUPER_AT + numbers[i].at, numbers[i].value);
    }
    memcpy(block + SUPER_AT + 0x68, o->uuid, EXT4_SEED);
    memcpy(block + SUPER_AT + 0xec, o->hash, EXT4_SEED);
    return write_block(l, 0, block, err);
}

/* CRC-16 of polynomial 0x8005, bits reversed. */
static uint16_t crc16(uint16_t crc, const uint8_t *bytes, size_t len) {
    for (size_t i = 0; i < len; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = (uint16_t)(crc & 1 ? crc >> 1 ^ 0xa001 : crc >> 1);
        }
    }
    return crc;
}

static void describe(const struct layout *l, uint32_t group, uint8_t at[DESCRIPTOR]) {
    bool first = group == 0, last = group + 1 == l->groups;
    uint32_t used = first ? INODES_RESERVED : 0;
    put32(at + 0x00, records_at(l, group));
    put32(at + 0x04, records_at(l, group) + 1);
    put32(at + 0x08, table_at(l, group));
    put16(at + 0x0c, group_blocks(l, group) - group_used(l, group));
    put16(at + 0x0e, l->inodes - used);
    put16(at + 0x10, first); /* directories */
    put16(at + 0x12,
        TABLE_ZEROED | (first ? 0 : INODES_UNWRITTEN) | (first || last ? 0 : BLOCKS_UNWRITTEN));
    put16(at + 0x1c, l->inodes - used); /* never used, at the table's end */
    uint8_t number[4];
    put32(number, group);
    uint16_t crc = crc16(0xffff, l->options->uuid, EXT4_SEED);
    crc = crc16(crc, number, sizeof number);
    put16(at + CHECKSUM_AT, crc16(crc, at, CHECKSUM_AT));
}

static int write_descriptors(const struct layout *l, struct err *err) {
    for (uint32_t i = 0; i < l->descriptors; i++) {
        uint8_t block[EXT4_BLOCK] = { 0 };
        uint32_t group = i * DESCRIPTORS_PER_BLOCK;
        for (uint32_t n = 0; n < DESCRIPTORS_PER_BLOCK && group < l->groups; n++, group++) {
            describe(l, group, block + (size_t)n * DESCRIPTOR);
        }
        if (write_block(l, 1 + i, block, err) < 0) {
            return -1;
        }
    }
    return 0;
}

/* Of `count` things the first `used` are taken, and so is what a block has bits for beyond. */
static int write_bitmap(
    const struct layout *l, uint32_t at, uint32_t count, uint32_t used, struct err *err) {
    uint8_t block[EXT4_BLOCK] = { 0 };
    for (uint32_t bit = 0; bit < GROUP_BLOCKS; bit++) {
        if (bit < used || bit >= count) {
            block[bit / 8] |= (uint8_t)(1u << bit % 8);
        }
    }
    return write_block(l, at, block, err);
}

static int write_bitmaps(const struct layout *l, struct err *err) {
    uint32_t last = l->groups - 1;
    if (write_bitmap(l, records_at(l, 0), group_blocks(l, 0), group_used(l, 0), err) < 0 ||
        write_bitmap(l, records_at(l, 0) + 1, l->inodes, INODES_RESERVED, err) < 0) {
        return -1;
    }
    return last == 0 ? 0
                     : write_bitmap(
                           l, records_at(l, last), group_blocks(l, last), group_used(l, last), err);
}

static int write_root(const struct layout *l, struct err *err) {
    const struct ext4_options *o = l->options;
    uint8_t block[EXT4_BLOCK] = { 0 };
    /* A directory: each name with its inode, the bytes to the next one, its length and its kind. */
    put32(block + 0, ROOT_INODE);
    put32(block + 4, 0x0201u << 16 | 12);
    memcpy(block + 8, ".", 1);
    put32(block + 12, ROOT_INODE);
    put32(block + 16, 0x0202u << 16 | (EXT4_BLOCK - 12));
    memcpy(block + 20, "..", 2);
    if (write_block(l, root_at(l), block, err) < 0) {
        return -1;
    }
    memset(block, 0, sizeof block);
    uint8_t *inode = block + (size_t)(ROOT_INODE - 1) * INODE_SIZE;
    put16(inode + 0x00, 0040755);
    put16(inode + 0x02, o->owner);
    put32(inode + 0x04, EXT4_BLOCK);
    put32(inode + 0x08, o->now);
    put32(inode + 0x0c, o->now);
    put32(inode + 0x10, o->now);
    put16(inode + 0x18, o->owner);
    put16(inode + 0x1a, 2); /* links */
    put32(inode + 0x1c, EXT4_BLOCK / 512);
    put32(inode + 0x20, 0x80000); /* by extents: of four in the inode one, of one block */
    put32(inode + 0x28, 1u << 16 | 0xf30a);
    put32(inode + 0x2c, 4);
    put32(inode + 0x38, 1);
    put32(inode + 0x3c, root_at(l));
    put16(inode + 0x78, o->owner >> 16);
    put16(inode + 0x7a, o->owner >> 16);
    put16(inode + 0x80, 32);
    return write_block(l, table_at(l, 0), block, err);
}

int ext4_format(int fd, const struct ext4_options *options, struct err *err) {
    struct layout l = { .fd = fd, .options = options };
    if (options->bytes < EXT4_BYTES_MIN || options->bytes > EXT4_BYTES_MAX) {
        return err_set(err, ERR_BAD_VALUE, "no size of a file system");
    }
    lay_out(&l);
    if (ftruncate(fd, (off_t)l.blocks * EXT4_BLOCK) < 0) {
        return err_sys(err, errno, "size a file system");
    }
    return write_super(&l, err) < 0 || write_descriptors(&l, err) < 0 ||
                   write_bitmaps(&l, err) < 0 || write_root(&l, err) < 0
               ? -1
               : 0;
}
