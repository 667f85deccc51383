/* Plays the platform's host side in the lab: instances' networks and the firewall, on command.
 * SPDX-License-Identifier: Apache-2.0
 *
 *   net_host PLATFORM RESOLVER COUNT
 *
 * Makes the platform's network with the firewall and COUNT instances' namespaces, in slots 16…, and
 * prints "ready" and a path of each namespace for nsenter(1). Then reads commands, one a line, and
 * answers "ok" or an error: `clear` and `set` remove and install the firewall, `forget` drops the
 * namespaces, `remove` undoes the host's side. Ends at the end of its input.
 */
#include "firewall.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { INSTANCES_MAX = 8, FIRST_SLOT = 16, LINE_MAX_BYTES = 64 };

struct lab {
    struct netns_host host;
    struct firewall_spec firewall;
    struct netns_made instances[INSTANCES_MAX];
    int count;
};

static int set(struct lab *lab, struct err *err) {
    if (netns_forwarding(&lab->host, lab->firewall.uplinks, &lab->firewall.uplink_count, err)) {
        return -1;
    }
    return firewall_set(&lab->firewall, err);
}

static int forget(struct lab *lab) {
    for (int i = 0; i < lab->count; i++) {
        close(lab->instances[i].fd);
    }
    lab->count = 0;
    return 0;
}

static int command(struct lab *lab, const char *word, struct err *err) {
    if (strcmp(word, "clear") == 0) {
        return firewall_clear(lab->firewall.platform, err);
    }
    if (strcmp(word, "set") == 0) {
        return set(lab, err);
    }
    if (strcmp(word, "forget") == 0) {
        return forget(lab);
    }
    if (strcmp(word, "remove") == 0) {
        return netns_host_remove(lab->firewall.platform, err);
    }
    return err_set(err, ERR_USAGE, "unknown command %s", word);
}

static int open_lab(struct lab *lab, char **argv, struct err *err) {
    lab->firewall.platform = (unsigned)atoi(argv[1]);
    lab->firewall.resolver_count = 1;
    lab->firewall.resolvers[0].s_addr = inet_addr(argv[2]);
    if (netns_host_open(&lab->host, lab->firewall.platform, err) != 0 || set(lab, err) != 0) {
        return -1;
    }
    int wanted = atoi(argv[3]);
    for (; lab->count < wanted && lab->count < INSTANCES_MAX; lab->count++) {
        struct netns_made *made = &lab->instances[lab->count];
        if (netns_create(&lab->host, FIRST_SLOT + (unsigned)lab->count, made, err) != 0) {
            return -1;
        }
    }
    return 0;
}

int main(int argc, char **argv) {
    static struct lab lab;
    struct err err = { 0 };
    if (argc != 4) {
        fputs("usage: net_host PLATFORM RESOLVER COUNT\n", stderr);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (open_lab(&lab, argv, &err) != 0) {
        printf("%s\n", err.text);
        return 1;
    }
    printf("ready");
    for (int i = 0; i < lab.count; i++) {
        printf(" /proc/%d/fd/%d", getpid(), lab.instances[i].fd);
    }
    printf("\n");
    char line[LINE_MAX_BYTES];
    while (fgets(line, sizeof(line), stdin)) {
        line[strcspn(line, "\n")] = '\0';
        puts(command(&lab, line, &err) == 0 ? "ok" : err.text);
    }
    forget(&lab);
    netns_host_close(&lab.host);
    return 0;
}
