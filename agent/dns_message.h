/* The little of a DNS message that the forwarder looks at. SPDX-License-Identifier: Apache-2.0
 *
 * RFC 1035 section 4.1. Pure; every function reads within `len`. */
#ifndef AGENT_DNS_MESSAGE_H
#define AGENT_DNS_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DNS_HEADER = 12 /* bytes */ };

/* Bytes of header and question when `m` is a plain query with exactly one question; else 0. */
size_t dns_message_query(const uint8_t *m, size_t len);
/* Whether `answer` is one to `query`, of which `question` bytes are header and question: the same
 * id, and the same question, or none in an error. */
bool dns_message_answers(const uint8_t *query, size_t question, const uint8_t *answer, size_t len);
uint16_t dns_message_id(const uint8_t *m);
void dns_message_set_id(uint8_t *m, uint16_t id);
/* Turns a query into its refusal SERVFAIL, in place; returns its length. */
size_t dns_message_fail(uint8_t *m, size_t len);
/* Turns a query into the answer "truncated, ask by TCP", in place; returns its length. */
size_t dns_message_truncate(uint8_t *m, size_t len);

#endif
