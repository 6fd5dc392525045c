/* SPDX-License-Identifier: MIT */
#include "lib/mime/internal.h"
#include "lib/utf8.h"

#include <errno.h>
#include <iconv.h>
#include <string.h>
#include <strings.h>

enum { MAX_HEADER_GUESSES = 64 };

/* What windows-1252 has where ISO 8859-1 has control characters; 0 is unassigned. */
static const uint16_t windows_1252_80[32] = { 0x20ac, 0, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020,
	0x2021, 0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, 0, 0x017d, 0, 0, 0x2018, 0x2019, 0x201c,
	0x201d, 0x2022, 0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0, 0x017e, 0x0178 };

void mime_add_some(struct buf *buf, const char *p, size_t len)
{
	size_t room = buf->max_bytes - buf->len;

	buf_add(buf, p, len < room ? len : room);
	if (len > room)
		buf->truncated = true;
}

static void add_char(struct buf *out, uint32_t c)
{
	char utf8[3];
	size_t n = 0;

	if (c < 0x80) {
		utf8[n++] = (char)c;
	} else if (c < 0x800) {
		utf8[n++] = (char)(0xc0 | c >> 6);
		utf8[n++] = (char)(0x80 | (c & 0x3f));
	} else {
		utf8[n++] = (char)(0xe0 | c >> 12);
		utf8[n++] = (char)(0x80 | (c >> 6 & 0x3f));
		utf8[n++] = (char)(0x80 | (c & 0x3f));
	}
	buf_add(out, utf8, n);
}

static size_t ascii_run(const char *p, size_t len)
{
	size_t i = 0;
	uint64_t eight;

	for (; i + sizeof(eight) <= len; i += sizeof(eight)) {
		memcpy(&eight, p + i, sizeof(eight));
		if ((eight & UINT64_C(0x8080808080808080)) != 0)
			break;
	}
	while (i < len && (unsigned char)p[i] < 0x80)
		i++;
	return i;
}

static void from_windows_1252(struct slice bytes, struct buf *out)
{
	for (size_t i = 0; i < bytes.len && !out->truncated; i++) {
		size_t run = ascii_run(bytes.base + i, bytes.len - i);
		mime_add_some(out, bytes.base + i, run);
		i += run;
		if (i == bytes.len)
			break;
		unsigned char c = (unsigned char)bytes.base[i];
		uint32_t u = c >= 0xa0 ? c : windows_1252_80[c - 0x80];
		add_char(out, u != 0 ? u : c); /* the five unassigned stay C1 controls */
	}
}

static bool is_utf8(struct slice s)
{
	for (size_t i = ascii_run(s.base, s.len); i < s.len;
		i += ascii_run(s.base + i, s.len - i)) {
		size_t n = utf8_sequence(s.base + i, s.len - i);
		if (n == 0)
			return false;
		i += n;
	}
	return true;
}

char *mime_clean(struct mime_work *w, struct slice text, size_t max_bytes, bool *changed_r)
{
	if (text.len <= max_bytes && memchr(text.base, '\0', text.len) == NULL && is_utf8(text))
		return arena_strndup(w->arena, text.base, text.len);
	return utf8_clean(w->arena, text.base, text.len, max_bytes, changed_r);
}

/* Bytes that mean nothing in the charset are U+FFFD each. False when there was one. */
static bool convert(iconv_t cd, struct slice bytes, struct buf *out)
{
	char chunk[4096], *in = (char *)bytes.base;
	size_t left = bytes.len;
	bool good = true;

	while (!out->truncated) {
		char *to = chunk;
		size_t room = sizeof(chunk), before = left;
		/* With nothing left it brings out what the charset's state still holds. */
		size_t rc = iconv(cd, left > 0 ? &in : NULL, left > 0 ? &left : NULL, &to, &room);
		int why = errno;
		mime_add_some(out, chunk, (size_t)(to - chunk));
		if (rc != (size_t)-1) {
			if (before == 0)
				break;
			continue;
		}
		if (why == E2BIG && (left < before || to > chunk))
			continue;
		good = false;
		buf_add(out, UTF8_REPLACEMENT, sizeof(UTF8_REPLACEMENT) - 1);
		if (why == EINVAL || left == 0)
			break; /* cut in the middle of a character */
		in++;
		left--;
	}
	return good;
}

/* False, with nothing added, when iconv does not know the charset. `*good_r` is false when there was
 * something in the bytes that it does not know. */
static bool convert_from(const char *charset, struct slice bytes, struct buf *out, bool *good_r)
{
	iconv_t cd = iconv_open("UTF-8", charset);

	if (cd == (iconv_t)-1)
		return false;
	*good_r = convert(cd, bytes, out);
	iconv_close(cd);
	return true;
}

static void take_back(struct buf *out, size_t len)
{
	out->len = len;
	if (out->base != NULL)
		out->base[len] = '\0';
}

/* By the book, or else as Windows writes it. */
static bool convert_from_jis(const char *charset, struct slice bytes, struct buf *out)
{
	struct buf shifted, converted;
	bool good = false, by_the_book = false;

	buf_init(&shifted, 2 * bytes.len + 1);
	buf_init(&converted, 4 * bytes.len + 1);
	size_t before = out->len;
	if (!convert_from(charset, bytes, out, &by_the_book) ||
		(!by_the_book && mime_jis_to_cp932(bytes, &shifted) &&
			convert_from("CP932", mime_text_of(&shifted), &converted, &good) && good)) {
		take_back(out, before);
		mime_add_some(out, converted.base, converted.len);
	}
	buf_deinit(&converted);
	buf_deinit(&shifted);
	return by_the_book || good;
}

static bool convert_as(
	const struct mime_charset *charset, struct slice bytes, struct buf *out, bool *good_r)
{
	size_t before = out->len;

	if (charset->kind == CHARSET_JIS) {
		*good_r = convert_from_jis(charset->name, bytes, out);
		return true;
	}
	if (!convert_from(charset->name, bytes, out, good_r))
		return false;
	/* iconv has the euro sign of Windows in its plain Big5 alone. */
	if (!*good_r && !out->truncated && strcmp(charset->name, "BIG5-HKSCS") == 0) {
		take_back(out, before);
		if (!convert_from("BIG5", bytes, out, good_r) || !*good_r) {
			take_back(out, before);
			convert_from(charset->name, bytes, out, good_r);
		}
	}
	return true;
}

/* UTF-8, what the detector says, or windows-1252, which fits everything. */
static void guess(struct slice bytes, struct buf *out)
{
	struct mime_charset charset;
	bool good;

	if (is_utf8(bytes)) {
		mime_add_some(out, bytes.base, bytes.len);
		return;
	}
	const char *label = mime_detect(bytes);
	if (label == NULL || !mime_charset_find(slice_str(label), &charset) ||
		!convert_as(&charset, bytes, out, &good))
		from_windows_1252(bytes, out);
}

/* Text of no charset, or of US-ASCII. */
static void from_ascii(struct mime_work *w, struct slice bytes, struct buf *out)
{
	const char *escape;

	if (ascii_run(bytes.base, bytes.len) < bytes.len) {
		mime_note(w, DEFECT_GUESSED_CHARSET);
		guess(bytes, out);
	} else if ((escape = mime_escape_charset(bytes)) != NULL) {
		mime_note(w, DEFECT_GUESSED_CHARSET);
		mime_to_utf8(w, slice_str(escape), bytes, out);
	} else {
		mime_add_some(out, bytes.base, bytes.len);
	}
}

static bool is_seven_bit(const struct mime_charset *charset)
{
	return charset->kind == CHARSET_JIS || strncasecmp(charset->name, "iso-2022-", 9) == 0 ||
	       strcasecmp(charset->name, "utf-7") == 0;
}

void mime_to_utf8(struct mime_work *w, struct slice label, struct slice bytes, struct buf *out)
{
	struct mime_charset charset;
	size_t start = out->len;
	bool good = true;

	if (!mime_charset_find(label, &charset)) {
		mime_note(w, DEFECT_UNKNOWN_CHARSET);
		guess(bytes, out);
		return;
	}
	switch (charset.kind) {
	case CHARSET_ASCII:
		from_ascii(w, bytes, out);
		return;
	case CHARSET_UTF8:
		if (!is_utf8(bytes))
			mime_note(w, DEFECT_BAD_CHARSET);
		mime_add_some(out, bytes.base, bytes.len);
		return;
	case CHARSET_WINDOWS_1252:
		from_windows_1252(bytes, out);
		return;
	case CHARSET_JIS:
	case CHARSET_ICONV:
		break;
	}
	if (!convert_as(&charset, bytes, out, &good)) {
		mime_note(w, DEFECT_UNKNOWN_CHARSET);
		guess(bytes, out);
	} else if (!good) {
		mime_note(w, DEFECT_BAD_CHARSET);
		/* A label that is wrong: UTF-8 does not come about by chance, and a charset of
		 * seven bits has none of eight. */
		bool eight = ascii_run(bytes.base, bytes.len) < bytes.len;
		if (!out->truncated && eight && (is_utf8(bytes) || is_seven_bit(&charset))) {
			take_back(out, start);
			guess(bytes, out);
		}
	}
}

/* Whether the label says nothing about bytes over 127 (or escapes to them). */
static bool says_nothing(struct slice label)
{
	struct mime_charset charset;

	return mime_charset_find(label, &charset) && charset.kind == CHARSET_ASCII;
}

static bool is_plain_ascii(struct slice bytes)
{
	return ascii_run(bytes.base, bytes.len) == bytes.len &&
	       memchr(bytes.base, '\033', bytes.len) == NULL;
}

/* Text of single bytes whose label is one of those of two or four: read by that, letters would turn
 * into Chinese. Two lines of the real thing have a NUL. */
static bool is_no_utf16(struct slice label, struct slice bytes)
{
	static const char *const wide[] = { "utf-16", "utf-32", "ucs-2", "ucs-4" };
	struct mime_charset charset;
	bool is_wide = false;

	if (!mime_charset_find(label, &charset))
		return false;
	for (size_t i = 0; i < sizeof(wide) / sizeof(wide[0]); i++)
		is_wide = is_wide || strncasecmp(charset.name, wide[i], strlen(wide[i])) == 0;
	return is_wide && memchr(bytes.base, '\0', bytes.len) == NULL &&
	       memchr(bytes.base, '\n', bytes.len) != NULL && is_utf8(bytes);
}

void mime_body_to_utf8(
	struct mime_work *w, struct slice label, struct slice bytes, bool html, struct buf *out)
{
	const char *mark = mime_bom_charset(bytes);

	/* A mark of UTF-16 may be two letters of another charset, but then no NUL is near. */
	if (mark != NULL &&
		(strcmp(mark, "utf-8") == 0 ||
			memchr(bytes.base, '\0', bytes.len < 64 ? bytes.len : 64) != NULL))
		label = slice_str(mark);
	else if (is_no_utf16(label, bytes)) {
		mime_note(w, DEFECT_BAD_CHARSET);
		label = SLICE_LIT("utf-8");
	} else if (html && says_nothing(label) && !is_plain_ascii(bytes)) {
		struct slice meta = mime_meta_charset(bytes);
		if (!slice_ieq(meta, SLICE_LIT("utf-8")) || is_utf8(bytes))
			label = meta;
	}
	mime_to_utf8(w, label, bytes, out);
}

/* False, with nothing added, unless the bytes mean something in the body's charset. */
static bool from_body_charset(struct mime_work *w, struct slice bytes, struct buf *out)
{
	struct mime_charset charset;
	size_t before = out->len;
	bool good;

	if (w->body_charset == NULL || !mime_charset_find(slice_str(w->body_charset), &charset) ||
		(charset.kind != CHARSET_ICONV && charset.kind != CHARSET_JIS) ||
		!convert_as(&charset, bytes, out, &good))
		return false;
	if (!good)
		take_back(out, before);
	return good;
}

void mime_header_to_utf8(struct mime_work *w, struct slice bytes, struct buf *out)
{
	if (is_utf8(bytes)) {
		mime_add_some(out, bytes.base, bytes.len);
		return;
	}
	mime_note(w, DEFECT_HEADER_CHARSET);
	/* A guess costs more than the bytes do. */
	if (w->header_guesses++ >= MAX_HEADER_GUESSES)
		from_windows_1252(bytes, out);
	else if (!from_body_charset(w, bytes, out))
		guess(bytes, out);
}
