/* A picture of simulated runs. SPDX-License-Identifier: Apache-2.0 */
#include "svg.h"

#include <fcntl.h>

#include <paas/buf.h>
#include <paas/file.h>

enum { WIDTH = 900, PANEL = 220, MARGIN = 50, SVG_BYTES_MAX = 64 << 20 };

enum series { SERIES_LOAD, SERIES_RUNNING, SERIES_WAIT, SERIES_COUNT };
static const char *const colours[SERIES_COUNT] = { "#9aa5b1", "#1769aa", "#c62828" };
static const char *const labels[SERIES_COUNT] = { "slots' worth of load", "instances",
    "longest wait, s" };

static double value_of(const struct sim_point *p, enum series series, int64_t concurrency) {
    switch (series) {
    case SERIES_LOAD:
        return p->load / (double)concurrency;
    case SERIES_RUNNING:
        return (double)p->running;
    case SERIES_WAIT:
    case SERIES_COUNT:
        break;
    }
    return p->wait_ms / 1000;
}

static double top_of(const struct sim_result *run, int64_t concurrency) {
    double top = 1;
    for (size_t i = 0; i < run->point_count; i++) {
        for (enum series k = 0; k < SERIES_COUNT; k++) {
            double value = value_of(&run->points[i], k, concurrency);
            top = value > top ? value : top;
        }
    }
    return top;
}

static void draw_panel(
    struct buf *b, const struct sim_result *run, const char *name, int y, int64_t concurrency) {
    double top = top_of(run, concurrency);
    double step =
        run->point_count > 1 ? (double)(WIDTH - 2 * MARGIN) / (double)(run->point_count - 1) : 0;
    buf_printf(b, "<text x='%d' y='%d' font-weight='bold'>%s</text>", MARGIN, y + 16, name);
    buf_printf(b, "<text x='%d' y='%d' text-anchor='end'>%.0f</text>", MARGIN - 6, y + 34, top);
    for (enum series k = 0; k < SERIES_COUNT; k++) {
        buf_printf(b, "<polyline fill='none' stroke='%s' stroke-width='1.5' points='", colours[k]);
        for (size_t i = 0; i < run->point_count; i++) {
            double value = value_of(&run->points[i], k, concurrency);
            buf_printf(b, "%.1f,%.1f ", MARGIN + step * (double)i,
                y + PANEL - 20 - value / top * (PANEL - 50));
        }
        buf_puts(b, "'/>");
        buf_printf(b, "<text x='%d' y='%d' fill='%s'>%s</text>", MARGIN + 80 + (int)k * 180, y + 16,
            colours[k], labels[k]);
    }
    buf_printf(b, "<line x1='%d' y1='%d' x2='%d' y2='%d' stroke='#555'/>", MARGIN, y + PANEL - 20,
        WIDTH - MARGIN, y + PANEL - 20);
}

int svg_draw(const char *path, const struct sim_result *runs, const enum law_kind *laws,
    size_t count, int64_t concurrency, struct err *err) {
    struct buf b;
    buf_init(&b, SVG_BYTES_MAX);
    buf_printf(&b,
        "<svg xmlns='http://www.w3.org/2000/svg' width='%d' height='%d' font-family='sans-serif' "
        "font-size='12'><rect width='100%%' height='100%%' fill='white'/>",
        WIDTH, PANEL * (int)count);
    for (size_t i = 0; i < count; i++) {
        draw_panel(&b, &runs[i], law_names[laws[i]], PANEL * (int)i, concurrency);
    }
    buf_puts(&b, "</svg>\n");
    int result = b.failed ? err_no_memory(err)
                          : file_write_whole(AT_FDCWD, path, b.data, b.len, 0644, 0, err);
    buf_free(&b);
    return result;
}
