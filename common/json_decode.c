/* Structs from JSON. SPDX-License-Identifier: Apache-2.0
 *
 * json_tree() parses the text; decode_object() walks the table of fields over it.
 * Each level of the walk has a `struct place` on the stack, so that an error can name where it is
 * without any cost while all is well.
 */
#include <paas/json_bind.h>

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <paas/str.h>

#include "json_tree.h"

struct place {
    const struct place *up;
    const char *name; /* NULL: an item of an array */
    size_t index;
};

enum { PLACE_MAX = 256 /* bytes of a place in words; deeper ones are cut */ };

static void place_words(const struct place *at, struct buf *b) {
    if (at->up) {
        place_words(at->up, b);
    }
    if (!at->name) {
        buf_printf(b, "[%zu]", at->index);
    } else if (at->name[0]) {
        buf_printf(b, "%s%s", b->len ? "." : "", at->name);
    }
}

static int fail(const struct place *at, enum err_code code, struct err *err, const char *format,
    ...) __attribute__((format(printf, 4, 5)));
static int fail(
    const struct place *at, enum err_code code, struct err *err, const char *format, ...) {
    struct buf where, why;
    buf_init(&where, PLACE_MAX);
    buf_init(&why, ERR_TEXT_MAX);
    place_words(at, &where);
    va_list args;
    va_start(args, format);
    buf_vprintf(&why, format, args);
    va_end(args);
    err_set(err, code, "%s%s%s", buf_str(&where), where.len ? ": " : "", buf_str(&why));
    buf_free(&where);
    buf_free(&why);
    return -1;
}

static int decode_object(
    const struct json_type *type, json_t *tree, void *out, const struct place *at, struct err *err);

static void *member(const struct json_field *f, void *value) {
    return (char *)value + f->offset;
}

static int decode_amount(const struct json_field *f, json_t *tree, int64_t *out,
    const struct place *at, struct err *err) {
    int64_t value;
    const char *text = json_string_value(tree);
    struct err why;
    if (f->kind == JK_MILLI && json_is_number(tree)) {
        double number = json_number_value(tree) * 1000;
        if (!(number >= (double)f->min && number <= (double)f->max)) {
            return fail(at, ERR_BAD_VALUE, err, "%.3f is not in %.3f..%.3f", number / 1000,
                (double)f->min / 1000, (double)f->max / 1000);
        }
        *out = llround(number);
        return 0;
    }
    if (json_is_integer(tree)) {
        value = json_integer_value(tree);
    } else if (text && f->kind == JK_DURATION) {
        if (str_duration(text, f->max, "value", &value, &why) < 0) {
            return fail(at, ERR_BAD_VALUE, err, "%s", why.text);
        }
    } else if (text && f->kind == JK_SIZE) {
        if (str_size(text, f->min, f->max, "value", &value, &why) < 0) {
            return fail(at, ERR_BAD_VALUE, err, "%s", why.text);
        }
    } else if (text && f->kind == JK_MILLI) {
        if (str_milli(text, f->min, f->max, "value", &value, &why) < 0) {
            return fail(at, ERR_BAD_VALUE, err, "%s", why.text);
        }
    } else {
        return fail(at, ERR_BAD_VALUE, err, "a whole number%s is expected",
            f->kind == JK_DURATION ? " of milliseconds or a time such as \"10s\""
            : f->kind == JK_SIZE   ? " of bytes or a size such as \"128M\""
                                   : "");
    }
    if (value < f->min || value > f->max) {
        return fail(at, ERR_BAD_VALUE, err, "%" PRId64 " is not in %" PRId64 "..%" PRId64, value,
            f->min, f->max);
    }
    *out = value;
    return 0;
}

static size_t string_limit(const struct json_field *f) {
    bool own = f->kind == JK_TEXT || f->kind == JK_STRING;
    return own && f->max > 0 ? (size_t)f->max : JSON_STRING_LIMIT;
}

/* The text of a string node, checked against the field's bounds and flags; NULL on failure. */
static const char *decode_text(
    const struct json_field *f, json_t *tree, const struct place *at, struct err *err) {
    const char *text = json_string_value(tree);
    if (!text) {
        fail(at, ERR_BAD_VALUE, err, "a string is expected");
    } else if (json_string_length(tree) > string_limit(f)) {
        fail(at, ERR_BAD_VALUE, err, "%zu bytes are more than %zu", json_string_length(tree),
            string_limit(f));
    } else if ((f->flags & JF_NAME) && text[0] && !str_is_name(text)) {
        struct err why;
        str_name(text, "value", &why);
        fail(at, ERR_BAD_VALUE, err, "%s", why.text);
    } else if ((f->flags & JF_DIGEST) && text[0] && !str_is_digest(text)) {
        fail(at, ERR_BAD_VALUE, err, "\"%.80s\" is not a sha256 digest", text);
    } else {
        return text;
    }
    return NULL;
}

static int decode_enum(
    const struct json_field *f, json_t *tree, int *out, const struct place *at, struct err *err) {
    const char *text = json_string_value(tree);
    size_t count = 0;
    for (; f->names[count]; count++) {
        if (text && strcmp(text, f->names[count]) == 0) {
            *out = (int)count;
            return 0;
        }
    }
    const char *nearest = text ? str_nearest(text, f->names, count) : NULL;
    return fail(at, ERR_BAD_VALUE, err, "\"%.40s\" is not known%s%s%s", text ? text : "",
        nearest ? "; did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "");
}

/* A list or an object (`kind`) of at most `max`, which `words` name for people; -1 with *err. */
static int check_size(json_t *tree, json_type kind, int64_t max, const char *words,
    const struct place *at, struct err *err) {
    bool list = kind == JSON_ARRAY;
    if (json_typeof(tree) != kind) {
        return fail(at, ERR_BAD_VALUE, err, "%s is expected", words);
    }
    size_t count = list ? json_array_size(tree) : json_object_size(tree);
    if (count > (size_t)max) {
        return fail(at, ERR_BAD_VALUE, err, "%zu %s are more than %" PRId64, count,
            list ? "items" : "members", max);
    }
    return 0;
}

/* Room for `count` rows of a type. */
static int make_rows(
    const struct json_type *type, size_t count, struct json_array *out, struct err *err) {
    out->items = calloc(count ? count : 1, type->size);
    return out->items ? 0 : err_no_memory(err);
}

static int decode_strings(const struct json_field *f, json_t *tree, struct strings *out,
    const struct place *at, struct err *err) {
    if (check_size(tree, JSON_ARRAY, f->max, "a list of strings", at, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < json_array_size(tree); i++) {
        struct place here = { at, NULL, i };
        const char *text = decode_text(f, json_array_get(tree, i), &here, err);
        if (!text) {
            return -1;
        }
        if (strings_add(out, text) < 0) {
            return err_no_memory(err);
        }
    }
    return 0;
}

static int decode_pairs(const struct json_field *f, json_t *tree, struct pairs *out,
    const struct place *at, struct err *err) {
    if (check_size(tree, JSON_OBJECT, f->max, "an object of strings", at, err) < 0) {
        return -1;
    }
    const char *key;
    json_t *item;
    json_object_foreach(tree, key, item) {
        struct place here = { at, key, 0 };
        const char *text = decode_text(f, item, &here, err);
        if (!text) {
            return -1;
        }
        if (pairs_set(out, key, text) < 0) {
            return err_no_memory(err);
        }
    }
    return 0;
}

static int decode_keys(const struct json_field *f, json_t *tree, struct strings *out,
    const struct place *at, struct err *err) {
    if (check_size(tree, JSON_OBJECT, f->max, "an object", at, err) < 0) {
        return -1;
    }
    const char *key;
    json_t *item;
    json_object_foreach(tree, key, item) {
        if (strings_add(out, key) < 0) {
            return err_no_memory(err);
        }
    }
    return 0;
}

static int decode_array(const struct json_type *type, int64_t max, json_t *tree,
    struct json_array *out, const struct place *at, struct err *err) {
    size_t count = json_array_size(tree);
    if (check_size(tree, JSON_ARRAY, max, "a list", at, err) < 0 ||
        make_rows(type, count, out, err) < 0) {
        return -1;
    }
    out->count = count;
    for (size_t i = 0; i < count; i++) {
        struct place here = { at, NULL, i };
        void *item = (char *)out->items + i * type->size;
        if (decode_object(type, json_array_get(tree, i), item, &here, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int decode_named(const struct json_field *f, json_t *tree, struct json_array *out,
    const struct place *at, struct err *err) {
    if (check_size(tree, JSON_OBJECT, f->max, "an object", at, err) < 0 ||
        make_rows(f->type, json_object_size(tree), out, err) < 0) {
        return -1;
    }
    const struct json_field *name = &f->type->fields[0];
    const char *key;
    json_t *item;
    json_object_foreach(tree, key, item) {
        struct place here = { at, key, 0 };
        char *to = (char *)out->items + out->count++ * f->type->size;
        if (decode_object(f->type, item, to, &here, err) < 0) {
            return -1;
        }
        if (!str_is_name(key) || str_copy(to + name->offset, (size_t)name->max + 1, key) < 0) {
            return fail(at, ERR_BAD_VALUE, err, "\"%.70s\" is not a name", key);
        }
    }
    return 0;
}

static int decode_field(
    const struct json_field *f, json_t *tree, void *to, const struct place *at, struct err *err) {
    const char *text;
    switch (f->kind) {
    case JK_BOOL:
        if (!json_is_boolean(tree)) {
            return fail(at, ERR_BAD_VALUE, err, "true or false is expected");
        }
        *(bool *)to = json_is_true(tree);
        return 0;
    case JK_INT:
    case JK_DURATION:
    case JK_SIZE:
    case JK_MILLI:
        return decode_amount(f, tree, to, at, err);
    case JK_ENUM:
        return decode_enum(f, tree, to, at, err);
    case JK_TEXT:
        text = decode_text(f, tree, at, err);
        return text ? str_copy(to, (size_t)f->max + 1, text) : -1;
    case JK_STRING:
        text = decode_text(f, tree, at, err);
        if (!text) {
            return -1;
        }
        *(char **)to = strdup(text);
        return *(char **)to ? 0 : err_no_memory(err);
    case JK_STRINGS:
        return decode_strings(f, tree, to, at, err);
    case JK_PAIRS:
        return decode_pairs(f, tree, to, at, err);
    case JK_OBJECT:
        return decode_object(f->type, tree, to, at, err);
    case JK_ARRAY:
        return decode_array(f->type, f->max, tree, to, at, err);
    case JK_NAMED:
        return decode_named(f, tree, to, at, err);
    case JK_KEYS:
        return decode_keys(f, tree, to, at, err);
    }
    return fail(at, ERR_INTERNAL, err, "a field of no known kind");
}

enum { FIELDS_MAX = 64 /* of one type; for the words of an unknown member's error */ };

static bool is_open(const struct json_type *type) {
    const struct json_field *f = type->fields;
    while (f->name) {
        f++;
    }
    return f->flags & JF_OPEN;
}

static int refuse_unknown(
    const struct json_type *type, json_t *tree, const struct place *at, struct err *err) {
    const char *names[FIELDS_MAX];
    size_t count = 0;
    for (const struct json_field *f = type->fields; f->name && count < FIELDS_MAX; f++) {
        names[count++] = f->name;
    }
    const char *key;
    json_t *item;
    json_object_foreach(tree, key, item) {
        size_t i = 0;
        while (i < count && strcmp(names[i], key) != 0) {
            i++;
        }
        /* "$schema" tells an editor what the file is; it says nothing to us. */
        if (i < count || strcmp(key, "$schema") == 0) {
            continue;
        }
        struct place here = { at, key, 0 };
        const char *nearest = str_nearest(key, names, count);
        fail(&here, ERR_UNKNOWN_KEY, err, "unknown key%s%s%s", nearest ? "; did you mean \"" : "",
            nearest ? nearest : "", nearest ? "\"?" : "");
        return -1;
    }
    return 0;
}

/* `out` is all zero. */
static int decode_object(const struct json_type *type, json_t *tree, void *out,
    const struct place *at, struct err *err) {
    if (!json_is_object(tree)) {
        return fail(at, ERR_BAD_VALUE, err, "an object is expected");
    }
    bool open = is_open(type);
    if (!open && refuse_unknown(type, tree, at, err) < 0) {
        return -1;
    }
    json_defaults(type, out);
    for (const struct json_field *f = type->fields; f->name; f++) {
        struct place here = { at, f->name, 0 };
        json_t *item = json_object_get(tree, f->name);
        if (open && json_is_null(item)) {
            item = NULL;
        }
        if (!item && (f->flags & JF_REQUIRED)) {
            return fail(&here, ERR_BAD_VALUE, err, "it is missing");
        }
        if (item && decode_field(f, item, member(f, out), &here, err) < 0) {
            return -1;
        }
    }
    return 0;
}

int json_decode(
    const struct json_type *type, const char *text, size_t len, void *out, struct err *err) {
    memset(out, 0, type->size);
    json_t *tree = json_tree(text, len, err);
    if (!tree) {
        return -1;
    }
    struct place top = { .name = "" };
    int result = decode_object(type, tree, out, &top, err);
    json_decref(tree);
    if (result < 0) {
        json_free(type, out);
    }
    return result;
}

int json_decode_array(const struct json_type *type, const char *text, size_t len, size_t max,
    struct json_array *out, struct err *err) {
    *out = (struct json_array){ 0 };
    json_t *tree = json_tree(text, len, err);
    if (!tree) {
        return -1;
    }
    struct place top = { .name = "" };
    int result = decode_array(type, (int64_t)max, tree, out, &top, err);
    json_decref(tree);
    if (result < 0) {
        json_free_array(type, out);
    }
    return result;
}
