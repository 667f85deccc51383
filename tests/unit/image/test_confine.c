/* What a confined helper can still do, and what not. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <paas/file.h>

#include "confine.h"

struct fixture {
    char base[64];
    int base_fd, inside, report;
};

/* One attempt: 0, or the errno. */
struct attempt {
    const char *name;
    int (*try)(const struct fixture *f);
    int expected; /* errno; 0: it works */
};

static int result_of(long result) {
    return result < 0 ? errno : 0;
}

static int make_file(const struct fixture *f) {
    return result_of(openat(f->inside, "file", O_WRONLY | O_CREAT | O_EXCL, 0600));
}
static int make_whiteout(const struct fixture *f) {
    return result_of(mknodat(f->inside, "gone", S_IFCHR, makedev(0, 0)));
}
static int make_device(const struct fixture *f) {
    return result_of(mknodat(f->inside, "null", S_IFCHR | 0666, makedev(1, 3)));
}
static int link_across(const struct fixture *f) {
    return mkdirat(f->inside, "sub", 0755) < 0
               ? errno
               : result_of(linkat(f->inside, "file", f->inside, "sub/link", 0));
}
static int change_owner(const struct fixture *f) {
    return result_of(fchownat(f->inside, "file", 12, 34, AT_SYMLINK_NOFOLLOW));
}
static int write_outside(const struct fixture *f) {
    char path[128];
    snprintf(path, sizeof path, "%s/outside/file", f->base);
    return result_of(openat(AT_FDCWD, path, O_WRONLY | O_CREAT, 0600));
}
static int climb_out(const struct fixture *f) {
    return result_of(openat(f->inside, "../outside/file", O_WRONLY | O_CREAT, 0600));
}
static int read_outside(const struct fixture *f) {
    (void)f;
    return result_of(openat(AT_FDCWD, "/etc/passwd", O_RDONLY));
}
static int read_own_file(const struct fixture *f) {
    return result_of(openat(f->inside, "file", O_RDONLY));
}
static int use_other_fd(const struct fixture *f) {
    struct stat st;
    return result_of(fstat(f->base_fd, &st));
}
static int open_socket(const struct fixture *f) {
    (void)f;
    return result_of(socket(AF_UNIX, SOCK_STREAM, 0));
}
static int send_signal(const struct fixture *f) {
    (void)f;
    return result_of(kill(getppid(), 0));
}
static int make_child(const struct fixture *f) {
    (void)f;
    return result_of(syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0));
}
static int execute(const struct fixture *f) {
    (void)f;
    char *argv[] = { (char[]){ "true" }, NULL };
    return result_of(execve("/bin/true", argv, argv));
}
static int make_namespace(const struct fixture *f) {
    (void)f;
    return result_of(syscall(SYS_unshare, CLONE_NEWNS));
}
static int map_executable(const struct fixture *f) {
    (void)f;
    void *at = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return at == MAP_FAILED ? errno : 0;
}
static int become_other(const struct fixture *f) {
    (void)f;
    return result_of(syscall(SYS_setresuid, 5, 5, 5));
}

static const struct attempt attempts[] = {
    { "making a file", make_file, 0 },
    { "making a whiteout", make_whiteout, 0 },
    { "linking across directories", link_across, 0 },
    { "changing an owner", change_owner, 0 },
    { "making a device", make_device, EPERM },
    { "writing outside", write_outside, EACCES },
    { "climbing out", climb_out, EACCES },
    { "reading outside", read_outside, EACCES },
    { "reading what it wrote", read_own_file, EACCES },
    { "a descriptor that was not given", use_other_fd, EBADF },
    { "a socket", open_socket, EPERM },
    { "a signal", send_signal, EPERM },
    { "a child", make_child, EPERM },
    { "a program", execute, EPERM },
    { "a namespace", make_namespace, EPERM },
    { "memory to execute", map_executable, EPERM },
    { "another user", become_other, EPERM },
};
enum { ATTEMPTS = sizeof attempts / sizeof attempts[0] };

static _Noreturn void run_confined(const struct fixture *f) {
    int results[ATTEMPTS];
    int fds[] = { f->inside, f->report };
    if (f->report < f->inside) {
        fds[0] = f->report;
        fds[1] = f->inside;
    }
    struct confine c = {
        .fds = fds,
        .fd_count = 2,
        .directories = &f->inside,
        .directory_count = 1,
        .file_bytes = 1 << 20,
        .memory = 1 << 28,
        .seconds = 10,
    };
    struct err err;
    if (confine_self(&c, &err) < 0) {
        _exit(99);
    }
    for (int i = 0; i < ATTEMPTS; i++) {
        results[i] = attempts[i].try(f);
    }
    _exit(file_write_all(f->report, results, sizeof results, NULL) < 0);
}

static void test_what_is_left(void **state) {
    (void)state;
    struct fixture f = { .base = "/tmp/paas-test-confine.XXXXXX" };
    int ends[2], status, results[ATTEMPTS];
    assert_non_null(mkdtemp(f.base));
    f.base_fd = open(f.base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(mkdirat(f.base_fd, "inside", 0755) | mkdirat(f.base_fd, "outside", 0777), 0);
    f.inside = openat(f.base_fd, "inside", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    f.report = ends[1];
    pid_t pid = fork();
    if (pid == 0) {
        run_confined(&f);
    }
    close(ends[1]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(read(ends[0], results, sizeof results), sizeof results);
    for (int i = 0; i < ATTEMPTS; i++) {
        if (results[i] != attempts[i].expected) {
            fail_msg("%s: %s, expected %s", attempts[i].name, strerror(results[i]),
                strerror(attempts[i].expected));
        }
    }
    close(ends[0]);
    close(f.inside);
    close(f.base_fd);
    assert_int_equal(file_remove_tree(AT_FDCWD, f.base, NULL), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_what_is_left) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
