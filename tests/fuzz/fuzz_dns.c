/* Any bytes as a DNS message, and any text as a resolv.conf: read within bounds, and what is made
 * of them means what it says. SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "dns.h"
#include "dns_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FORWARDER = 0x0ac80001 /* 10.200.0.1 */ };

static void must(bool true_always) {
    if (!true_always) {
        abort();
    }
}

/* A query and what may be its answer: the bytes, split where the first one says. */
static void try_messages(const uint8_t *data, size_t size) {
    size_t first = size * data[0] / 256;
    const uint8_t *query = data + 1, *answer = query + first;
    size_t query_len = first, answer_len = size - 1 - first;
    size_t question = dns_message_query(query, query_len);
    must(question == 0 || (question > DNS_HEADER && question <= query_len));
    if (!question) {
        return;
    }
    dns_message_answers(query, question, answer, answer_len);
    uint8_t *refusal = malloc(query_len);
    memcpy(refusal, query, query_len);
    size_t len = dns_message_fail(refusal, query_len);
    must(len <= query_len && dns_message_answers(query, question, refusal, len));
    memcpy(refusal, query, query_len);
    len = dns_message_truncate(refusal, query_len);
    must(len <= query_len && dns_message_answers(query, question, refusal, len));
    dns_message_set_id(refusal, 0xabcd);
    must(dns_message_id(refusal) == 0xabcd);
    free(refusal);
}

static void try_plan(const uint8_t *data, size_t size) {
    struct dns_plan plan;
    struct in_addr forwarder = { htonl(FORWARDER) };
    char *text = malloc(size + 1);
    memcpy(text, data, size);
    text[size] = '\0';
    dns_plan_make(text, forwarder, &plan);
    must(plan.server_count >= 1 && plan.server_count <= DNS_SERVERS_MAX);
    must(plan.instance_count >= 1 && plan.instance_count <= DNS_SERVERS_MAX);
    for (unsigned i = 0; i < plan.server_count; i++) {
        must(plan.servers[i].ss_family == AF_INET || plan.servers[i].ss_family == AF_INET6);
    }
    for (unsigned i = 0; i < plan.instance_count; i++) {
        must(plan.forward ? plan.instances[i].s_addr == forwarder.s_addr
                          : ntohl(plan.instances[i].s_addr) >> 24 != 127);
    }
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size > 1) {
        try_messages(data, size);
    }
    try_plan(data, size);
    return 0;
}
