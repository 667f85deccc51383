/* What a directory says about its app. SPDX-License-Identifier: Apache-2.0 */
#include "manifest.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <paas/buf.h>
#include <paas/file.h>
#include <paas/str.h>
#include <paas/wire.h>

#include "cli.h"

/* Bytes that mean something to a shell; of those, the ones that join several commands. */
#define SHELL_BYTES "$`\\*?[]{}~#!|&;<>()\n"
#define JOIN_BYTES "|&;<>()\n"

/* ---- Procfile ---- */

/* True when the unquoted part of `line` has one of `bytes`; '$' counts within "…" as well. */
static bool has_unquoted(const char *line, const char *bytes) {
    char quote = '\0';
    for (const char *p = line; *p; p++) {
        if (quote) {
            if (quote == '"' && strchr("$`\\", *p) && strchr(bytes, *p)) {
                return true;
            }
            quote = *p == quote ? '\0' : quote;
        } else if (*p == '\'' || *p == '"') {
            quote = *p;
        } else if (strchr(bytes, *p)) {
            return true;
        }
    }
    return false;
}

/* "NAME=value program" sets a variable: a shell's work. */
static bool sets_variable(const char *line) {
    size_t len = strcspn(line, "= \t/");
    return line[len] == '=';
}

static int add_shell(const char *line, struct strings *out, struct err *err) {
    /* With exec the program is the process that gets the signals. */
    bool plain = !has_unquoted(line, JOIN_BYTES) && !sets_variable(line);
    size_t size = strlen(line) + sizeof "exec ";
    char *text = malloc(size);
    if (text) {
        snprintf(text, size, "%s%s", plain ? "exec " : "", line);
    }
    int result = text && strings_add(out, "/bin/sh") == 0 && strings_add(out, "-c") == 0 &&
                         strings_add(out, text) == 0
                     ? 0
                     : err_no_memory(err);
    free(text);
    return result;
}

/* One word from *line on into `word`; quotes join. False when a quote does not end. */
static bool take_word(const char **line, struct buf *word) {
    char quote = '\0';
    const char *p = *line;
    for (; *p && (quote || !isspace((unsigned char)*p)); p++) {
        if (quote ? *p == quote : *p == '\'' || *p == '"') {
            quote = quote ? '\0' : *p;
        } else {
            buf_putc(word, *p);
        }
    }
    *line = p;
    return !quote;
}

int manifest_command(const char *line, struct strings *out, struct err *err) {
    line += strspn(line, " \t");
    if (has_unquoted(line, SHELL_BYTES) || sets_variable(line)) {
        return add_shell(line, out, err);
    }
    int result = 0;
    while (result == 0 && *line) {
        struct buf word;
        buf_init(&word, WORD_MAX);
        if (!take_word(&line, &word)) {
            result = err_set(err, ERR_BAD_MANIFEST, "a quote has no end");
        } else if (word.failed) {
            result = err_set(err, ERR_BAD_MANIFEST, "a word is over %d bytes", WORD_MAX);
        } else if (strings_add(out, buf_str(&word)) < 0) {
            result = err_no_memory(err);
        }
        buf_free(&word);
        line += strspn(line, " \t\r");
    }
    return result;
}

static int add_process(
    const char *name, const char *command, struct manifest *out, struct err *err) {
    struct process_spec *grown =
        realloc(out->processes.items, (out->processes.count + 1) * sizeof *grown);
    if (!grown) {
        return err_no_memory(err);
    }
    out->processes.items = grown;
    struct process_spec *spec = &grown[out->processes.count++];
    json_defaults(&process_spec_json, spec);
    if (str_copy(spec->name, sizeof spec->name, name) < 0 || !str_is_name(spec->name)) {
        return err_set(err, ERR_BAD_MANIFEST, "\"%.40s\" is not a name of a process", name);
    }
    for (size_t i = 0; i + 1 < out->processes.count; i++) {
        if (strcmp(grown[i].name, name) == 0) {
            return err_set(err, ERR_BAD_MANIFEST, "the process %s is there twice", name);
        }
    }
    if (strcmp(name, "release") == 0) {
        return err_set(err, ERR_NOT_IMPLEMENTED, "a release process is not supported");
    }
    return manifest_command(command, &spec->command, err);
}

static int read_line(char *line, int number, struct manifest *out, struct err *err) {
    line += strspn(line, " \t");
    if (line[0] == '\0' || line[0] == '#' || line[0] == '\r') {
        return 0;
    }
    line[strcspn(line, "\r")] = '\0';
    char *colon = strchr(line, ':');
    if (!colon || colon[1 + strspn(colon + 1, " \t")] == '\0') {
        err_set(err, ERR_BAD_MANIFEST, "line %d: not \"name: command\"", number);
        return err_hint(err, "for example: web: node server.js");
    }
    if (out->processes.count == PROCESSES_PER_APP) {
        return err_set(err, ERR_BAD_MANIFEST, "over %d processes", PROCESSES_PER_APP);
    }
    *colon = '\0';
    return add_process(line, colon + 1, out, err) < 0 ? err_wrap(err, "line %d", number) : 0;
}

int manifest_procfile(const char *text, struct manifest *out, struct err *err) {
    json_defaults(&manifest_json, out);
    out->stack = STACK_HOST;
    char *copy = strdup(text), *rest = copy, *line;
    int result = copy ? 0 : err_no_memory(err);
    for (int number = 1; result == 0 && (line = strsep(&rest, "\n")); number++) {
        result = read_line(line, number, out, err);
    }
    free(copy);
    if (result == 0 && out->processes.count == 0) {
        result = err_set(err, ERR_BAD_MANIFEST, "there is no process in it");
    }
    if (result < 0) {
        json_free(&manifest_json, out);
    }
    return result;
}

/* ---- paas.json ---- */

/* Past the string that begins at `p`. */
static const char *skip_string(const char *p) {
    for (p++; *p && *p != '"'; p++) {
        p += *p == '\\' && p[1];
    }
    return *p ? p + 1 : p;
}

/* The value of member `key` of the object that begins at or after `p`; in *name where its key
 * stands. */
static const char *find_member(const char *p, const char *key, size_t len, const char **name) {
    p = strchr(p, '{');
    int depth = 0;
    while (p && *p) {
        if (*p == '"') {
            const char *end = skip_string(p);
            bool is_key = depth == 1 && end[strspn(end, " \t\r\n")] == ':';
            if (is_key && (size_t)(end - p) == len + 2 && strncmp(p + 1, key, len) == 0) {
                *name = p;
                return end;
            }
            p = end;
            continue;
        }
        depth += *p == '{' || *p == '[' ? 1 : *p == '}' || *p == ']' ? -1 : 0;
        if (depth == 0) {
            return NULL;
        }
        p++;
    }
    return NULL;
}

void manifest_locate(const char *text, const char *place, int *line, int *column) {
    const char *at = text, *name = NULL;
    *line = *column = 0;
    while (*place) {
        size_t len = strcspn(place, ".[");
        const char *found = at ? find_member(at, place, len, &name) : NULL;
        if (!found) {
            return;
        }
        at = found;
        place += len;
        place += place[0] == '[' ? strlen(place) : 0; /* an item: where its list stands */
        place += place[0] == '.';
    }
    if (!name) {
        return;
    }
    *line = 1;
    *column = 1;
    for (const char *p = text; p < name; p++) {
        *line += *p == '\n';
        *column = *p == '\n' ? 1 : *column + 1;
    }
}

/* Puts "paas.json:3:7: " before words that begin with a place. */
static void add_position(const char *text, const char *file, struct err *err) {
    char place[ERR_TEXT_MAX];
    int line, column;
    if (!err) {
        return;
    }
    str_copy(place, sizeof place, err->text);
    place[strcspn(place, ": ")] = '\0';
    manifest_locate(text, place, &line, &column);
    if (line) {
        err_wrap(err, "%s:%d:%d", file, line, column);
    } else {
        err_wrap(err, "%s", file);
    }
}

static int read_json(const char *text, size_t len, struct manifest *out, struct err *err) {
    if (json_decode(&manifest_json, text, len, out, err) < 0) {
        add_position(text, "paas.json", err);
        if (err && err->code == ERR_BAD_REQUEST) {
            err->code = ERR_BAD_MANIFEST;
        }
        return -1;
    }
    if (manifest_check(out, err) < 0) {
        add_position(text, "paas.json", err);
        json_free(&manifest_json, out);
        return -1;
    }
    return 0;
}

/* ---- Both ---- */

static int none(const char *path, int dir, struct err *err) {
    if (faccessat(dir, "Dockerfile", F_OK, 0) == 0) {
        err_set(err, ERR_NOT_IMPLEMENTED, "%s has a Dockerfile, which is not built here", path);
        return err_hint(
            err, "buildah build -t oci:IMAGE %s && paas push APP --image oci:IMAGE", path);
    }
    err_set(err, ERR_NOT_FOUND, "%s has neither paas.json nor Procfile", path);
    return err_hint(err, "write a Procfile: echo 'web: ./server' > %s/Procfile", path);
}

int manifest_load(
    const char *path, struct manifest *out, struct manifest_source *source, struct err *err) {
    CLEANUP_FD int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0) {
        err_set(err, ERR_NOT_FOUND, "there is no directory %s", path);
        return err_hint(err, "paas push APP --path DIR");
    }
    struct buf text;
    struct err why = { 0 };
    buf_init(&text, MANIFEST_BYTES_MAX);
    source->file = "paas.json";
    int result = file_read_whole(dir, source->file, &text, &why);
    if (result == 0) {
        result = read_json(buf_str(&text), text.len, out, err);
    } else if (why.code == ERR_NOT_FOUND) {
        source->file = "Procfile";
        err_clear(&why);
        result = file_read_whole(dir, source->file, &text, &why);
        if (result == 0 && (result = manifest_procfile(buf_str(&text), out, err)) < 0) {
            err_wrap(err, "Procfile");
        }
    }
    if (why.code == ERR_NOT_FOUND) {
        none(path, dir, err);
    } else if (why.code != ERR_OK && err) {
        *err = why;
    }
    buf_free(&text);
    return result;
}

int manifest_check_run(struct cli *cli, struct err *err) {
    struct manifest manifest;
    struct manifest_source source;
    const char *path = cli_arg(cli, 0) ? cli_arg(cli, 0) : ".";
    if (manifest_load(path, &manifest, &source, err) < 0) {
        return -1;
    }
    const struct process_spec *specs = manifest.processes.items;
    if (cli->output == OUTPUT_JSON) {
        struct buf text;
        buf_init(&text, MANIFEST_BYTES_MAX);
        json_encode(&manifest_json, &manifest, &text);
        puts(buf_str(&text));
        buf_free(&text);
    } else {
        printf("%s is well: stack %s,", source.file, stack_names[manifest.stack]);
        for (size_t i = 0; i < manifest.processes.count; i++) {
            printf(" %s", specs[i].name);
        }
        puts("");
    }
    json_free(&manifest_json, &manifest);
    return 0;
}
