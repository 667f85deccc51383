/* Lists in pages: `?limit=&after=`, and where the next page is in a Link header (RFC 8288).
 * SPDX-License-Identifier: Apache-2.0
 *
 * A list has an order, and each row a key that says its place in it: keys ascend by their bytes. A
 * page begins after the key that the client gives back, whether that row is still there or not, so
 * rows that come and go meanwhile shift no others. To clients a key means nothing: they follow the
 * link.
 */
#ifndef PAAS_HTTP_PAGE_H
#define PAAS_HTTP_PAGE_H

#include <stdbool.h>
#include <stdint.h>

#include <paas/buf.h>
#include <paas/http_server.h>

enum {
    PAGE_ROWS_MAX = 1000, /* rows of a page, also without a limit: an answer of about 1 MiB */
    PAGE_KEY_SIZE = 256,
};

/* The one answer to a call whose row has `out`, the type of the rows. */
struct http_page {
    struct call *call;
    int64_t limit;
    const char *after; /* "" at the beginning */
    int64_t count;
    bool more;
    char last[PAGE_KEY_SIZE];
    struct buf text;
};

/* -1: the query was wrong and the call is failed. */
int http_page_begin(struct http_page *p, struct call *c);
/* The next row of the list; only those of the page are taken. Keys are made of what needs no
 * escaping in a query: letters, digits and -._~!/ and are shorter than PAGE_KEY_SIZE. */
void http_page_row(struct http_page *p, const char *key, const void *row);
/* Replies. */
enum call_result http_page_end(struct http_page *p);

#endif
