/* An app that says what it was started with, static: GET / answers uid, gid, directory, arguments
 * and environment; GET /read/PATH the file's content, or why there is none.
 * SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

extern char **environ;

static void describe(FILE *out, char **argv) {
    char directory[4096] = "?";
    if (!getcwd(directory, sizeof directory)) {
        fprintf(out, "no directory: %s\n", strerror(errno));
    }
    fprintf(out, "uid=%d gid=%d cwd=%s\nargs=", (int)getuid(), (int)getgid(), directory);
    for (int i = 1; argv[i]; i++) {
        fprintf(out, "%s%s", i > 1 ? " " : "", argv[i]);
    }
    fprintf(out, "\n");
    for (char **e = environ; *e; e++) {
        fprintf(out, "env %s\n", *e);
    }
}

static void show(FILE *out, const char *path) {
    struct stat st;
    char chunk[4096];
    if (lstat(path, &st) < 0) {
        fprintf(out, "%s\n", strerror(errno));
        return;
    }
    fprintf(out, "mode=%o uid=%d gid=%d links=%d ", (unsigned)st.st_mode, (int)st.st_uid,
        (int)st.st_gid, (int)st.st_nlink);
    FILE *in = S_ISREG(st.st_mode) ? fopen(path, "r") : NULL;
    for (size_t n; in && (n = fread(chunk, 1, sizeof chunk, in)) > 0;) {
        fwrite(chunk, 1, n, out);
    }
    if (in) {
        fclose(in);
    }
}

static void answer(int client, char **argv) {
    char request[8192] = "", path[4096] = "", *body = NULL;
    size_t len = 0;
    ssize_t n = 0;
    while (len < sizeof request - 1 && !strstr(request, "\r\n\r\n") &&
           (n = read(client, request + len, sizeof request - 1 - len)) > 0) {
        len += (size_t)n;
        request[len] = '\0';
    }
    if (sscanf(request, "GET /read%4095s ", path) != 1) {
        path[0] = '\0';
    }
    FILE *out = open_memstream(&body, &len);
    if (path[0]) {
        show(out, path);
    } else {
        describe(out, argv);
    }
    fclose(out);
    dprintf(
        client, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s", len, body);
    free(body);
    close(client);
}

int main(int argc, char **argv) {
    const char *port = getenv("PORT");
    struct sockaddr_in address = { .sin_family = AF_INET };
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)argc;
    address.sin_port = htons((unsigned short)atoi(port ? port : "8080"));
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 64) < 0) {
        perror("listen");
        return 1;
    }
    for (;;) {
        int client = accept(fd, NULL, NULL);
        if (client >= 0) {
            answer(client, argv);
        }
    }
}
