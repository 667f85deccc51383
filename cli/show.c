/* Structs for people and for programs. SPDX-License-Identifier: Apache-2.0 */
#include "show.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <paas/clock.h>
#include <paas/str.h>

enum {
    COLUMNS_MAX = 24,
    CELL_MAX = 4096,          /* bytes of one cell */
    CELL_MIN = 8,             /* columns: a cell is not cut below */
    GAP = 2,                  /* columns between cells */
    JSON_MAX = 1 << 20,       /* bytes of one struct */
    JSON_LIST_MAX = 64 << 20, /* of a list */
};

/* ---- Cells ---- */

/* The member that `path` names: its row, and in *value where it is. */
static const struct json_field *find_field(
    const struct json_type *type, const char *path, const void **value) {
    size_t len = strcspn(path, ".");
    for (const struct json_field *field = type->fields; field->name; field++) {
        if (strlen(field->name) != len || strncmp(field->name, path, len) != 0) {
            continue;
        }
        *value = (const char *)*value + field->offset;
        return path[len] ? find_field(field->type, path + len + 1, value) : field;
    }
    return NULL;
}

static void put_number(struct buf *out, int64_t number, enum column_form form) {
    char text[STR_AMOUNT_MAX];
    if (form == FORM_MS) {
        buf_puts(out, number < 0 ? "-" : str_format_duration(number, text));
    } else if (form == FORM_AGE) {
        int64_t age = clock_wall_msec() - number;
        buf_puts(out, number <= 0 ? "-" : str_format_duration(age < 0 ? 0 : age, text));
    } else if (form == FORM_RELEASE) {
        buf_printf(out, number ? "v%" PRId64 : "-", number);
    } else if (form == FORM_TIME) {
        time_t seconds = (time_t)(number / 1000);
        struct tm local;
        localtime_r(&seconds, &local);
        buf_printf(out, "%02d:%02d:%02d.%03d", local.tm_hour, local.tm_min, local.tm_sec,
            (int)(number % 1000));
    } else {
        buf_printf(out, "%" PRId64, number);
    }
}

static void put_milli(struct buf *out, int64_t thousandths) {
    char text[32];
    int len = snprintf(
        text, sizeof text, "%" PRId64 ".%03d", thousandths / 1000, (int)(thousandths % 1000));
    while (text[len - 1] == '0') {
        text[--len] = '\0';
    }
    text[len - 1] = text[len - 1] == '.' ? '\0' : text[len - 1];
    buf_puts(out, text);
}

static void put_strings(struct buf *out, const struct strings *list) {
    for (size_t i = 0; i < list->count; i++) {
        buf_printf(out, "%s%s", i ? " " : "", list->items[i]);
    }
}

void show_field(
    const struct json_type *type, const void *value, const struct column *column, struct buf *out) {
    char amount[STR_AMOUNT_MAX];
    const struct json_field *field = find_field(type, column->field, &value);
    if (!field) {
        return;
    }
    switch (field->kind) {
    case JK_BOOL:
        buf_puts(out, *(const bool *)value ? "yes" : "no");
        break;
    case JK_INT:
        put_number(out, *(const int64_t *)value, column->form);
        break;
    case JK_DURATION:
        put_number(out, *(const int64_t *)value, FORM_MS);
        break;
    case JK_SIZE:
        buf_puts(out, str_format_size(*(const int64_t *)value, amount));
        break;
    case JK_MILLI:
        put_milli(out, *(const int64_t *)value);
        break;
    case JK_ENUM:
        buf_puts(out, field->names[*(const int *)value]);
        break;
    case JK_TEXT:
        buf_puts(out, value);
        break;
    case JK_STRING:
        buf_puts(out, *(char *const *)value ? *(char *const *)value : "");
        break;
    case JK_STRINGS:
        put_strings(out, value);
        break;
    case JK_ARRAY:
    case JK_NAMED:
        buf_printf(out, "%zu", ((const struct json_array *)value)->count);
        break;
    case JK_PAIRS:
    case JK_OBJECT:
    case JK_KEYS:
        break;
    }
}

/* ---- Tables ---- */

struct table {
    const struct column *columns[COLUMNS_MAX];
    size_t column_count, row_count;
    char **cells; /* row by row, the head first; owned */
    size_t widths[COLUMNS_MAX];
};

/* Columns of a terminal: one for each character of UTF-8. */
static size_t text_width(const char *text) {
    size_t width = 0;
    for (; *text; text++) {
        width += (*text & 0xc0) != 0x80;
    }
    return width;
}

/* A cell's text; what could move the cursor is shown as '?'. */
static char *make_cell(
    const struct json_type *type, const void *item, const struct column *column) {
    struct buf text;
    buf_init(&text, CELL_MAX);
    show_field(type, item, column, &text);
    for (size_t i = 0; i < text.len; i++) {
        text.data[i] =
            (unsigned char)text.data[i] < ' ' || text.data[i] == 0x7f ? '?' : text.data[i];
    }
    if (text.len == 0) {
        buf_puts(&text, "-");
    }
    return buf_take(&text);
}

static void fill(struct table *t, const struct column *columns, const struct json_type *type,
    const struct json_array *items) {
    while (columns[t->column_count].title && t->column_count < COLUMNS_MAX) {
        t->columns[t->column_count] = &columns[t->column_count];
        t->column_count++;
    }
    t->row_count = items->count + 1;
    t->cells = calloc(t->row_count * t->column_count, sizeof *t->cells);
    for (size_t row = 0; t->cells && row < t->row_count; row++) {
        for (size_t i = 0; i < t->column_count; i++) {
            const char *item = row ? (const char *)items->items + (row - 1) * type->size : NULL;
            char *cell = row ? make_cell(type, item, t->columns[i]) : strdup(columns[i].title);
            t->cells[row * t->column_count + i] = cell;
            size_t width = cell ? text_width(cell) : 0;
            t->widths[i] = width > t->widths[i] ? width : t->widths[i];
        }
    }
}

static size_t total_width(const struct table *t) {
    size_t total = 0;
    for (size_t i = 0; i < t->column_count; i++) {
        total += t->columns[i] ? t->widths[i] + GAP : 0;
    }
    return total ? total - GAP : 0;
}

/* Drops the most minor column. False when none is left to drop. */
static bool drop_column(struct table *t) {
    size_t most = t->column_count;
    for (size_t i = 0; i < t->column_count; i++) {
        if (t->columns[i] && t->columns[i]->minor &&
            (most == t->column_count || t->columns[i]->minor >= t->columns[most]->minor)) {
            most = i;
        }
    }
    if (most == t->column_count) {
        return false;
    }
    t->columns[most] = NULL;
    return true;
}

/* Narrows the widest column by what is too much. */
static void narrow(struct table *t, size_t width) {
    size_t too_much = total_width(t) - width, widest = 0;
    for (size_t i = 0; i < t->column_count; i++) {
        if (t->columns[i] && (!t->columns[widest] || t->widths[i] > t->widths[widest])) {
            widest = i;
        }
    }
    size_t left = t->widths[widest] > too_much ? t->widths[widest] - too_much : 0;
    t->widths[widest] = left > CELL_MIN ? left : CELL_MIN;
}

/* The byte after `count` characters. */
static const char *skip(const char *text, size_t count) {
    while (*text && count > 0) {
        do {
            text++;
        } while ((*text & 0xc0) == 0x80);
        count--;
    }
    return text;
}

static void print_cell(FILE *to, const char *cell, size_t width, bool last) {
    size_t has = text_width(cell);
    if (has <= width) {
        fprintf(to, "%s%*s", cell, last ? 0 : (int)(width - has + GAP), "");
        return;
    }
    size_t head = width / 2, tail = width - head - 1;
    fprintf(to, "%.*s…%s%*s", (int)(skip(cell, head) - cell), cell, skip(cell, has - tail),
        last ? 0 : GAP, "");
}

static void print_row(FILE *to, const struct table *t, size_t row) {
    size_t last = 0;
    for (size_t i = 0; i < t->column_count; i++) {
        last = t->columns[i] ? i : last;
    }
    for (size_t i = 0; i < t->column_count; i++) {
        const char *cell = t->cells[row * t->column_count + i];
        if (t->columns[i]) {
            print_cell(to, cell ? cell : "?", t->widths[i], i == last);
        }
    }
    fputc('\n', to);
}

void show_table(FILE *to, const struct column *columns, const struct json_type *type,
    const struct json_array *items, int width) {
    struct table t = { 0 };
    fill(&t, columns, type, items);
    while (width > 0 && total_width(&t) > (size_t)width && drop_column(&t)) {
    }
    if (width > 0 && total_width(&t) > (size_t)width) {
        narrow(&t, (size_t)width);
    }
    for (size_t row = 0; t.cells && row < t.row_count; row++) {
        print_row(to, &t, row);
    }
    for (size_t i = 0; t.cells && i < t.row_count * t.column_count; i++) {
        free(t.cells[i]);
    }
    free(t.cells);
}

void show_json(const struct json_type *type, const void *value) {
    struct buf text;
    buf_init(&text, JSON_MAX);
    json_encode(type, value, &text);
    puts(buf_str(&text));
    buf_free(&text);
}

void show_json_list(const struct json_type *type, const struct json_array *items) {
    struct buf text;
    buf_init(&text, JSON_LIST_MAX);
    json_encode_array(type, items->items, items->count, &text);
    puts(buf_str(&text));
    buf_free(&text);
}
