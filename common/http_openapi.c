/* The endpoint table as an OpenAPI document. SPDX-License-Identifier: Apache-2.0 */
#include <paas/http_server.h>

#include <string.h>

enum { TYPES_MAX = 128 /* distinct JSON types of one table; those past it are left out */ };

/* Types in the order in which they were met. */
struct types {
    const struct json_type *all[TYPES_MAX];
    size_t count;
};

static void add_type(struct types *types, const struct json_type *type) {
    for (size_t i = 0; type && i < types->count; i++) {
        if (types->all[i] == type) {
            return;
        }
    }
    if (!type || types->count == TYPES_MAX) {
        return;
    }
    types->all[types->count++] = type;
    for (const struct json_field *f = type->fields; f->name; f++) {
        add_type(types, f->type);
    }
}

static void put_string(struct buf *out, const char *text) {
    buf_json_string(out, text ? text : "", text ? strlen(text) : 0);
}

static void put_reference(struct buf *out, const struct json_type *type) {
    buf_printf(out, "{\"$ref\":\"#/components/schemas/%s\"}", type->name);
}

static void put_number(struct buf *out, const struct json_field *f, const char *type) {
    buf_printf(out, "\"type\":\"%s\"", type);
    if (f->kind != JK_MILLI) {
        buf_printf(out, ",\"minimum\":%lld,\"maximum\":%lld", (long long)f->min, (long long)f->max);
    }
}

static void put_enum(struct buf *out, const struct json_field *f) {
    buf_puts(out, "\"type\":\"string\",\"enum\":[");
    for (const char *const *name = f->names; *name; name++) {
        buf_puts(out, name == f->names ? "" : ",");
        put_string(out, *name);
    }
    buf_putc(out, ']');
}

static void put_kind(struct buf *out, const struct json_field *f) {
    switch (f->kind) {
    case JK_BOOL:
        buf_puts(out, "\"type\":\"boolean\"");
        break;
    case JK_INT:
    case JK_DURATION:
    case JK_SIZE:
        put_number(out, f, "integer");
        break;
    case JK_MILLI:
        put_number(out, f, "number");
        break;
    case JK_ENUM:
        put_enum(out, f);
        break;
    case JK_TEXT:
    case JK_STRING:
        buf_printf(out, "\"type\":\"string\",\"maxLength\":%lld", (long long)f->max);
        break;
    case JK_STRINGS:
        buf_printf(out, "\"type\":\"array\",\"maxItems\":%lld,\"items\":{\"type\":\"string\"}",
            (long long)f->max);
        break;
    case JK_KEYS:
        buf_puts(out, "\"type\":\"object\"");
        break;
    case JK_PAIRS:
        buf_puts(out, "\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\"}");
        break;
    case JK_OBJECT:
        buf_puts(out, "\"allOf\":[");
        put_reference(out, f->type);
        buf_putc(out, ']');
        break;
    case JK_ARRAY:
        buf_printf(out, "\"type\":\"array\",\"maxItems\":%lld,\"items\":", (long long)f->max);
        put_reference(out, f->type);
        break;
    case JK_NAMED:
        buf_puts(out, "\"type\":\"object\",\"additionalProperties\":");
        put_reference(out, f->type);
        break;
    }
}

static void put_schema(struct buf *out, const struct json_type *type) {
    put_string(out, type->name);
    buf_puts(out, ":{\"type\":\"object\",\"properties\":{");
    for (const struct json_field *f = type->fields; f->name; f++) {
        buf_puts(out, f == type->fields ? "" : ",");
        put_string(out, f->name);
        buf_puts(out, ":{\"description\":");
        put_string(out, f->doc);
        buf_putc(out, ',');
        put_kind(out, f);
        buf_puts(out, f->flags & JF_SECRET ? ",\"writeOnly\":true}" : "}");
    }
    buf_puts(out, "},\"required\":[");
    bool first = true;
    for (const struct json_field *f = type->fields; f->name; f++) {
        if (f->flags & JF_REQUIRED) {
            buf_puts(out, first ? "" : ",");
            put_string(out, f->name);
            first = false;
        }
    }
    buf_puts(out, "],\"additionalProperties\":false}");
}

/* "{name*}" is "{name}" to OpenAPI. */
static void put_path(struct buf *out, const char *path) {
    buf_putc(out, '"');
    for (; *path; path++) {
        if (*path != '*') {
            buf_putc(out, *path);
        }
    }
    buf_putc(out, '"');
}

static void put_parameters(struct buf *out, const char *path) {
    buf_puts(out, ",\"parameters\":[");
    const char *open = strchr(path, '{');
    for (bool first = true; open; first = false) {
        const char *close = strchr(open, '}');
        size_t len = (size_t)(close - open) - 1 - (close[-1] == '*');
        buf_printf(out,
            "%s{\"name\":\"%.*s\",\"in\":\"path\",\"required\":true,"
            "\"schema\":{\"type\":\"string\"}}",
            first ? "" : ",", (int)len, open + 1);
        open = strchr(close, '{');
    }
    buf_putc(out, ']');
}

static void put_request_body(struct buf *out, const struct endpoint *row) {
    if (!row->in && !(row->flags & (EP_BODY_RAW | EP_BODY_STREAM))) {
        return;
    }
    buf_printf(out, ",\"requestBody\":{\"required\":%s,\"content\":{",
        row->flags & EP_BODY_OPTIONAL ? "false" : "true");
    if (row->in) {
        buf_puts(out, "\"application/json\":{\"schema\":");
        put_reference(out, row->in);
        buf_puts(out, "}}}");
    } else {
        buf_puts(out, "\"application/octet-stream\":{}}}");
    }
}

static void put_responses(struct buf *out, const struct endpoint *row) {
    buf_puts(out, ",\"responses\":{\"2XX\":{\"description\":\"Done\"");
    if (row->out) {
        buf_printf(out, ",\"content\":{\"%s\":{\"schema\":",
            row->flags & EP_LINES ? "application/x-ndjson" : "application/json");
        buf_puts(out, row->flags & EP_LIST ? "{\"type\":\"array\",\"items\":" : "");
        put_reference(out, row->out);
        buf_puts(out, row->flags & EP_LIST ? "}" : "");
        buf_puts(out, "}}");
    }
    buf_puts(out, "},\"default\":{\"description\":\"A problem\",\"content\":"
                  "{\"application/problem+json\":{\"schema\":"
                  "{\"$ref\":\"#/components/schemas/problem\"}}}}}");
}

static void put_operation(struct buf *out, const struct endpoint *row) {
    buf_putc(out, '"');
    for (const char *c = http_method_name(row->method); *c; c++) {
        buf_putc(out, *c >= 'A' && *c <= 'Z' ? (char)(*c | 0x20) : *c);
    }
    buf_puts(out, "\":{\"summary\":");
    put_string(out, row->doc);
    put_parameters(out, row->path);
    put_request_body(out, row);
    put_responses(out, row);
    buf_putc(out, '}');
}

/* A path is written with the first of its rows, with all its methods. */
static bool is_first_of_path(const struct endpoint *endpoints, const struct endpoint *row) {
    for (const struct endpoint *e = endpoints; e < row; e++) {
        if (strcmp(e->path, row->path) == 0) {
            return false;
        }
    }
    return true;
}

static void put_paths(struct buf *out, const struct endpoint *endpoints) {
    for (const struct endpoint *row = endpoints; row->method; row++) {
        if (!is_first_of_path(endpoints, row)) {
            continue;
        }
        buf_puts(out, row == endpoints ? "" : ",");
        put_path(out, row->path);
        buf_puts(out, ":{");
        for (const struct endpoint *e = row; e->method; e++) {
            if (strcmp(e->path, row->path) == 0) {
                buf_puts(out, e == row ? "" : ",");
                put_operation(out, e);
            }
        }
        buf_putc(out, '}');
    }
}

void http_server_openapi(
    const struct endpoint *endpoints, const char *title, const char *version, struct buf *out) {
    struct types types = { .count = 0 };
    for (const struct endpoint *row = endpoints; row->method; row++) {
        add_type(&types, row->in);
        add_type(&types, row->out);
    }
    buf_puts(out, "{\"openapi\":\"3.1.0\",\"info\":{\"title\":");
    put_string(out, title);
    buf_puts(out, ",\"version\":");
    put_string(out, version);
    buf_puts(out, "},\"paths\":{");
    put_paths(out, endpoints);
    buf_puts(out, "},\"components\":{\"schemas\":{\"problem\":{\"type\":\"object\"}");
    for (size_t i = 0; i < types.count; i++) {
        buf_putc(out, ',');
        put_schema(out, types.all[i]);
    }
    buf_puts(out, "}}}\n");
}
