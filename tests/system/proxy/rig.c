/* A real proxy with everybody else played by the test. SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <paas/clock.h>
#include <paas/err.h>
#include <paas/file.h>

/* ---- Sockets ---- */

static int listen_tcp(int *port) {
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(fd, 1024), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    *port = ntohs(a.sin_port);
    return fd;
}

static struct sockaddr_un unix_address(const char *path) {
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    assert_true(strlen(path) < sizeof a.sun_path);
    strcpy(a.sun_path, path);
    return a;
}

static int listen_unix(const char *path) {
    struct sockaddr_un a = unix_address(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    unlink(path);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(fd, 8), 0);
    return fd;
}

int dial_unix(const char *path) {
    struct sockaddr_un a = unix_address(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    msec until = clock_msec() + RIG_DEADLINE;
    while (connect(fd, (struct sockaddr *)&a, sizeof a) != 0) {
        assert_true(clock_msec() < until);
        poll(NULL, 0, 5); /* it is not bound yet */
    }
    return fd;
}

int rig_dial(struct rig *r) {
    return rig_dial_from(r, "127.0.0.1");
}

int rig_dial_from(struct rig *r, const char *address) {
    struct sockaddr_in a = { .sin_family = AF_INET,
        .sin_port = htons((uint16_t)r->port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct sockaddr_in own = { .sin_family = AF_INET };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(inet_pton(AF_INET, address, &own.sin_addr), 1);
    assert_int_equal(bind(fd, (struct sockaddr *)&own, sizeof own), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

static bool wait_readable(int fd, int ms) {
    struct pollfd p = { .fd = fd, .events = POLLIN };
    return poll(&p, 1, ms) > 0;
}

static int accept_within(int fd, const char *what) {
    if (!wait_readable(fd, RIG_DEADLINE)) {
        fail_msg("%s does not come", what);
    }
    int got = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    assert_true(got >= 0);
    return got;
}

void put_bytes(int fd, const void *bytes, size_t len) {
    const char *at = bytes;
    while (len) {
        ssize_t n = send(fd, at, len, MSG_NOSIGNAL);
        if (n < 0) {
            fail_msg("sending: %s", strerror(errno));
        }
        at += n;
        len -= (size_t)n;
    }
}

void put(int fd, const char *text) {
    put_bytes(fd, text, strlen(text));
}

/* Reads more into `text`; false at the end. */
static bool read_more(int fd, char *text, size_t *len, const char *waiting_for, bool *reset) {
    if (!wait_readable(fd, RIG_DEADLINE)) {
        fail_msg("waiting for \"%s\" after \"%s\"", waiting_for, text);
    }
    ssize_t n = recv(fd, text + *len, RIG_TEXT_MAX - 1 - *len, 0);
    if (n <= 0) {
        *reset = n < 0;
        return false;
    }
    *len += (size_t)n;
    text[*len] = '\0';
    return true;
}

char *get_until(int fd, const char *needle) {
    char *text = calloc(1, RIG_TEXT_MAX);
    size_t len = 0;
    bool reset;
    while (!strstr(text, needle)) {
        if (!read_more(fd, text, &len, needle, &reset)) {
            fail_msg("it ended before \"%s\", after \"%s\"", needle, text);
        }
    }
    return text;
}

char *get_all(int fd, bool *reset) {
    char *text = calloc(1, RIG_TEXT_MAX);
    size_t len = 0;
    while (read_more(fd, text, &len, "the end", reset)) {
    }
    return text;
}

char *get_answer(int fd) {
    char *text = calloc(1, RIG_TEXT_MAX);
    size_t len = 0;
    bool reset;
    for (;;) {
        char *body = strstr(text, "\r\n\r\n");
        if (body) {
            char *field = strcasestr(text, "\r\ncontent-length: ");
            size_t length = field && field < body ? strtoul(field + 18, NULL, 10) : 0;
            if (len >= (size_t)(body + 4 - text) + length) {
                return text;
            }
        }
        if (!read_more(fd, text, &len, "an answer", &reset)) {
            fail_msg("it ended inside an answer: \"%s\"", text);
        }
    }
}

bool is_quiet(int fd, int ms) {
    return !wait_readable(fd, ms);
}

void get_end(int fd) {
    char byte;
    assert_true(wait_readable(fd, RIG_DEADLINE));
    assert_true(recv(fd, &byte, 1, 0) <= 0);
}

void assert_holds(const char *text, const char *needle) {
    if (!strstr(text, needle)) {
        fail_msg("\"%s\" is not in \"%s\"", needle, text);
    }
}

void assert_lacks(const char *text, const char *needle) {
    if (strcasestr(text, needle)) {
        fail_msg("\"%s\" is in \"%s\"", needle, text);
    }
}

/* ---- Places ---- */

void place_open(struct place *p) {
    p->fd = listen_tcp(&p->port);
}

void place_close(struct place *p) {
    close(p->fd);
    p->fd = -1;
}

int place_accept(struct place *p) {
    return accept_within(p->fd, "a connection to an instance");
}

bool place_is_quiet(struct place *p, int ms) {
    return !wait_readable(p->fd, ms);
}

/* ---- The rig ---- */

static const char *path_in(const struct rig *r, const char *name, char path[128]) {
    snprintf(path, 128, "%s/%s", r->dir, name);
    return path;
}

void rig_open(struct rig *r) {
    char path[128];
    *r = (struct rig){ .proxy = -1, .agent = -1 };
    strcpy(r->dir, "/tmp/paas-proxy-XXXXXX");
    assert_non_null(mkdtemp(r->dir));
    static const char *const directories[] = { "data", "run", "run/agent", "run/proxy" };
    for (int i = 0; i < 4; i++) {
        assert_int_equal(mkdir(path_in(r, directories[i], path), 0755), 0);
    }
    r->listener = listen_tcp(&r->port);
    r->agent_listener = listen_unix(path_in(r, "run/agent/local.sock", path));
}

void rig_keep_routes(struct rig *r, const char *lines, int count) {
    char path[128];
    FILE *f = fopen(path_in(r, "data/routes", path), "w");
    assert_non_null(f);
    fprintf(f, "{\"term\":1,\"revision\":1,\"count\":%d}\n%s", count, lines);
    fclose(f);
}

static void run_proxy(struct rig *r, int threads) {
    char data[128], run[128], count[16], pid[16];
    snprintf(count, sizeof count, "%d", threads);
    snprintf(pid, sizeof pid, "%d", getpid());
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (dup2(r->listener, 3) == r->listener) {
        fcntl(3, F_SETFD, 0); /* it stood there already, to be closed by exec */
    }
    setenv("LISTEN_FDS", "1", 1);
    setenv("LISTEN_FDNAMES", "http", 1);
    setenv("LISTEN_PID", pid, 1);
    const char *binary = getenv("PAAS_PROXY");
    execl(binary, "paas-proxy", "--data", path_in(r, "data", data), "--run", path_in(r, "run", run),
        "--node", "node", "--platform", "31", "--threads", count, (char *)NULL);
    _exit(127);
}

void rig_launch(struct rig *r, int threads) {
    assert_non_null(getenv("PAAS_PROXY"));
    r->proxy = fork();
    assert_true(r->proxy >= 0);
    if (r->proxy == 0) {
        run_proxy(r, threads);
    }
}

void rig_agent_comes(struct rig *r) {
    if (r->agent >= 0) {
        close(r->agent);
    }
    r->agent = accept_within(r->agent_listener, "the proxy's connection to the agent");
    r->heard[0] = '\0';
    rig_say(r, "{\"type\":\"hello\"}");
    rig_hears(r, 0, "\"hello\"");
}

void rig_begin(struct rig *r, int threads) {
    rig_open(r);
    rig_keep_routes(r,
        "{\"host\":\"app.test\",\"path\":\"/\",\"app\":\"app\",\"process\":\"web\",\"nodes\":[]}\n",
        1);
    rig_launch(r, threads);
    rig_agent_comes(r);
}

void rig_say(struct rig *r, const char *format, ...) {
    char line[2048];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(line, sizeof line - 1, format, args);
    va_end(args);
    line[len++] = '\n';
    put_bytes(r->agent, line, (size_t)len);
}

void rig_row(struct rig *r, const char *id, int port, const char *state) {
    rig_say(r,
        "{\"type\":\"instance\",\"id\":\"%s\",\"app\":\"app\",\"process\":\"web\",\"release\":1,"
        "\"address\":\"127.0.0.1\",\"port\":%d,\"state\":\"%s\"}",
        id, port, state);
}

/* Reads what the proxy says for at most `ms`; false when nothing came. */
static bool listen_to(struct rig *r, int ms) {
    size_t len = strlen(r->heard);
    if (!wait_readable(r->agent, ms)) {
        return false;
    }
    ssize_t n = recv(r->agent, r->heard + len, sizeof r->heard - 1 - len, 0);
    if (n <= 0) {
        fail_msg("the proxy left the agent, having said: %s", r->heard);
    }
    r->heard[len + (size_t)n] = '\0';
    return true;
}

size_t rig_mark(struct rig *r) {
    while (listen_to(r, 0)) {
    }
    return strlen(r->heard);
}

void rig_hears(struct rig *r, size_t mark, const char *what) {
    msec until = clock_msec() + RIG_DEADLINE;
    while (!strstr(r->heard + mark, what)) {
        if (clock_msec() > until) {
            fail_msg("the agent does not hear %s but: %s", what, r->heard + mark);
        }
        listen_to(r, 50);
    }
}

bool rig_hears_nothing(struct rig *r, size_t mark, const char *what, int ms) {
    msec until = clock_msec() + ms;
    while (clock_msec() < until) {
        listen_to(r, 10);
        if (strstr(r->heard + mark, what)) {
            return false;
        }
    }
    return true;
}

void rig_sync(struct rig *r) {
    char ack[64];
    size_t mark = rig_mark(r);
    rig_say(r, "{\"type\":\"sync\",\"revision\":%lld}", (long long)++r->revision);
    snprintf(ack, sizeof ack, "\"revision\":%lld", (long long)r->revision);
    rig_hears(r, mark, "\"ack\"");
    rig_hears(r, mark, ack);
}

void rig_stop(struct rig *r) {
    kill(r->proxy, SIGTERM);
}

void rig_wait(struct rig *r) {
    msec until = clock_msec() + RIG_DEADLINE + 12000; /* its own time to drain is 10 s */
    int status = 0;
    while (waitpid(r->proxy, &status, WNOHANG) == 0) {
        if (clock_msec() > until) {
            kill(r->proxy, SIGKILL);
            waitpid(r->proxy, NULL, 0);
            r->proxy = -1;
            fail_msg("the proxy does not end");
        }
        poll(NULL, 0, 5);
    }
    r->proxy = -1;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fail_msg("the proxy ended with status 0x%x", status);
    }
}

void rig_close(struct rig *r) {
    struct err err;
    if (r->proxy > 0) {
        rig_stop(r);
        rig_wait(r);
    }
    close(r->listener);
    close(r->agent_listener);
    if (r->agent >= 0) {
        close(r->agent);
    }
    file_remove_tree(AT_FDCWD, r->dir, &err);
}

int64_t rig_metric(struct rig *r, const char *name) {
    char path[128], line[160];
    bool reset;
    int fd = dial_unix(path_in(r, "run/proxy/proxy.sock", path));
    put(fd, "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    char *text = get_all(fd, &reset);
    snprintf(line, sizeof line, "\n%s ", name);
    char *at = strstr(text, line);
    if (!at) {
        fail_msg("%s is no metric", name);
    }
    int64_t value = strtoll(at + strlen(line), NULL, 10);
    free(text);
    close(fd);
    return value;
}

int64_t rig_memory(const struct rig *r) {
#ifdef __SANITIZE_ADDRESS__
    (void)r;
    return -1;
#else
    char path[64];
    long long pages = -1;
    snprintf(path, sizeof path, "/proc/%d/statm", (int)r->proxy);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%*d %lld", &pages), 1);
    fclose(f);
    return pages * sysconf(_SC_PAGESIZE);
#endif
}
