/* A whole head to its parts, by llhttp. SPDX-License-Identifier: Apache-2.0 */
#ifndef COMMON_HTTP_SPLIT_H
#define COMMON_HTTP_SPLIT_H

#include <paas/http_check.h>

enum http_split_kind { HTTP_SPLIT_REQUEST, HTTP_SPLIT_RESPONSE };

struct http_split {
    struct http_header *to; /* where `max` headers may go */
    size_t max;
    size_t count;         /* out: headers; `field` and `hop` are not set */
    struct http_text url; /* out: of a request */
};

/* Splits `text`, up to and with its empty line; `first`, if not NULL, is put before it as the first
 * line. 0, or -1 when llhttp refuses it or there are more than `max` headers. Slices point into
 * `text`. */
int http_split(
    enum http_split_kind kind, const char *first, struct http_text text, struct http_split *s);

#endif
