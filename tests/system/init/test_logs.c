/* The log that paas-init writes. Needs root. SPDX-License-Identifier: Apache-2.0 */
#include "scene.h"

#include "logs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <paas/clock.h>

static void every_line_within_the_caps_is_kept(void **state) {
    struct scene *scene = *state;
    scene_start(scene, "print", "20000", "60", NULL);
    struct init_exit exit = scene_finish(scene);
    assert_int_equal(exit.code, 0);
    struct err err;
    struct log_piece line;
    struct log_reader *reader = log_reader_open(scene->box.dir_fd, &err);
    unsigned long expected = 0;
    while (log_reader_next(reader, &line)) {
        assert_int_equal(line.stream, LOG_STREAM_OUT);
        assert_int_equal(line.len, 60);
        assert_int_equal(strtoul(line.text, NULL, 10), ++expected);
        assert_int_equal(line.seq, expected);
    }
    log_reader_close(reader);
    assert_int_equal(expected, 20000);
    assert_int_equal(exit.log_lines, 20000);
}

static void long_lines_are_cut_and_bytes_kept(void **state) {
    struct scene *scene = *state;
    scene_start(scene, "print", "2", "40000", NULL);
    scene_finish(scene);
    char *text = scene_log(scene, LOG_STREAM_OUT);
    assert_int_equal(strlen(text), 2 * 40001);
    free(text);
    box_destroy(&scene->box);
    scene_start(scene, "raw", NULL);
    scene_finish(scene);
    struct err err;
    struct log_piece line;
    struct log_reader *reader = log_reader_open(scene->box.dir_fd, &err);
    assert_int_equal(log_reader_next(reader, &line), 1);
    assert_int_equal(line.len, 8);
    assert_memory_equal(line.text, "a\0b\x1b[31m", 8);
    assert_int_equal(log_reader_next(reader, &line), 1);
    assert_int_equal(line.len, 10);
    assert_memory_equal(line.text, "no newline", 10);
    log_reader_close(reader);
}

/* Lines kept and told as dropped must add up to what the app wrote. */
static void assert_all_accounted(struct scene *scene, unsigned long lines, bool drops) {
    struct init_exit exit = scene_finish(scene);
    assert_int_equal(exit.code, 0);
    struct err err;
    struct log_piece line;
    struct log_reader *reader = log_reader_open(scene->box.dir_fd, &err);
    unsigned long kept = 0, dropped = 0, seen = 0, first = 0;
    while (log_reader_next(reader, &line)) {
        if (line.flags & LOG_DROPPED) {
            dropped += line.dropped;
            seen = 0;
            continue;
        }
        unsigned long n = strtoul(line.text, NULL, 10);
        assert_true(!seen || n == seen + 1);
        seen = n;
        first = first ? first : n;
        kept++;
    }
    log_reader_close(reader);
    if (drops) {
        assert_true(exit.log_dropped > 0);
        assert_true(dropped <= exit.log_dropped);
    } else {
        assert_int_equal(exit.log_dropped, 0);
        assert_int_equal(first + kept - 1, lines);
    }
    print_message("          first %lu kept %lu told as dropped %lu, all drops %lu\n", first, kept,
        dropped, (unsigned long)exit.log_dropped);
}

static void old_segments_are_overwritten(void **state) {
    struct scene *scene = *state;
    scene->block.segment_bytes = LOG_SEGMENT_MIN;
    scene_start(scene, "print", "20000", "100", NULL);
    assert_all_accounted(scene, 20000, false);
}

static void flood_is_dropped_and_counted(void **state) {
    struct scene *scene = *state;
    scene->block.log_rate = 256 << 10;
    scene_start(scene, "print", "50000", "100", NULL);
    msec before = clock_msec();
    assert_all_accounted(scene, 50000, true);
    assert_true(clock_msec() - before < WAIT_MS);
}

static void full_disk_drops_and_the_record_stays(void **state) {
    struct scene *scene = *state;
    scene->options.small_logs = true;
    scene_start(scene, "print", "5000", "100", NULL);
    assert_all_accounted(scene, 5000, true);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SCENE_TEST(every_line_within_the_caps_is_kept),
        SCENE_TEST(long_lines_are_cut_and_bytes_kept),
        SCENE_TEST(old_segments_are_overwritten),
        SCENE_TEST(flood_is_dropped_and_counted),
        SCENE_TEST(full_disk_drops_and_the_record_stays),
    };
    return scene_skip() ? 77 : cmocka_run_group_tests(tests, NULL, NULL);
}
