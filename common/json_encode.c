/* Structs to JSON by their tables of fields. SPDX-License-Identifier: Apache-2.0 */
#include <paas/json_bind.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const void *const_member(const struct json_field *f, const void *value) {
    return (const char *)value + f->offset;
}

static void encode_strings(const struct strings *list, struct buf *b) {
    buf_putc(b, '[');
    for (size_t i = 0; i < list->count; i++) {
        if (i) {
            buf_putc(b, ',');
        }
        buf_json_string(b, list->items[i], strlen(list->items[i]));
    }
    buf_putc(b, ']');
}

static void encode_pairs(const struct pairs *list, struct buf *b) {
    buf_putc(b, '{');
    for (size_t i = 0; i < list->count; i++) {
        if (i) {
            buf_putc(b, ',');
        }
        buf_json_string(b, list->items[i].key, strlen(list->items[i].key));
        buf_putc(b, ':');
        buf_json_string(b, list->items[i].value, strlen(list->items[i].value));
    }
    buf_putc(b, '}');
}

static void encode_keys(const struct strings *list, struct buf *b) {
    buf_putc(b, '{');
    for (size_t i = 0; i < list->count; i++) {
        if (i) {
            buf_putc(b, ',');
        }
        buf_json_string(b, list->items[i], strlen(list->items[i]));
        buf_puts(b, ":{}");
    }
    buf_putc(b, '}');
}

static void encode_milli(int64_t milli, struct buf *b) {
    buf_printf(b, "%" PRId64, milli / 1000);
    int rest = (int)(milli % 1000);
    if (rest) {
        char digits[8];
        snprintf(digits, sizeof digits, "%03d", rest < 0 ? -rest : rest);
        size_t len = 3;
        while (digits[len - 1] == '0') {
            len--;
        }
        buf_printf(b, ".%.*s", (int)len, digits);
    }
}

static void encode_named(const struct json_field *f, const struct json_array *list, struct buf *b);

static void encode_field(const struct json_field *f, const void *from, struct buf *b) {
    const char *text;
    const struct json_array *list = from;
    switch (f->kind) {
    case JK_BOOL:
        buf_puts(b, *(const bool *)from ? "true" : "false");
        break;
    case JK_INT:
    case JK_DURATION:
    case JK_SIZE:
        buf_printf(b, "%" PRId64, *(const int64_t *)from);
        break;
    case JK_MILLI:
        encode_milli(*(const int64_t *)from, b);
        break;
    case JK_ENUM:
        text = f->names[*(const int *)from];
        buf_json_string(b, text, strlen(text));
        break;
    case JK_TEXT:
        buf_json_string(b, from, strlen(from));
        break;
    case JK_STRING:
        text = *(char *const *)from ? *(char *const *)from : "";
        buf_json_string(b, text, strlen(text));
        break;
    case JK_STRINGS:
        encode_strings(from, b);
        break;
    case JK_PAIRS:
        encode_pairs(from, b);
        break;
    case JK_OBJECT:
        json_encode(f->type, from, b);
        break;
    case JK_ARRAY:
        json_encode_array(f->type, list->items, list->count, b);
        break;
    case JK_NAMED:
        encode_named(f, list, b);
        break;
    case JK_KEYS:
        encode_keys(from, b);
        break;
    }
}

static bool is_omitted(const struct json_field *f, const void *from) {
    if (f->flags & JF_SECRET) {
        return true;
    }
    if (!(f->flags & JF_OMIT)) {
        return false;
    }
    switch (f->kind) {
    case JK_BOOL:
        return !*(const bool *)from;
    case JK_INT:
    case JK_DURATION:
    case JK_SIZE:
    case JK_MILLI:
        return *(const int64_t *)from == f->fallback;
    case JK_ENUM:
        return *(const int *)from == f->fallback;
    case JK_TEXT:
        return !*(const char *)from;
    case JK_STRING:
        return !*(char *const *)from || !**(char *const *)from;
    case JK_STRINGS:
    case JK_KEYS:
        return ((const struct strings *)from)->count == 0;
    case JK_PAIRS:
        return ((const struct pairs *)from)->count == 0;
    case JK_ARRAY:
    case JK_NAMED:
        return ((const struct json_array *)from)->count == 0;
    case JK_OBJECT:
        return false;
    }
    return false;
}

/* Writes the members of a struct from `fields` on. */
static void encode_members(const struct json_field *fields, const void *value, struct buf *b) {
    bool first = true;
    for (const struct json_field *f = fields; f->name; f++) {
        const void *from = const_member(f, value);
        if (is_omitted(f, from)) {
            continue;
        }
        buf_printf(b, "%s\"%s\":", first ? "" : ",", f->name);
        encode_field(f, from, b);
        first = false;
    }
}

static void encode_named(const struct json_field *f, const struct json_array *list, struct buf *b) {
    buf_putc(b, '{');
    for (size_t i = 0; i < list->count; i++) {
        const char *item = (const char *)list->items + i * f->type->size;
        const char *key = item + f->type->fields[0].offset;
        if (i) {
            buf_putc(b, ',');
        }
        buf_json_string(b, key, strlen(key));
        buf_puts(b, ":{");
        encode_members(f->type->fields + 1, item, b);
        buf_putc(b, '}');
    }
    buf_putc(b, '}');
}

void json_encode(const struct json_type *type, const void *value, struct buf *b) {
    buf_putc(b, '{');
    encode_members(type->fields, value, b);
    buf_putc(b, '}');
}

void json_encode_array(
    const struct json_type *type, const void *items, size_t count, struct buf *b) {
    buf_putc(b, '[');
    for (size_t i = 0; i < count; i++) {
        if (i) {
            buf_putc(b, ',');
        }
        json_encode(type, (const char *)items + i * type->size, b);
    }
    buf_putc(b, ']');
}
