/* Options and arguments of a command line, by table. SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include <stdlib.h>
#include <string.h>

#include <paas/str.h>

struct parser {
    const struct option_row *tables[2];
    int argc, at;
    char *const *argv;
    struct options *out;
    struct err *err;
};

static const struct option_row *find_long(const struct parser *p, const char *name, size_t len) {
    for (int t = 0; t < 2; t++) {
        for (const struct option_row *row = p->tables[t]; row && row->name; row++) {
            if (strlen(row->name) == len && strncmp(row->name, name, len) == 0) {
                return row;
            }
        }
    }
    return NULL;
}

static const struct option_row *find_letter(const struct parser *p, char letter) {
    for (int t = 0; t < 2; t++) {
        for (const struct option_row *row = p->tables[t]; row && row->name; row++) {
            if (row->letter == letter) {
                return row;
            }
        }
    }
    return NULL;
}

static int unknown(const struct parser *p, const char *name, size_t len) {
    const char *names[64];
    size_t count = 0;
    char word[64];
    for (int t = 0; t < 2; t++) {
        for (const struct option_row *row = p->tables[t]; row && row->name && count < 64; row++) {
            names[count++] = row->name;
        }
    }
    err_set(p->err, ERR_USAGE, "there is no option --%.*s", (int)len, name);
    len = len < sizeof word ? len : sizeof word - 1;
    memcpy(word, name, len);
    word[len] = '\0';
    const char *nearest = str_nearest(word, names, count);
    return nearest ? err_hint(p->err, "did you mean --%s?", nearest) : -1;
}

static void add(struct parser *p, const struct option_row *row, const char *value) {
    p->out->given[p->out->given_count++] = (struct option_given){ row, value };
}

/* The value of `row`: what stands behind it in the same word, or the next word. */
static int take_value(struct parser *p, const struct option_row *row, const char *joined) {
    if (joined) {
        add(p, row, joined);
        return 0;
    }
    if (p->at + 1 >= p->argc) {
        return err_set(p->err, ERR_USAGE, "--%s needs %s", row->name, row->value);
    }
    add(p, row, p->argv[++p->at]);
    return 0;
}

static int parse_long(struct parser *p, const char *word) {
    size_t len = strcspn(word, "=");
    const struct option_row *row = find_long(p, word, len);
    if (!row) {
        return unknown(p, word, len);
    }
    if (row->value) {
        return take_value(p, row, word[len] ? word + len + 1 : NULL);
    }
    if (word[len]) {
        return err_set(p->err, ERR_USAGE, "--%s takes no value", row->name);
    }
    add(p, row, NULL);
    return 0;
}

static int parse_letters(struct parser *p, const char *letters) {
    for (; *letters; letters++) {
        const struct option_row *row = find_letter(p, *letters);
        if (!row) {
            return err_set(p->err, ERR_USAGE, "there is no option -%c", *letters);
        }
        if (row->value) {
            return take_value(p, row, letters[1] ? letters + 1 : NULL);
        }
        add(p, row, NULL);
    }
    return 0;
}

static int parse_word(struct parser *p, const char *word) {
    if (str_starts(word, "--")) {
        return parse_long(p, word + 2);
    }
    if (word[0] == '-' && word[1]) {
        return parse_letters(p, word + 1);
    }
    p->out->args[p->out->arg_count++] = word;
    return 0;
}

int options_parse(const struct option_row *own, const struct option_row *common, int argc,
    char *const *argv, struct options *out, struct err *err) {
    struct parser p = { { own, common }, argc, 0, argv, out, err };
    *out = (struct options){ 0 };
    if (argc > OPTIONS_MAX) {
        return err_set(err, ERR_USAGE, "over %d words", OPTIONS_MAX);
    }
    /* A word of joined letters gives an option a letter. */
    size_t room = 1;
    for (int i = 0; i < argc; i++) {
        room += strlen(argv[i]) + 1;
    }
    out->given = calloc(room, sizeof *out->given);
    out->args = calloc((size_t)argc + 1, sizeof *out->args);
    if (!out->given || !out->args) {
        options_free(out);
        return err_no_memory(err);
    }
    for (; p.at < argc; p.at++) {
        if (strcmp(argv[p.at], "--") == 0) {
            out->rest = (const char **)argv + p.at + 1;
            out->rest_count = (size_t)(argc - p.at - 1);
            break;
        }
        if (parse_word(&p, argv[p.at]) < 0) {
            options_free(out);
            return -1;
        }
    }
    return 0;
}

void options_free(struct options *options) {
    free(options->given);
    free(options->args);
    *options = (struct options){ 0 };
}

const char *options_value(const struct options *options, const char *name) {
    const char *value = NULL, *next;
    for (size_t cursor = 0; (next = options_next(options, name, &cursor));) {
        value = next;
    }
    return value;
}

bool options_flag(const struct options *options, const char *name) {
    for (size_t i = 0; i < options->given_count; i++) {
        if (strcmp(options->given[i].row->name, name) == 0) {
            return true;
        }
    }
    return false;
}

const char *options_next(const struct options *options, const char *name, size_t *cursor) {
    while (*cursor < options->given_count) {
        const struct option_given *given = &options->given[(*cursor)++];
        if (given->value && strcmp(given->row->name, name) == 0) {
            return given->value;
        }
    }
    return NULL;
}
