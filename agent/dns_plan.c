/* From the host's resolv.conf to the instances'. SPDX-License-Identifier: Apache-2.0 */
#include "dns.h"

#include <paas/buf.h>
#include <paas/file.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <string.h>
#include <unistd.h>

enum {
    RESOLV_CONF_MAX = 64 * 1024, /* bytes; more is not read */
    ADDRESS_TEXT_MAX = INET6_ADDRSTRLEN + 1 + IF_NAMESIZE,
};

static bool read_ipv4(const char *text, struct sockaddr_storage *out) {
    struct sockaddr_in *a = (struct sockaddr_in *)out;
    a->sin_family = AF_INET;
    a->sin_port = htons(DNS_PORT);
    return inet_pton(AF_INET, text, &a->sin_addr) == 1;
}

/* An address may name its interface: fe80::1%eth0. */
static bool read_ipv6(char *text, struct sockaddr_storage *out) {
    struct sockaddr_in6 *a = (struct sockaddr_in6 *)out;
    char *interface = strchr(text, '%');
    if (interface) {
        *interface++ = '\0';
        a->sin6_scope_id = if_nametoindex(interface);
    }
    a->sin6_family = AF_INET6;
    a->sin6_port = htons(DNS_PORT);
    return inet_pton(AF_INET6, text, &a->sin6_addr) == 1;
}

/* Reads the server of a line "nameserver ADDRESS"; false for any other line. */
static bool read_line(const char *line, size_t len, struct sockaddr_storage *out) {
    static const char keyword[] = "nameserver";
    static const char space[] = " \t\r";
    const size_t keyword_len = sizeof(keyword) - 1;
    if (len <= keyword_len || memcmp(line, keyword, keyword_len) != 0 ||
        !strchr(space, line[keyword_len])) {
        return false;
    }
    char text[ADDRESS_TEXT_MAX] = "";
    line += keyword_len;
    len -= keyword_len;
    while (len > 0 && strchr(space, *line)) {
        line++;
        len--;
    }
    size_t n = 0;
    while (n < len && line[n] != '\0' && !strchr(" \t\r#;", line[n])) {
        n++;
    }
    if (n >= sizeof(text)) {
        return false;
    }
    memcpy(text, line, n);
    *out = (struct sockaddr_storage){ 0 };
    if (read_ipv4(text, out)) {
        return true;
    }
    *out = (struct sockaddr_storage){ 0 };
    return read_ipv6(text, out);
}

/* Whether an instance can reach the server itself. */
static bool in_reach(const struct sockaddr_storage *server, struct in_addr *address) {
    if (server->ss_family != AF_INET) {
        return false;
    }
    *address = ((const struct sockaddr_in *)server)->sin_addr;
    uint32_t a = ntohl(address->s_addr);
    return a >> 24 != 127 && a >> 24 != 0; /* 0.0.0.0 is this host, too */
}

void dns_plan_make(const char *resolv_conf, struct in_addr forwarder, struct dns_plan *out) {
    *out = (struct dns_plan){ 0 };
    for (const char *line = resolv_conf; *line && out->server_count < DNS_SERVERS_MAX;) {
        size_t len = strcspn(line, "\n");
        if (read_line(line, len, &out->servers[out->server_count])) {
            struct in_addr address;
            if (in_reach(&out->servers[out->server_count], &address)) {
                out->instances[out->instance_count++] = address;
            }
            out->server_count++;
        }
        line += len + (line[len] == '\n');
    }
    if (out->server_count == 0) {
        read_ipv4("127.0.0.1", &out->servers[out->server_count++]);
    }
    if (out->instance_count == 0) {
        out->forward = true;
        out->instances[out->instance_count++] = forwarder;
    }
}

int dns_plan_read(
    const char *path, struct in_addr forwarder, struct dns_plan *out, struct err *err) {
    struct buf text;
    struct err why = { 0 };
    buf_init(&text, RESOLV_CONF_MAX);
    int result = file_read_whole(AT_FDCWD, path, &text, &why);
    if (result != 0 && why.code == ERR_NOT_FOUND) {
        result = 0;
    }
    if (result == 0) {
        dns_plan_make(buf_str(&text), forwarder, out);
    } else if (err) {
        *err = why;
    }
    buf_free(&text);
    return result;
}

static int bound_socket(struct in_addr address, int type, struct err *err) {
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(DNS_PORT), .sin_addr = address
    };
    const int on = 1;
    int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return err_sys(err, errno, "open a socket");
    }
    /* A connection of the last forwarder may still be closing. UDP sockets do not share. */
    if ((type == SOCK_STREAM && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0) ||
        bind(fd, (struct sockaddr *)&a, sizeof(a)) != 0) {
        char text[INET_ADDRSTRLEN];
        err_sys(err, errno, "bind the DNS forwarder to %s",
            inet_ntop(AF_INET, &address, text, sizeof(text)));
        close(fd);
        return -1;
    }
    return fd;
}

int dns_bind(struct in_addr address, int *udp, int *tcp, struct err *err) {
    *udp = bound_socket(address, SOCK_DGRAM, err);
    if (*udp < 0) {
        return -1;
    }
    *tcp = bound_socket(address, SOCK_STREAM, err);
    if (*tcp < 0) {
        file_close(udp);
        return -1;
    }
    return 0;
}
