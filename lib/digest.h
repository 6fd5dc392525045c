/* SPDX-License-Identifier: MIT */
/* digest.h - SHA-256 (FIPS 180-4), hex, and a comparison that takes the same time for all input */
#ifndef LIB_DIGEST_H
#define LIB_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SHA256_BYTES = 32, SHA256_HEX = 64 };

struct sha256; /* a digest under way */

struct sha256 *sha256_begin(void);
void sha256_add(struct sha256 *ctx, const void *p, size_t len);
void sha256_end(struct sha256 **ctx, uint8_t digest_r[SHA256_BYTES]); /* frees it */

void sha256(const void *p, size_t len, uint8_t digest_r[SHA256_BYTES]);

/* Lower-case hex of `len` bytes and a NUL: 2 * len + 1 characters. */
void hex_encode(const uint8_t *p, size_t len, char *out);
/* Of a hex digit of any case; -1 for any other character. */
int hex_value(char c);
/* False, with `out` in an undefined state, unless `hex` is exactly 2 * len hex digits of any case. */
bool hex_decode(const char *hex, uint8_t *out, size_t len);

bool digest_equal(const uint8_t a[SHA256_BYTES], const uint8_t b[SHA256_BYTES]);

#endif
