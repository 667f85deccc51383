/* Autoscaling laws under one roof. SPDX-License-Identifier: Apache-2.0 */
#include "laws.h"

#include <math.h>
#include <string.h>

enum {
    KPA_LOOK_MS = 2000,
    KPA_GRACE_MS = 30000,
    HPA_LOOK_MS = 15000,
    HPA_WINDOW_S = 15,
};
static const double KPA_UTILISATION = 0.7, KPA_PANIC = 2.0, KPA_UP = 1000, HPA_TOLERANCE = 0.1;

const char *const law_names[LAW_COUNT] = { "ours", "kpa", "hpa" };

void law_init(struct law *law, enum law_kind kind, const struct demand_settings *settings) {
    memset(law, 0, sizeof *law);
    law->kind = kind;
    law->settings = *settings;
    law->next = kind == LAW_KPA ? KPA_LOOK_MS : HPA_LOOK_MS;
    law->wanted = settings->min;
    demand_init(&law->ours, 0);
}

static int64_t clamp(int64_t value, int64_t low, int64_t high) {
    return value < low ? low : value > high ? high : value;
}

/* The average of the last `window` seconds, or of as many as there were. */
static double average(const struct law *law, int64_t window) {
    int64_t count = law->seconds_seen < window ? law->seconds_seen : window;
    double sum = 0;
    for (int64_t i = 0; i < count; i++) {
        sum += law->seconds[(law->seconds_seen - 1 - i) % KPA_STABLE_S];
    }
    return count ? sum / (double)count : 0;
}

static void collect(struct law *law, const struct demand_sample *s) {
    law->area += (double)(s->in_flight + s->held);
    if (s->now / 1000 > law->second) {
        law->seconds[law->seconds_seen++ % KPA_STABLE_S] = law->area / 1000;
        law->area = 0;
        law->second = s->now / 1000;
    }
}

static int64_t kpa_look(struct law *law, const struct demand_sample *s) {
    double target = KPA_UTILISATION * (double)law->settings.concurrency;
    int64_t ready = s->ready > 0 ? s->ready : 1;
    int64_t most = (int64_t)ceil(KPA_UP * (double)ready), least = s->ready / 2;
    double panic_load = average(law, KPA_PANIC_S);
    int64_t stable = clamp((int64_t)ceil(average(law, KPA_STABLE_S) / target), least, most);
    int64_t panic = clamp((int64_t)ceil(panic_load / target), least, most);
    bool over = ceil(panic_load / target) / (double)ready >= KPA_PANIC;
    if (over) {
        law->panic_until = s->now + KPA_STABLE_S * 1000;
    } else if (s->now >= law->panic_until) {
        law->panic_most = 0;
    }
    int64_t wanted = stable;
    if (s->now < law->panic_until) {
        law->panic_most = panic > law->panic_most ? panic : law->panic_most;
        wanted = law->panic_most > stable ? law->panic_most : stable;
    }
    if (wanted > 0) {
        law->idle_since = s->now;
    } else if (s->now - law->idle_since < KPA_GRACE_MS) {
        wanted = 1;
    }
    return wanted;
}

static int64_t hpa_look(struct law *law) {
    double target = KPA_UTILISATION * (double)law->settings.concurrency;
    int64_t current = law->wanted > 0 ? law->wanted : 1;
    double ratio = average(law, HPA_WINDOW_S) / ((double)current * target);
    int64_t recommended =
        fabs(ratio - 1) <= HPA_TOLERANCE ? current : (int64_t)ceil((double)current * ratio);
    int64_t up = current * 2 > current + 4 ? current * 2 : current + 4;
    recommended = clamp(recommended, 1, up);
    law->recommended[law->looks++ % HPA_DOWN_STEPS] = recommended;
    int64_t most = 0;
    for (int i = 0; i < HPA_DOWN_STEPS; i++) {
        most = law->recommended[i] > most ? law->recommended[i] : most;
    }
    /* Down only to the largest of five minutes; up at once. */
    return recommended >= current ? recommended : most < current ? most : current;
}

static int64_t others(struct law *law, const struct demand_sample *s) {
    collect(law, s);
    bool kpa = law->kind == LAW_KPA;
    if (kpa && law->wanted == 0 && s->held > 0) {
        law->wanted = 1; /* the activator pokes */
        law->idle_since = s->now;
    }
    if (s->now >= law->next) {
        law->next += kpa ? KPA_LOOK_MS : HPA_LOOK_MS;
        law->wanted = kpa ? kpa_look(law, s) : hpa_look(law);
    }
    int64_t least = kpa ? law->settings.min : (law->settings.min > 1 ? law->settings.min : 1);
    law->wanted = clamp(law->wanted, least, law->settings.max);
    return law->wanted;
}

int64_t law_decide(struct law *law, const struct demand_sample *sample, bool eager) {
    if (law->kind != LAW_OURS) {
        return others(law, sample);
    }
    /* As the proxy does: at once when a queue forms, else each 100 ms. */
    if ((eager && sample->held > 0) || sample->now >= law->next || law->looks++ == 0) {
        struct demand_decision decision;
        demand_decide(&law->ours, &law->settings, sample, &decision);
        law->wanted = decision.running;
        law->next = sample->now + 100;
    }
    return law->wanted;
}
