/* The autoscaling law: load within a grant to how many should run. SPDX-License-Identifier:
 * Apache-2.0
 *
 * Pure: integers, time as an argument, no allocation. The same object runs in the agent, the tests
 * and the simulator.
 *
 * Requests in flight are the measure (Little's law: arrivals times service time), smoothed over two
 * seconds; the largest of the last half minute, plus half of what it has been seen to grow within
 * one start, plus a margin of its square root (Halfin-Whitt staffing), divided by the slots of an
 * instance, is the base. A queue asks for more at once, but only for what new instances can serve
 * before the present ones would have: an instance that takes S to start serves max(S, 250 ms)/D of
 * the queue. What a queue asked for is held for five seconds; a surplus goes by half a second, but
 * a small one, which noise may soon need again, only a minute after the last rise.
 *
 * Other measures ask beside it, and the largest wins: requests a second, counted here, and whatever
 * the caller makes of processors, memory, latency or a number of the app's (targets.h). What any of
 * them asked for within the window still counts.
 */
#ifndef PAAS_DEMAND_H
#define PAAS_DEMAND_H

#include <stdbool.h>
#include <stdint.h>

#include <paas/clock.h>

enum {
    DEMAND_WINDOW_S = 30, /* a peak is remembered so long, unless settings say otherwise */
    DEMAND_WINDOW_MAX_S = 300,
    DEMAND_GROWTH_S = 60,    /* and a steep rise so long */
    DEMAND_STEP_MS = 100,    /* of the record of levels that growth is measured on */
    DEMAND_STEPS = 64,       /* steps: growth within at most 6.4 s of start time */
    DEMAND_HOLD_S = 5,       /* what a queue asked for is held so long */
    DEMAND_KEEP_S = 60,      /* a small surplus is kept so long after a rise */
    DEMAND_SMOOTH_MS = 2000, /* time constant of the level */
    DEMAND_WAIT_MS = 20,     /* a wait that may be worth another instance, likewise */
    DEMAND_QUEUE_MS = 50,    /* a queue that takes so long to serve is worth one in any case */
    DEMAND_CLEAR_MS = 250,   /* in which a queue should be served */
    DEMAND_DOWN_MS = 1000,   /* half of a surplus goes in this time */
    DEMAND_RATE_MS = 250,    /* arrivals are counted over one to two of these */
    DEMAND_SERVICE_PRIOR_MS = 100,
    DEMAND_START_PRIOR_MS = 50,
    DEMAND_INSTANCES_MAX = 100000, /* more than any host runs; beyond any grant */
    DEMAND_LEARN_REQUESTS = 32,    /* answers before the service time is believed */
    DEMAND_LEARN_MEAN = 256,       /* answers that it is the mean of */
};

struct demand_settings {
    int64_t concurrency; /* requests that one instance serves well at once; 0: any number */
    int64_t min, max;    /* running instances; max is the grant's ceiling */
    msec idle;           /* without any request, an app with min 0 sleeps after this */
    int64_t rps;         /* requests a second that one instance serves well; 0: does not count */
    msec window;         /* 0: DEMAND_WINDOW_S */
    msec queue_delay;    /* 0: DEMAND_WAIT_MS */
    int64_t step_up, step_down; /* most instances more and fewer in each step_period; 0: any */
    msec step_period;
    bool min_scheduled; /* min is what the time of day asks for, not the rule's least */
    bool max_granted;   /* max is this host's share, not the rule's most */
};

enum demand_reason {
    DEMAND_AT_MIN,   /* nothing asks for more */
    DEMAND_LEVEL,    /* requests in flight */
    DEMAND_QUEUE,    /* requests wait */
    DEMAND_HELD_UP,  /* a queue asked for it a moment ago */
    DEMAND_FALLING,  /* a surplus goes slowly */
    DEMAND_ASLEEP,   /* nothing came for long */
    DEMAND_AT_MAX,   /* more is asked for */
    DEMAND_RPS,      /* requests a second */
    DEMAND_CPU,      /* use of processors */
    DEMAND_MEMORY,   /* use of memory */
    DEMAND_P99,      /* slow answers */
    DEMAND_METRIC,   /* the app's own number */
    DEMAND_STEP,     /* not so many at once */
    DEMAND_SCHEDULE, /* nothing asks for more than the time of day */
    DEMAND_AT_GRANT, /* more is asked for than this host may run */
};
extern const char *const demand_reason_words[];

/* What is seen at one moment. */
struct demand_sample {
    msec now;                      /* monotonic; one that goes back counts as the last one */
    int64_t in_flight;             /* requests at instances */
    int64_t held;                  /* requests that wait at the proxy */
    msec oldest_held;              /* age of the one that waits longest */
    msec oldest_in_flight;         /* age, 0 when not known */
    int64_t arrived;               /* requests ever, this moment's included */
    int64_t ready, starting;       /* instances */
    int64_t use;                   /* thousandths of instances that use asks for; 0: nothing */
    enum demand_reason use_reason; /* which of CPU, MEMORY, P99 and METRIC asks for most */
};

struct demand_decision {
    int64_t running; /* wanted, in min..max */
    enum demand_reason reason;
    msec next; /* decide again after this many ms even without news; 0: only on news */
    /* What it was decided on. */
    int64_t level, peak, rise;                          /* thousandths of requests */
    msec service_ms, start_ms;                          /* as learnt */
    int64_t base, rps_target, use_target, queue_target; /* instances */
};

/* Opaque to users but for its size; zero it or demand_init() it. */
struct demand {
    bool begun, decided;
    msec now; /* of the last sample */
    int64_t last_in_flight, last_arrived, last_held;
    int64_t level;                              /* smoothed, thousandths */
    int64_t peaks[DEMAND_WINDOW_MAX_S + 1];     /* largest level of each second, by second modulo */
    int64_t uses[DEMAND_WINDOW_MAX_S + 1];      /* and largest use */
    uint32_t arrivals[DEMAND_WINDOW_MAX_S + 1]; /* and arrivals */
    int64_t growths[DEMAND_GROWTH_S + 1];
    int64_t holds[DEMAND_HOLD_S + 1];  /* largest queue target of each second */
    msec second;                       /* which second the three are filled up to */
    int64_t steps[DEMAND_STEPS];       /* level at each step */
    msec step;                         /* which step they are filled up to */
    msec rate_since;                   /* start of the interval in which arrivals are counted */
    int64_t rate_arrived, rate_before; /* arrivals at its start, and in the one before */
    msec rate_before_ms;
    int64_t area;     /* request-ms since the service time was last learnt */
    int64_t answered; /* answers since */
    int64_t answered_ever;
    int64_t service_us, start_us;
    int64_t running;           /* decided last */
    msec lowered;              /* when it was last lowered */
    msec raised;               /* and raised */
    msec episode;              /* when the present queue began, or its time was over */
    int64_t episode_in_flight; /* at that moment */
    msec active;               /* when there was last a request, or work by the app's number */
    int64_t use;               /* as last said */
    enum demand_reason use_reason;
    msec step_since;   /* when the present period of steps began */
    int64_t step_from; /* running at that moment */
};

void demand_init(struct demand *d, msec now);
/* Takes what is seen and decides. */
void demand_decide(struct demand *d, const struct demand_settings *settings,
    const struct demand_sample *sample, struct demand_decision *out);
/* An instance of this app took `ms` from the decision to start until it was ready. */
void demand_learn_start(struct demand *d, msec ms);
/* What is worth keeping across restarts. */
void demand_restore(struct demand *d, int64_t service_us, int64_t start_us);

#endif
