/* Paths and queries of endpoints. SPDX-License-Identifier: Apache-2.0 */
#ifndef COMMON_HTTP_MATCH_H
#define COMMON_HTTP_MATCH_H

#include <stdbool.h>

#include <paas/http_words.h>

enum {
    MATCH_PARAMS = 8,   /* {params} of one path */
    MATCH_QUERIES = 32, /* parameters of one query; more are refused */
};

/* A name and its value: of a {param}, or of a query. */
struct match_pair {
    struct http_text name;
    struct http_text value; /* as sent */
};

/* Whether `path` fits "/v1/apps/{app}"; "{name*}" takes one or more segments, others exactly one
 * that is not empty. Adds to pairs[MATCH_PARAMS]
 * and *count, also when it does not fit. */
bool http_match(
    const char *pattern, struct http_text path, struct match_pair *pairs, size_t *count);
/* Splits a query at '&' and '='; a bare name has an empty value. -1 with more than MATCH_QUERIES
 * parameters. */
int http_split_query(struct http_text query, struct match_pair *pairs, size_t *count);
/* Decodes %XX, and '+' to a space if `plus`, into `out` of in.len + 1 bytes, NUL-terminated.
 * Returns the length, or -1 for a broken escape or a NUL. */
int http_unescape(struct http_text in, bool plus, char *out);

#endif
