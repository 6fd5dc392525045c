/* SPDX-License-Identifier: MIT */
#include "lib/digest.h"
#include "lib/mime/decode.h"
#include "lib/mime/internal.h"

#include <string.h>

/* Words may have 75 characters (RFC 2047, section 2); one that is looked for among addresses, where it
 * may hold commas, may have these. */
enum { LONG_WORD = 1000 };

static bool is_wsp(char c)
{
	return c == ' ' || c == '\t';
}

static size_t printable_run(struct slice s, size_t at)
{
	size_t i = at;

	while (i < s.len && ((unsigned char)s.base[i] >= ' ' || s.base[i] == '\t') &&
		s.base[i] != 0x7f)
		i++;
	return i - at;
}

/* Length of the line end at `at` when a blank follows it, else 0. */
static size_t fold_length(struct slice s, size_t at)
{
	size_t len = s.base[at] == '\r' ? 2 : 1;

	if (at + len >= s.len || s.base[at + len - 1] != '\n' || !is_wsp(s.base[at + len]))
		return 0;
	return len;
}

/* Length of the line end at `at` behind a semicolon, else 0: a parameter follows whose blank got lost. */
static size_t stray_length(struct slice s, size_t at)
{
	size_t len = s.base[at] == '\r' ? 2 : 1;

	return at > 0 && s.base[at - 1] == ';' && at + len < s.len && s.base[at + len - 1] == '\n'
		       ? len
		       : 0;
}

/* Unfolding is taking out the line ends that a blank follows (RFC 5322, 2.2.3). All other control
 * characters, NUL among them, become spaces: they have no meaning in a header, and would have one
 * wherever the value is shown. */
static void unfold(struct mime_work *w, struct slice value)
{
	size_t at = 0;

	while (at < value.len) {
		size_t run = printable_run(value, at);
		mime_add_some(&w->line, value.base + at, run);
		at += run;
		if (at == value.len)
			break;
		size_t fold = fold_length(value, at);
		if (fold == 0) {
			fold = stray_length(value, at);
			if (fold == 0)
				mime_note(w, DEFECT_HEADER_CONTROL);
			buf_putc(&w->line, ' ');
		}
		at += fold > 0 ? fold : 1;
	}
}

/* Escapes of ISO 2022 that stand in a header as they are: their bytes may look like any other
 * character, a comma or a quote, so they are converted before anything is looked for. */
struct slice mime_unfold(struct mime_work *w, struct slice value)
{
	const char *label;
	struct buf converted;

	value = slice_trim(value);
	buf_clear(&w->line);
	if (memchr(value.base, '\033', value.len) != NULL &&
		(label = mime_escape_charset(value)) != NULL) {
		mime_note(w, DEFECT_HEADER_CHARSET);
		buf_init(&converted, 4 * value.len);
		mime_to_utf8(w, slice_str(label), value, &converted);
		unfold(w, mime_text_of(&converted));
		buf_deinit(&converted);
	} else {
		unfold(w, value);
	}
	return slice_trim(mime_text_of(&w->line));
}

/* An encoded word (RFC 2047, section 2), taken apart. */
struct word {
	struct slice charset, text;
	bool base64;
	size_t len; /* of all of it */
};

static bool is_token(char c)
{
	return c > ' ' && c < 0x7f && strchr("()<>@,;:\"/[]?=", c) == NULL;
}

/* Whether what seems to be the end of a word was a bare question mark in front of an encoded byte, as
 * in "=?utf-8?Q?Who?=20Me?=". `at` is behind it. */
static bool goes_on(struct slice s, size_t at)
{
	if (at + 2 > s.len || hex_value(s.base[at]) < 0 || hex_value(s.base[at + 1]) < 0)
		return false;
	for (size_t i = at + 2; i + 1 < s.len && !is_wsp(s.base[i]); i++) {
		if (s.base[i] == '?' && s.base[i + 1] == '=')
			return true;
		if (s.base[i] == '=' && s.base[i + 1] == '?')
			return false;
	}
	return false;
}

/* More liberal than the RFC: no limit to the length, and blanks inside, as real senders write. */
static bool word_parse(struct slice s, struct word *word_r)
{
	size_t i = 2, start;

	if (s.len < 8 || s.base[0] != '=' || s.base[1] != '?')
		return false;
	while (i < s.len && is_token(s.base[i]))
		i++;
	struct slice charset = { s.base + 2, i - 2 };
	if (charset.len == 0 || i + 3 > s.len || s.base[i] != '?' || s.base[i + 2] != '?')
		return false;
	char how = s.base[i + 1];
	if (strchr("bBqQ", how) == NULL || how == '\0')
		return false;
	start = i + 3;
	for (i = start; i + 1 < s.len; i++) {
		if (s.base[i] == '?' && s.base[i + 1] == '=' &&
			(how == 'b' || how == 'B' || !goes_on(s, i + 2)))
			break;
	}
	if (i + 1 >= s.len)
		return false;
	const char *language = memchr(charset.base, '*', charset.len); /* RFC 2231, section 5 */
	if (language != NULL)
		charset.len = (size_t)(language - charset.base);
	*word_r = (struct word){ .charset = charset,
		.text = { s.base + start, i - start },
		.base64 = how == 'b' || how == 'B',
		.len = i + 2 };
	return true;
}

size_t mime_word_length(struct slice s)
{
	struct word word;

	s.len = s.len < LONG_WORD ? s.len : LONG_WORD;
	return word_parse(s, &word) ? word.len : 0;
}

/* Whether a word ended within a group of four characters: without padding, and with bits left over. */
static bool is_cut(const struct mime_decoder *d)
{
	return d->state == 1 || (d->state == 2 && (d->save & 0xf) != 0) ||
	       (d->state == 3 && (d->save & 0x3) != 0);
}

/* With `more` the text may go on in the next word, wherever the sender cut it. */
static void decode_base64(
	struct mime_work *w, struct mime_decoder *d, struct slice text, bool more, struct buf *out)
{
	char chunk[1024 + MIME_DECODE_SLACK];

	for (size_t n; text.len > 0; text.base += n, text.len -= n) {
		n = text.len < 1024 ? text.len : 1024;
		mime_add_some(out, chunk, mime_decoder_step(d, text.base, n, chunk));
	}
	if (more && is_cut(d))
		return;
	mime_add_some(out, chunk, mime_decoder_end(d, chunk));
	if (d->bad_base64)
		mime_note(w, DEFECT_BAD_ENCODED_WORD);
	mime_decoder_init(d, "base64");
}

static void decode_q(struct mime_work *w, struct slice text, struct buf *out)
{
	for (size_t i = 0; i < text.len; i++) {
		char c = text.base[i];
		if (c == '=' && i + 2 < text.len && hex_value(text.base[i + 1]) >= 0 &&
			hex_value(text.base[i + 2]) >= 0) {
			c = (char)(hex_value(text.base[i + 1]) << 4 | hex_value(text.base[i + 2]));
			i += 2;
		} else if (c == '=') {
			mime_note(w, DEFECT_BAD_ENCODED_WORD);
		} else if (c == '_') {
			c = ' ';
		}
		buf_putc(out, c);
	}
}

/* Decodes the word at `s` and all that follow it with nothing but blanks between. Their bytes are
 * joined before they are converted, as long as the charset stays: many senders cut in the middle of
 * a character. Returns how many bytes of `s` that took. */
static size_t decode_run(struct mime_work *w, struct slice s, struct buf *out)
{
	struct mime_decoder d;
	struct word word, next;
	size_t done = 0, at = 0;
	bool good = word_parse(s, &word);

	mime_decoder_init(&d, "base64");
	buf_clear(&w->word);
	while (good) {
		done = at += word.len;
		while (at < s.len && is_wsp(s.base[at]))
			at++;
		good = word_parse((struct slice){ s.base + at, s.len - at }, &next);
		bool joined = good && slice_ieq(word.charset, next.charset);
		if (word.base64)
			decode_base64(w, &d, word.text, joined && next.base64, &w->word);
		else
			decode_q(w, word.text, &w->word);
		if (!joined && w->word.len > 0) {
			mime_to_utf8(w, word.charset, mime_text_of(&w->word), out);
			buf_clear(&w->word);
		}
		if (good)
			word = next;
	}
	return done;
}

/* Where the last "?=" begins: behind it no word can end, so none is looked for. */
static size_t last_end_mark(struct slice s)
{
	for (size_t i = s.len; i >= 2; i--) {
		if (s.base[i - 2] == '?' && s.base[i - 1] == '=')
			return i - 2;
	}
	return 0;
}

static void decode_words(struct mime_work *w, struct slice s, struct buf *out)
{
	size_t start = 0, at = 0, last = last_end_mark(s);
	const char *mark;
	struct word word;

	while (at < last && (mark = memmem(s.base + at, last - at, "=?", 2)) != NULL) {
		at = (size_t)(mark - s.base);
		struct slice rest = { mark, s.len - at };
		if (!word_parse(rest, &word)) {
			at += 2;
			continue;
		}
		mime_header_to_utf8(w, (struct slice){ s.base + start, at - start }, out);
		start = at += decode_run(w, rest, out);
	}
	mime_header_to_utf8(w, (struct slice){ s.base + start, s.len - start }, out);
}

static bool is_plain(struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.base[i];
		if (c < 0x20 || c >= 0x7f || c == '=')
			return false;
	}
	return true;
}

/* Encoded words can decode to anything, line breaks included: a header's value is one line. */
static void blank_controls(struct mime_work *w, struct buf *text)
{
	for (size_t i = 0; i < text->len; i++) {
		unsigned char c = (unsigned char)text->base[i];
		if ((c < 0x20 && c != '\t') || c == 0x7f) {
			mime_note(w, DEFECT_HEADER_CONTROL);
			text->base[i] = ' ';
		}
	}
}

const char *mime_header_text(struct mime_work *w, struct slice value)
{
	value = slice_trim(value);
	if (is_plain(value))
		return arena_strndup(w->arena, value.base, value.len);
	value = mime_unfold(w, value);
	if (is_plain(value))
		return arena_strndup(w->arena, value.base, value.len);
	buf_clear(&w->text);
	decode_words(w, value, &w->text);
	blank_controls(w, &w->text);
	struct slice text = slice_trim(mime_text_of(&w->text));
	return mime_clean(w, text, text.len * 3, NULL);
}
