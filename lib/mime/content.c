/* SPDX-License-Identifier: MIT */
#include "lib/mime/decode.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { PIECE = 4096 };

/* "tnef:OFFSET+LENGTH" is a stretch as it stands, that behind any other word one that is encoded again. */
static bool parse_inside(struct mime_content *c, const char *inside)
{
	char word[32];
	uint64_t offset, length;
	char rest;

	if (sscanf(inside, "%31[^:]:%" SCNu64 "+%" SCNu64 "%c", word, &offset, &length, &rest) != 3)
		return false;
	if (strcmp(word, "tnef") != 0 && !mime_decoder_init(&c->inner, word))
		return false;
	c->within = true;
	c->skip = offset;
	c->left = length;
	c->encoded_within = c->inner.encoding != MIME_ENCODING_IDENTITY;
	return true;
}

bool mime_content_begin(struct mime_content *c, const char *encoding, const char *inside)
{
	*c = (struct mime_content){ .within = false };
	bool good = mime_decoder_init(&c->outer, encoding);
	return (inside == NULL || parse_inside(c, inside)) && good;
}

/* Decoded bytes, of which those of the stretch go on to `out`. */
static size_t pass(struct mime_content *c, const char *bytes, size_t len, char *out)
{
	size_t skip = c->skip < len ? (size_t)c->skip : len;

	c->skip -= skip;
	len -= skip;
	if (len > c->left)
		len = (size_t)c->left;
	c->left -= len;
	if (c->encoded_within)
		return mime_decoder_step(&c->inner, bytes + skip, len, out);
	memcpy(out, bytes + skip, len);
	return len;
}

size_t mime_content_step(struct mime_content *c, const char *in, size_t len, char *out)
{
	char piece[PIECE + MIME_DECODE_SLACK];
	size_t n = 0;

	if (!c->within)
		return mime_decoder_step(&c->outer, in, len, out);
	while (len > 0 && c->left > 0) {
		size_t take = len < PIECE ? len : PIECE;
		n += pass(c, piece, mime_decoder_step(&c->outer, in, take, piece), out + n);
		in += take;
		len -= take;
	}
	return n;
}

size_t mime_content_end(struct mime_content *c, char *out)
{
	char piece[MIME_DECODE_SLACK];

	if (!c->within)
		return mime_decoder_end(&c->outer, out);
	size_t n = pass(c, piece, mime_decoder_end(&c->outer, piece), out);
	if (c->encoded_within)
		n += mime_decoder_end(&c->inner, out + n);
	return n;
}

bool mime_content_done(const struct mime_content *c)
{
	return c->within && c->left == 0;
}
