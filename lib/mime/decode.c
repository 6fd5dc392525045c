/* SPDX-License-Identifier: MIT */
#include "lib/mime/decode.h"

#include <gmime/gmime.h>
#include <string.h>
#include <strings.h>

/* A character's value plus one, so that 0 is "not in the alphabet". */
enum { INVALID = 0, BLANK = 65, PADDING = 66 };

static const uint8_t base64_value[256] = {
	['A'] = 1,
	2,
	3,
	4,
	5,
	6,
	7,
	8,
	9,
	10,
	11,
	12,
	13,
	14,
	15,
	16,
	17,
	18,
	19,
	20,
	21,
	22,
	23,
	24,
	25,
	26,
	['a'] = 27,
	28,
	29,
	30,
	31,
	32,
	33,
	34,
	35,
	36,
	37,
	38,
	39,
	40,
	41,
	42,
	43,
	44,
	45,
	46,
	47,
	48,
	49,
	50,
	51,
	52,
	['0'] = 53,
	54,
	55,
	56,
	57,
	58,
	59,
	60,
	61,
	62,
	['+'] = 63,
	['/'] = 64,
	['='] = PADDING,
	[' '] = BLANK,
	['\t'] = BLANK,
	['\r'] = BLANK,
	['\n'] = BLANK,
};

bool mime_decoder_init(struct mime_decoder *d, const char *encoding)
{
	static const struct {
		const char *name;
		enum mime_encoding encoding;
	} known[] = {
		{ "7bit", MIME_ENCODING_IDENTITY },
		{ "8bit", MIME_ENCODING_IDENTITY },
		{ "binary", MIME_ENCODING_IDENTITY },
		{ "base64", MIME_ENCODING_BASE64 },
		{ "quoted-printable", MIME_ENCODING_QUOTED },
		{ "x-uuencode", MIME_ENCODING_UU },
		{ "x-uue", MIME_ENCODING_UU },
		{ "uuencode", MIME_ENCODING_UU },
	};

	*d = (struct mime_decoder){ .encoding = MIME_ENCODING_IDENTITY };
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strcasecmp(encoding, known[i].name) == 0) {
			d->encoding = known[i].encoding;
			return true;
		}
	}
	return false;
}

/* The bytes of a quantum that ends early: `state` characters of it are in `save`. */
static size_t base64_flush(struct mime_decoder *d, char *out)
{
	size_t n = 0;

	if (d->state == 1)
		d->bad_base64 = true;
	if (d->state == 2)
		out[n++] = (char)(d->save >> 4);
	if (d->state == 3) {
		out[n++] = (char)(d->save >> 10);
		out[n++] = (char)(d->save >> 2);
	}
	d->state = 0;
	d->save = 0;
	return n;
}

/* RFC 2045, 6.8. A "=" ends its quantum, not the data: decoding goes on behind it, so that nothing
 * can be hidden there. */
static size_t base64_step(struct mime_decoder *d, const uint8_t *in, size_t len, char *out)
{
	char *p = out;

	for (size_t i = 0; i < len; i++) {
		uint8_t v = base64_value[in[i]];
		if (v >= 1 && v <= 64) {
			if (d->padded) {
				d->inside_padding = true;
				d->padded = false;
			}
			d->save = d->save << 6 | (uint32_t)(v - 1);
			if (++d->state == 4) {
				*p++ = (char)(d->save >> 16);
				*p++ = (char)(d->save >> 8);
				*p++ = (char)d->save;
				d->state = 0;
				d->save = 0;
			}
		} else if (v == PADDING) {
			p += base64_flush(d, p);
			d->padded = true;
		} else if (v == INVALID) {
			d->bad_base64 = true;
		}
	}
	return (size_t)(p - out);
}

static const char uu_begin[] = "begin ";

enum {
	UU_BEGIN_LEN = sizeof(uu_begin) - 1, /* below: so many characters of it were seen */
	UU_OTHER,                            /* a line that is not it */
	UU_NAME,                             /* the rest of the line that is */
	UU_LENGTH,                           /* where a line says how many bytes it holds */
	UU_DATA,
	UU_END,
};

/* One character between "begin MODE NAME" and the line that says zero. */
static size_t uu_data(struct mime_decoder *d, char c, char *out)
{
	size_t n = 0;

	if (d->uu_left == 0 || c == '\r')
		return 0;
	d->save = d->save << 6 | ((uint32_t)(c - ' ') & 63);
	if (++d->uu_quad < 4)
		return 0;
	for (int shift = 16; shift >= 0 && d->uu_left > 0; shift -= 8, d->uu_left--)
		out[n++] = (char)(d->save >> shift);
	d->uu_quad = 0;
	d->save = 0;
	return n;
}

static size_t uu_step(struct mime_decoder *d, const char *in, size_t len, char *out)
{
	char *p = out;

	for (size_t i = 0; i < len; i++) {
		char c = in[i];
		if (d->state == UU_END)
			break;
		if (c == '\n') {
			d->state = d->state >= UU_NAME ? UU_LENGTH : 0;
			d->uu_quad = d->uu_left = 0;
		} else if (d->state < UU_BEGIN_LEN) {
			d->state = c == uu_begin[d->state] ? d->state + 1 : UU_OTHER;
			if (d->state == UU_BEGIN_LEN)
				d->state = UU_NAME;
		} else if (d->state == UU_LENGTH && c != '\r') {
			d->uu_left = (c - ' ') & 63;
			d->state = d->uu_left > 0 ? UU_DATA : UU_END;
		} else if (d->state == UU_DATA) {
			p += uu_data(d, c, p);
		}
	}
	return (size_t)(p - out);
}

size_t mime_decoder_step(struct mime_decoder *d, const char *in, size_t len, char *out)
{
	if (len == 0)
		return 0;
	switch (d->encoding) {
	case MIME_ENCODING_BASE64:
		return base64_step(d, (const uint8_t *)in, len, out);
	case MIME_ENCODING_QUOTED:
		return g_mime_encoding_quoted_decode_step(
			(const unsigned char *)in, len, (unsigned char *)out, &d->state, &d->save);
	case MIME_ENCODING_UU:
		return uu_step(d, in, len, out);
	case MIME_ENCODING_IDENTITY:
		break;
	}
	memcpy(out, in, len);
	return len;
}

size_t mime_decoder_end(struct mime_decoder *d, char *out)
{
	size_t n = 0;

	if (d->encoding == MIME_ENCODING_BASE64)
		return base64_flush(d, out);
	if (d->encoding == MIME_ENCODING_QUOTED && d->state == 2 && d->save != '\r') {
		out[n++] = '='; /* "=4" at the very end is no code: kept as it stands */
		out[n++] = (char)d->save;
	}
	return n;
}
