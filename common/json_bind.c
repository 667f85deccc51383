/* What a table of fields says of a struct's memory. SPDX-License-Identifier: Apache-2.0 */
#include <paas/json_bind.h>

#include <stdlib.h>
#include <string.h>

static void *member(const struct json_field *f, void *value) {
    return (char *)value + f->offset;
}

void json_defaults(const struct json_type *type, void *out) {
    memset(out, 0, type->size);
    for (const struct json_field *f = type->fields; f->name; f++) {
        switch (f->kind) {
        case JK_INT:
        case JK_DURATION:
        case JK_SIZE:
        case JK_MILLI:
            *(int64_t *)member(f, out) = f->fallback;
            break;
        case JK_ENUM:
            *(int *)member(f, out) = (int)f->fallback;
            break;
        case JK_OBJECT:
            json_defaults(f->type, member(f, out));
            break;
        case JK_BOOL:
        case JK_TEXT:
        case JK_STRING:
        case JK_STRINGS:
        case JK_PAIRS:
        case JK_ARRAY:
        case JK_NAMED:
        case JK_KEYS:
            break;
        }
    }
}

void json_free(const struct json_type *type, void *value) {
    for (const struct json_field *f = type->fields; f->name; f++) {
        void *at = member(f, value);
        switch (f->kind) {
        case JK_STRING:
            free(*(char **)at);
            break;
        case JK_STRINGS:
        case JK_KEYS:
            strings_free(at);
            break;
        case JK_PAIRS:
            pairs_free(at);
            break;
        case JK_OBJECT:
            json_free(f->type, at);
            break;
        case JK_ARRAY:
        case JK_NAMED:
            json_free_array(f->type, at);
            break;
        case JK_BOOL:
        case JK_INT:
        case JK_DURATION:
        case JK_SIZE:
        case JK_MILLI:
        case JK_ENUM:
        case JK_TEXT:
            break;
        }
    }
    memset(value, 0, type->size);
}

void json_free_array(const struct json_type *type, struct json_array *array) {
    for (size_t i = 0; i < array->count; i++) {
        json_free(type, (char *)array->items + i * type->size);
    }
    free(array->items);
    *array = (struct json_array){ 0 };
}

static const void *const_member(const struct json_field *f, const void *value) {
    return (const char *)value + f->offset;
}

static int copy_field(const struct json_field *f, const void *from, void *to);

static int copy_members(const struct json_type *type, const void *from, void *to) {
    for (const struct json_field *f = type->fields; f->name; f++) {
        if (copy_field(f, const_member(f, from), member(f, to)) < 0) {
            return -1;
        }
    }
    return 0;
}

static int copy_array(
    const struct json_type *type, const struct json_array *from, struct json_array *to) {
    to->items = calloc(from->count ? from->count : 1, type->size);
    if (!to->items) {
        return -1;
    }
    to->count = from->count;
    for (size_t i = 0; i < from->count; i++) {
        if (copy_members(type, (const char *)from->items + i * type->size,
                (char *)to->items + i * type->size) < 0) {
            return -1;
        }
    }
    return 0;
}

static int copy_field(const struct json_field *f, const void *from, void *to) {
    const struct strings *strings = from;
    const struct pairs *pairs = from;
    switch (f->kind) {
    case JK_BOOL:
        *(bool *)to = *(const bool *)from;
        return 0;
    case JK_INT:
    case JK_DURATION:
    case JK_SIZE:
    case JK_MILLI:
        *(int64_t *)to = *(const int64_t *)from;
        return 0;
    case JK_ENUM:
        *(int *)to = *(const int *)from;
        return 0;
    case JK_TEXT:
        memcpy(to, from, (size_t)f->max + 1);
        return 0;
    case JK_STRING:
        if (!*(char *const *)from) {
            return 0;
        }
        *(char **)to = strdup(*(char *const *)from);
        return *(char **)to ? 0 : -1;
    case JK_STRINGS:
    case JK_KEYS:
        for (size_t i = 0; i < strings->count; i++) {
            if (strings_add(to, strings->items[i]) < 0) {
                return -1;
            }
        }
        return 0;
    case JK_PAIRS:
        for (size_t i = 0; i < pairs->count; i++) {
            if (pairs_set(to, pairs->items[i].key, pairs->items[i].value) < 0) {
                return -1;
            }
        }
        return 0;
    case JK_OBJECT:
        return copy_members(f->type, from, to);
    case JK_ARRAY:
    case JK_NAMED:
        return copy_array(f->type, from, to);
    }
    return -1;
}

int json_clone(const struct json_type *type, const void *from, void *to, struct err *err) {
    memset(to, 0, type->size);
    if (copy_members(type, from, to) < 0) {
        json_free(type, to);
        return err_no_memory(err);
    }
    return 0;
}
