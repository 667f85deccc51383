/* A box, what is to run in it, and questions about it. SPDX-License-Identifier: Apache-2.0 */
#include "scene.h"

#include "logs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char *const scene_env[] = { "PATH=/nowhere:/app", "COLOUR=blue", NULL };

void scene_make_block(struct scene *scene) {
    struct err err;
    scene->block.argv = scene->argv;
    scene->block.env = scene->block.env ? scene->block.env : scene_env;
    scene->options.start_fd = start_block_make(&scene->block, &err);
    if (scene->options.start_fd < 0) {
        fail_msg("%s", err.text);
    }
}

void scene_start(struct scene *scene, const char *command, ...) {
    va_list args;
    va_start(args, command);
    scene->argv[0] = scene->argv[0] ? scene->argv[0] : "/app/init_app";
    scene->argv[1] = command;
    for (int i = 2; i < 7; i++) {
        scene->argv[i] = va_arg(args, const char *);
        if (!scene->argv[i]) {
            break;
        }
    }
    va_end(args);
    scene_make_block(scene);
    box_start(&scene->box, &scene->options);
    close(scene->options.start_fd);
}

int scene_set_up(void **state) {
    struct scene *scene = calloc(1, sizeof *scene);
    scene->box.dir_fd = -1;
    *state = scene;
    return 0;
}

int scene_tear_down(void **state) {
    struct scene *scene = *state;
    box_destroy(&scene->box);
    free(scene);
    return 0;
}

bool scene_running(const struct init_state *s) {
    return s->phase == INIT_PHASE_RUNNING;
}

bool scene_ended(const struct init_state *s) {
    return s->phase == INIT_PHASE_ENDED;
}

bool scene_any(const struct init_state *s) {
    (void)s;
    return true;
}

bool scene_listening(const struct init_state *s) {
    return s->listener_count > 0;
}

void scene_await_output(int fd, struct init_state *s) {
    do {
        box_request(fd, &(struct init_request){ .kind = INIT_REQUEST_STATE });
        box_await(fd, s, scene_any, WAIT_MS);
    } while (s->log_seq == 0);
}

struct init_exit scene_finish(struct scene *scene) {
    struct init_exit exit = { 0 };
    assert_true(box_wait(&scene->box, WAIT_MS));
    assert_true(box_exit(&scene->box, &exit));
    if (exit.end == INIT_END_INIT_ERROR) {
        print_message("          stage %u: %s: %s\n", exit.stage, exit.text, strerror(exit.sys));
    }
    assert_int_equal(box_app_processes(&scene->box), 0);
    return exit;
}

char *scene_log(struct scene *scene, int stream) {
    struct err err;
    struct log_piece line;
    char *text = calloc(1, 1 << 20);
    size_t used = 0;
    struct log_reader *reader = log_reader_open(scene->box.dir_fd, &err);
    assert_non_null(reader);
    while (log_reader_next(reader, &line)) {
        if ((int)line.stream == stream && used + line.len + 2 < 1 << 20) {
            memcpy(text + used, line.text, line.len);
            used += line.len;
            if (!(line.flags & LOG_CONTINUED)) {
                text[used++] = '\n';
            }
        }
    }
    log_reader_close(reader);
    return text;
}

void assert_contains(const char *text, const char *part) {
    if (!strstr(text, part)) {
        fail_msg("\"%s\" is not in:\n%s", part, text);
    }
}

bool scene_skip(void) {
    if (geteuid() == 0) {
        return false;
    }
    puts("needs root");
    return true;
}
