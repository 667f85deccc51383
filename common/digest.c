/* SHA-256 by OpenSSL. SPDX-License-Identifier: Apache-2.0 */
#include <paas/digest.h>

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/evp.h>

static const char prefix[] = "sha256:";
enum { PREFIX_LENGTH = sizeof prefix - 1, SHA256_BYTES = 32 };

struct digest {
    EVP_MD_CTX *context;
};

struct digest *digest_create(void) {
    struct digest *d = calloc(1, sizeof *d);
    if (d) {
        d->context = EVP_MD_CTX_new();
    }
    if (!d || !d->context || EVP_DigestInit_ex(d->context, EVP_sha256(), NULL) != 1) {
        digest_destroy(d);
        return NULL;
    }
    return d;
}

void digest_update(struct digest *d, const void *bytes, size_t len) {
    int done = EVP_DigestUpdate(d->context, bytes, len);
    assert(done == 1);
    (void)done;
}

void digest_finish(struct digest *d, char text[DIGEST_SIZE]) {
    static const char digits[] = "0123456789abcdef";
    unsigned char sum[SHA256_BYTES];
    int done = EVP_DigestFinal_ex(d->context, sum, NULL) == 1 &&
               EVP_DigestInit_ex(d->context, NULL, NULL) == 1;
    assert(done);
    (void)done;
    memcpy(text, prefix, PREFIX_LENGTH);
    for (size_t i = 0; i < sizeof sum; i++) {
        text[PREFIX_LENGTH + 2 * i] = digits[sum[i] >> 4];
        text[PREFIX_LENGTH + 2 * i + 1] = digits[sum[i] & 15];
    }
    text[DIGEST_SIZE - 1] = '\0';
}

void digest_destroy(struct digest *d) {
    if (d) {
        EVP_MD_CTX_free(d->context);
        free(d);
    }
}

int digest_of(const void *bytes, size_t len, char text[DIGEST_SIZE]) {
    struct digest *d = digest_create();
    if (!d) {
        return -1;
    }
    digest_update(d, bytes, len);
    digest_finish(d, text);
    digest_destroy(d);
    return 0;
}

const char *digest_hex(const char *text) {
    return text + PREFIX_LENGTH;
}
