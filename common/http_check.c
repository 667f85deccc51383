/* What an HTTP parser leaves to its user. SPDX-License-Identifier: Apache-2.0 */
#include <paas/http_check.h>

#include <arpa/inet.h>
#include <string.h>

static const struct http_verdict fine = { 0, NULL };

static struct http_verdict refuse(int status, const char *words) {
    return (struct http_verdict){ status, words };
}

static bool list_has(struct http_text list, const char *word) {
    struct http_text element;
    while (http_list_next(&list, &element)) {
        if (http_is(element, word)) {
            return true;
        }
    }
    return false;
}

/* ---- First lines ---- */

/* "HTTP/1.0" or "HTTP/1.1"; 505 for another version, 400 for none. */
static struct http_verdict check_version(struct http_text text, int *minor) {
    if (text.len != 8 || memcmp(text.at, "HTTP/", 5) != 0 || text.at[6] != '.' ||
        !http_all(http_slice(text, 5, 6), CLASS_DIGIT) ||
        !http_all(http_slice(text, 7, 8), CLASS_DIGIT)) {
        return refuse(400, "the HTTP version is malformed");
    }
    if (text.at[5] != '1' || text.at[7] > '1') {
        return refuse(505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
    }
    *minor = text.at[7] - '0';
    return fine;
}

struct http_verdict http_check_request_line(
    struct http_text line, enum http_method *method, struct http_text *target, int *minor) {
    const char *first = line.len ? memchr(line.at, ' ', line.len) : NULL;
    if (!first) {
        return refuse(400, "the request line is not method, target and version");
    }
    size_t end = (size_t)(first - line.at);
    struct http_text name = http_slice(line, 0, end);
    struct http_text rest = http_slice(line, end + 1, line.len);
    if (!http_is_token(name)) {
        return refuse(400, "the method is not a token");
    }
    const char *second = rest.len ? memchr(rest.at, ' ', rest.len) : NULL;
    if (!second || second == rest.at) {
        return refuse(400, "the request line is not method, target and version");
    }
    *target = http_slice(rest, 0, (size_t)(second - rest.at));
    struct http_verdict verdict = check_version(http_slice(rest, target->len + 1, rest.len), minor);
    if (verdict.status) {
        return verdict;
    }
    *method = http_method_of(name);
    return *method == METHOD_NONE ? refuse(501, "the method is not known") : fine;
}

struct http_verdict http_check_status_line(struct http_text line, int *status, int *minor) {
    if (line.len < 12 || check_version(http_slice(line, 0, 8), minor).status || line.at[8] != ' ' ||
        !http_all(http_slice(line, 9, 12), CLASS_DIGIT) || (line.len > 12 && line.at[12] != ' ')) {
        return refuse(502, "the answer does not begin like HTTP/1");
    }
    if (!http_all(http_slice(line, 12, line.len), CLASS_VALUE)) {
        return refuse(502, "the answer's phrase has a control byte");
    }
    *status = (line.at[9] - '0') * 100 + (line.at[10] - '0') * 10 + (line.at[11] - '0');
    return *status < 100 || *status > 599 ? refuse(502, "the answer's status is out of range")
                                          : fine;
}

/* Splits path and query at the first '?'. */
static void split_path(struct http_text text, struct http_target *out) {
    const char *mark = text.len ? memchr(text.at, '?', text.len) : NULL;
    size_t end = mark ? (size_t)(mark - text.at) : text.len;
    out->path = http_slice(text, 0, end);
    if (mark) {
        out->query = http_slice(text, end + 1, text.len);
    }
}

static struct http_verdict check_absolute(
    struct http_text target, enum http_method method, struct http_target *out) {
    struct http_text rest = { NULL, 0 };
    if (target.len >= 7 && http_is(http_slice(target, 0, 7), "http://")) {
        rest = http_slice(target, 7, target.len);
    } else if (target.len >= 8 && http_is(http_slice(target, 0, 8), "https://")) {
        rest = http_slice(target, 8, target.len);
        out->https = true;
    } else {
        return refuse(400, "the target is neither a path nor an http URL");
    }
    out->form = FORM_ABSOLUTE;
    size_t end = 0;
    while (end < rest.len && rest.at[end] != '/' && rest.at[end] != '?') {
        end++;
    }
    out->authority = http_slice(rest, 0, end);
    struct http_authority parts;
    struct http_verdict verdict = http_check_authority(out->authority, &parts);
    if (verdict.status || parts.host.len == 0) {
        return refuse(400, "the target's host is malformed");
    }
    split_path(http_slice(rest, end, rest.len), out);
    if (out->path.len == 0) {
        /* RFC 9112 3.2.4: an empty path asks for the server as a whole only with OPTIONS. */
        bool whole = method == METHOD_OPTIONS && !out->query.at;
        out->path = whole ? http_text_of("*") : http_text_of("/");
        out->form = whole ? FORM_ASTERISK : FORM_ABSOLUTE;
    }
    return fine;
}

struct http_verdict http_check_target(
    struct http_text target, enum http_method method, struct http_target *out) {
    *out = (struct http_target){ .form = FORM_ORIGIN };
    if (target.len == 0 || !http_all(target, CLASS_TARGET)) {
        return refuse(400, "the target has a byte that no target may have");
    }
    if (target.at[0] == '/') {
        split_path(target, out);
        return fine;
    }
    if (target.len == 1 && target.at[0] == '*') {
        out->form = FORM_ASTERISK;
        out->path = target;
        return method == METHOD_OPTIONS ? fine : refuse(400, "the target * is for OPTIONS only");
    }
    return check_absolute(target, method, out);
}

/* ---- Hosts ---- */

static bool is_address_literal(struct http_text text) {
    char address[INET6_ADDRSTRLEN];
    struct in6_addr parsed;
    if (text.len < 2 || text.len - 2 >= sizeof address || text.at[text.len - 1] != ']') {
        return false;
    }
    memcpy(address, text.at + 1, text.len - 2);
    address[text.len - 2] = '\0';
    return inet_pton(AF_INET6, address, &parsed) == 1;
}

static bool is_registered_name(struct http_text text) {
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] == '%') {
            if (text.len - i < 3 || !http_all(http_slice(text, i + 1, i + 3), CLASS_HEX)) {
                return false;
            }
            i += 2;
        } else if (!http_byte_is(text.at[i], CLASS_HOST)) {
            return false;
        }
    }
    return true;
}

struct http_verdict http_check_authority(struct http_text text, struct http_authority *out) {
    *out = (struct http_authority){ .host = text, .port = -1 };
    size_t end = 0;
    if (text.len > 0 && text.at[0] == '[') {
        const char *close = memchr(text.at, ']', text.len);
        end = close ? (size_t)(close - text.at) + 1 : text.len;
    } else {
        const char *colon = text.len ? memchr(text.at, ':', text.len) : NULL;
        end = colon ? (size_t)(colon - text.at) : text.len;
    }
    out->host = http_slice(text, 0, end);
    bool literal = end > 0 && text.at[0] == '[';
    if (literal ? !is_address_literal(out->host) : !is_registered_name(out->host)) {
        return refuse(400, "the host is malformed");
    }
    if (end == text.len) {
        return fine;
    }
    struct http_text port = http_slice(text, end + 1, text.len);
    if (text.at[end] != ':' || !http_all(port, CLASS_DIGIT)) {
        return refuse(400, "the host's port is malformed");
    }
    for (size_t i = 0; i < port.len; i++) {
        out->port = (out->port < 0 ? 0 : out->port * 10) + (port.at[i] - '0');
        if (out->port > 65535) {
            return refuse(400, "the host's port is out of range");
        }
    }
    return out->host.len == 0 ? refuse(400, "a port without a host") : fine;
}

static int effective_port(const struct http_authority *a, bool https) {
    return a->port >= 0 ? a->port : https ? 443 : 80;
}

/* ---- Fields ---- */

struct http_verdict http_check_field(struct http_text name, struct http_text value) {
    if (!http_is_token(name)) {
        return refuse(400, "a header name is not a token");
    }
    return http_all(value, CLASS_VALUE) ? fine : refuse(400, "a header value has a control byte");
}

/* What one walk over the headers finds. */
struct walk {
    int hosts, lengths, encodings, upgrades;
    struct http_text host, length, encoding, upgrade;
    bool close, keep_alive, wants_upgrade, expects, expects_else;
};

static void note_connection(struct walk *w, struct http_text value) {
    struct http_text element;
    while (http_list_next(&value, &element)) {
        w->close |= http_is(element, "close");
        w->keep_alive |= http_is(element, "keep-alive");
        w->wants_upgrade |= http_is(element, "upgrade");
    }
}

static void note(struct walk *w, const struct http_header *h) {
    switch (h->field) {
    case FIELD_HOST:
        w->hosts++;
        w->host = h->value;
        break;
    case FIELD_CONTENT_LENGTH:
        w->lengths++;
        w->length = h->value;
        break;
    case FIELD_TRANSFER_ENCODING:
        w->encodings++;
        w->encoding = h->value;
        break;
    case FIELD_UPGRADE:
        w->upgrades++;
        w->upgrade = h->value;
        break;
    case FIELD_CONNECTION:
        note_connection(w, h->value);
        break;
    case FIELD_EXPECT:
        w->expects |= http_is(h->value, "100-continue");
        w->expects_else |= !http_is(h->value, "100-continue");
        break;
    default:
        break;
    }
}

/* Marks every header that a Connection field names (RFC 9110 7.6.1). */
static void mark_named(struct http_header *headers, size_t count, struct http_text names) {
    struct http_text name;
    while (http_list_next(&names, &name)) {
        enum http_field field = http_field_of(name);
        if (field != FIELD_OTHER && http_field_is_hop(field)) {
            continue; /* marked by its kind */
        }
        for (size_t i = 0; i < count; i++) {
            headers[i].hop |= http_same(headers[i].name, name);
        }
    }
}

static void walk_headers(struct http_header *headers, size_t count, struct walk *w) {
    *w = (struct walk){ .hosts = 0 };
    for (size_t i = 0; i < count; i++) {
        struct http_header *h = &headers[i];
        h->field = http_field_of(h->name);
        h->hop = http_field_is_hop(h->field);
        note(w, h);
    }
    for (size_t i = 0; i < count; i++) {
        if (headers[i].field == FIELD_CONNECTION) {
            mark_named(headers, count, headers[i].value);
        }
    }
}

/* The one coding that is understood is chunked, alone. A well-formed list that ends in chunked asks
 * for more than we can (501); anything else cannot be framed (400). */
static struct http_verdict check_encoding(struct http_text value) {
    if (http_is(value, "chunked")) {
        return fine;
    }
    struct http_text rest = value, coding;
    bool last_chunked = false;
    size_t chunked = 0;
    for (;;) {
        const char *comma = rest.len ? memchr(rest.at, ',', rest.len) : NULL;
        size_t end = comma ? (size_t)(comma - rest.at) : rest.len;
        coding = http_trim(http_slice(rest, 0, end));
        if (!http_is_token(coding)) {
            return refuse(400, "the transfer encoding is malformed");
        }
        last_chunked = http_is(coding, "chunked");
        chunked += last_chunked;
        if (!comma) {
            break;
        }
        rest = http_slice(rest, end + 1, rest.len);
    }
    return last_chunked && chunked == 1
               ? refuse(501, "no transfer encoding but chunked is known")
               : refuse(400, "the transfer encoding does not end in chunked");
}

static struct http_verdict check_length(struct http_text value, uint64_t *out) {
    uint64_t n = 0;
    if (value.len == 0 || !http_all(value, CLASS_DIGIT)) {
        return refuse(400, "the content length is not a number");
    }
    for (size_t i = 0; i < value.len; i++) {
        uint64_t digit = (uint64_t)(value.at[i] - '0');
        if (n > ((uint64_t)INT64_MAX - digit) / 10) {
            return refuse(400, "the content length is out of range");
        }
        n = n * 10 + digit;
    }
    *out = n;
    return fine;
}

/* Content-Length and Transfer-Encoding: at most one of them, once; to BODY_NONE without either. */
static struct http_verdict check_framing(const struct walk *w, int minor, struct http_facts *out) {
    struct http_verdict verdict = fine;
    out->framing = BODY_NONE;
    if (w->lengths > 1 || w->encodings > 1 || (w->lengths && w->encodings)) {
        return refuse(400, "the length of the body is given twice");
    }
    if (w->encodings) {
        verdict = minor < 1 ? refuse(400, "HTTP/1.0 has no transfer encoding")
                            : check_encoding(w->encoding);
        out->framing = BODY_CHUNKED;
    }
    if (w->lengths) {
        verdict = check_length(w->length, &out->length);
        out->has_length = true;
        out->framing = out->length > 0 ? BODY_LENGTH : BODY_NONE;
    }
    return verdict;
}

static struct http_verdict check_host(
    const struct walk *w, const struct http_target *target, int minor, struct http_facts *out) {
    if (w->hosts > 1) {
        return refuse(400, "more than one Host");
    }
    if (w->hosts == 0 && minor >= 1) {
        return refuse(400, "no Host");
    }
    out->authority = w->host;
    struct http_verdict verdict = http_check_authority(w->host, &out->host);
    if (verdict.status || !target->authority.at) {
        return verdict;
    }
    struct http_authority named;
    http_check_authority(target->authority, &named);
    if (w->hosts == 1 &&
        (!http_same(named.host, out->host.host) ||
            effective_port(&named, target->https) != effective_port(&out->host, target->https))) {
        return refuse(400, "the Host is not the one of the target");
    }
    out->authority = target->authority;
    out->host = named;
    return fine;
}

static bool stays_open(const struct walk *w, int minor) {
    return !w->close && (minor >= 1 || w->keep_alive);
}

struct http_verdict http_check_request(enum http_method method, const struct http_target *target,
    int minor, struct http_header *headers, size_t count, struct http_facts *out) {
    (void)method;
    struct walk w;
    *out = (struct http_facts){ .framing = BODY_NONE };
    walk_headers(headers, count, &w);
    struct http_verdict verdict = check_framing(&w, minor, out);
    if (!verdict.status) {
        verdict = check_host(&w, target, minor, out);
    }
    if (!verdict.status && w.expects_else && minor >= 1) {
        verdict = refuse(417, "only 100-continue can be expected");
    }
    out->keep_alive = stays_open(&w, minor);
    out->expect_continue = w.expects && minor >= 1 && out->framing != BODY_NONE;
    if (w.wants_upgrade && w.upgrades == 1 && minor >= 1 && out->framing == BODY_NONE &&
        !list_has(w.upgrade, "h2c")) {
        out->upgrade = w.upgrade;
    }
    return verdict;
}

struct http_verdict http_check_response(enum http_method method, int status, int minor,
    struct http_header *headers, size_t count, struct http_facts *out) {
    struct walk w;
    *out = (struct http_facts){ .framing = BODY_NONE };
    walk_headers(headers, count, &w);
    struct http_verdict verdict = check_framing(&w, minor, out);
    if (verdict.status) {
        verdict.status = 502;
        return verdict;
    }
    if (method == METHOD_HEAD || status < 200 || status == 204 || status == 304) {
        out->framing = BODY_NONE;
    } else if (out->framing == BODY_NONE && !out->has_length) {
        out->framing = BODY_UNTIL_CLOSE;
    }
    out->keep_alive = stays_open(&w, minor) && out->framing != BODY_UNTIL_CLOSE;
    if (status == 101 && w.wants_upgrade && w.upgrades == 1 && minor >= 1) {
        out->upgrade = w.upgrade;
    }
    return verdict;
}
