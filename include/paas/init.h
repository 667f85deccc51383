/* What paas-init, PID 1 of every instance, shares with the sandbox that starts it and with the
 * agent that watches it. SPDX-License-Identifier: Apache-2.0
 *
 * Everything here is laid out for one machine: fixed-size structs, native byte order, explicit
 * padding. What outlives an upgrade carries INIT_VERSION; a reader refuses a version it doesn't
 * know. Needs libc alone, so that the static program can use it.
 *
 * How the sandbox starts it
 *   - in all namespaces of the instance, in cgroup leaf ID/init, root pivoted, as in-namespace uid
 *     and gid INIT_ID, without supplementary groups, NO_NEW_PRIVS set;
 *   - bounding set empty, securebits NOROOT and NO_CAP_AMBIENT_RAISE set and locked, and exactly
 *     CAP_KILL, CAP_SETUID, CAP_SETGID permitted, effective, inheritable and *ambient* (execve
 * takes them from the ambient set, as INIT_ID is not root). paas-init refuses to start an app while
 * a capability is left in the bounding set;
 *   - from a file of the host's root that nobody may read (mode 0111): then the kernel takes the
 *     program's /proc files away from everyone in the instance's user namespace, its root included;
 *   - with the descriptors of enum init_fd, every other one closed; no argument, no environment.
 *
 * With the one argument "exec" the same program runs a command beside the app instead: in the
 * instance's namespaces and the leaf `app`, as INIT_ID with CAP_SETUID and CAP_SETGID alone
 * (ambient), INIT_FD_START, INIT_FD_SECCOMP (a filter without notifying leaves), and the command's
 * own 0, 1 and 2. It becomes the command, or says on 2 why not and ends with 126 or 127.
 */
#ifndef PAAS_INIT_H
#define PAAS_INIT_H

#include <stddef.h>
#include <stdint.h>

enum {
    INIT_VERSION = 1,
    INIT_ID = 65536, /* in-namespace uid and gid: above all that an image can name */
    INIT_APP_ID_MAX = 65535,
    INIT_JOIN_MAX = 8,               /* more than v1 has controllers worth joining */
    INIT_START_MAX = 1 << 20,        /* bytes of a start block: half of what execve takes */
    INIT_ARGS_MAX = 1024,            /* arguments of an app */
    INIT_ENV_MAX = 1024,             /* variables of an app */
    INIT_CONNECTIONS_MAX = 4,        /* the old agent, the new one, and two to spare */
    INIT_LISTENERS_MAX = 16,         /* listening sockets told; more are counted */
    INIT_TEXT_MAX = 128,             /* bytes of a path or word in an exit record, with its NUL */
    INIT_GRACE_MAX_MS = 3600 * 1000, /* a stop that waits longer is no stop */
};

/* Descriptors of paas-init. 0, 1 and 2 are /dev/null of the instance's own /dev. */
enum init_fd {
    INIT_FD_START = 3, /* sealed memfd (write, shrink, grow): struct init_start and its strings; or
                        * an AF_UNIX SOCK_SEQPACKET socket that brings it: one byte and the
                        * descriptor. Till then nothing of an app runs, and when the other end
                        * closes first, paas-init ends without a trace */
    INIT_FD_EXIT,      /* file `exit`, empty, read-write */
    INIT_FD_LOG0,      /* file `log.0`, empty, read-write */
    INIT_FD_LOG1,      /* file `log.1`, empty, read-write */
    INIT_FD_SOCKET,    /* `init.sock`: AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, listening */
    INIT_FD_OOM,       /* of leaf app: v1 eventfd (EFD_NONBLOCK) registered with
                        * memory.oom_control, or v2 memory.events (read-only). Told apart by fstat:
                        * the v2 one is a regular file */
    INIT_FD_KILL,      /* cgroup.kill of leaf app, write-only */
    INIT_FD_FREEZE,    /* cgroup.freeze of leaf app, write-only */
    INIT_FD_SECCOMP,   /* sealed memfd: struct sock_filter[], the app's whole filter, with a
                        * USER_NOTIF leaf on listen */
    INIT_FD_CGROUP,    /* directory of leaf app in the v2 (or unified) tree, for CLONE_INTO_CGROUP:
                        * a write to cgroup.procs costs an RCU grace period on an idle machine.
                        * ID/cgroup.procs and ID/app/cgroup.procs belong to INIT_ID's host uid, and
                        * where the tree is mounted nsdelegate, the cgroup namespace's root is not
                        * below ID */
    INIT_FD_PROCS,     /* cgroup.procs of the same, write-only: where that is refused */
    INIT_FD_JOIN, /* first of 0..INIT_JOIN_MAX consecutive ones, write-only: v1 `tasks` files of
                   * leaf app; the app's process writes "0" to each. None on pure v2 */
    INIT_FD_END = INIT_FD_JOIN + INIT_JOIN_MAX,
};

/* Names in an instance's directory on the host. */
#define INIT_NAME_EXIT "exit"
#define INIT_NAME_LOG0 "log.0"
#define INIT_NAME_LOG1 "log.1"
#define INIT_NAME_SOCKET "init.sock"

/* FNV-1a. Finds torn writes; it is no defence against forgery, which the directory's mode is. */
static inline uint32_t init_checksum(uint32_t sum, const void *bytes, size_t len) {
    const unsigned char *p = bytes;
    for (size_t i = 0; i < len; i++) {
        sum = (sum ^ p[i]) * 16777619u;
    }
    return sum;
}

enum { INIT_CHECKSUM_START = (int)2166136261u };

/* ---- the start block ---------------------------------------------------------------------- */

enum { INIT_START_MAGIC = 0x54535450 /* "PTST" */ };

enum init_start_flags {
    INIT_START_LISTENER = 1 << 0,  /* it serves on `port`; else a worker */
    INIT_START_EXCLUSIVE = 1 << 1, /* it lives no longer than `deadline_boot_ms` */
};

/* Followed by `strings_bytes` of NUL-terminated strings: `args` arguments (at least one), `env`
 * variables ("NAME=value"), the working directory (absolute), and the user: "", "user",
 * "user:group" with names or numbers, as an image's configuration has it. */
struct init_start {
    uint32_t magic;
    uint16_t version;
    uint16_t header_bytes; /* sizeof(struct init_start) */
    uint32_t flags;        /* enum init_start_flags */
    uint32_t strings_bytes;
    uint32_t args;
    uint32_t env;
    uint32_t stop_signal;   /* 1..64; what a stop without a signal sends; 0 means SIGTERM */
    uint32_t grace_ms;      /* from that signal to SIGKILL, where a stop names none */
    uint32_t port;          /* the PORT in env, 0 for a worker; only told back */
    uint32_t segment_bytes; /* of one log segment; 0 means LOG_SEGMENT_DEFAULT */
    uint32_t log_rate;      /* bytes a second; 0 means LOG_RATE_DEFAULT */
    uint32_t reserved;
    int64_t deadline_boot_ms; /* CLOCK_BOOTTIME; with INIT_START_EXCLUSIVE */
};

/* ---- the exit record ---------------------------------------------------------------------- */

/* id, name that users see */
#define INIT_ENDS(X)                                                                               \
    X(NONE, "running")      /* the file was made, the app has not ended */                         \
    X(EXITED, "exited")     /* `code` */                                                           \
    X(SIGNALED, "signaled") /* `signal` */                                                         \
    X(OOM, "oom")           /* out of memory; `signal` or `code` of the app's process as well */   \
    X(EXEC_FAILED, "exec")  /* never ran: `stage`, `sys`, `text` (the path tried) */               \
    X(INIT_ERROR, "init-error") /* paas-init could not do its work: `stage`, `sys`, `text` */

enum init_end {
#define X(id, name) INIT_END_##id,
    INIT_ENDS(X)
#undef X
        INIT_END_COUNT
};

/* Where a start failed. id, words that follow "can't " */
#define INIT_STAGES(X)                                                                             \
    X(NONE, "go on")                                                                               \
    X(START_BLOCK, "read the start block")                                                         \
    X(DESCRIPTORS, "use the descriptors it was given")                                             \
    X(PRIVILEGES, "put its privileges in order")                                                   \
    X(USER, "find the user")                                                                       \
    X(FORK, "make the app's process")                                                              \
    X(CGROUP, "enter the app's cgroup")                                                            \
    X(IDENTITY, "become the user")                                                                 \
    X(DIRECTORY, "enter the working directory")                                                    \
    X(STDIO, "set up the standard streams")                                                        \
    X(SECCOMP, "install the system call filter")                                                   \
    X(EXEC, "run the command")                                                                     \
    X(LOADER, "run the command: its interpreter or loader is missing:")

enum init_stage {
#define X(id, words) INIT_STAGE_##id,
    INIT_STAGES(X)
#undef X
        INIT_STAGE_COUNT
};

enum init_exit_flags {
    INIT_EXIT_STOPPED = 1 << 0,  /* a stop was asked for before it ended */
    INIT_EXIT_KILLED = 1 << 1,   /* ... and its grace ran out */
    INIT_EXIT_DEADLINE = 1 << 2, /* the lease of an exclusive instance ran out */
};

enum { INIT_EXIT_MAGIC = 0x54584550 /* "PEXT" */ };

/* The file `exit`: one struct, written whole at offset 0: with end NONE before the app starts (so
 * that a full disk can't lose the end), and once more when it has ended. */
struct init_exit {
    uint32_t magic;
    uint16_t version;
    uint16_t bytes;     /* sizeof(struct init_exit) */
    uint32_t end;       /* enum init_end */
    int32_t code;       /* exit code, or -1 */
    uint32_t signal;    /* signal that ended it, or 0 */
    int32_t sys;        /* errno where a stage failed, or 0 */
    uint32_t stage;     /* enum init_stage */
    uint32_t flags;     /* enum init_exit_flags */
    uint32_t oom_kills; /* v2: memory.events' oom_kill; v1: events of memory.oom_control */
    uint32_t reserved;
    int64_t started_boot_ms; /* execve succeeded, CLOCK_BOOTTIME; 0: never */
    int64_t ended_boot_ms;
    int64_t ended_wall_ms; /* since 1970 */
    int64_t oom_boot_ms;   /* first sign of it, or 0 */
    int64_t cpu_user_us;   /* of the app's process and its reaped children */
    int64_t cpu_system_us;
    uint64_t max_rss_kib;     /* of the largest of them */
    uint64_t log_lines;       /* written when it ended, all streams */
    uint64_t log_dropped;     /* lines dropped: too fast, or the disk was full */
    char text[INIT_TEXT_MAX]; /* NUL-terminated: the path tried, or a word on `stage` */
    uint32_t reserved2;
    uint32_t checksum; /* of all that is before it */
};

/* ---- log segments ------------------------------------------------------------------------- */

enum {
    LOG_SEGMENT_DEFAULT = 2 << 20, /* bytes of each of the two files */
    LOG_SEGMENT_MIN = 64 << 10,    /* room for three longest pieces */
    LOG_SEGMENT_MAX = 256 << 20,
    LOG_RATE_DEFAULT = 10 << 20,    /* bytes a second of text and headers, with one second's burst:
                                     * more would go round both segments every half second */
    LOG_TEXT_MAX = 16 << 10,        /* bytes of one piece of a line */
    LOG_SEGMENT_MAGIC = 0x47455350, /* "PSEG" */
    LOG_RECORD_MAGIC = 0x474c4350,  /* "PCLG" */
};

enum log_stream {
    LOG_STREAM_OUT, /* the app's standard output */
    LOG_STREAM_ERR, /* its standard error */
    LOG_STREAM_INIT /* paas-init's own words */
};

enum log_flags {
    LOG_CONTINUED = 1 << 0, /* the line goes on in the stream's next record */
    LOG_DROPPED = 1 << 1,   /* `dropped` lines are missing before this record, which says so */
};

/* A segment: this header, then records back to back. Generation g lies in log.(g mod 2); it starts
 * by truncating that file, so the file with the higher generation is the newer one, and the older
 * one holds the records before it. */
struct log_segment {
    uint32_t magic;
    uint16_t version;
    uint16_t header_bytes; /* sizeof(struct log_segment) */
    uint64_t generation;   /* 0, 1, 2 … */
    uint64_t first_seq;    /* `seq` of its first record */
    uint32_t reserved;
    uint32_t checksum; /* of all that is before it */
};

/* A record: this header, then `text_bytes` bytes as the app wrote them, without the newline.
 * Sequence numbers count records from 1 without a hole: a hole that a reader sees was overwritten
 * before it came by. A record whose checksum is wrong has not been written whole: nothing follows.
 */
struct log_record {
    uint32_t magic;
    uint32_t checksum; /* of what follows in the header, and the text */
    uint64_t seq;
    int64_t wall_ms;
    uint32_t dropped; /* with LOG_DROPPED */
    uint16_t text_bytes;
    uint8_t stream; /* enum log_stream */
    uint8_t flags;  /* enum log_flags */
};

/* ---- init.sock ---------------------------------------------------------------------------- */
/* Two messages. The agent sends requests; paas-init sends its whole state: on connect, after every
 * request on that connection, and to all connections on a change. A slow reader misses states in
 * between, never the last one. One message is one packet. Connections from inside the instance are
 * refused, beside the mode of the socket's directory. */

enum { INIT_MESSAGE_MAGIC = 0x4b4c4e50 /* "PNLK" */ };

#define INIT_GRACE_OF_START UINT32_MAX /* a stop's grace: the start block's */

enum init_request_kind {
    INIT_REQUEST_STATE,     /* nothing but the answer */
    INIT_REQUEST_SIGNAL,    /* `signal` to the app's process */
    INIT_REQUEST_STOP,      /* `signal` (0: the start block's), then after `grace_ms` cgroup.kill A
                             * later one may only shorten the time. The agent thaws first */
    INIT_REQUEST_DEADLINE,  /* `deadline_boot_ms`; only ever grows; exclusive instances only */
    INIT_REQUEST_LISTENERS, /* looks for listening sockets now */
    INIT_REQUEST_COUNT
};

struct init_request {
    uint32_t magic;
    uint16_t version;
    uint16_t bytes;    /* sizeof(struct init_request) */
    uint32_t kind;     /* enum init_request_kind */
    uint32_t sequence; /* chosen by the agent, comes back in `acknowledged` */
    int32_t signal;
    uint32_t grace_ms; /* or INIT_GRACE_OF_START */
    int64_t deadline_boot_ms;
};

struct init_listener {
    uint8_t family; /* 4 or 6 */
    uint8_t reserved;
    uint16_t port;       /* host byte order */
    uint8_t address[16]; /* network byte order; the first four bytes for IPv4 */
};

enum init_phase {
    INIT_PHASE_STARTING, /* execve has not succeeded yet */
    INIT_PHASE_RUNNING,
    INIT_PHASE_STOPPING, /* a stop or the deadline is under way */
    INIT_PHASE_ENDED     /* `exit` is set; paas-init is about to end */
};

struct init_state {
    uint32_t magic;
    uint16_t version;
    uint16_t bytes;        /* sizeof(struct init_state) */
    uint64_t revision;     /* grows with every change */
    uint32_t acknowledged; /* last request of this connection */
    int32_t result;        /* its result: 0 or an errno value */
    uint32_t phase;        /* enum init_phase */
    int32_t app_pid;       /* inside the instance; 0 before and after */
    uint32_t start_flags;  /* enum init_start_flags */
    uint32_t port;         /* the start block's */
    int64_t started_boot_ms;
    int64_t deadline_boot_ms; /* 0: none */
    int64_t kill_boot_ms;     /* when a stop turns into a kill, or 0 */
    uint32_t listen_calls;    /* calls of listen that were let through */
    uint32_t refused_calls;   /* other notified calls, answered EPERM */
    int32_t refused_last;     /* number of the last of them, or -1 */
    uint32_t oom_kills;
    uint64_t log_seq; /* of the last record written */
    uint64_t log_dropped;
    uint32_t listener_count; /* all, also those that had no room below */
    uint32_t reserved;
    struct init_listener listeners[INIT_LISTENERS_MAX];
    struct init_exit exit; /* with INIT_PHASE_ENDED */
};

_Static_assert(sizeof(struct init_start) == 56, "no hidden padding");
_Static_assert(sizeof(struct init_exit) == 248, "no hidden padding");
_Static_assert(sizeof(struct log_segment) == 32, "no hidden padding");
_Static_assert(sizeof(struct log_record) == 32, "no hidden padding");
_Static_assert(sizeof(struct init_request) == 32, "no hidden padding");
_Static_assert(sizeof(struct init_listener) == 20, "no hidden padding");
_Static_assert(
    sizeof(struct init_state) == 104 + 20 * INIT_LISTENERS_MAX + sizeof(struct init_exit),
    "no hidden padding");

#endif
