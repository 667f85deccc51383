/* proxy/queue.c. SPDX-License-Identifier: Apache-2.0 */
#include "queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

enum { ITEMS = 64, START = 1000 };

struct scene {
    struct queue_lanes *lanes;
    struct queue q;
    struct queue_item items[ITEMS];
    int used;
};

static int setup(void **state) {
    struct scene *s = calloc(1, sizeof *s);
    s->lanes = calloc(1, sizeof *s->lanes);
    queue_init(&s->q, s->lanes);
    *state = s;
    return 0;
}

static int teardown(void **state) {
    struct scene *s = *state;
    free(s->lanes);
    free(s);
    return 0;
}

static int add(struct scene *s, unsigned address, msec since) {
    queue_item_init(&s->items[s->used]);
    queue_add(&s->q, &s->items[s->used], address, since);
    return s->used++;
}

static int number(const struct scene *s, const struct queue_item *item) {
    return item ? (int)(item - s->items) : -1;
}

static int serve(struct scene *s) {
    struct queue_item *item = queue_next(&s->q);
    if (item) {
        queue_served(&s->q, item);
    }
    return number(s, item);
}

/* Time passes with all instances busy and no more to come. */
static void overload(struct scene *s, msec from, msec to) {
    for (msec now = from; now <= to; now += 10) {
        queue_look(&s->q, now, false, true);
    }
}

static void one_address_is_served_in_order(void **state) {
    struct scene *s = *state;
    for (int i = 0; i < 10; i++) {
        add(s, 1, START + i);
    }
    for (int i = 0; i < 10; i++) {
        assert_int_equal(serve(s), i);
    }
    assert_int_equal(serve(s), -1);
}

static void addresses_take_turns(void **state) {
    struct scene *s = *state;
    for (int i = 0; i < 10; i++) {
        add(s, 1, START); /* 0 to 9 */
    }
    int polite = add(s, 2, START + 1);
    assert_int_equal(serve(s), 0);
    assert_int_equal(serve(s), polite);
    assert_int_equal(serve(s), 1);
    int again = add(s, 2, START + 2);
    assert_int_equal(serve(s), 2);
    assert_int_equal(serve(s), again);
}

static void one_that_comes_back_has_its_place(void **state) {
    struct scene *s = *state;
    int first = add(s, 1, START), second = add(s, 1, START + 1), third = add(s, 1, START + 2);
    assert_int_equal(serve(s), first);
    queue_add(&s->q, &s->items[first], 1, START);
    assert_int_equal(serve(s), first);
    assert_int_equal(serve(s), second);
    queue_add(&s->q, &s->items[second], 1, START + 1);
    assert_int_equal(serve(s), second);
    assert_int_equal(serve(s), third);
}

static void a_short_burst_keeps_its_order(void **state) {
    struct scene *s = *state;
    int first = add(s, 1, START);
    add(s, 1, START + 50);
    overload(s, START, START + QUEUE_TARGET + QUEUE_TARGET / 2);
    assert_false(s->q.standing);
    assert_int_equal(serve(s), first);
    assert_null(queue_overdue(&s->q, START + QUEUE_TARGET * 3 / 2));
}

static void a_queue_that_stands_serves_the_newest(void **state) {
    struct scene *s = *state;
    int first = add(s, 1, START), second = add(s, 1, START + 1);
    overload(s, START, START + 2 * QUEUE_TARGET);
    assert_true(s->q.standing);
    assert_int_equal(serve(s), second);
    int third = add(s, 1, START + 300), other = add(s, 2, START + 300),
        last = add(s, 3, START + 301);
    assert_int_equal(serve(s), last); /* new lanes first */
    assert_int_equal(serve(s), other);
    assert_int_equal(serve(s), third);
    assert_int_equal(serve(s), first);
    assert_false(s->q.standing);
}

static void in_a_queue_that_stands_nobody_waits_past_the_deadline(void **state) {
    struct scene *s = *state;
    int first = add(s, 1, START);
    add(s, 1, START + 500);
    overload(s, START, START + QUEUE_DEADLINE - 10);
    assert_null(queue_overdue(&s->q, START + QUEUE_DEADLINE - 10));
    overload(s, START + QUEUE_DEADLINE, START + QUEUE_DEADLINE);
    struct queue_item *overdue = queue_overdue(&s->q, START + QUEUE_DEADLINE);
    assert_int_equal(number(s, overdue), first);
    queue_leave(&s->q, overdue);
    assert_null(queue_overdue(&s->q, START + QUEUE_DEADLINE));
}

static void slow_apps_have_patient_queues(void **state) {
    struct scene *s = *state;
    for (int i = 0; i < 50; i++) {
        queue_learn(&s->q, 3000);
    }
    add(s, 1, START);
    overload(s, START, START + 5900);
    assert_false(s->q.standing);
    overload(s, START + 5900, START + 11900);
    assert_true(s->q.standing);
    assert_null(queue_overdue(&s->q, START + 11900));
    assert_non_null(queue_overdue(&s->q, START + 12000));
}

static void who_waits_for_an_app_to_wake_is_not_hurried(void **state) {
    struct scene *s = *state;
    int first = add(s, 1, START);
    add(s, 1, START);
    for (msec now = START; now < START + 20000; now += 10) {
        queue_look(&s->q, now, true, false);
    }
    assert_false(s->q.standing);
    /* It is awake, and all that it will ever have: time counts from now on. */
    msec awake = START + 20000;
    overload(s, awake, awake + QUEUE_DEADLINE - 10);
    assert_null(queue_overdue(&s->q, awake + QUEUE_DEADLINE - 10));
    assert_non_null(queue_overdue(&s->q, awake + QUEUE_DEADLINE));
    assert_int_equal(number(s, queue_overdue(&s->q, awake + QUEUE_DEADLINE)), first);
}

static void growth_is_waited_for_but_not_for_ever(void **state) {
    struct scene *s = *state;
    add(s, 1, START);
    msec now = START;
    for (; now < START + QUEUE_GROWTH; now += 10) {
        queue_look(&s->q, now, true, true);
        assert_false(s->q.standing);
    }
    for (; now <= START + QUEUE_GROWTH + 2 * QUEUE_TARGET; now += 10) {
        queue_look(&s->q, now, true, true);
    }
    assert_true(s->q.standing);
    queue_look(&s->q, now, false, false);
    assert_false(s->q.standing);
}

static void a_queue_that_emptied_stands_no_more(void **state) {
    struct scene *s = *state;
    add(s, 1, START);
    overload(s, START, START + 1000);
    assert_true(s->q.standing);
    serve(s);
    int first = add(s, 1, START + 1000), second = add(s, 1, START + 1001);
    overload(s, START + 1001, START + 1050);
    assert_int_equal(serve(s), first);
    assert_int_equal(serve(s), second);
}

static void the_longest_lane_gives_way(void **state) {
    struct scene *s = *state;
    for (int i = 0; i < 10; i++) {
        add(s, 1, START + i); /* 0 to 9 */
    }
    int polite = add(s, 2, START + 20);
    assert_int_equal(number(s, queue_victim(&s->q, &s->items[polite])), 9);
    int greedy = add(s, 1, START + 30);
    assert_int_equal(number(s, queue_victim(&s->q, &s->items[greedy])), greedy);
    overload(s, START + 30, START + 1000);
    polite = add(s, 3, START + 1000);
    assert_int_equal(number(s, queue_victim(&s->q, &s->items[polite])), 0);
    greedy = add(s, 1, START + 1001);
    assert_int_equal(number(s, queue_victim(&s->q, &s->items[greedy])), 0);
}

static void among_equals_the_one_served_last_gives_way(void **state) {
    struct scene *s = *state;
    for (unsigned i = 0; i < 10; i++) {
        add(s, i, START);
    }
    int last = add(s, 10, START + 1);
    assert_int_equal(number(s, queue_victim(&s->q, &s->items[last])), last);
    overload(s, START + 1, START + 1000);
    assert_int_equal(number(s, queue_victim(&s->q, &s->items[last])), 0);
}

static void who_is_passed_over_is_asked_again_next_round(void **state) {
    struct scene *s = *state;
    int first = add(s, 1, START), second = add(s, 1, START), other = add(s, 2, START);
    queue_pass(&s->q, &s->items[first]);
    assert_int_equal(serve(s), second);
    queue_pass(&s->q, &s->items[other]);
    assert_null(queue_next(&s->q));
    queue_leave(&s->q, &s->items[other]);
    queue_round_over(&s->q);
    assert_int_equal(serve(s), first);
}

static void a_few_flooded_apps_leave_room_for_others(void **state) {
    (void)state;
    assert_int_equal(queue_room(0, 0), HELD_PER_APP);
    unsigned held[20] = { 0 }, all = 0;
    /* Twenty apps take all that they may, again and again. */
    for (int round = 0; round < 2000; round++) {
        for (int i = 0; i < 20; i++) {
            if (held[i] < queue_room(held[i], all)) {
                held[i]++;
                all++;
            }
        }
    }
    assert_true(all < HELD_MAX);
    assert_true(queue_room(0, all) >= HELD_MAX / 2 / 21 - 1);
    for (int i = 1; i < 20; i++) {
        assert_in_range(held[i], held[0] - 1, held[0] + 1);
    }
}

/* A closed loop of many addresses, one of which asks for half of everything, against a service that
 * can do a tenth: lanes and lists stay whole, the greedy one gets no more than its turn, and every
 * address that asks now and then is served. */
static void overload_for_long_is_fair(void **state) {
    (void)state;
    enum { MANY = HELD_PER_APP, ADDRESSES = 8, ROUNDS = 20000 };
    struct queue_lanes *lanes = calloc(1, sizeof *lanes);
    struct queue_item *items = calloc(MANY + 1, sizeof *items);
    unsigned *address = calloc(MANY + 1, sizeof *address);
    unsigned served[ADDRESSES] = { 0 };
    struct queue q;
    queue_init(&q, lanes);
    for (msec now = START; now < START + ROUNDS; now++) {
        for (int i = 0; i < 10; i++) {
            int at = 0;
            while (at < MANY && items[at].lane) {
                at++;
            }
            address[at] = i < 5 ? 0 : 1 + (unsigned)(now + i) % (ADDRESSES - 1);
            queue_item_init(&items[at]);
            queue_add(&q, &items[at], address[at], now);
            if (q.count > MANY) {
                queue_leave(&q, queue_victim(&q, &items[at]));
            }
        }
        queue_look(&q, now, false, true);
        struct queue_item *item;
        while ((item = queue_overdue(&q, now))) {
            queue_leave(&q, item);
        }
        item = queue_next(&q);
        assert_non_null(item);
        if (now > START + 1000) {
            assert_true(now - item->since < 100); /* newest first */
            served[address[item - items]]++;
        }
        queue_served(&q, item);
    }
    for (int i = 0; i < ADDRESSES; i++) {
        assert_in_range(
            served[i], (ROUNDS - 1000) / ADDRESSES * 9 / 10, (ROUNDS - 1000) / ADDRESSES * 11 / 10);
    }
    while (q.count) {
        queue_leave(&q, queue_next(&q));
    }
    assert_int_equal(q.lane_count, 0);
    assert_true(list_empty(&q.lanes));
    assert_true(lanes->used <= ADDRESSES);
    free(address);
    free(items);
    free(lanes);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(one_address_is_served_in_order),
        TEST(addresses_take_turns),
        TEST(one_that_comes_back_has_its_place),
        TEST(a_short_burst_keeps_its_order),
        TEST(a_queue_that_stands_serves_the_newest),
        TEST(in_a_queue_that_stands_nobody_waits_past_the_deadline),
        TEST(slow_apps_have_patient_queues),
        TEST(who_waits_for_an_app_to_wake_is_not_hurried),
        TEST(growth_is_waited_for_but_not_for_ever),
        TEST(a_queue_that_emptied_stands_no_more),
        TEST(the_longest_lane_gives_way),
        TEST(among_equals_the_one_served_last_gives_way),
        TEST(who_is_passed_over_is_asked_again_next_round),
        TEST(a_few_flooded_apps_leave_room_for_others),
        TEST(overload_for_long_is_fair),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
