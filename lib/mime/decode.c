/* SPDX-License-Identifier: MIT */
#include "lib/digest.h"
#include "lib/mime/decode.h"

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
		{ "uu", MIME_ENCODING_UU },
		{ "x-uuencode", MIME_ENCODING_UU },
		{ "x-uue", MIME_ENCODING_UU },
		{ "uuencode", MIME_ENCODING_UU },
		{ "yenc", MIME_ENCODING_YENC },
		{ "x-yenc", MIME_ENCODING_YENC },
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

bool mime_is_base64(const char *in, size_t len)
{
	const size_t sample = 4096;
	size_t seen = 0, foreign = 0, blanks = 0, word = 0;
	bool uneven = false; /* a word before a blank that no quanta make up */

	for (size_t i = 0; i < len && i < sample; i++) {
		if (in[i] == '\r' || in[i] == '\n') {
			/* A first line that is base64, whatever was put behind it. */
			if (seen > 0 && seen % 4 == 0 && foreign + blanks == 0)
				return true;
			word = 0;
			continue;
		}
		uint8_t v = base64_value[(uint8_t)in[i]];
		seen++;
		foreign += v == INVALID;
		blanks += v == BLANK;
		uneven = uneven || (v == BLANK && word % 4 != 0);
		word = v == BLANK ? 0 : word + 1;
	}
	return (foreign == 0 && !uneven) || (foreign + blanks) * (uneven ? 16 : 8) <= seen;
}

enum {
	QP_TEXT,
	QP_EQUALS, /* behind a "=", and so many blanks more */
	QP_EQUALS_MAX = QP_EQUALS + 5,
	QP_DIGIT,   /* behind "=" and a hexadecimal digit */
	QP_SOFT_CR, /* behind "=" and CR: a soft line break, of which a LF is part */
};

/* What was held back and is no code after all: as it stands. */
static size_t qp_give_up(struct mime_decoder *d, char *out)
{
	size_t n = 0;

	out[n++] = '=';
	if (d->state == QP_DIGIT)
		out[n++] = (char)d->save;
	else
		for (int i = QP_EQUALS; i < d->state; i++)
			out[n++] = (d->save >> (i - QP_EQUALS) & 1) != 0 ? '\t' : ' ';
	d->bad_quoted = true;
	d->state = QP_TEXT;
	return n;
}

/* The next character of a code or a soft line break. False when it belongs to neither. */
static bool qp_take(struct mime_decoder *d, char c, char **out)
{
	int value = hex_value(c);

	switch (d->state) {
	case QP_SOFT_CR:
		d->state = QP_TEXT;
		return c == '\n';
	case QP_DIGIT:
		if (value < 0)
			return false;
		*(*out)++ = (char)(hex_value((char)d->save) << 4 | value);
		d->state = QP_TEXT;
		return true;
	case QP_EQUALS:
		d->save = 0;
		if (value >= 0) {
			d->save = (unsigned char)c;
			d->state = QP_DIGIT;
			return true;
		}
		break;
	}
	if (c == '\r' || c == '\n') {
		d->state = c == '\r' ? QP_SOFT_CR : QP_TEXT;
		return true;
	}
	if ((c != ' ' && c != '\t') || d->state == QP_EQUALS_MAX)
		return false;
	d->save |= (uint32_t)(c == '\t') << (d->state++ - QP_EQUALS);
	return true;
}

/* RFC 2045, 6.7. Blanks between a soft line break's "=" and the line end were added on the way, and a
 * "=" that begins nothing stands for itself. */
static size_t qp_step(struct mime_decoder *d, const char *in, size_t len, char *out)
{
	const char *end = in + len;
	char *p = out;

	while (in < end) {
		if (d->state == QP_TEXT) {
			const char *code = memchr(in, '=', (size_t)(end - in));
			size_t plain = (size_t)((code != NULL ? code : end) - in);
			memcpy(p, in, plain);
			p += plain;
			in += plain + (code != NULL ? 1 : 0);
			d->state = code != NULL ? QP_EQUALS : QP_TEXT;
		} else if (qp_take(d, *in, &p)) {
			in++;
		} else if (d->state != QP_TEXT) {
			p += qp_give_up(d, p);
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

/* A line's end. Blanks that were cut off behind its last characters are put back as far as these
 * need them; more would let two bytes become sixty. */
static size_t uu_line_end(struct mime_decoder *d, char *out)
{
	size_t n = 0;

	while (d->uu_left > 0 && d->uu_quad > 0)
		n += uu_data(d, ' ', out + n);
	if (d->uu_left > 0)
		d->bad_block = true;
	d->state = d->state >= UU_NAME ? UU_LENGTH : 0;
	d->uu_quad = d->uu_left = 0;
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
			p += uu_line_end(d, p);
		} else if (d->state < UU_BEGIN_LEN) {
			d->state = c == uu_begin[d->state] ? d->state + 1 : UU_OTHER;
			if (d->state == UU_BEGIN_LEN)
				d->state = UU_NAME;
		} else if (d->state == UU_LENGTH && c != '\r') {
			/* No small letter says a length: it is "end", without a line that says zero. */
			d->uu_left = c >= ' ' && c <= '`' ? (c - ' ') & 63 : 0;
			d->state = d->uu_left > 0 ? UU_DATA : UU_END;
		} else if (d->state == UU_DATA) {
			p += uu_data(d, c, p);
		}
	}
	return (size_t)(p - out);
}

static const char yenc_end[] = "=yend";

enum {
	YENC_START, /* at the start of a line in front of "=ybegin" */
	YENC_OUTSIDE,
	YENC_EQUALS, /* the first character of such a line was a "=" */
	YENC_LINE,   /* at the start of a line of data */
	YENC_DATA,
	YENC_LINE_ESCAPE, /* behind a "=" that stands first in its line */
	YENC_ESCAPE,
	YENC_KEYWORD, /* in a line that begins with "=y", which no data can */
	YENC_ENDED,
};

/* In front of the block only a line that begins with "=y" counts, and that is "=ybegin". */
static int yenc_outside(int state, char c)
{
	if (c == '\n')
		return YENC_START;
	if (state == YENC_EQUALS && c == 'y')
		return YENC_KEYWORD;
	return state == YENC_START && c == '=' ? YENC_EQUALS : YENC_OUTSIDE;
}

/* "=ybegin" and "=ypart" are passed over, "=yend" ends it. */
static int yenc_keyword(struct mime_decoder *d, char c)
{
	const int all = (int)sizeof(yenc_end) - 1;

	if (d->yenc_seen == 0)
		d->yenc_seen = 2;
	if (c == '\n') {
		d->yenc_seen = 0;
		return YENC_LINE;
	}
	if (d->yenc_seen < all)
		d->yenc_seen = c == yenc_end[d->yenc_seen] ? d->yenc_seen + 1 : all + 1;
	return d->yenc_seen == all ? YENC_ENDED : YENC_KEYWORD;
}

/* The draft at yenc.org, version 1.3: each byte plus 42, the critical ones behind a "=" plus 64. */
static size_t yenc_step(struct mime_decoder *d, const char *in, size_t len, char *out)
{
	char *p = out;

	for (size_t i = 0; i < len && d->state != YENC_ENDED; i++) {
		char c = in[i];
		if (d->state < YENC_LINE) {
			d->state = yenc_outside(d->state, c);
		} else if (d->state == YENC_KEYWORD) {
			d->state = yenc_keyword(d, c);
		} else if (c == '\n') {
			d->state = YENC_LINE;
		} else if (c == '\r') {
			continue;
		} else if (d->state == YENC_LINE_ESCAPE && c == 'y') {
			d->state = YENC_KEYWORD;
		} else if (d->state == YENC_LINE_ESCAPE || d->state == YENC_ESCAPE) {
			*p++ = (char)(c - 64 - 42);
			d->state = YENC_DATA;
		} else if (c == '=') {
			d->state = d->state == YENC_LINE ? YENC_LINE_ESCAPE : YENC_ESCAPE;
		} else {
			*p++ = (char)(c - 42);
			d->state = YENC_DATA;
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
		return qp_step(d, in, len, out);
	case MIME_ENCODING_UU:
		return uu_step(d, in, len, out);
	case MIME_ENCODING_YENC:
		return yenc_step(d, in, len, out);
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
	if (d->encoding == MIME_ENCODING_UU && d->state != UU_END) {
		n = uu_line_end(d, out);
		d->bad_block = true;
	}
	if (d->encoding == MIME_ENCODING_YENC && d->state != YENC_ENDED)
		d->bad_block = true;
	if (d->encoding == MIME_ENCODING_QUOTED && d->state == QP_DIGIT)
		n += qp_give_up(d, out);
	return n;
}
