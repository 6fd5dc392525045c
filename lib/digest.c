/* SPDX-License-Identifier: MIT */
#include "lib/digest.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

/* `struct sha256` is never defined: it is OpenSSL's context under a name of ours. */

struct sha256 *sha256_begin(void)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	if (ctx == NULL || EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1)
		abort();
	return (struct sha256 *)ctx;
}

void sha256_add(struct sha256 *ctx, const void *p, size_t len)
{
	if (EVP_DigestUpdate((EVP_MD_CTX *)ctx, p, len) != 1)
		abort();
}

void sha256_end(struct sha256 **ctx, uint8_t digest_r[SHA256_BYTES])
{
	if (EVP_DigestFinal_ex((EVP_MD_CTX *)*ctx, digest_r, NULL) != 1)
		abort();
	EVP_MD_CTX_free((EVP_MD_CTX *)*ctx);
	*ctx = NULL;
}

void sha256(const void *p, size_t len, uint8_t digest_r[SHA256_BYTES])
{
	if (EVP_Digest(p, len, digest_r, NULL, EVP_sha256(), NULL) != 1)
		abort();
}

void hex_encode(const uint8_t *p, size_t len, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		*out++ = digits[p[i] >> 4];
		*out++ = digits[p[i] & 15];
	}
	*out = '\0';
}

int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool hex_decode(const char *hex, uint8_t *out, size_t len)
{
	if (strlen(hex) != 2 * len)
		return false;
	for (size_t i = 0; i < len; i++) {
		int high = hex_value(hex[2 * i]), low = hex_value(hex[2 * i + 1]);
		if (high < 0 || low < 0)
			return false;
		out[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

bool digest_equal(const uint8_t a[SHA256_BYTES], const uint8_t b[SHA256_BYTES])
{
	return CRYPTO_memcmp(a, b, SHA256_BYTES) == 0;
}
