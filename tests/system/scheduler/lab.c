/* A real paas-scheduler with a stand-in for its agent and proxy. SPDX-License-Identifier:
 * Apache-2.0
 */
#include "lab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <sys/mount.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <paas/clock.h>
#include <paas/digest.h>
#include <paas/file.h>
#include <paas/limits.h>

#define BASE (PLATFORM_ID_BASE + LAB_PLATFORM * PLATFORM_ID_COUNT) /* over INT_MAX */
enum { STRANGER = 65534 };

static const uid_t uids[LAB_WHO] = { 0, BASE + 2, BASE + 3, STRANGER };

static void make_dir(const char *dir, const char *name, uid_t owner) {
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    assert_int_equal(mkdir(path, 0711), 0);
    assert_int_equal(chown(path, owner, owner), 0);
}

static int listen_at(const char *path) {
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    strcpy(address.sun_path, path);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(chmod(path, 0666), 0);
    assert_int_equal(listen(fd, 128), 0);
    return fd;
}

void lab_begin(struct lab *lab, const char *program) {
    char path[128];
    if (geteuid() != 0) {
        skip();
    }
    memset(lab, 0, sizeof(*lab));
    lab->program = program;
    lab->timeout = LAB_DEADLINE_MS;
    lab->tcp = -1;
    strcpy(lab->dir, "/tmp/paas-sched-XXXXXX");
    assert_non_null(mkdtemp(lab->dir));
    assert_int_equal(chmod(lab->dir, 0711), 0);
    make_dir(lab->dir, "data", BASE + 1);
    make_dir(lab->dir, "run", 0);
    make_dir(lab->dir, "run/agent", BASE + 2);
    snprintf(path, sizeof(path), "%s/run/api.sock", lab->dir);
    lab->listener = listen_at(path);
    assert_int_equal(uv_loop_init(&lab->loop), 0);
    for (int i = 0; i < LAB_WHO; i++) {
        assert_int_equal(http_client_create(&lab->loop, &lab->clients[i], NULL), 0);
    }
}

void lab_end(struct lab *lab) {
    struct err err;
    if (lab->pid) {
        lab_stop(lab, SIGKILL);
    }
    close(lab->listener);
    if (lab->tcp >= 0) {
        close(lab->tcp);
    }
    if (lab->mounted) {
        char data[128];
        snprintf(data, sizeof(data), "%s/data", lab->dir);
        assert_int_equal(umount(data), 0);
    }
    for (int i = 0; i < LAB_WHO; i++) {
        http_client_close(lab->clients[i], NULL, NULL);
    }
    uv_run(&lab->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&lab->loop), 0);
    assert_int_equal(file_remove_tree(AT_FDCWD, lab->dir, &err), 0);
}

void lab_use_tcp(struct lab *lab, const char *token) {
    char digest[DIGEST_SIZE], path[128];
    struct err err;
    struct sockaddr_in address = { .sin_family = AF_INET,
        .sin_addr = { .s_addr = htonl(INADDR_LOOPBACK) } };
    socklen_t len = sizeof(address);
    lab->tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(lab->tcp, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(lab->tcp, 16), 0);
    assert_int_equal(getsockname(lab->tcp, (struct sockaddr *)&address, &len), 0);
    lab->tcp_port = ntohs(address.sin_port);
    assert_int_equal(digest_of(token, strlen(token), digest), 0);
    snprintf(path, sizeof(path), "%s/data/api.token.sha256", lab->dir);
    assert_int_equal(
        file_write_whole(AT_FDCWD, path, digest_hex(digest), DIGEST_HEX_LENGTH, 0644, 0, &err), 0);
}

void lab_limit_disk(struct lab *lab, const char *options) {
    char data[128], all[128];
    snprintf(data, sizeof(data), "%s/data", lab->dir);
    snprintf(all, sizeof(all), "%s,mode=0711,uid=%u,gid=%u", options, BASE + 1, BASE + 1);
    if (lab->mounted) {
        assert_int_equal(mount(NULL, data, NULL, MS_REMOUNT, options), 0);
        return;
    }
    assert_int_equal(unshare(CLONE_NEWNS), 0);
    assert_int_equal(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
    assert_int_equal(mount("tmpfs", data, "tmpfs", 0, all), 0);
    lab->mounted = true;
}

/* Puts a listener where the protocol of LISTEN_FDS wants it. */
static bool pass(int fd, int at) {
    return fd == at ? fcntl(at, F_SETFD, 0) == 0 : dup2(fd, at) == at;
}

void lab_become_scheduler(void) {
    if (setgroups(0, NULL) < 0 || setresgid(BASE + 1, BASE + 1, BASE + 1) < 0 ||
        setresuid(BASE + 1, BASE + 1, BASE + 1) < 0) {
        _exit(126);
    }
}

static void run_scheduler(const struct lab *lab) {
    char data[128], run[128], pid[16];
    snprintf(data, sizeof(data), "%s/data", lab->dir);
    snprintf(run, sizeof(run), "%s/run", lab->dir);
    snprintf(pid, sizeof(pid), "%d", getpid());
    int tcp = lab->tcp >= 0 ? fcntl(lab->tcp, F_DUPFD_CLOEXEC, 10) : -1;
    bool moved = pass(lab->listener, 3) && (tcp < 0 || pass(tcp, 4));
    if (!moved) {
        _exit(126);
    }
    lab_become_scheduler();
    setenv("LISTEN_FDS", tcp < 0 ? "1" : "2", 1);
    setenv("LISTEN_FDNAMES", tcp < 0 ? "api" : "api:api-tcp", 1);
    setenv("LISTEN_PID", pid, 1);
    execl(lab->program, lab->program, "--data", data, "--run", run, "--node", "n1", "--platform",
        "27", "--http-address", "127.0.0.1:8080", (char *)NULL);
    _exit(127);
}

void lab_start(struct lab *lab) {
    assert_int_equal(lab->pid, 0);
    lab->pid = fork();
    if (lab->pid == 0) {
        run_scheduler(lab);
    }
    /* The listener queues the request until somebody serves it. */
    assert_int_equal(lab_call(lab, LAB_OPERATOR, METHOD_GET, "/healthz", NULL, NULL), 200);
}

int lab_stop(struct lab *lab, int signal) {
    int status = 0;
    kill(lab->pid, signal);
    assert_int_equal(waitpid(lab->pid, &status, 0), lab->pid);
    lab->pid = 0;
    return status;
}

/* --- requests --------------------------------------------------------------------------------- */

static int fetch(struct lab *lab, enum lab_who who, const struct http_fetch_options *options,
    struct http_answer *answer, struct err *err) {
    /* The peer's uid is that at the time of connect(2). */
    assert_int_equal(seteuid(uids[who]), 0);
    int rc = http_fetch_now(lab->clients[who], options, answer, err);
    assert_int_equal(seteuid(0), 0);
    return rc;
}

static int call_text(struct lab *lab, enum lab_who who, enum http_method method, const char *path,
    const char *body, struct http_answer *answer) {
    char socket[128], url[1024];
    struct err err = { 0 };
    snprintf(socket, sizeof(socket), "%s/run/api.sock", lab->dir);
    snprintf(url, sizeof(url), "http://paas%s", path);
    struct http_fetch_options options = { .method = method,
        .url = url,
        .unix_path = socket,
        .body = body,
        .body_len = body ? strlen(body) : 0,
        .timeout = lab->timeout };
    fetch(lab, who, &options, answer, &err);
    if (answer->status == 0) {
        print_message("%s %s: %s\n", http_method_name(method), path, err.text);
    }
    return answer->status;
}

int lab_call_tcp(struct lab *lab, const char *token, const char *host, const char *path) {
    char url[256], header[128];
    struct http_answer answer = { 0 };
    struct err err = { 0 };
    const char *headers[] = { header, NULL };
    snprintf(url, sizeof(url), "http://127.0.0.1:%d%s", lab->tcp_port, path);
    snprintf(header, sizeof(header), "Host: %s", host ? host : "");
    struct http_fetch_options options = { .method = METHOD_GET,
        .url = url,
        .token = token,
        .headers = host ? headers : NULL,
        .timeout = lab->timeout };
    fetch(lab, LAB_OPERATOR, &options, &answer, &err);
    buf_free(&answer.body);
    return answer.status;
}

int lab_call(struct lab *lab, enum lab_who who, enum http_method method, const char *path,
    const char *body, json_t **out) {
    struct http_answer answer = { 0 };
    int status = call_text(lab, who, method, path, body, &answer);
    if (out) {
        *out = json_loads(buf_str(&answer.body), JSON_DECODE_ANY, NULL);
    }
    buf_free(&answer.body);
    return status;
}

char *lab_get_text(struct lab *lab, enum lab_who who, const char *path) {
    struct http_answer answer = { 0 };
    call_text(lab, who, METHOD_GET, path, NULL, &answer);
    char *text = strdup(buf_str(&answer.body));
    buf_free(&answer.body);
    return text;
}

json_t *lab_must(struct lab *lab, enum http_method method, const char *path, const char *body) {
    json_t *answer;
    int status = lab_call(lab, LAB_OPERATOR, method, path, body, &answer);
    if (status != 200) {
        fail_msg("%s: %d %s", path, status, json_string_value(json_object_get(answer, "detail")));
    }
    return answer;
}

int64_t lab_number(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    assert_true(json_is_integer(value));
    return json_integer_value(value);
}

const char *lab_text(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* --- images and pushes ------------------------------------------------------------------------ */

static void upload(struct lab *lab, const char *bytes, char digest[DIGEST_SIZE]) {
    char path[256];
    assert_int_equal(digest_of(bytes, strlen(bytes), digest), 0);
    snprintf(path, sizeof(path), "/v2/shop/blobs/uploads/?digest=%s", digest);
    assert_int_equal(lab_call(lab, LAB_OPERATOR, METHOD_POST, path, bytes, NULL), 201);
}

void lab_upload_image(struct lab *lab, char image[80]) {
    char layer[DIGEST_SIZE], config[DIGEST_SIZE], digest[DIGEST_SIZE], text[2048], path[256];
    upload(lab, "not really a layer", layer);
    snprintf(text, sizeof(text),
        "{\"os\":\"linux\",\"architecture\":\"amd64\",\"config\":{\"Cmd\":[\"/bin/serve\"],"
        "\"ExposedPorts\":{\"9000/tcp\":{}}},\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"%s\"]}}",
        layer);
    upload(lab, text, config);
    int config_size = (int)strlen(text);
    snprintf(text, sizeof(text),
        "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\","
        "\"config\":{\"mediaType\":\"application/vnd.oci.image.config.v1+json\",\"digest\":\"%s\","
        "\"size\":%d},\"layers\":[{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar\","
        "\"digest\":\"%s\",\"size\":18}]}",
        config, config_size, layer);
    assert_int_equal(digest_of(text, strlen(text), digest), 0);
    snprintf(path, sizeof(path), "/v2/shop/manifests/%s", digest);
    assert_int_equal(lab_call(lab, LAB_OPERATOR, METHOD_PUT, path, text, NULL), 201);
    strcpy(image, digest);
}

int64_t lab_push(struct lab *lab, const char *app, const char *image, const char *more) {
    char path[128], body[1024];
    snprintf(path, sizeof(path), "/v1/apps/%s/releases", app);
    snprintf(body, sizeof(body), "{\"image\":\"%s\"%s}", image, more);
    json_t *answer = lab_must(lab, METHOD_POST, path, body);
    int64_t release = lab_number(answer, "release");
    json_decref(answer);
    return release;
}

/* --- the agent's side ------------------------------------------------------------------------- */

static bool is_demand(const json_t *grant) {
    return json_is_true(json_object_get(grant, "target_of_demand"));
}

void lab_grants(struct lab *lab, char text[4096]) {
    struct http_answer answer = { 0 };
    text[0] = '\0';
    int status = call_text(lab, LAB_AGENT, METHOD_GET, "/v1/nodes/n1/grants", NULL, &answer);
    char *line = status == 200 ? answer.body.data : NULL;
    for (bool head = true; line && *line; head = false) {
        char *next = strchr(line, '\n');
        json_t *row = json_loadb(line, next ? (size_t)(next - line) : strlen(line), 0, NULL);
        assert_non_null(row);
        if (head) {
            lab->term = lab_number(row, "term");
            lab->grants_revision = lab_number(row, "revision");
        } else {
            char frozen[32] = "";
            if (json_object_get(row, "frozen")) {
                snprintf(frozen, sizeof(frozen), " frozen %d", (int)lab_number(row, "frozen"));
            }
            sprintf(text + strlen(text), "%s.%s r%d %d..%d%s%s\n", lab_text(row, "app"),
                lab_text(row, "process"), (int)lab_number(row, "release"),
                (int)lab_number(row, "floor"), (int)lab_number(row, "ceiling"), frozen,
                is_demand(row) ? " demand" : "");
        }
        json_decref(row);
        line = next ? next + 1 : NULL;
    }
    buf_free(&answer.body);
}

static void pause_briefly(struct lab *lab) {
    (void)lab;
    usleep(2000); /* between looks at something that has no stream; the deadline is the caller's */
}

void lab_wait_grants(struct lab *lab, const char *text) {
    char got[4096];
    for (msec end = clock_msec() + LAB_DEADLINE_MS; clock_msec() < end; pause_briefly(lab)) {
        lab_grants(lab, got);
        if (strcmp(got, text) == 0) {
            return;
        }
    }
    fail_msg("grants are %s", got);
}

static void read_routes(struct lab *lab) {
    struct http_answer answer = { 0 };
    if (call_text(lab, LAB_PROXY, METHOD_GET, "/v1/routes", NULL, &answer) == 200) {
        json_t *head = json_loadb(answer.body.data, strcspn(answer.body.data, "\n"), 0, NULL);
        lab->term = lab_number(head, "term");
        lab->routes_revision = lab_number(head, "revision");
        json_decref(head);
    }
    buf_free(&answer.body);
}

static size_t add_row(struct buf *body, const char *line) {
    char id[16], slot[32], app[64], process[64], state[16], reason[32] = "";
    long long release;
    size_t len = strcspn(line, "\n");
    char copy[256];
    snprintf(copy, sizeof(copy), "%.*s", (int)len, line);
    assert_true(sscanf(copy, "%15s %31s %63s %63s %lld %15s %31s", id, slot, app, process, &release,
                    state, reason) >= 6);
    bool healthy = strcmp(state, "healthy") == 0;
    buf_printf(body,
        "{\"id\":\"%s\",\"slot\":\"%s\",\"app\":\"%s\",\"process\":\"%s\",\"release\":%lld,"
        "\"node\":\"n1\",\"state\":\"%s\",\"pid\":100,\"address\":\"10.0.0.1\",\"port\":%d,"
        "\"ready_ms\":%d,\"last_exit\":{\"reason\":\"%s\",\"code\":-1}}\n",
        id, slot, app, process, release, state, healthy ? 9000 : 0, healthy ? 7 : -1, reason);
    return len + (line[len] == '\n');
}

int lab_report(struct lab *lab, bool whole, const char *rows) {
    struct buf lines, body;
    int count = 0;
    read_routes(lab);
    buf_init(&lines, 1 << 20);
    buf_init(&body, 1 << 20);
    while (*rows) {
        rows += add_row(&lines, rows);
        count++;
    }
    buf_printf(&body,
        "{\"node\":\"n1\",\"boot_id\":\"x\",\"whole\":%s,\"term\":%lld,\"revision\":%lld,"
        "\"routes_term\":%lld,\"routes_revision\":%lld,\"instances\":%d,\"grants\":0,"
        "\"memory_total\":8589934592,\"memory_available\":8589934592,\"cpus\":2}\n",
        whole ? "true" : "false", (long long)lab->term, (long long)lab->grants_revision,
        (long long)lab->term, (long long)lab->routes_revision, count);
    buf_append(&body, lines.data, lines.len);
    int status = lab_call(lab, LAB_AGENT, METHOD_POST, "/v1/nodes/n1/report", buf_str(&body), NULL);
    buf_free(&lines);
    buf_free(&body);
    return status;
}

/* --- waiting ---------------------------------------------------------------------------------- */

static int64_t find_event(char *text, const char *type, json_t **event) {
    for (char *line = text; *line;) {
        size_t len = strcspn(line, "\n");
        json_t *row = json_loadb(line, len, 0, NULL);
        if (row && strcmp(lab_text(row, "type"), type) == 0) {
            int64_t sequence = lab_number(row, "sequence");
            if (event) {
                *event = row;
            } else {
                json_decref(row);
            }
            return sequence;
        }
        json_decref(row);
        line += len + (line[len] == '\n');
    }
    return 0;
}

int64_t lab_wait_event(
    struct lab *lab, const char *app, const char *type, int64_t after, json_t **event) {
    char path[256];
    snprintf(path, sizeof(path), "/v1/events?after=%lld%s%s", (long long)after, app ? "&app=" : "",
        app ? app : "");
    char *text = NULL;
    for (msec end = clock_msec() + LAB_DEADLINE_MS; clock_msec() < end; pause_briefly(lab)) {
        free(text);
        text = lab_get_text(lab, LAB_OPERATOR, path);
        int64_t sequence = find_event(text, type, event);
        if (sequence) {
            free(text);
            return sequence;
        }
    }
    fail_msg("no event %s; there were %s", type, text);
    return 0;
}

void lab_wait_state(struct lab *lab, const char *app, const char *state) {
    char path[128], got[32] = "";
    snprintf(path, sizeof(path), "/v1/apps/%s", app);
    for (msec end = clock_msec() + LAB_DEADLINE_MS; clock_msec() < end; pause_briefly(lab)) {
        json_t *answer = lab_must(lab, METHOD_GET, path, NULL);
        snprintf(got, sizeof(got), "%s", lab_text(answer, "state"));
        json_decref(answer);
        if (strcmp(got, state) == 0) {
            return;
        }
    }
    fail_msg("%s is %s, not %s", app, got, state);
}

const char *lab_program;

int lab_set_up(void **state) {
    struct lab *lab = malloc(sizeof(*lab));
    assert_non_null(lab);
    lab_begin(lab, lab_program);
    lab_start(lab);
    *state = lab;
    return 0;
}

int lab_tear_down(void **state) {
    lab_end(*state);
    free(*state);
    return 0;
}

void lab_serve(struct lab *lab, char image[80]) {
    lab_upload_image(lab, image);
    assert_int_equal(lab_report(lab, true, ""), 204);
    assert_int_equal(lab_push(lab, "shop", image, ""), 1);
    lab_wait_grants(lab, "shop.web r1 1..1 demand\n");
    assert_int_equal(lab_report(lab, false, "aaaa web.1 shop web 1 healthy"), 204);
    lab_wait_event(lab, "shop", "rollout-done", 0, NULL);
    lab_wait_state(lab, "shop", "running");
}
