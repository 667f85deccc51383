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

#define TEST(F) cmocka_unit_test_setup_teardown(F, lab_set_up, lab_tear_down)

int main(int argc, char **argv) {
    lab_program = argc > 1 ? argv[1] : "paas-scheduler";
    const struct CMUnitTest tests[] = {
        TEST(a_change_can_insist_on_what_it_was_decided_on),
        TEST(a_push_with_a_key_is_done_once),
        TEST(what_nobody_waits_for_is_not_done_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
