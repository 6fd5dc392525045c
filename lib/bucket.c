/* SPDX-License-Identifier: MIT */
#include "lib/bucket.h"

#include <assert.h>

/* The product of years and billions of tokens a minute needs more than 64 bits. */
typedef unsigned __int128 units;

static void fill(struct bucket *b, uint64_t now_ns)
{
	if (now_ns <= b->at_ns)
		return;
	units earned = (units)(now_ns - b->at_ns) * b->rate.per_minute + b->fraction;
	uint32_t room = b->rate.burst - b->tokens;

	b->at_ns = now_ns;
	if (earned >= (units)room * BUCKET_TOKEN) {
		b->tokens = b->rate.burst;
		b->fraction = 0;
	} else {
		b->tokens += (uint32_t)(earned / BUCKET_TOKEN);
		b->fraction = (uint64_t)(earned % BUCKET_TOKEN);
	}
}

void bucket_init(struct bucket *b, struct bucket_rate rate, uint64_t now_ns)
{
	assert(rate.per_minute > 0 && rate.burst > 0);
	*b = (struct bucket){ .rate = rate, .tokens = rate.burst, .at_ns = now_ns };
}

void bucket_set_rate(struct bucket *b, struct bucket_rate rate, uint64_t now_ns)
{
	assert(rate.per_minute > 0 && rate.burst > 0);
	fill(b, now_ns);
	b->rate = rate;
	if (b->tokens >= rate.burst) {
		b->tokens = rate.burst;
		b->fraction = 0;
	}
}

enum bucket_verdict bucket_take(struct bucket *b, uint64_t now_ns, uint32_t n, uint64_t *retry_ns_r)
{
	if (n > b->rate.burst)
		return BUCKET_NEVER;
	fill(b, now_ns);
	if (n > b->tokens) {
		*retry_ns_r = bucket_until(b, now_ns, n);
		return BUCKET_EMPTY;
	}
	b->tokens -= n;
	return BUCKET_TAKEN;
}

uint64_t bucket_until(const struct bucket *b, uint64_t now_ns, uint32_t n)
{
	uint32_t wanted = n < b->rate.burst ? n : b->rate.burst;

	if (wanted <= b->tokens)
		return 0;
	units missing = (units)(wanted - b->tokens) * BUCKET_TOKEN - b->fraction;
	units after_ns = (missing + b->rate.per_minute - 1) / b->rate.per_minute;
	units passed_ns = 0;

	if (now_ns > b->at_ns)
		passed_ns = now_ns - b->at_ns;
	else
		after_ns += b->at_ns -
			    now_ns; /* it earns nothing before the clock is there again */
	if (after_ns <= passed_ns)
		return 0;
	after_ns -= passed_ns;
	return after_ns < UINT64_MAX ? (uint64_t)after_ns : UINT64_MAX;
}

uint32_t bucket_tokens(const struct bucket *b, uint64_t now_ns)
{
	struct bucket then = *b;

	fill(&then, now_ns);
	return then.tokens;
}
