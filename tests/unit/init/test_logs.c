/* What the spool writes is what the reader gives: across segments, from the end, from a number,
 * while it is written, and when it is torn. SPDX-License-Identifier: Apache-2.0 */
#include "logs.h"
#include "spool.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { NO_RATE = 1 << 30 };

struct scene {
    char path[64];
    int dir;
    int logs[2];
    int pipes[2];
    struct spool spool;
};

static int set_up(void **state) {
    struct scene *scene = calloc(1, sizeof *scene);
    strcpy(scene->path, "/tmp/paas-test-logs-XXXXXX");
    assert_non_null(mkdtemp(scene->path));
    scene->dir = open(scene->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    scene->logs[0] = openat(scene->dir, INIT_NAME_LOG0, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    scene->logs[1] = openat(scene->dir, INIT_NAME_LOG1, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(pipe2(scene->pipes, O_CLOEXEC | O_NONBLOCK), 0);
    spool_init(&scene->spool, scene->logs[0], scene->logs[1], LOG_SEGMENT_MIN, NO_RATE);
    *state = scene;
    return 0;
}

static int tear_down(void **state) {
    struct scene *scene = *state;
    unlinkat(scene->dir, INIT_NAME_LOG0, 0);
    unlinkat(scene->dir, INIT_NAME_LOG1, 0);
    rmdir(scene->path);
    close(scene->dir);
    close(scene->logs[0]);
    close(scene->logs[1]);
    close(scene->pipes[0]);
    close(scene->pipes[1]);
    free(scene);
    return 0;
}

static void put(struct scene *scene, enum log_stream stream, const char *text) {
    size_t len = strlen(text);
    assert_int_equal(write(scene->pipes[1], text, len), len);
    assert_int_equal(spool_read(&scene->spool, stream, scene->pipes[0]), len);
}

/* Lines "FIRST x…" to "LAST x…" of 100 bytes each. */
static void put_lines(struct scene *scene, int first, int last) {
    char line[102];
    memset(line, 'x', sizeof line);
    for (int i = first; i <= last; i++) {
        int n = snprintf(line, sizeof line, "%d ", i);
        line[n] = 'x';
        line[100] = '\n';
        line[101] = '\0';
        put(scene, LOG_STREAM_OUT, line);
    }
}

static struct log_reader *reader_of(struct scene *scene) {
    struct err err;
    struct log_reader *reader = log_reader_open(scene->dir, &err);
    assert_non_null(reader);
    return reader;
}

static int number(const struct log_piece *line) {
    return atoi(line->text);
}

static void lines_come_in_order_with_their_stream(void **state) {
    struct scene *scene = *state;
    struct log_piece line;
    struct log_reader *reader = reader_of(scene);
    assert_int_equal(log_reader_next(reader, &line), 0);
    put(scene, LOG_STREAM_OUT, "one\ntw");
    put(scene, LOG_STREAM_ERR, "other\n");
    put(scene, LOG_STREAM_OUT, "o\n\nthree");
    static const struct {
        const char *text;
        enum log_stream stream;
    } expected[] = { { "one", LOG_STREAM_OUT }, { "other", LOG_STREAM_ERR },
        { "two", LOG_STREAM_OUT }, { "", LOG_STREAM_OUT } };
    for (uint64_t i = 0; i < 4; i++) {
        assert_int_equal(log_reader_next(reader, &line), 1);
        assert_int_equal(line.len, strlen(expected[i].text));
        assert_memory_equal(line.text, expected[i].text, line.len);
        assert_int_equal(line.stream, expected[i].stream);
        assert_int_equal(line.seq, i + 1);
        assert_int_equal(line.missed, 0);
    }
    assert_int_equal(log_reader_next(reader, &line), 0);
    spool_finish(&scene->spool);
    assert_int_equal(log_reader_next(reader, &line), 1);
    assert_memory_equal(line.text, "three", 5);
    log_reader_close(reader);
}

static void line_at_the_longest_is_one_piece(void **state) {
    struct scene *scene = *state;
    struct log_piece line;
    char *text = malloc(LOG_TEXT_MAX + 3);
    memset(text, 'y', LOG_TEXT_MAX + 2);
    strcpy(text + LOG_TEXT_MAX, "\n");
    put(scene, LOG_STREAM_OUT, text);
    strcpy(text + LOG_TEXT_MAX, "y\n");
    put(scene, LOG_STREAM_OUT, text);
    free(text);
    struct log_reader *reader = reader_of(scene);
    assert_int_equal(log_reader_next(reader, &line), 1);
    assert_int_equal(line.len, LOG_TEXT_MAX);
    assert_int_equal(line.flags, 0);
    assert_int_equal(log_reader_next(reader, &line), 1);
    assert_int_equal(line.len, LOG_TEXT_MAX);
    assert_int_equal(line.flags, LOG_CONTINUED);
    assert_int_equal(log_reader_next(reader, &line), 1);
    assert_int_equal(line.len, 1);
    assert_int_equal(line.flags, 0);
    log_reader_close(reader);
}

static void reader_follows_across_many_segments(void **state) {
    struct scene *scene = *state;
    struct log_piece line;
    struct log_reader *reader = reader_of(scene);
    int expected = 1;
    for (int round = 0; round < 100; round++) {
        put_lines(scene, round * 97 + 1, (round + 1) * 97);
        while (log_reader_next(reader, &line)) {
            assert_int_equal(number(&line), expected++);
            assert_int_equal(line.missed, 0);
        }
    }
    assert_int_equal(expected, 9701);
    assert_true(scene->spool.generation > 15);
    log_reader_close(reader);
}

static void slow_reader_is_told_what_it_missed(void **state) {
    struct scene *scene = *state;
    struct log_piece line;
    struct log_reader *reader = reader_of(scene);
    for (int step = 1; step < 2000; step += 131) { /* falls behind in all phases of a segment */
        int begin = (int)scene->spool.seq;
        put_lines(scene, begin + 1, begin + step);
        uint64_t missed = 0, seen = 0;
        while (log_reader_next(reader, &line)) {
            assert_int_equal(number(&line), line.seq);
            missed += line.missed;
            seen++;
        }
        assert_int_equal(missed + seen, step);
        assert_true(seen > 400 || missed == 0);
    }
    log_reader_close(reader);
}

static void last_lines_and_lines_after_a_number(void **state) {
    struct scene *scene = *state;
    struct log_piece line;
    struct err err;
    put_lines(scene, 1, 900); /* one change of segment, all still there */
    struct log_reader *reader = reader_of(scene);
    static const size_t counts[] = { 1, 10, 495, 496, 497, 899, 900, 5000 };
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        assert_int_equal(log_reader_last(reader, counts[i], &err), 0);
        assert_int_equal(log_reader_next(reader, &line), 1);
        assert_int_equal(line.missed, 0);
        uint64_t oldest = counts[i] < 900 ? 901 - counts[i] : 1;
        assert_int_equal(line.seq, oldest);
        for (uint64_t seq = oldest + 1; seq <= 900; seq++) {
            assert_int_equal(log_reader_next(reader, &line), 1);
            assert_int_equal(line.seq, seq);
        }
        assert_int_equal(log_reader_next(reader, &line), 0);
    }
    assert_int_equal(log_reader_last(reader, 0, &err), 0);
    assert_int_equal(log_reader_next(reader, &line), 0);
    put_lines(scene, 901, 901);
    assert_int_equal(log_reader_next(reader, &line), 1);
    assert_int_equal(line.seq, 901);
    log_reader_after(reader, 890);
    assert_int_equal(log_reader_next(reader, &line), 1);
    assert_int_equal(line.seq, 891);
    log_reader_after(reader, 901);
    assert_int_equal(log_reader_next(reader, &line), 0);
    log_reader_close(reader);
}

static void last_line_starts_at_its_first_piece(void **state) {
    struct scene *scene = *state;
    struct log_piece line;
    struct err err;
    char *text = malloc(40002);
    memset(text, 'z', 40001);
    strcpy(text + 40000, "\n");
    put(scene, LOG_STREAM_OUT, "before\n");
    put(scene, LOG_STREAM_OUT, text);
    free(text);
    struct log_reader *reader = reader_of(scene);
    assert_int_equal(log_reader_last(reader, 1, &err), 0);
    size_t bytes = 0;
    while (log_reader_next(reader, &line)) {
        bytes += line.len;
    }
    assert_int_equal(bytes, 40000);
    log_reader_close(reader);
}

static void torn_record_ends_the_log_until_it_is_whole(void **state) {
    struct scene *scene = *state;
    struct log_piece line;
    put_lines(scene, 1, 10);
    struct stat st;
    assert_int_equal(fstat(scene->logs[0], &st), 0);
    char tail[200];
    for (off_t cut = 1; cut < 132; cut++) { /* within the last record, header and text */
        assert_int_equal(pread(scene->logs[0], tail, (size_t)cut, st.st_size - cut), cut);
        assert_int_equal(ftruncate(scene->logs[0], st.st_size - cut), 0);
        struct log_reader *reader = reader_of(scene);
        int seen = 0;
        while (log_reader_next(reader, &line)) {
            seen++;
        }
        assert_int_equal(seen, 9);
        assert_int_equal(pwrite(scene->logs[0], tail, (size_t)cut, st.st_size - cut), cut);
        assert_int_equal(log_reader_next(reader, &line), 1);
        assert_int_equal(line.seq, 10);
        log_reader_close(reader);
    }
}

static void damage_does_no_harm(void **state) {
    struct scene *scene = *state;
    struct log_piece line;
    put_lines(scene, 1, 1000);
    srandom(3);
    for (int round = 0; round < 300; round++) {
        unsigned char byte = (unsigned char)random();
        off_t at = random() % LOG_SEGMENT_MIN;
        assert_int_equal(pwrite(scene->logs[round % 2], &byte, 1, at), 1);
        struct log_reader *reader = reader_of(scene);
        uint64_t last = 0;
        while (log_reader_next(reader, &line)) {
            assert_true(line.seq > last && line.len <= LOG_TEXT_MAX);
            assert_int_equal(number(&line), line.seq); /* a wrong text has a wrong checksum */
            last = line.seq;
        }
        log_reader_close(reader);
    }
}

static void rate_drops_whole_stretches_and_counts(void **state) {
    struct scene *scene = *state;
    struct log_piece line;
    spool_init(&scene->spool, scene->logs[0], scene->logs[1], LOG_SEGMENT_MIN, 20000);
    put_lines(scene, 1, 1000);
    uint64_t dropped = scene->spool.dropped;
    assert_true(dropped > 500);
    spool_finish(&scene->spool);
    struct log_reader *reader = reader_of(scene);
    uint64_t kept = 0, told = 0, notes = 0;
    while (log_reader_next(reader, &line)) {
        told += line.dropped;
        notes += line.flags & LOG_DROPPED ? 1 : 0;
        kept += line.flags & LOG_DROPPED ? 0 : 1;
    }
    assert_int_equal(kept + told, 1000);
    assert_int_equal(told, dropped);
    assert_true(notes < 10);
    log_reader_close(reader);
}

/* Whatever the pieces in which a flood arrives: kept and dropped lines add up. */
static void flood_in_pieces_is_counted_to_the_line(void **state) {
    struct scene *scene = *state;
    char text[6001];
    srandom(4);
    for (int round = 0; round < 200; round++) {
        spool_init(&scene->spool, scene->logs[0], scene->logs[1], LOG_SEGMENT_MAX, 5000);
        scene->spool.seq = scene->spool.dropped = 0;
        scene->spool.open = false;
        size_t len = 5000 + (size_t)random() % 1000;
        for (size_t i = 0; i < len; i++) {
            text[i] = random() % (round + 2) ? (char)(random() | 1) : '\n';
            text[i] = text[i] == '\v' ? 'v' : text[i];
        }
        text[len - 1] = 'e';
        for (size_t at = 0; at < len;) {
            size_t part = 1 + (size_t)random() % 700;
            part = part < len - at ? part : len - at;
            assert_int_equal(write(scene->pipes[1], text + at, part), part);
            assert_int_equal(spool_read(&scene->spool, LOG_STREAM_OUT, scene->pipes[0]), part);
            at += part;
        }
        uint64_t lines = 1; /* the unfinished one */
        for (size_t i = 0; i < len; i++) {
            lines += text[i] == '\n';
        }
        spool_finish(&scene->spool);
        struct log_piece line;
        struct log_reader *reader = reader_of(scene);
        uint64_t kept = 0;
        while (log_reader_next(reader, &line)) {
            kept += line.flags & (LOG_DROPPED | LOG_CONTINUED) ? 0 : 1;
        }
        log_reader_close(reader);
        assert_int_equal(kept + scene->spool.dropped, lines);
    }
}

static void files_that_cannot_be_written_drop_and_count(void **state) {
    struct scene *scene = *state;
    struct log_piece line;
    int null = open("/dev/full", O_RDWR | O_CLOEXEC);
    put_lines(scene, 1, 5);
    int good = scene->spool.files[0];
    scene->spool.files[0] = null;
    put_lines(scene, 6, 20);
    assert_int_equal(scene->spool.dropped, 15);
    scene->spool.files[0] = good;
    put_lines(scene, 21, 25);
    close(null);
    struct log_reader *reader = reader_of(scene);
    static const int numbers[] = { 1, 2, 3, 4, 5, 0, 21, 22, 23, 24, 25 };
    for (uint64_t i = 0; i < 11; i++) {
        assert_int_equal(log_reader_next(reader, &line), 1);
        assert_int_equal(line.seq, i + 1);
        assert_int_equal(line.dropped, i == 5 ? 15 : 0);
        assert_int_equal(number(&line), i == 5 ? 0 : numbers[i]);
    }
    assert_int_equal(log_reader_next(reader, &line), 0);
    log_reader_close(reader);
}

static void missing_logs_are_not_found(void **state) {
    struct scene *scene = *state;
    struct err err;
    unlinkat(scene->dir, INIT_NAME_LOG1, 0);
    assert_null(log_reader_open(scene->dir, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

static void instances_are_merged_by_time(void **state) {
    struct scene *a = *state, *b;
    void *other = NULL;
    struct err err;
    struct log_piece line;
    size_t which;
    set_up(&other);
    b = other;
    for (int i = 1; i <= 50; i++) {
        put_lines(i % 3 ? a : b, i, i);
        usleep(1100); /* the next one has another millisecond */
    }
    struct log_reader *readers[] = { reader_of(a), reader_of(b) };
    struct log_merge *merge = log_merge_open(readers, 2, &err);
    for (int i = 1; i <= 50; i++) {
        assert_int_equal(log_merge_next(merge, &which, &line), 1);
        assert_int_equal(number(&line), i);
        assert_int_equal(which, i % 3 ? 0 : 1);
    }
    assert_int_equal(log_merge_next(merge, &which, &line), 0);
    log_merge_close(merge);
    tear_down(&other);
}

/* ---- following ----------------------------------------------------------------------------- */

struct following {
    struct scene *scene;
    struct log_follow *follow;
    uv_loop_t loop;
    uv_timer_t writer;
    uv_timer_t limit;
    int written, seen, pauses;
    bool ended;
};

static void on_line(void *arg, const struct log_piece *line) {
    struct following *f = arg;
    assert_int_equal(number(line), ++f->seen);
    assert_int_equal(line->missed, 0);
    if (f->seen % 100 == 0) {
        log_follow_pause(f->follow);
        f->pauses++;
    }
}

static void on_ended(void *arg) {
    struct following *f = arg;
    f->ended = true;
    log_follow_close(f->follow);
    uv_close((uv_handle_t *)&f->writer, NULL);
    uv_close((uv_handle_t *)&f->limit, NULL);
}

static void on_write(uv_timer_t *timer) {
    struct following *f = timer->data;
    if (f->written < 2000) {
        put_lines(f->scene, f->written + 1, f->written + 40);
        f->written += 40;
    }
    if (f->written == 2000) {
        log_follow_end(f->follow);
    }
    log_follow_resume(f->follow);
}

static void on_limit(uv_timer_t *timer) {
    (void)timer;
    fail_msg("the follower stands still");
}

static void follower_gets_every_line_and_the_end(void **state) {
    static const struct log_follow_events events = { .line = on_line, .ended = on_ended };
    struct following f = { .scene = *state };
    struct err err;
    uv_loop_init(&f.loop);
    uv_timer_init(&f.loop, &f.writer);
    uv_timer_init(&f.loop, &f.limit);
    f.writer.data = &f;
    uv_timer_start(&f.writer, on_write, 1, 1);
    uv_timer_start(&f.limit, on_limit, 10000, 0);
    f.follow = log_follow_open(&f.loop, f.scene->path, reader_of(f.scene), &events, &f, &err);
    assert_non_null(f.follow);
    uv_run(&f.loop, UV_RUN_DEFAULT);
    assert_true(f.ended);
    assert_int_equal(f.seen, 2000);
    assert_int_equal(f.pauses, 20);
    assert_int_equal(uv_loop_close(&f.loop), 0);
}

static void follower_of_a_missing_directory_fails_clean(void **state) {
    static const struct log_follow_events events = { .line = on_line, .ended = on_ended };
    uv_loop_t loop;
    struct err err;
    uv_loop_init(&loop);
    assert_null(log_follow_open(&loop, "/nowhere/at/all", reader_of(*state), &events, NULL, &err));
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(lines_come_in_order_with_their_stream),
        TEST(line_at_the_longest_is_one_piece),
        TEST(reader_follows_across_many_segments),
        TEST(slow_reader_is_told_what_it_missed),
        TEST(last_lines_and_lines_after_a_number),
        TEST(last_line_starts_at_its_first_piece),
        TEST(torn_record_ends_the_log_until_it_is_whole),
        TEST(damage_does_no_harm),
        TEST(rate_drops_whole_stretches_and_counts),
        TEST(flood_in_pieces_is_counted_to_the_line),
        TEST(files_that_cannot_be_written_drop_and_count),
        TEST(missing_logs_are_not_found),
        TEST(instances_are_merged_by_time),
        TEST(follower_gets_every_line_and_the_end),
        TEST(follower_of_a_missing_directory_fails_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
