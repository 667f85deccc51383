/* The proxy's own endpoints. SPDX-License-Identifier: Apache-2.0 */
#include "status.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <paas/buf.h>
#include <paas/http_server.h>
#include <paas/limits.h>
#include <paas/version.h>

#include "fleet.h"
#include "proxy.h"
#include "worker.h"

enum {
    METRICS_BYTES_MAX = 16 << 20, /* 10,000 apps of 1,000 bytes */
    ROLE_READ = 1,
};

struct status {
    struct status_options options;
    struct http_server *server;
};

/* ---- /metrics ---- */

enum metric_kind { COUNTER, GAUGE };
static const struct metric {
    const char *name, *help;
    enum metric_kind kind;
    size_t offset;
} metrics[] = {
#define X(kind, name, help) { #name, help, kind, offsetof(struct counters, name) },
#define H(name, help)
#include "metrics.def"
#undef H
#undef X
};
static const struct metric histograms[] = {
#define X(kind, name, help)
#define H(name, help) { #name, help, COUNTER, offsetof(struct counters, name) },
#include "metrics.def"
#undef H
#undef X
};

static int64_t load(const struct counters *c, size_t offset) {
    const _Atomic int64_t *value =
        (const _Atomic int64_t *)(const void *)((const char *)c + offset);
    return atomic_load_explicit(value, memory_order_relaxed);
}

static int64_t sum(struct proxy *p, size_t offset) {
    int64_t total = 0;
    for (unsigned i = 0; i < proxy_worker_count(p); i++) {
        total += load(&proxy_worker(p, i)->counters, offset);
    }
    return total;
}

static void write_histogram(struct proxy *p, const struct metric *m, struct buf *out) {
    static const int64_t bounds[] = { HISTOGRAM_BOUNDS };
    int64_t total = 0;
    buf_printf(out, "# HELP paas_proxy_%s %s\n# TYPE paas_proxy_%s histogram\n", m->name, m->help,
        m->name);
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        char bound[24] = "+Inf";
        total += sum(p, m->offset + offsetof(struct histogram, buckets) + i * sizeof(int64_t));
        if (i < HISTOGRAM_BUCKETS - 1) {
            snprintf(bound, sizeof bound, "%g", (double)bounds[i] / 1e6);
        }
        buf_printf(out, "paas_proxy_%s_bucket{le=\"%s\"} %lld\n", m->name, bound, (long long)total);
    }
    buf_printf(out, "paas_proxy_%s_sum %.6f\npaas_proxy_%s_count %lld\n", m->name,
        (double)sum(p, m->offset + offsetof(struct histogram, sum)) / 1e6, m->name,
        (long long)total);
}

static void write_metrics(struct status *s, struct buf *out) {
    struct proxy *p = s->options.proxy;
    for (size_t i = 0; i < sizeof metrics / sizeof metrics[0]; i++) {
        const struct metric *m = &metrics[i];
        buf_printf(out, "# HELP paas_proxy_%s %s\n# TYPE paas_proxy_%s %s\npaas_proxy_%s %lld\n",
            m->name, m->help, m->name, m->kind == COUNTER ? "counter" : "gauge", m->name,
            (long long)sum(p, m->offset));
    }
    for (size_t i = 0; i < sizeof histograms / sizeof histograms[0]; i++) {
        write_histogram(p, &histograms[i], out);
    }
    fleet_metrics(s->options.fleet, out);
    buf_printf(out,
        "# HELP paas_proxy_slow_turns_total Turns of the control loop over %d ms\n"
        "# TYPE paas_proxy_slow_turns_total counter\npaas_proxy_slow_turns_total %llu\n",
        LOOP_SLOW_MS, (unsigned long long)s->options.watch->slow_turns);
    buf_printf(out,
        "# HELP paas_build_info The version that runs\n# TYPE paas_build_info gauge\n"
        "paas_build_info{part=\"proxy\",version=\"%s\"} 1\n",
        PAAS_VERSION);
}

static enum call_result get_metrics(struct call *c) {
    struct buf out;
    buf_init(&out, METRICS_BYTES_MAX);
    write_metrics(call_ctx(c), &out);
    return call_reply_buf(c, "text/plain; version=0.0.4; charset=utf-8", &out);
}

/* ---- Health ---- */

static enum call_result get_healthz(struct call *c) {
    return call_reply_bytes(c, "text/plain; charset=utf-8", "ok\n", 3);
}

static enum call_result get_readyz(struct call *c) {
    const struct status *s = call_ctx(c);
    if (proxy_is_ready(s->options.proxy)) {
        return get_healthz(c);
    }
    return call_fail_with(c, ERR_UNAVAILABLE, "routes or instances are not known yet");
}

static const struct endpoint endpoints[] = {
    { METHOD_GET, "/metrics", ROLE_READ, NULL, NULL, 0, get_metrics, "Metrics in Prometheus text",
        0 },
    { METHOD_GET, "/healthz", ROLE_READ, NULL, NULL, 0, get_healthz, "The proxy lives", 0 },
    { METHOD_GET, "/readyz", ROLE_READ, NULL, NULL, 0, get_readyz, "It knows routes and instances",
        0 },
    { 0 },
};

/* Root, the platform's own daemons, and whoever runs the proxy. */
static int identify(
    void *ctx, const struct http_peer *peer, struct http_identity *who, struct err *err) {
    const struct status *s = ctx;
    uid_t base = PLATFORM_ID_BASE + (uid_t)s->options.platform * PLATFORM_ID_COUNT;
    bool daemon = peer->uid > base && peer->uid <= base + 3;
    if (!peer->is_unix || (peer->uid != 0 && peer->uid != geteuid() && !daemon)) {
        return err_set(err, ERR_FORBIDDEN, "only root and the platform read this");
    }
    *who = (struct http_identity){ .roles = ROLE_READ, .name = "local", .number = peer->uid };
    return 0;
}

struct status *status_open(const struct status_options *options, struct err *err) {
    struct status *s = calloc(1, sizeof *s);
    if (!s) {
        err_no_memory(err);
        return NULL;
    }
    s->options = *options;
    struct http_server_options server = {
        .loop = options->loop,
        .endpoints = endpoints,
        .ctx = s,
        .identify = identify,
        .connections_max = 32, /* scrapers and probes */
    };
    if (http_server_create(&server, &s->server, err) < 0) {
        free(s);
        return NULL;
    }
    if (http_server_listen_unix(s->server, options->path, 0666, 0, err) < 0) {
        status_close(s);
        return NULL;
    }
    return s;
}

void status_close(struct status *s) {
    if (s) {
        http_server_close(s->server, free, s);
    }
}
