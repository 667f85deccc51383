/* A real proxy with a false agent, false instances and hand-made clients. SPDX-License-Identifier:
 * Apache-2.0
 *
 * The test plays everybody else: it says what the agent says, accepts what the proxy connects to,
 * and sends each byte itself. Every wait has a deadline; missing it fails the test with words.
 */
#ifndef PAAS_TEST_PROXY_RIG_H
#define PAAS_TEST_PROXY_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    RIG_DEADLINE = 8000, /* ms; everything waited for takes a few, but under sanitizers on a busy
                            machine much more */
    RIG_TEXT_MAX = 1 << 20,
};

struct rig {
    char dir[64];
    int listener, port;
    pid_t proxy;
    int agent_listener, agent; /* the agent's socket, and the proxy's connection to it */
    char heard[65536];         /* what the proxy told the agent */
    int64_t revision;
};

/* A place where an instance would listen. */
struct place {
    int fd, port;
};

/* Makes directories, the listening socket and the agent's socket. */
void rig_open(struct rig *r);
/* Writes the file of routes: `count` lines of JSON. */
void rig_keep_routes(struct rig *r, const char *lines, int count);
/* Starts the proxy with `threads` workers; it does not wait for anything. */
void rig_launch(struct rig *r, int threads);
/* Plays the agent: takes the proxy's connection and says hello. */
void rig_agent_comes(struct rig *r);
/* The usual beginning: the host "app.test" goes to app "app"; its rows are not yet told. */
void rig_begin(struct rig *r, int threads);
/* Says a line as the agent; a format. */
void rig_say(struct rig *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Says an instance's row. */
void rig_row(struct rig *r, const char *id, int port, const char *state);
/* Says sync and waits for its ack. */
void rig_sync(struct rig *r);
/* Waits until the proxy told the agent something that holds all of `what`, from mark on. */
void rig_hears(struct rig *r, size_t mark, const char *what);
/* The end of what was heard so far. */
size_t rig_mark(struct rig *r);
/* True when nothing with `what` was heard since the mark, for `ms`. */
bool rig_hears_nothing(struct rig *r, size_t mark, const char *what, int ms);
/* Begins the planned stop. */
void rig_stop(struct rig *r);
/* Waits for the proxy's end; it must be clean. */
void rig_wait(struct rig *r);
/* Stops the proxy if it runs, removes the directories. */
void rig_close(struct rig *r);
/* Resident memory of the proxy, in bytes; -1 where sanitizers keep what was freed. */
int64_t rig_memory(const struct rig *r);
/* A line of /metrics by its name, as a number. */
int64_t rig_metric(struct rig *r, const char *name);

void place_open(struct place *p);
void place_close(struct place *p);
/* Takes the proxy's next connection. */
int place_accept(struct place *p);
/* True when no connection comes for `ms`. */
bool place_is_quiet(struct place *p, int ms);

/* Connects to the proxy; as a client at another address of this host. */
int rig_dial(struct rig *r);
int rig_dial_from(struct rig *r, const char *address);
/* Connects to a Unix socket. */
int dial_unix(const char *path);
void put(int fd, const char *text);
void put_bytes(int fd, const void *bytes, size_t len);
/* Reads until `needle` was read, or fails; returns the text (to be freed). */
char *get_until(int fd, const char *needle);
/* Reads to the end of the connection, clean or not; *reset says which. */
char *get_all(int fd, bool *reset);
/* Reads a whole answer with a Content-Length, or none when it has no body. */
char *get_answer(int fd);
/* True when the connection has nothing to say for `ms`, and is open. */
bool is_quiet(int fd, int ms);
/* Waits for the end of the connection, and fails if something comes before. */
void get_end(int fd);
/* Fails with both texts unless `text` holds `needle`. */
void assert_holds(const char *text, const char *needle);
void assert_lacks(const char *text, const char *needle);

/* The request that most tests send. */
#define GET_APP "GET / HTTP/1.1\r\nHost: app.test\r\n\r\n"
#define OK_HELLO "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

#endif
