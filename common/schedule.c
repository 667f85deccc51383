/* Least numbers of instances by time of day. SPDX-License-Identifier: Apache-2.0 */
#include <paas/schedule.h>

#include <string.h>

#include <paas/limits.h>
#include <paas/str.h>

enum { WEEK_DAYS = 7, LINE_SIZE = 80 /* all seven days by name, times and a number */ };

static const char day_names[WEEK_DAYS][4] = { "sun", "mon", "tue", "wed", "thu", "fri", "sat" };

/* Takes the text up to one of `ends` from *rest, without blanks around it; "" at the end. -1 when
 * it is too long. */
static int take(const char **rest, const char *ends, char *to, size_t size) {
    const char *from = *rest + strspn(*rest, " ");
    size_t len = strcspn(from, ends);
    *rest = from + len + (from[len] != '\0');
    while (len > 0 && from[len - 1] == ' ') {
        len--;
    }
    if (len >= size) {
        return -1;
    }
    memcpy(to, from, len);
    to[len] = '\0';
    return 0;
}

static int day_of(const char *name) {
    for (int day = 0; day < WEEK_DAYS; day++) {
        if (str_same_word(name, day_names[day])) {
            return day;
        }
    }
    return -1;
}

/* "mon" or "mon-fri". */
static int parse_range(const char *text, uint8_t *days) {
    char name[LINE_SIZE];
    const char *rest = text;
    if (take(&rest, "-", name, sizeof name) < 0) {
        return -1;
    }
    int day = day_of(name), last = strchr(text, '-') ? day_of(rest) : day;
    if (day < 0 || last < 0) {
        return -1;
    }
    for (; day != last; day = (day + 1) % WEEK_DAYS) {
        *days |= (uint8_t)(1 << day);
    }
    *days |= (uint8_t)(1 << last);
    return 0;
}

static int parse_days(const char *text, uint8_t *days) {
    char range[LINE_SIZE];
    *days = 0;
    if (text[0] && text[strlen(text) - 1] == ',') {
        return -1;
    }
    if (str_same_word(text, "daily")) {
        *days = (1 << WEEK_DAYS) - 1;
        return 0;
    }
    do {
        if (take(&text, ",", range, sizeof range) < 0 || parse_range(range, days) < 0) {
            return -1;
        }
    } while (*text);
    return 0;
}

/* "08:30"; at most 24:00. */
static int parse_time(const char *text, int *minute) {
    char hours[LINE_SIZE];
    int64_t h, m;
    if (strlen(text) != strlen("00:00") || text[2] != ':' ||
        take(&text, ":", hours, sizeof hours) < 0 || str_int(hours, 0, 24, "hour", &h, NULL) < 0 ||
        str_int(text, 0, 59, "minute", &m, NULL) < 0 || h * 60 + m > DAY_MINUTES) {
        return -1;
    }
    *minute = (int)(h * 60 + m);
    return 0;
}

static int parse_line(const char *text, struct schedule_line *line) {
    char days[LINE_SIZE], from[LINE_SIZE], to[LINE_SIZE], min[LINE_SIZE];
    return take(&text, " ", days, sizeof days) < 0 || take(&text, "-", from, sizeof from) < 0 ||
                   take(&text, " ", to, sizeof to) < 0 || take(&text, "", min, sizeof min) < 0 ||
                   parse_days(days, &line->days) < 0 || parse_time(from, &line->from) < 0 ||
                   parse_time(to, &line->to) < 0 || line->from == line->to ||
                   line->from == DAY_MINUTES ||
                   str_int(min, 0, INSTANCES_PER_NODE, "number", &line->min, NULL) < 0
               ? -1
               : 0;
}

int schedule_parse(const char *text, struct schedule *out, struct err *err) {
    char line[LINE_SIZE];
    out->count = 0;
    while (*text) {
        const char *begin = text;
        if (out->count == SCHEDULE_LINES) {
            return err_set(err, ERR_BAD_VALUE, "over %d lines", SCHEDULE_LINES);
        }
        if (take(&text, ";", line, sizeof line) < 0 ||
            parse_line(line, &out->lines[out->count]) < 0) {
            err_set(err, ERR_BAD_VALUE, "\"%.60s\" is no line of a schedule", begin);
            return err_hint(err, "like this: mon-fri 08:00-18:00 4; sat 10:00-14:00 2");
        }
        out->count++;
    }
    return 0;
}

static bool is_in_force(const struct schedule_line *line, int weekday, int minute) {
    bool today = line->days & 1 << weekday;
    bool yesterday = line->days & 1 << (weekday + WEEK_DAYS - 1) % WEEK_DAYS;
    return line->from < line->to
               ? today && minute >= line->from && minute < line->to
               : (today && minute >= line->from) || (yesterday && minute < line->to);
}

int64_t schedule_min(const struct schedule *schedule, int weekday, int minute) {
    int64_t most = 0;
    for (size_t i = 0; i < schedule->count; i++) {
        const struct schedule_line *line = &schedule->lines[i];
        if (line->min > most && is_in_force(line, weekday, minute)) {
            most = line->min;
        }
    }
    return most;
}

int64_t schedule_most(const struct schedule *schedule) {
    int64_t most = 0;
    for (size_t i = 0; i < schedule->count; i++) {
        most = schedule->lines[i].min > most ? schedule->lines[i].min : most;
    }
    return most;
}
