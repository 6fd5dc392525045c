/* SPDX-License-Identifier: MIT */
/* "On …, Alice <…> wrote:", in the forms and languages of the common mail programs. */
#include "lib/mime/reply.h"

#include <ctype.h>
#include <stdint.h>

enum {
	LONGEST_ATTRIBUTION = 500,
	MOST_WORDS = 12, /* of "Alice Example wrote:", which has no date to know it by */
	FEWEST_DASHES = 2,
};

/* How lines begin that say when and who, before the verb. */
static const char *const beginnings[] = { "On ", "At ", "Am ", "Le ", "El ", "Op ", "Il ", "Em ",
	"A ", "Den ", "P\u00e5 ", "W dniu ", "Dnia ", "Wiadomo\u015b\u0107 napisana ", "Dne ",
	"V\u00e0o ", "\u00cen ", "Pada ", "\u03a3\u03c4\u03b9\u03c2 ", "\u5728", "\u65bc", "\u4e8e",
	NULL };

/* At the end, before the colon. */
static const struct slice last_verbs[] = { REPLY_WORD("wrote"), REPLY_WORD("writes"),
	REPLY_WORD("> sent"), REPLY_WORD("schrieb"), REPLY_WORD("schreibt"),
	REPLY_WORD("a \u00e9crit"), REPLY_WORD("escribi\u00f3"), REPLY_WORD("schreef"),
	REPLY_WORD("geschreven"), REPLY_WORD("ha scritto"), REPLY_WORD("escreveu"),
	REPLY_WORD("skrev"), REPLY_WORD("skriver"), REPLY_WORD("kirjoitti"),
	REPLY_WORD("napisa\u0142"), REPLY_WORD("napisa\u0142a"), REPLY_WORD("napisa\u0142(a)"),
	REPLY_WORD("pisze"), REPLY_WORD("napsal"), REPLY_WORD("napsala"), REPLY_WORD("napsal(a)"),
	REPLY_WORD("nap\u00edsal"), REPLY_WORD("nap\u00edsala"), REPLY_WORD("nap\u00edsal(a)"),
	REPLY_WORD("\u043f\u0438\u0448\u0435\u0442"),
	REPLY_WORD("\u043d\u0430\u043f\u0438\u0441\u0430\u043b"),
	REPLY_WORD("\u043d\u0430\u043f\u0438\u0441\u0430\u043b\u0430"),
	REPLY_WORD("\u043d\u0430\u043f\u0438\u0441\u0430\u043b(\u0430)"),
	REPLY_WORD("\u043f\u0438\u0448\u0435"),
	REPLY_WORD("\u043d\u0430\u043f\u0438\u0441\u0430\u0432"),
	REPLY_WORD("\u0437\u0430\u043f\u0438\u0441"), REPLY_WORD("yazd\u0131"),
	REPLY_WORD("\u0111\u00e3 vi\u1ebft"), REPLY_WORD("a scris"), REPLY_WORD("\u00e9crit"),
	REPLY_WORD("\u03ad\u03b3\u03c1\u03b1\u03c8\u03b5"), REPLY_WORD("menulis"),
	REPLY_WORD("va escriure"), REPLY_WORD("napisao je"), REPLY_WORD("je napisao"),
	REPLY_WORD("je napisala"), REPLY_WORD("\u306e\u30e1\u30fc\u30eb"),
	REPLY_WORD("\u306e\u30e1\u30c3\u30bb\u30fc\u30b8"),
	REPLY_WORD("\u66f8\u304d\u307e\u3057\u305f"), REPLY_WORD("\u66f8\u3044\u305f"),
	REPLY_WORD("\uc791\uc131"), REPLY_WORD("\uc4f4"), REPLY_WORD("\u5199\u9053"),
	REPLY_WORD("\u5beb\u9053"), REPLY_WORD("\u0e40\u0e02\u0e35\u0e22\u0e19\u0e27\u0e48\u0e32"),
	{ NULL, 0 } };

/* Before the name, or before the date. */
static const char *const middle_verbs[] = { " schrieb ", " schreef ", " skrev ", " wrote on ",
	" kirjoitti ", " yazd\u0131 (", " napisana przez ", " ezt \u00edrta ", " pisze ",
	" napsal(a) ", " escribi\u00f3 el ", " ha scritto il ", " a \u00e9crit le ", NULL };

/* What makes it a sentence of the writer's. */
static const struct slice pronouns[] = { REPLY_WORD(" I"), REPLY_WORD(" he"), REPLY_WORD(" she"),
	REPLY_WORD(" we"), REPLY_WORD(" they"), REPLY_WORD(" ich"), REPLY_WORD(" er"),
	REPLY_WORD(" wir"), REPLY_WORD(" je"), { NULL, 0 } };
static const struct slice introductions[] = { REPLY_WORD(" folgendes"), REPLY_WORD(" Folgendes"),
	REPLY_WORD(" f\u00f8lgende"), REPLY_WORD(" f\u00f6ljande"), { NULL, 0 } };

static bool begins_with_any(struct slice s, const char *const *prefixes)
{
	for (; *prefixes != NULL; prefixes++) {
		if (s.base[0] == **prefixes && reply_begins(s, *prefixes))
			return true;
	}
	return false;
}

/* The words behind the first of `list` that is in `s`; NULL base when none is. */
static struct slice behind_any(struct slice s, const char *const *list)
{
	for (; *list != NULL; list++) {
		const char *at = memmem(s.base, s.len, *list, strlen(*list));
		if (at != NULL) {
			at += strlen(*list);
			return (struct slice){ at, (size_t)(s.base + s.len - at) };
		}
	}
	return (struct slice){ NULL, 0 };
}

/* Dates */

static bool is_digit(struct slice s, size_t i)
{
	return i < s.len && s.base[i] >= '0' && s.base[i] <= '9';
}

static bool is_year(struct slice s, size_t i)
{
	return is_digit(s, i) && is_digit(s, i + 1) && is_digit(s, i + 2) && is_digit(s, i + 3) &&
	       !is_digit(s, i + 4) && (i == 0 || !is_digit(s, i - 1)) &&
	       (memcmp(s.base + i, "19", 2) == 0 || memcmp(s.base + i, "20", 2) == 0);
}

static bool has_year(struct slice s)
{
	for (size_t i = 0; i + 4 <= s.len; i++) {
		if ((s.base[i] == '1' || s.base[i] == '2') && is_year(s, i))
			return true;
	}
	return false;
}

/* 10:20, or 10.20, or 10h20 */
static bool has_time(struct slice s)
{
	for (size_t i = 1; i + 2 < s.len; i++) {
		char c = s.base[i];
		if ((c == ':' || c == '.' || c == 'h') && is_digit(s, i - 1) &&
			is_digit(s, i + 1) && is_digit(s, i + 2))
			return true;
	}
	return false;
}

/* A day with a year or a time: "On Friday at 10:20" is how people write, too. */
static bool has_date(struct slice s)
{
	size_t numbers = 0;

	for (size_t i = 0; i < s.len; i++)
		numbers += is_digit(s, i) && !is_digit(s, i + 1);
	return numbers > 2 || (numbers == 2 && has_year(s));
}

static bool has_digit(struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (is_digit(s, i))
			return true;
	}
	return false;
}

static bool has_at(struct slice s)
{
	return memchr(s.base, '@', s.len) != NULL;
}

/* One line, as it is read below */

struct reading {
	char text[LONGEST_ATTRIBUTION + 1];
	struct slice s;     /* without the colon and the dashes around it */
	bool colon, dashes; /* which were there */
};

static bool is_wide_blank(struct slice s)
{
	return reply_begins(s, "\u202f") || reply_begins(s, "\u3000");
}

/* Joins what was broken: each blank, line end and mark of direction is one space, or none. */
static void flatten(struct slice joined, struct reading *r)
{
	size_t n = 0;

	while (joined.len > 0 && n < LONGEST_ATTRIBUTION) {
		char c = joined.base[0];
		size_t blank = c > ' ' ? 0 : c == '\n' ? 1 : reply_blank(joined);
		if (blank == 0)
			r->text[n++] = joined.base[0];
		else if ((blank < 3 || is_wide_blank(joined)) && n > 0 && r->text[n - 1] != ' ')
			r->text[n++] = ' ';
		slice_skip(&joined, blank == 0 ? 1 : blank);
	}
	r->s = reply_trim((struct slice){ r->text, n });
}

static size_t strip_dashes(struct slice *s)
{
	size_t front = 0, back = 0;

	while (s->len > 0 && s->base[0] == '-') {
		slice_skip(s, 1);
		front++;
	}
	while (s->len > 0 && s->base[s->len - 1] == '-') {
		s->len--;
		back++;
	}
	*s = reply_trim(*s);
	return front < back ? front : back;
}

/* Of a line that is bold or slanted. */
static void strip_emphasis(struct slice *s)
{
	while (s->len > 0 && strchr("*_/", s->base[s->len - 1]) != NULL)
		s->len--;
	while (s->len > 0 && strchr("*_/", s->base[0]) != NULL)
		slice_skip(s, 1);
}

static void read_line(struct slice joined, struct reading *r)
{
	static const char wide_colon[] = "\uff1a";

	flatten(joined, r);
	r->dashes = strip_dashes(&r->s) >= FEWEST_DASHES;
	strip_emphasis(&r->s);
	r->colon = reply_ends_with_colon(r->s);
	if (r->colon)
		r->s.len -= reply_ends(r->s, ":") ? 1 : sizeof(wide_colon) - 1;
	r->s = reply_trim(r->s);
	strip_emphasis(&r->s);
}

/* "Alice <a@example.org>", at its end. */
static bool ends_with_address(struct slice s)
{
	return s.len > 0 && strchr(">)", s.base[s.len - 1]) != NULL && has_at(s);
}

static size_t words_of(struct slice s)
{
	size_t words = 1;

	for (size_t i = 0; i < s.len; i++)
		words += s.base[i] == ' ';
	return words;
}

/* "On 7 Nov 2025 Alice", and not "On the 2 pages of 2019 that we read and". */
static bool ends_with_name(struct slice front)
{
	front = reply_trim(front);
	if (front.len == 0 || reply_ends(front, " volgende"))
		return true;
	const char *space = memrchr(front.base, ' ', front.len);
	return space == NULL || !islower((unsigned char)space[1]);
}

/* Whether a verb is there as attributions have it; `last_r`: at the end, what stands in front of it. */
static bool find_verb(struct slice s, struct slice *last_r)
{
	const struct slice *verb = reply_ends_any(s, last_verbs);

	*last_r = (struct slice){ NULL, 0 };
	if (verb != NULL) {
		*last_r = (struct slice){ s.base, s.len - verb->len };
		struct slice front = reply_trim(*last_r);
		return reply_ends_any(front, pronouns) == NULL;
	}
	struct slice name = behind_any(s, middle_verbs);
	if (name.base == NULL || reply_ends_any(s, introductions) != NULL)
		return false;
	/* "Am 7. November schrieb mir Bob:" */
	const char *space = memchr(name.base, ' ', name.len);
	struct slice word = { name.base, space != NULL ? (size_t)(space - name.base) : name.len };
	return space == NULL || !islower((unsigned char)word.base[0]) || has_at(name) ||
	       has_year(name);
}

enum reply_attribution reply_begins_attribution(struct slice line)
{
	if (line.len == 0 || line.len > LONGEST_ATTRIBUTION)
		return REPLY_NO_ATTRIBUTION;
	if (begins_with_any(line, beginnings))
		return REPLY_SURELY;
	bool perhaps = has_at(line) || (has_digit(line) && (has_year(line) || has_time(line))) ||
		       (line.len > 1 && (line.base[0] == '-' || line.base[line.len - 1] == '<'));
	return perhaps ? REPLY_PERHAPS : REPLY_NO_ATTRIBUTION;
}

bool reply_ends_attribution(struct slice line)
{
	while (line.len > 0 && strchr("-*_/", line.base[line.len - 1]) != NULL)
		line.len--;
	line = reply_trim(line);
	if (line.len == 0)
		return false;
	unsigned char last = (unsigned char)line.base[line.len - 1];
	if (!isalpha(last) && last != ')' && last < 0x80)
		return last == ':';
	return reply_ends_with_colon(line) ||
	       (line.len <= LONGEST_ATTRIBUTION && reply_ends_any(line, last_verbs) != NULL);
}

/* What is none at the first glance: it neither ends with a colon nor begins as the others do. */
static bool is_plain(struct slice line)
{
	if (strchr("-*_/0123456789", line.base[0]) != NULL || begins_with_any(line, beginnings))
		return false;
	while (line.len > 0 && strchr("-*_/ ", line.base[line.len - 1]) != NULL)
		line.len--;
	return line.len > 0 && line.base[line.len - 1] > ' ' && line.base[line.len - 1] != ':';
}

enum reply_attribution reply_attribution(struct slice joined, bool broken)
{
	struct reading r;
	struct slice front;

	if (joined.len == 0 || joined.len > LONGEST_ATTRIBUTION || is_plain(joined))
		return REPLY_NO_ATTRIBUTION;
	read_line(joined, &r);
	struct slice s = r.s;
	if (s.len == 0)
		return REPLY_NO_ATTRIBUTION;

	bool address = has_at(s);
	/* Nothing below is true without one of them. */
	if (!r.colon && !r.dashes && !is_year(s, 0) && !begins_with_any(s, beginnings))
		return REPLY_NO_ATTRIBUTION;
	bool verb = find_verb(s, &front), year = has_year(s), dated = year && has_time(s),
	     known = begins_with_any(s, beginnings);
	if (!verb && front.base != NULL)
		return r.colon && known ? REPLY_PERHAPS : REPLY_NO_ATTRIBUTION;
	if (!r.colon) {
		/* "2013/7/20 Alice <a@example.org>", of an older Gmail */
		if (front.base == NULL || !verb)
			return is_year(s, 0) && has_date(s) && ends_with_address(s)
				       ? REPLY_PERHAPS
				       : REPLY_NO_ATTRIBUTION;
		if ((r.dashes || (known && address)) && has_date(s))
			return REPLY_SURELY;
		return r.dashes ? REPLY_PERHAPS : REPLY_NO_ATTRIBUTION;
	}
	bool named = dated || ends_with_name(front);
	if (known && verb && (address ? has_digit(s) : named && has_date(s)))
		return REPLY_SURELY;
	/* Words of another sentence might be among what was joined. */
	if (broken && !known && memchr(s.base, '<', s.len) == NULL)
		return REPLY_NO_ATTRIBUTION;
	if (is_year(s, 0) && has_date(s) && (verb || ends_with_address(s)))
		return REPLY_SURELY;
	/* Gmail's in other languages: "пт, 7 нояб. 2025 г. в 10:20, Name <address>:" */
	if (dated && address && (verb || ends_with_address(s)))
		return REPLY_SURELY;
	if (verb && front.base != NULL && ends_with_address(reply_trim(front)))
		return REPLY_SURELY;
	if (dated && verb && front.base != NULL)
		return REPLY_PERHAPS;
	if (broken && !known)
		return REPLY_NO_ATTRIBUTION;
	if (verb && (known || words_of(s) <= MOST_WORDS))
		return REPLY_PERHAPS;
	return ends_with_address(s) && words_of(s) <= MOST_WORDS ? REPLY_PERHAPS
								 : REPLY_NO_ATTRIBUTION;
}
