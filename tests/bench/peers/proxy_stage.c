/* Starts a paas-proxy for tests/bench/proxy and plays its agent. SPDX-License-Identifier:
 * Apache-2.0
 *
 * `proxy_stage PROXY DIR PORT BACKEND_PORT…` listens on 127.0.0.1:PORT, starts PROXY with one
 * worker, and says one row a backend. The proxy's pid is the last word of the line "ready PID". */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int listen_tcp(int port) {
    struct sockaddr_in a = { .sin_family = AF_INET,
        .sin_port = htons((unsigned short)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&a, sizeof a) != 0 || listen(fd, 1024) != 0) {
        perror("proxy_stage");
        exit(1);
    }
    return fd;
}

static int listen_unix(const char *dir) {
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    snprintf(a.sun_path, sizeof a.sun_path, "%s/run/agent/local.sock", dir);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(fd, (struct sockaddr *)&a, sizeof a) != 0 || listen(fd, 1) != 0) {
        perror("proxy_stage");
        exit(1);
    }
    return fd;
}

static void make_dirs(const char *dir) {
    static const char *const names[] = { "", "data", "run", "run/agent", "run/proxy" };
    for (int i = 0; i < 5; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        mkdir(path, 0755);
    }
}

static void write_routes(const char *dir) {
    char path[128];
    snprintf(path, sizeof path, "%s/data/routes", dir);
    FILE *f = fopen(path, "w");
    if (!f) {
        perror(path);
        exit(1);
    }
    fputs("{\"term\":1,\"revision\":1,\"count\":1}\n{\"host\":\"bench.test\",\"path\":\"/\","
          "\"app\":\"bench\",\"process\":\"web\",\"nodes\":[]}\n",
        f);
    fclose(f);
}

static pid_t start(const char *proxy, const char *dir, int listening) {
    pid_t pid = fork();
    if (pid == 0) {
        char data[128], run[128];
        snprintf(data, sizeof data, "%s/data", dir);
        snprintf(run, sizeof run, "%s/run", dir);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(listening, 3);
        setenv("LISTEN_FDS", "1", 1);
        setenv("LISTEN_FDNAMES", "http", 1);
        execl(proxy, "paas-proxy", "--data", data, "--run", run, "--node", "bench", "--platform",
            "31", "--threads", "1", (char *)NULL);
        perror(proxy);
        _exit(127);
    }
    return pid;
}

int main(int argc, char **argv) {
    if (argc < 5) {
        fputs("proxy_stage PROXY DIR PORT BACKEND_PORT...\n", stderr);
        return 2;
    }
    make_dirs(argv[2]);
    write_routes(argv[2]);
    int agent = listen_unix(argv[2]);
    pid_t pid = start(argv[1], argv[2], listen_tcp(atoi(argv[3])));
    int link = accept(agent, NULL, NULL);
    dprintf(link, "{\"type\":\"hello\"}\n");
    for (int i = 4; i < argc; i++) {
        dprintf(link,
            "{\"type\":\"instance\",\"id\":\"aaaaaaaaa%c\",\"app\":\"bench\",\"process\":\"web\","
            "\"release\":1,\"address\":\"127.0.0.1\",\"port\":%s,\"state\":\"healthy\"}\n",
            'a' + i - 4, argv[i]);
    }
    dprintf(link, "{\"type\":\"sync\",\"revision\":1}\n");
    char heard[65536] = "";
    while (!strstr(heard, "ack") && read(link, heard, sizeof heard - 1) > 0) {
    }
    printf("ready %d\n", pid);
    fflush(stdout);
    while (read(link, heard, sizeof heard) > 0) { /* the demand, while the bench runs */
    }
    waitpid(pid, NULL, 0);
    return 0;
}
