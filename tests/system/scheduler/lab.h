/* A real paas-scheduler with a stand-in for its agent and proxy. SPDX-License-Identifier:
 * Apache-2.0
 *
 * The scheduler runs as its own user; the test is root and speaks as the operator, and, by changing
 * its effective uid while it connects, as the agent or the proxy. Everything lies in a directory
 * below /tmp that lab_end() removes.
 */
#ifndef TEST_SCHEDULER_LAB_H
#define TEST_SCHEDULER_LAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include <jansson.h>

#include <paas/clock.h>
#include <paas/http_client.h>

enum { LAB_PLATFORM = 27, LAB_DEADLINE_MS = 20000 };

enum lab_who { LAB_OPERATOR, LAB_AGENT, LAB_PROXY, LAB_STRANGER, LAB_WHO };

struct lab {
    char dir[64];
    const char *program;
    int listener; /* of the API */
    int tcp;      /* listener for token holders, -1: none */
    int tcp_port;
    bool mounted;
    msec timeout; /* of a request */
    pid_t pid;
    uv_loop_t loop;
    struct http_client *clients[LAB_WHO];
    int64_t term, grants_revision, routes_revision; /* last read */
};

/* Makes the directories and the listener; does not start anything. Skips the test unless root. */
void lab_begin(struct lab *lab, const char *program);
void lab_end(struct lab *lab);
/* From the next start on the API listens on TCP, too, for holders of this token. */
void lab_use_tcp(struct lab *lab, const char *token);
/* Puts the data directory on a tmpfs with these options, in a mount namespace of the test's own;
 * called again, changes them. */
void lab_limit_disk(struct lab *lab, const char *options);
/* Starts the scheduler and waits until it answers. */
void lab_start(struct lab *lab);
/* In a child: takes on the user that the scheduler runs as. */
void lab_become_scheduler(void);
/* Sends the signal, waits for the end; returns the wait status. */
int lab_stop(struct lab *lab, int signal);

/* One request; the status. *answer (may be NULL) is to be freed by json_decref(); NULL when the
 * body is no JSON. */
int lab_call(struct lab *lab, enum lab_who who, enum http_method method, const char *path,
    const char *body, json_t **answer);
/* A request that must succeed, and the string or number at `key` of its answer. */
json_t *lab_must(struct lab *lab, enum http_method method, const char *path, const char *body);
int64_t lab_number(const json_t *object, const char *key);
const char *lab_text(const json_t *object, const char *key);
/* A GET over TCP with a token (NULL: none) and a Host (NULL: the address); the status. */
int lab_call_tcp(struct lab *lab, const char *token, const char *host, const char *path);
/* The answer as text, to be freed. */
char *lab_get_text(struct lab *lab, enum lab_who who, const char *path);

/* Uploads an image whose command is /bin/serve on port 9000. */
void lab_upload_image(struct lab *lab, char digest[80]);
/* Pushes it; the release's number. */
int64_t lab_push(struct lab *lab, const char *app, const char *image, const char *more);

/* Reads the node's grants; the text "app.process rR floor..ceiling[ demand]", one a line. */
void lab_grants(struct lab *lab, char text[4096]);
/* Reads grants until they are `text`. */
void lab_wait_grants(struct lab *lab, const char *text);
/* Reports rows "id slot app process release state [reason]", one a line, with the newest grants and
 * routes in force; the status. */
int lab_report(struct lab *lab, bool whole, const char *rows);
/* Waits for an event of this type and app after `after`; its sequence. */
int64_t lab_wait_event(
    struct lab *lab, const char *app, const char *type, int64_t after, json_t **event);
/* Waits until the app's summary has this state. */
void lab_wait_state(struct lab *lab, const char *app, const char *state);

/* For cmocka: a lab with its scheduler started in *state, and its end. `lab_program` is the path of
 * paas-scheduler. */
extern const char *lab_program;
int lab_set_up(void **state);
int lab_tear_down(void **state);
/* App "shop": release 1 serves with one healthy instance. Writes the image's digest. */
void lab_serve(struct lab *lab, char image[80]);

#endif
