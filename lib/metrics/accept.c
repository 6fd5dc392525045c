/* SPDX-License-Identifier: MIT */
/* accept.c - which format a scraper wants: Accept, RFC 9110, 12.5.1 */
#include "lib/metrics/metrics.h"

enum { BEST = 1000 }; /* a quality of 1, in thousandths */

/* Up to `separator`, without the white space around it; `*rest` goes on behind it. */
static struct slice next_piece(struct slice *rest, char separator)
{
	const char *end = memchr(rest->base, separator, rest->len);
	struct slice piece = { rest->base, end != NULL ? (size_t)(end - rest->base) : rest->len };
	size_t used = piece.len + (end != NULL ? 1 : 0);

	*rest = (struct slice){ rest->base + used, rest->len - used };
	return slice_trim(piece);
}

/* "1", "0.5", "0.125"; what is no such number counts as 1. */
static unsigned quality_of(struct slice text)
{
	unsigned quality = 0, digit = BEST;

	if (text.len == 0 || text.len > 5)
		return BEST;
	for (size_t i = 0; i < text.len; i++) {
		if (text.base[i] == '.' && i == 1)
			continue;
		if (text.base[i] < '0' || text.base[i] > '9')
			return BEST;
		quality += digit * (unsigned)(text.base[i] - '0');
		digit /= 10;
	}
	return quality < BEST ? quality : BEST;
}

/* The quality that one element of the list gives to the type; 0 when it is about another type, or
 * another version of it. */
static unsigned element_quality(struct slice element, struct slice type, struct slice version)
{
	unsigned quality = BEST;

	if (!slice_ieq(next_piece(&element, ';'), type))
		return 0;
	while (element.len > 0) {
		struct slice value = next_piece(&element, ';');
		struct slice name = next_piece(&value, '=');
		value = slice_trim(value);
		if (slice_ieq(name, SLICE_LIT("version")) && !slice_eq(value, version))
			return 0;
		if (slice_ieq(name, SLICE_LIT("q")))
			quality = quality_of(value);
	}
	return quality;
}

static unsigned quality(struct slice accept, struct slice type, struct slice version)
{
	unsigned best = 0;

	while (accept.len > 0) {
		unsigned q = element_quality(next_piece(&accept, ','), type, version);
		if (q > best)
			best = q;
	}
	return best;
}

enum metrics_format metrics_format_for(struct slice accept)
{
	unsigned open = quality(
		accept, SLICE_LIT("application/openmetrics-text"), SLICE_LIT("1.0.0"));
	unsigned text = quality(accept, SLICE_LIT("text/plain"), SLICE_LIT("0.0.4"));

	return open > 0 && open >= text ? METRICS_OPENMETRICS : METRICS_TEXT;
}
