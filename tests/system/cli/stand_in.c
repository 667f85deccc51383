/* Stands in for each daemon in tests of the supervisor. SPDX-License-Identifier: Apache-2.0
 *
 * By the name it is started as: paas-scheduler answers every request on its first socket with a
 * status that is ready, paas-proxy with its own process id; paas-agent waits for the end of its
 * socket, as both halves of the pair do. Each first writes its ids, capabilities and descriptors to
 * standard error, which is its log.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SOCKET = 3 };

static void print_self(const char *name) {
    char line[256];
    FILE *status = fopen("/proc/self/status", "re");
    fprintf(stderr, "%s starts\n", name);
    while (status && fgets(line, sizeof line, status)) {
        static const char *const told[] = { "Uid:", "Gid:", "Groups:", "Cap", "NoNewPrivs:" };
        for (size_t i = 0; i < sizeof told / sizeof *told; i++) {
            if (strncmp(line, told[i], strlen(told[i])) == 0) {
                fputs(line, stderr);
            }
        }
    }
    if (status) {
        fclose(status);
    }
    int open_fds = 0;
    DIR *fds = opendir("/proc/self/fd");
    for (struct dirent *entry; fds && (entry = readdir(fds));) {
        open_fds += entry->d_name[0] != '.' && atoi(entry->d_name) != dirfd(fds);
    }
    if (fds) {
        closedir(fds);
    }
    fprintf(stderr, "descriptors: %d\nnames: %s\n", open_fds,
        getenv("LISTEN_FDNAMES") ? getenv("LISTEN_FDNAMES") : "");
}

static void serve(const char *body) {
    char request[4096], answer[512];
    for (;;) {
        int fd = accept(SOCKET, NULL, NULL);
        if (fd < 0) {
            usleep(1000); /* the listener does not block */
            continue;
        }
        int len = snprintf(answer, sizeof answer,
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
            "Content-Length: %zu\r\n\r\n%s",
            strlen(body), body);
        if (read(fd, request, sizeof request) > 0 && write(fd, answer, (size_t)len) < 0) {
            perror("write");
        }
        close(fd);
    }
}

int main(int argc, char **argv) {
    const char *name = strrchr(argv[0], '/');
    char byte, pid[32];
    name = name ? name + 1 : argv[0];
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--sweep") == 0) {
            fprintf(stderr, "swept\n");
            return 0;
        }
    }
    print_self(name);
    if (strcmp(name, "paas-scheduler") == 0) {
        serve("{\"ready\":true,\"version\":\"0\",\"nodes\":1,\"apps\":0,\"instances\":0}");
    }
    if (strcmp(name, "paas-proxy") == 0) {
        snprintf(pid, sizeof pid, "%d", (int)getpid());
        serve(pid);
    }
    return read(SOCKET, &byte, 1) == 0 ? 0 : 1;
}
