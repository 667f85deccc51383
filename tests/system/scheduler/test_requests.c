/* Requests that are repeated, stale or given up. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "lab.h"

/* Connects and sends a request as it stands; as root, so as the operator. */
static int send_text(struct lab *lab, const char *text) {
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/run/api.sock", lab->dir);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    return fd;
}

/* Sends a request with header lines of its own; its answer, head and all, to be freed. */
static char *ask(struct lab *lab, const char *line, const char *headers, const char *body) {
    char text[2048], *answer = calloc(1, 65536);
    size_t len = 0;
    ssize_t n;
    snprintf(text, sizeof(text),
        "%s HTTP/1.1\r\nHost: paas\r\nConnection: close\r\nContent-Type: application/json\r\n"
        "%sContent-Length: %zu\r\n\r\n%s",
        line, headers, strlen(body), body);
    int fd = send_text(lab, text);
    struct timeval patience = { .tv_sec = LAB_DEADLINE_MS / 1000 };
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    while ((n = read(fd, answer + len, 65535 - len)) > 0) {
        len += (size_t)n;
    }
    close(fd);
    return answer;
}

static void must_hold(char *answer, const char *part) {
    if (!strstr(answer, part)) {
        fail_msg("\"%s\" is not in: %s", part, answer);
    }
    free(answer);
}

static void a_change_can_insist_on_what_it_was_decided_on(void **state) {
    struct lab *lab = *state;
    char image[80], match[128], tag[64];
    static const char two[] = "{\"processes\":[{\"process\":\"web\",\"count\":2}]}";
    lab_serve(lab, image);
    char *answer = ask(lab, "GET /v1/apps/shop", "", "");
    char *field = strcasestr(answer, "\r\netag: ");
    assert_non_null(field);
    assert_int_equal(sscanf(field + 8, "%63s", tag), 1);
    free(answer);
    snprintf(match, sizeof(match), "If-Match: %s\r\n", tag);
    answer = ask(lab, "PUT /v1/apps/shop/scale", match, two);
    assert_non_null(strcasestr(answer, "\r\netag: "));
    must_hold(answer, "HTTP/1.1 200 ");
    must_hold(ask(lab, "PUT /v1/apps/shop/scale", match, two), "HTTP/1.1 412 ");
    must_hold(ask(lab, "DELETE /v1/apps/shop", match, ""), "\"stale\"");
    must_hold(ask(lab, "PUT /v1/apps/shop/scale", "If-Match: *\r\n", two), "HTTP/1.1 200 ");
    must_hold(ask(lab, "DELETE /v1/apps/nobody", "If-Match: *\r\n", ""), "HTTP/1.1 412 ");
    must_hold(ask(lab, "DELETE /v1/apps/shop", "", ""), "HTTP/1.1 200 ");
}

static void a_push_with_a_key_is_done_once(void **state) {
    struct lab *lab = *state;
    char image[80], body[256];
    lab_serve(lab, image);
    snprintf(body, sizeof(body), "{\"image\":\"%s\"}", image);
    static const char push[] = "POST /v1/apps/shop/releases";
    static const char key[] = "Idempotency-Key: deploy-42\r\n";
    must_hold(ask(lab, push, key, body), "\"release\":2,");
    must_hold(ask(lab, push, key, body), "\"release\":2,");
    must_hold(ask(lab, push, key, "{\"instances\":2}"), "HTTP/1.1 422 ");
    /* Over the scheduler's death, too. */
    lab_stop(lab, SIGKILL);
    lab_start(lab);
    must_hold(ask(lab, push, key, body), "\"release\":2,");
    must_hold(ask(lab, push, "Idempotency-Key: deploy-43\r\n", body), "\"release\":3,");
    must_hold(ask(lab, push, "Idempotency-Key:\r\n", body), "HTTP/1.1 422 ");
}

static void what_nobody_waits_for_is_not_done_later(void **state) {
    struct lab *lab = *state;
    char image[80];
    lab_serve(lab, image);
    kill(lab->pid, SIGSTOP);
    close(send_text(lab, "DELETE /v1/apps/shop HTTP/1.1\r\nHost: paas\r\n\r\n"));
    int patient = send_text(
        lab, "POST /v1/apps/shop/stop HTTP/1.1\r\nHost: paas\r\nConnection: close\r\n\r\n");
    kill(lab->pid, SIGCONT);
    char answer[64] = "";
    assert_true(read(patient, answer, sizeof(answer) - 1) > 0);
    close(patient);
    assert_non_null(strstr(answer, "HTTP/1.1 200 ")); /* it came behind the other one */
    lab_wait_state(lab, "shop", "stopped");
}

/* Gets a page; the next one's path is left in `path`, "" when there is none. */
static char *get_page(struct lab *lab, char path[256]) {
    char line[300];
    snprintf(line, sizeof(line), "GET %s", path);
    char *answer = ask(lab, line, "", "");
    char *link = strcasestr(answer, "\r\nlink: <");
    path[0] = '\0';
    if (link) {
        assert_int_equal(sscanf(link + 9, "%255[^>]>; rel=\"next\"", path), 1);
    }
    return answer;
}

static void a_list_comes_in_pages(void **state) {
    struct lab *lab = *state;
    char image[80], path[256] = "/v1/apps?limit=2&x=y";
    lab_upload_image(lab, image);
    static const char *const apps[] = { "a", "a-b", "b", "c", "d" };
    for (size_t i = 0; i < 5; i++) {
        lab_push(lab, apps[i], image, "");
    }
    char *answer = get_page(lab, path);
    assert_non_null(strstr(answer, "{\"name\":\"a-b\""));
    assert_null(strstr(answer, "{\"name\":\"b\""));
    free(answer);
    assert_string_equal(path, "/v1/apps?limit=2&x=y&after=a-b");
    /* Rows that go meanwhile shift no others, nor does the one that the page begins after. */
    must_hold(ask(lab, "DELETE /v1/apps/a-b", "", ""), "HTTP/1.1 200 ");
    must_hold(ask(lab, "DELETE /v1/apps/b", "", ""), "HTTP/1.1 200 ");
    answer = get_page(lab, path);
    assert_non_null(strstr(answer, "{\"name\":\"c\""));
    assert_non_null(strstr(answer, "{\"name\":\"d\""));
    assert_string_equal(path, "");
    free(answer);
    static const char *const wrong[] = { "0", "-1", "1001", "x", "" };
    for (size_t i = 0; i < 5; i++) {
        char line[64];
        snprintf(line, sizeof(line), "GET /v1/apps?limit=%s", wrong[i]);
        must_hold(ask(lab, line, "", ""), "HTTP/1.1 422 ");
    }
}

static void releases_come_newest_first(void **state) {
    struct lab *lab = *state;
    char image[80], path[256] = "/v1/apps/shop/releases?limit=2";
    lab_serve(lab, image);
    for (int i = 0; i < 10; i++) {
        lab_push(lab, "shop", image, "");
    }
    int expected = 11;
    while (path[0]) {
        char *answer = get_page(lab, path);
        for (char *at = answer; (at = strstr(at, "\"release\":")); at++) {
            assert_int_equal(atoi(at + 10), expected--);
        }
        free(answer);
    }
    assert_int_equal(expected, 0);
}

enum { MANY = 2345 /* rows: three pages */ };

/* The command has all of a list as one, in its order. */
static void the_command_follows_pages(void **state) {
    struct lab *lab = *state;
    char image[80], command[4096];
    lab_serve(lab, image);
    char *rows = malloc(MANY * 64), *to = rows;
    for (int i = 1; i <= MANY; i++) {
        char id[8] = "aaaaaa";
        for (int rest = i, n = 5; rest > 0; rest /= 20) {
            id[n--] = (char)('a' + rest % 20);
        }
        to += sprintf(to, "%saaaa web.%d shop web 1 healthy\n", id, i);
    }
    assert_int_equal(lab_report(lab, true, rows), 204);
    free(rows);
    snprintf(command, sizeof(command),
        "PAAS_API=unix:%s/run/api.sock '%.*s/paas' ps -o json |"
        " jq -r '[length, .[0].slot, .[999].slot, .[1000].slot, .[-1].slot] | @text'",
        lab->dir, (int)(strrchr(lab_program, '/') - lab_program), lab_program);
    FILE *out = popen(command, "r");
    char line[128] = "";
    assert_non_null(fgets(line, sizeof(line), out));
    assert_string_equal(line, "[2345,\"web.1\",\"web.1000\",\"web.1001\",\"web.2345\"]\n");
    assert_int_equal(pclose(out), 0);
}

#define TEST(F) cmocka_unit_test_setup_teardown(F, lab_set_up, lab_tear_down)

int main(int argc, char **argv) {
    lab_program = argc > 1 ? argv[1] : "paas-scheduler";
    const struct CMUnitTest tests[] = {
        TEST(a_change_can_insist_on_what_it_was_decided_on),
        TEST(a_push_with_a_key_is_done_once),
        TEST(what_nobody_waits_for_is_not_done_later),
        TEST(a_list_comes_in_pages),
        TEST(releases_come_newest_first),
        TEST(the_command_follows_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
