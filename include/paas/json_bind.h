/* Structs from JSON and back, by one table of fields per type. SPDX-License-Identifier: Apache-2.0
 *
 * A table gives: decoding with bounds, errors that name the place ("processes.web.port: 70000 is
 * not in 1..65535"), refusal of unknown members with the nearest known one, encoding, freeing and
 * documentation. Numbers are integers: times in ms, sizes in bytes, fractions in thousandths.
 * Not for the path of a request.
 */
#ifndef PAAS_JSON_BIND_H
#define PAAS_JSON_BIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <paas/buf.h>
#include <paas/err.h>
#include <paas/strings.h>

/* Items of one bound type, in one allocation. */
struct json_array {
    void *items;
    size_t count;
};

enum json_kind {
    JK_BOOL,     /* bool */
    JK_INT,      /* int64_t */
    JK_DURATION, /* int64_t ms; reads 1500 and "1.5s", writes 1500 */
    JK_SIZE,     /* int64_t bytes; reads 1024 and "1K", writes 1024 */
    JK_MILLI,    /* int64_t thousandths; reads 0.5 and "0.5", writes 0.5 */
    JK_ENUM,     /* int, one of `names` */
    JK_TEXT,     /* char[N], "" when absent */
    JK_STRING,   /* char *, owned, NULL when absent; at most `max` bytes */
    JK_STRINGS,  /* struct strings, at most `max` items */
    JK_PAIRS,    /* struct pairs: an object of strings, in its order; at most `max` members */
    JK_OBJECT,   /* an embedded struct of type `type` */
    JK_ARRAY,    /* struct json_array of `type`, at most `max` items */
    JK_NAMED,    /* struct json_array of `type` from an object; each item's first member is a
                      char[] that takes the key; at most `max` members */
    JK_KEYS,     /* struct strings: the keys of an object whose values say nothing; at most `max` */
};

enum json_flags {
    JF_REQUIRED = 1, /* absent is an error */
    JF_OMIT = 2,     /* not written when it has its fallback, is empty, or false */
    JF_NAME = 4,     /* text must be a name of ours (str_is_name) or empty */
    JF_DIGEST = 8,   /* text must be a digest (str_is_digest) or empty */
    JF_SECRET = 16,  /* read, never written by json_encode */
    JF_OPEN = 32,    /* of the row that ends a table: unknown members are ignored, and null is the
                        same as absent, for documents that others define */
};

struct json_field {
    const char *name;
    enum json_kind kind;
    size_t offset;
    int64_t min, max; /* of numbers; `max` also bounds lengths and counts */
    int64_t fallback; /* of numbers and enums when absent */
    int flags;
    const struct json_type *type;
    const char *const *names; /* of an enum, ended by NULL */
    const char *doc;          /* one line for people */
};

struct json_type {
    const char *name;
    size_t size;
    const struct json_field *fields; /* ended by a row without a name, perhaps F_OPEN */
};

/* offsetof that compiles only if member M of struct S has type T. */
#define JSON_MEMBER(S, M, T) _Generic(((struct S *)0)->M, T : offsetof(struct S, M))

#define F_BOOL(S, M, FLAGS, DOC)                                                                   \
    { .name = #M, .kind = JK_BOOL, .offset = JSON_MEMBER(S, M, bool), .flags = FLAGS, .doc = DOC }
#define F_NUMBER(KIND, S, M, MIN, MAX, FALLBACK, FLAGS, DOC)                                       \
    {                                                                                              \
        .name = #M, .kind = KIND, .offset = JSON_MEMBER(S, M, int64_t), .min = MIN, .max = MAX,    \
        .fallback = FALLBACK, .flags = FLAGS, .doc = DOC                                           \
    }
#define F_INT(S, M, MIN, MAX, FALLBACK, FLAGS, DOC)                                                \
    F_NUMBER(JK_INT, S, M, MIN, MAX, FALLBACK, FLAGS, DOC)
#define F_DURATION(S, M, MIN, MAX, FALLBACK, FLAGS, DOC)                                           \
    F_NUMBER(JK_DURATION, S, M, MIN, MAX, FALLBACK, FLAGS, DOC)
#define F_SIZE(S, M, MIN, MAX, FALLBACK, FLAGS, DOC)                                               \
    F_NUMBER(JK_SIZE, S, M, MIN, MAX, FALLBACK, FLAGS, DOC)
#define F_MILLI(S, M, MIN, MAX, FALLBACK, FLAGS, DOC)                                              \
    F_NUMBER(JK_MILLI, S, M, MIN, MAX, FALLBACK, FLAGS, DOC)
#define F_ENUM(S, M, NAMES, FALLBACK, FLAGS, DOC)                                                  \
    {                                                                                              \
        .name = #M, .kind = JK_ENUM, .offset = JSON_MEMBER(S, M, int), .names = NAMES,             \
        .fallback = FALLBACK, .flags = FLAGS, .doc = DOC                                           \
    }
#define F_TEXT(S, M, FLAGS, DOC)                                                                   \
    {                                                                                              \
        .name = #M, .kind = JK_TEXT, .offset = offsetof(struct S, M),                              \
        .max = sizeof(((struct S *)0)->M) - 1, .flags = FLAGS, .doc = DOC                          \
    }
#define F_STRING(S, M, MAX, FLAGS, DOC)                                                            \
    {                                                                                              \
        .name = #M, .kind = JK_STRING, .offset = JSON_MEMBER(S, M, char *), .max = MAX,            \
        .flags = FLAGS, .doc = DOC                                                                 \
    }
#define F_STRINGS(S, M, MAX, FLAGS, DOC)                                                           \
    {                                                                                              \
        .name = #M, .kind = JK_STRINGS, .offset = JSON_MEMBER(S, M, struct strings), .max = MAX,   \
        .flags = FLAGS, .doc = DOC                                                                 \
    }
#define F_PAIRS(S, M, MAX, FLAGS, DOC)                                                             \
    {                                                                                              \
        .name = #M, .kind = JK_PAIRS, .offset = JSON_MEMBER(S, M, struct pairs), .max = MAX,       \
        .flags = FLAGS, .doc = DOC                                                                 \
    }
#define F_OBJECT(S, M, T, TYPE, FLAGS, DOC)                                                        \
    {                                                                                              \
        .name = #M, .kind = JK_OBJECT, .offset = JSON_MEMBER(S, M, struct T), .type = TYPE,        \
        .flags = FLAGS, .doc = DOC                                                                 \
    }
#define F_ITEMS(KIND, S, M, TYPE, MAX, FLAGS, DOC)                                                 \
    {                                                                                              \
        .name = #M, .kind = KIND, .offset = JSON_MEMBER(S, M, struct json_array), .type = TYPE,    \
        .max = MAX, .flags = FLAGS, .doc = DOC                                                     \
    }
#define F_ARRAY(S, M, TYPE, MAX, FLAGS, DOC) F_ITEMS(JK_ARRAY, S, M, TYPE, MAX, FLAGS, DOC)
/* Ends the table of a type whose documents may have members that we do not know. */
#define F_OPEN                                                                                     \
    { .flags = JF_OPEN }
#define F_NAMED(S, M, TYPE, MAX, FLAGS, DOC) F_ITEMS(JK_NAMED, S, M, TYPE, MAX, FLAGS, DOC)

enum {
    JSON_DEPTH_MAX = 32,       /* nesting; the parser below recurses */
    JSON_STRING_LIMIT = 65536, /* bytes of one string where a field names no smaller bound */
};

/* Fills the struct `out` of `type` from `len` bytes of JSON text: an object. Whatever `out` held
 * is overwritten, not freed. On failure `out` is all zero and owns nothing. The caller frees it
 * with json_free. Errors: ERR_BAD_REQUEST (not JSON; line and column), ERR_BAD_VALUE (place and
 * bound), ERR_UNKNOWN_KEY (place and nearest key), ERR_NO_MEMORY. */
int json_decode(
    const struct json_type *type, const char *text, size_t len, void *out, struct err *err);
/* As json_decode for an array of objects of `type`; at most `max` items. Free with
 * json_free_array. */
int json_decode_array(const struct json_type *type, const char *text, size_t len, size_t max,
    struct json_array *out, struct err *err);
/* Makes `out` what decoding {} would, without looking at JF_REQUIRED. */
void json_defaults(const struct json_type *type, void *out);
/* Appends the struct as one line of JSON without white space (b->failed when it did not fit). */
void json_encode(const struct json_type *type, const void *value, struct buf *b);
/* Appends a JSON array of `count` structs. */
void json_encode_array(
    const struct json_type *type, const void *items, size_t count, struct buf *b);
/* Frees what the struct owns, not the struct, and zeroes it. */
void json_free(const struct json_type *type, void *value);
void json_free_array(const struct json_type *type, struct json_array *array);
/* A deep copy of `from` into `to` (overwritten, not freed). */
int json_clone(const struct json_type *type, const void *from, void *to, struct err *err);

#endif
