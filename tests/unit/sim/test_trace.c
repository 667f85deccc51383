/* Traces: what is read, and what is refused with its line. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "traces.h"

#define HEAD "time_ms,rps\n"

static void a_trace_is_read(void **state) {
    static const char *const texts[] = { HEAD "0,10\n500,0.5\n1000,0\n",
        "time_ms,requests_per_second\n0,10\n500,0.5\n1000,0",
        "time_ms,rps\r\n0,10\r\n500,0.5\r\n1000,0\r\n" };
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct trace trace;
        struct err err;
        assert_int_equal(trace_parse(texts[i], &trace, &err), 0);
        assert_int_equal(trace.count, 3);
        assert_int_equal(trace.rows[1].time_ms, 500);
        assert_true(trace.rows[1].rps == 0.5);
        trace_free(&trace);
    }
}

static void nonsense_is_refused_with_its_line(void **state) {
    static const struct {
        const char *text, *says;
    } cases[] = {
        { "", "line 1" },
        { "rps,time_ms\n0,1\n1,1\n", "line 1" },
        { "0,1\n1,1\n", "line 1" },
        { HEAD, "two rows" },
        { HEAD "0,1\n", "two rows" },
        { HEAD "0,1\n1\n", "line 3" },
        { HEAD "0,1\n1,\n", "line 3" },
        { HEAD "0,1\n1,2,3\n", "line 3" },
        { HEAD "0,1\none,2\n", "line 3" },
        { HEAD "0,1\n\n2,2\n", "line 3" },
        { HEAD "0,-1\n1,1\n", "line 2" },
        { HEAD "0,nan\n1,1\n", "line 2" },
        { HEAD "0,inf\n1,1\n", "line 2" },
        { HEAD "0,1e300\n1,1\n", "line 2" },
        { HEAD "0,1\n5,1\n5,1\n", "line 4" },
        { HEAD "0,1\n5,1\n4,1\n", "line 4" },
        { HEAD "-5,1\n4,1\n", "line 2" },
        { HEAD "0,1\n99999999999999999999,1\n", "line 3" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct trace trace;
        struct err err;
        assert_int_equal(trace_parse(cases[i].text, &trace, &err), -1);
        assert_int_equal(err.code, ERR_BAD_VALUE);
        assert_non_null(strstr(err.text, cases[i].says));
        assert_null(trace.rows);
    }
}

static void made_traces_go_forward_to_ten_minutes(void **state) {
    (void)state;
    for (enum trace_kind kind = 0; kind < TRACE_KINDS; kind++) {
        struct trace trace;
        struct err err;
        assert_int_equal(trace_make(kind, &trace, &err), 0);
        double requests = 0;
        for (size_t i = 1; i < trace.count; i++) {
            assert_true(trace.rows[i].time_ms > trace.rows[i - 1].time_ms);
            requests += trace.rows[i - 1].rps *
                        (double)(trace.rows[i].time_ms - trace.rows[i - 1].time_ms) / 1000;
        }
        assert_int_equal(trace.rows[trace.count - 1].time_ms, 600000);
        assert_true(requests > 999 && requests < 200000);
        trace_free(&trace);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_trace_is_read),
        cmocka_unit_test(nonsense_is_refused_with_its_line),
        cmocka_unit_test(made_traces_go_forward_to_ten_minutes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
