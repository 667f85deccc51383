/* The agent: owns the parts, and the order of their start and end. SPDX-License-Identifier:
 * Apache-2.0
 *
 * Start: the spawner's link, the layers' store, configurations; once the spawner says that it is
 * there, instances and the kept grants; then adoption, which ends when the spawner has swept what
 * nobody wants; only then does the agent speak to the proxy and to the scheduler. End: everything
 * is let go of, the instances live on.
 */
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include <paas/file.h>
#include <paas/http_client.h>
#include <paas/limits.h>
#include <paas/log.h>
#include <paas/loop.h>

#include "configs.h"
#include "dns.h"
#include "endpoints.h"
#include "fleet.h"
#include "grants.h"
#include "layers.h"
#include "local_proxy.h"
#include "report.h"
#include "spawner_link.h"

enum {
    CLOSE_TURNS_MS = 2000, /* the longest wait for handles to close at the end */
    CONFIG_RETRY_MS = 1000,
    NETWORK_BITS = 16, /* of the platform's network */
};

struct agent {
    uv_loop_t loop;
    struct agent_options options;
    char api[PATH_MAX];
    struct loop_signals signals;
    struct loop_watch watch;
    uv_timer_t retry; /* grants whose configuration could not be had */
    struct worker *disk;
    struct http_client *client;
    struct http_server *server;
    struct agent_endpoints endpoints;
    struct spawner_link *spawner;
    struct layers layers;
    struct sandbox_cgroups *cgroups;
    struct configs *configs;
    struct grants *grants;
    struct fleet *fleet;
    struct local_proxy *proxy;
    struct report *report;
    struct dns *dns;
    struct dns_plan names;
    struct instance_host host;
    char instances[PATH_MAX];
    struct err failure; /* why it ended, if not because it was asked to */
};

/* --- news from one part to another ------------------------------------------------------------ */

static void on_fleet_changed(void *data) {
    struct agent *a = data;
    if (a->report) {
        report_due(a->report);
    }
    layers_due(&a->layers);
}

static bool config_wanted(void *data, const char *digest) {
    return fleet_needs_config(((struct agent *)data)->fleet, digest);
}

static void on_grants(void *data) {
    struct agent *a = data;
    size_t count;
    const struct grant *rows = grants_rows(a->grants, &count);
    fleet_grant(a->fleet, rows, count);
    configs_keep(a->configs, config_wanted, a);
    if (a->report) {
        report_due(a->report);
    }
    if (a->report && grants_point(a->grants).term > 0) {
        a->layers.fleet = a->fleet; /* what may start here is known from now on */
        layers_due(&a->layers);
    }
}

static void on_scheduler(void *data, bool up) {
    struct agent *a = data;
    if (up && a->report) {
        report_again(a->report);
    }
}

static void on_config(void *data, const char *digest) {
    fleet_config_arrived(((struct agent *)data)->fleet, digest);
}

static void on_retry(uv_timer_t *timer) {
    struct agent *a = timer->data;
    size_t count;
    const struct grant *rows = grants_rows(a->grants, &count);
    for (size_t n = 0; n < count; n++) {
        fleet_config_arrived(a->fleet, rows[n].config);
    }
}

static void on_config_failed(void *data, const char *digest, const struct err *err) {
    struct agent *a = data;
    log_warn("the configuration %.20s… can't be had now: %s", digest, err->text);
    uv_timer_start(&a->retry, on_retry, CONFIG_RETRY_MS, 0);
}

static void on_proxy_connected(void *data) {
    struct agent *a = data;
    log_info("the proxy is here");
    fleet_proxy_connected(a->fleet);
}

static void on_proxy_lost(void *data) {
    struct agent *a = data;
    log_info("the proxy is gone");
    fleet_proxy_lost(a->fleet);
}

static void on_proxy_message(void *data, const struct local_message *m) {
    struct agent *a = data;
    if (m->type == LOCAL_ROUTES && a->report) {
        report_routes(a->report, (struct stream_point){ m->term, m->revision });
    } else {
        fleet_proxy_message(a->fleet, m);
    }
}

/* --- end -------------------------------------------------------------------------------------- */

static void stop(void *data) {
    uv_stop(&((struct agent *)data)->loop);
}

static void fail(struct agent *a, const struct err *err) {
    a->failure = *err;
    stop(a);
}

static void on_spawner_lost(void *data) {
    struct err err;
    err_set(&err, ERR_UNAVAILABLE, "the spawner is gone");
    fail(data, &err);
}

/* --- start ------------------------------------------------------------------------------------ */

static void on_dns_bound(
    void *data, const struct spawner_answer *answer, int *fds, const struct err *failed) {
    struct agent *a = data;
    struct dns_options options = {
        .loop = &a->loop,
        .udp = fds[0],
        .tcp = fds[1],
        .network = { .s_addr = spawner_forwarder(a->options.platform).s_addr & htonl(0xffff0000u) },
        .bits = NETWORK_BITS,
        .server_count = a->names.server_count,
    };
    struct err err;
    (void)answer;
    if (failed->code != ERR_OK) {
        log_error("instances will not resolve names: %s", failed->text);
        return;
    }
    memcpy(options.servers, a->names.servers, sizeof options.servers);
    fds[0] = fds[1] = -1;
    a->dns = dns_create(&options, &err);
    if (!a->dns) {
        log_error("instances will not resolve names: %s", err.text);
    }
}

static int open_names(struct agent *a, struct err *err) {
    struct spawner_request request = { .operation = SPAWNER_BIND_DNS };
    if (dns_plan_read("/etc/resolv.conf", spawner_forwarder(a->options.platform), &a->names, err) <
        0) {
        return -1;
    }
    a->host.resolver_count = a->names.instance_count;
    memcpy(a->host.resolvers, a->names.instances, sizeof a->host.resolvers);
    return a->names.forward ? spawner_ask(a->spawner, &request, NULL, on_dns_bound, a, err) : 0;
}

/* Adoption is over: the agent knows what runs, and may speak. */
static void on_adopted(void *data) {
    struct agent *a = data;
    struct err err;
    char path[PATH_MAX];
    struct local_proxy_options proxy = {
        .loop = &a->loop,
        .path = path,
        .proxy_uid = PLATFORM_ID_BASE + a->options.platform * PLATFORM_ID_COUNT + 3,
        .connected = on_proxy_connected,
        .lost = on_proxy_lost,
        .message = on_proxy_message,
        .data = a,
    };
    struct report_options report = {
        .loop = &a->loop,
        .client = a->client,
        .api = a->api,
        .node = a->options.node,
        .fleet = a->fleet,
        .grants = a->grants,
    };
    snprintf(path, sizeof path, "%s/agent/local.sock", a->options.run);
    if (!(a->proxy = local_proxy_open(&proxy, &err))) {
        fail(a, &err);
        return;
    }
    fleet_set_proxy(a->fleet, a->proxy);
    snprintf(path, sizeof path, "%s/agent/agent.sock", a->options.run);
    a->endpoints = (struct agent_endpoints){
        .fleet = a->fleet,
        .host = &a->host,
        .scheduler_uid = PLATFORM_ID_BASE + a->options.platform * PLATFORM_ID_COUNT + 1,
    };
    if (!(a->server = agent_endpoints_serve(&a->endpoints, path, &err)) ||
        !(a->report = report_open(&report, &err))) {
        fail(a, &err);
        return;
    }
    on_grants(a);
    log_info("the agent serves node=%s", a->options.node);
}

static int open_configs(struct agent *a, struct err *err) {
    char directory[PATH_MAX];
    snprintf(directory, sizeof directory, "%s/config", a->options.data);
    struct configs_options options = {
        .client = a->client,
        .api = a->api,
        .node = a->options.node,
        .directory = directory,
        .arrived = on_config,
        .failed = on_config_failed,
        .data = a,
    };
    if (file_make_dirs(directory, 0700, err) < 0) {
        return -1;
    }
    a->configs = a->layers.configs = configs_open(&options, err);
    return a->configs ? 0 : -1;
}

static int open_grants(struct agent *a, struct err *err) {
    char file[PATH_MAX];
    snprintf(file, sizeof file, "%s/grants", a->options.data);
    struct grants_options options = {
        .client = a->client,
        .disk = a->disk,
        .api = a->api,
        .node = a->options.node,
        .file = file,
        .changed = on_grants,
        .connected = on_scheduler,
        .data = a,
    };
    a->grants = grants_open(&options, err);
    return a->grants ? 0 : -1;
}

static int open_layers(struct agent *a, struct err *err) {
    a->layers.spawner = a->spawner;
    return layers_open(&a->layers, &a->loop, a->options.layers, a->api, err);
}

static int open_fleet(struct agent *a, struct err *err) {
    char cgroup[16];
    snprintf(cgroup, sizeof cgroup, "paas%u", a->options.platform);
    snprintf(a->instances, sizeof a->instances, "%s/agent/instances", a->options.run);
    if (file_make_dirs(a->instances, 0711, err) < 0) {
        return -1;
    }
    a->cgroups = sandbox_cgroups_open(cgroup, err);
    int directory = open(a->instances, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (!a->cgroups || directory < 0) {
        return a->cgroups ? err_sys(err, errno, "opening %s", a->instances) : -1;
    }
    a->host.loop = &a->loop;
    a->host.spawner = a->spawner;
    a->host.images = a->layers.images;
    a->host.cgroups = a->cgroups;
    a->host.directory = a->instances;
    a->host.directory_fd = directory;
    a->host.node = a->options.node;
    struct fleet_options options = {
        .host = a->host,
        .configs = a->configs,
        .client = a->client,
        .changed = on_fleet_changed,
        .data = a,
    };
    a->fleet = fleet_create(&options, err);
    return a->fleet ? 0 : -1;
}

/* Instances have their place from here on: the spawner made it. */
static void on_spawner_there(
    void *data, const struct spawner_answer *answer, int *fds, const struct err *failed) {
    struct agent *a = data;
    struct err err = *failed;
    (void)answer;
    (void)fds;
    if (failed->code != ERR_OK || open_fleet(a, &err) < 0 || open_grants(a, &err) < 0 ||
        fleet_adopt(a->fleet, on_adopted, &err) < 0) {
        fail(a, &err);
    }
}

static int agent_open(struct agent *a, struct err *err) {
    struct spawner_request hello = { .operation = SPAWNER_HELLO };
    snprintf(a->api, sizeof a->api, "%s/api.sock", a->options.run);
    a->retry.data = a;
    uv_timer_init(&a->loop, &a->retry);
    loop_watch_start(&a->watch, &a->loop);
    a->spawner = spawner_link_create(&a->loop, a->options.spawner, on_spawner_lost, a, err);
    a->disk = worker_create(&a->loop, "agent-disk", err);
    if (!a->spawner || !a->disk || loop_signals_start(&a->signals, &a->loop, stop, a, err) < 0 ||
        http_client_create(&a->loop, &a->client, err) < 0 || open_layers(a, err) < 0 ||
        open_configs(a, err) < 0 || open_names(a, err) < 0) {
        return -1;
    }
    return spawner_ask(a->spawner, &hello, NULL, on_spawner_there, a, err);
}

static void on_deadline(uv_timer_t *timer) {
    uv_stop(timer->loop);
}

static void agent_close(struct agent *a) {
    report_close(a->report);
    local_proxy_close(a->proxy);
    fleet_close(a->fleet);
    grants_close(a->grants);
    configs_close(a->configs);
    dns_destroy(a->dns);
    if (a->server) {
        http_server_close(a->server, NULL, NULL);
    }
    layers_close(&a->layers);
    if (a->client) {
        http_client_close(a->client, NULL, NULL);
    }
    spawner_link_close(a->spawner);
    worker_destroy(a->disk);
    sandbox_cgroups_close(a->cgroups);
    loop_watch_stop(&a->watch);
    if (a->signals.data) {
        loop_signals_stop(&a->signals);
    }
    uv_unref((uv_handle_t *)&a->retry);
    uv_timer_start(&a->retry, on_deadline, CLOSE_TURNS_MS, 0);
    uv_run(&a->loop, UV_RUN_DEFAULT);
    uv_close((uv_handle_t *)&a->retry, NULL);
    uv_run(&a->loop, UV_RUN_DEFAULT);
    file_close(&a->host.directory_fd);
}

int agent_run(const struct agent_options *options, struct err *err) {
    struct agent *a = calloc(1, sizeof *a);
    if (!a) {
        return err_no_memory(err);
    }
    a->options = *options;
    a->host.directory_fd = -1;
    uv_loop_init(&a->loop);
    int result = agent_open(a, err);
    if (result == 0) {
        uv_run(&a->loop, UV_RUN_DEFAULT);
        if (a->failure.code != ERR_OK) {
            *err = a->failure;
            result = -1;
        }
    }
    agent_close(a);
    uv_loop_close(&a->loop);
    free(a);
    return result;
}
