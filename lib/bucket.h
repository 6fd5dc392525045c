/* SPDX-License-Identifier: MIT */
/* bucket.h - a token bucket: `burst` tokens at once, then `per_minute` of them a minute
 *
 * Integers only, exact: a token costs 60e9 units, a nanosecond earns `per_minute` of them, and what
 * is over a whole number of tokens is kept, so nothing drifts however long it runs. A clock that
 * stands still or goes back earns nothing, until it has come past where it was.
 *
 * Threads    None in here: whoever shares a bucket locks it. */
#ifndef LIB_BUCKET_H
#define LIB_BUCKET_H

#include <stdint.h>

struct bucket_rate {
	uint32_t per_minute, burst; /* at least 1 each */
};

struct bucket {
	struct bucket_rate rate;
	uint32_t tokens;   /* whole ones, as of `at_ns` */
	uint64_t fraction; /* of the next one, in units; below BUCKET_TOKEN */
	uint64_t at_ns;
};

#define BUCKET_TOKEN UINT64_C(60000000000) /* units: the nanoseconds of a minute */

enum bucket_verdict {
	BUCKET_TAKEN,
	BUCKET_EMPTY, /* come again after `*retry_ns_r` */
	BUCKET_NEVER, /* more than a full bucket holds */
};

/* Full. `now_ns` is any clock's that only this bucket's calls share. */
void bucket_init(struct bucket *b, struct bucket_rate rate, uint64_t now_ns);
/* A new rate from now on; what is in it stays, as far as it fits. */
void bucket_set_rate(struct bucket *b, struct bucket_rate rate, uint64_t now_ns);

/* All `n` or none. `*retry_ns_r` is set with EMPTY alone: then, and no sooner, `n` are there, if
 * nobody else takes any. */
enum bucket_verdict bucket_take(
	struct bucket *b, uint64_t now_ns, uint32_t n, uint64_t *retry_ns_r);

/* Nanoseconds until it holds `n` whole tokens, or is full; UINT64_MAX when that is longer. */
uint64_t bucket_until(const struct bucket *b, uint64_t now_ns, uint32_t n);
/* Whole tokens in it now. */
uint32_t bucket_tokens(const struct bucket *b, uint64_t now_ns);

#endif
