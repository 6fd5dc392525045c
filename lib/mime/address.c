/* SPDX-License-Identifier: MIT */
/* Address lists (RFC 5322, 3.4 and 4.4), read leniently, in one pass and without recursion. GMime's
 * own reader calls itself for each nested group: "To: a:a:a:..." of 1 MB overflows its stack. */
#include "lib/mime/internal.h"

#include <string.h>

/* One mailbox as it is being read. */
struct mailbox {
	struct buf phrase;  /* text without its quotes: the name, when an angle comes */
	struct buf written; /* the same text as it was written: the address, when none comes */
	struct buf comment; /* the last one: the old way to give a name */
	struct buf angle;
	bool has_angle;
	bool doubtful; /* begins behind another one without a comma */
};

struct reader {
	struct mime_work *w;
	struct slice s;
	size_t at;
	bool no_more_quotes, no_more_comments; /* known to be unclosed: ordinary characters now */
	bool in_group;
	struct mailbox box;
	size_t box_at, angle_at; /* where it, and its angle, begin */
	/* Words between commas that are no addresses, just behind one another: since when, and how
	 * many addresses came before. */
	bool has_words;
	size_t words_at, words_count;
	struct mime_addresses *out;
	bool full;
};

/* A list's room grows by doubling: it follows from the count. */
static size_t capacity_of(size_t count)
{
	size_t capacity = count > 0 ? 4 : 0;

	while (capacity < count)
		capacity *= 2;
	return capacity;
}

static struct slice text_of(const struct buf *buf)
{
	return slice_trim(mime_text_of(buf));
}

static void clear(struct mailbox *box)
{
	buf_clear(&box->phrase);
	buf_clear(&box->written);
	buf_clear(&box->comment);
	buf_clear(&box->angle);
	box->has_angle = box->doubtful = false;
}

static void emit(struct reader *r, struct slice name, struct slice address)
{
	struct mime_addresses *out = r->out;

	if (out->count >= r->w->limits->addresses) {
		mime_note(r->w, DEFECT_LIMIT_ADDRESSES);
		r->full = true;
		return;
	}
	if (out->count == capacity_of(out->count)) {
		struct mime_address *old = out->list;
		out->list = arena_alloc(
			r->w->arena, capacity_of(out->count + 1) * sizeof(out->list[0]));
		if (out->count > 0)
			memcpy(out->list, old, out->count * sizeof(out->list[0]));
	}
	const char *shown = name.len > 0 ? mime_header_text(r->w, name) : "";
	out->list[out->count++] = (struct mime_address){
		.name = *shown != '\0' ? shown : NULL,
		.address = mime_header_text(r->w, address),
	};
}

/* "@relay,@other:user@host" is user@host by a route nobody takes any more (RFC 5322, 4.4). */
static struct slice without_route(struct slice address)
{
	if (address.len > 0 && address.base[0] == '@') {
		const char *colon = memchr(address.base, ':', address.len);
		if (colon != NULL) {
			address.len -= (size_t)(colon + 1 - address.base);
			address.base = colon + 1;
		}
	}
	return slice_trim(address);
}

/* Takes the blanks out that may stand around "@" and "." (RFC 5322, 4.4), in place. */
static void squeeze(struct buf *text)
{
	char *to = text->base;
	size_t len = text->len;

	for (size_t i = 0; i < len; i++) {
		char c = text->base[i], before = to > text->base ? to[-1] : '\0';
		if (c == ' ' && (before == '@' || before == '.' || before == ' '))
			continue;
		if ((c == '@' || c == '.') && before == ' ')
			to--;
		*to++ = c;
	}
	text->len = (size_t)(to - text->base);
}

/* "<user@host> Name": some write it the other way around. */
static void name_behind(struct reader *r)
{
	struct slice name = text_of(&r->box.phrase);
	struct mime_address *last = r->out->count > 0 ? &r->out->list[r->out->count - 1] : NULL;

	bool encoded = mime_word_length(name) > 0;

	/* Not the parameters of some other field that got here. */
	if (last == NULL || last->name != NULL || name.len == 0 ||
		(!encoded && memchr(name.base, '=', name.len) != NULL))
		return;
	const char *shown = mime_header_text(r->w, name);
	last->name = *shown != '\0' ? shown : NULL;
}

static struct slice part_of(struct slice s, size_t from, size_t to)
{
	return slice_trim((struct slice){ s.base + from, to - from });
}

/* A name and an address without an angle, the one that holds the "@". False when there is no such
 * pair: blanks may stand in a quoted local part. */
static bool split_bare(struct slice text, struct slice *name_r, struct slice *address_r)
{
	const char *first = memchr(text.base, ' ', text.len);
	const char *last = memrchr(text.base, ' ', text.len);

	if (first == NULL)
		return false;
	struct slice head = part_of(text, 0, (size_t)(first - text.base));
	struct slice tail = part_of(text, (size_t)(last - text.base), text.len);
	if (memchr(tail.base, '@', tail.len) != NULL && memchr(tail.base, '"', tail.len) == NULL) {
		*name_r = part_of(text, 0, (size_t)(last - text.base));
		*address_r = tail;
	} else if (memchr(head.base, '@', head.len) != NULL && head.base[0] != '"') {
		*name_r = part_of(text, (size_t)(first - text.base), text.len);
		*address_r = head;
	} else {
		return false;
	}
	if (name_r->len > 2 && name_r->base[0] == '"' && name_r->base[name_r->len - 1] == '"')
		*name_r = part_of(*name_r, 1, name_r->len - 1);
	return true;
}

/* An encoded word that holds all of "Name <user@host>", as programs write that encode too much. */
static bool emit_encoded(struct reader *r, struct slice word)
{
	if (mime_word_length(word) != word.len)
		return false;
	struct slice text = slice_str(mime_header_text(r->w, word));
	const char *open = memrchr(text.base, '<', text.len);
	if (open == NULL || text.base[text.len - 1] != '>' ||
		memchr(open, '@', text.len - (size_t)(open - text.base)) == NULL)
		return false;
	mime_note(r->w, DEFECT_BAD_ADDRESS);
	size_t at = (size_t)(open - text.base);
	emit(r, part_of(text, 0, at), part_of(text, at + 1, text.len - 1));
	return true;
}

/* Text without an angle: an address; or, against the rules, a name and an address. */
static void finish_bare(struct reader *r)
{
	struct mailbox *box = &r->box;
	struct slice name = text_of(&box->comment), address, given;

	if (box->written.len > 0)
		squeeze(&box->written);
	address = text_of(&box->written);
	bool has_at = memchr(address.base, '@', address.len) != NULL;
	if (address.len == 0 || emit_encoded(r, address))
		return;
	if (box->doubtful && !has_at) {
		name_behind(r);
		return;
	}
	if (split_bare(address, &given, &address)) {
		mime_note(r->w, DEFECT_BAD_ADDRESS);
		name = given;
	} else if (memchr(address.base, ' ', address.len) != NULL && address.base[0] != '"') {
		mime_note(r->w, DEFECT_BAD_ADDRESS);
	}
	emit(r, name, address);
}

/* "Doe, Jane <jane@host>": the comma wanted quotes. */
static struct slice name_with_words(struct reader *r, struct slice name)
{
	struct mailbox *box = &r->box;

	if (!r->has_words || name.len == 0 || box->phrase.len != box->written.len)
		return name;
	mime_note(r->w, DEFECT_BAD_ADDRESS);
	r->out->count = r->words_count;
	return part_of(r->s, r->words_at, r->angle_at);
}

static void finish(struct reader *r)
{
	struct mailbox *box = &r->box;
	struct slice name = text_of(&box->phrase);

	if (!box->has_angle) {
		finish_bare(r);
	} else {
		struct slice address = without_route(text_of(&box->angle));
		if (memchr(address.base, '@', address.len) != NULL)
			name = name_with_words(r, name);
		if (name.len == 0)
			name = text_of(&box->comment);
		if (name.len > 0 || address.len > 0)
			emit(r, name, address);
	}
	clear(box);
}

/* Whether what stands before a comma can be the first half of a name. "root" cannot. */
static bool is_half_name(struct reader *r)
{
	struct slice text = text_of(&r->box.written);
	bool lower = true;

	if (r->in_group || r->box.has_angle || r->box.doubtful || text.len == 0 ||
		r->box.phrase.len != r->box.written.len)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		if (strchr("@!%", text.base[i]) != NULL)
			return false;
		lower = lower && ((text.base[i] >= 'a' && text.base[i] <= 'z') ||
					 (text.base[i] >= '0' && text.base[i] <= '9'));
	}
	return !lower;
}

static void read_comma(struct reader *r)
{
	bool half = is_half_name(r);

	if (half && !r->has_words) {
		r->words_at = r->box_at;
		r->words_count = r->out->count;
	}
	finish(r);
	r->has_words = half;
	r->box_at = r->at;
}

/* Where the quoted string that was just entered ends, or 0. */
static size_t find_quote(struct reader *r)
{
	for (size_t i = r->at; i < r->s.len; i++) {
		if (r->s.base[i] == '"')
			return i;
		if (r->s.base[i] == '\\')
			i++;
	}
	r->no_more_quotes = true;
	mime_note(r->w, DEFECT_BAD_ADDRESS);
	return 0;
}

/* Adds text to the mailbox; behind an angle it begins the next one, whose comma was forgotten. */
static void add_text(struct reader *r, const char *p, size_t len)
{
	if (r->box.has_angle) {
		mime_note(r->w, DEFECT_BAD_ADDRESS);
		finish(r);
		r->box.doubtful = true;
	}
	buf_add(&r->box.phrase, p, len);
	buf_add(&r->box.written, p, len);
}

static void read_quoted(struct reader *r)
{
	size_t end = r->no_more_quotes ? 0 : find_quote(r), start = r->at - 1;

	if (end == 0)
		return;
	add_text(r, "", 0);
	for (; r->at < end; r->at++) {
		if (r->s.base[r->at] == '\\' && r->at + 1 < end)
			r->at++;
		buf_putc(&r->box.phrase, r->s.base[r->at]);
	}
	r->at = end + 1;
	buf_add(&r->box.written, r->s.base + start, r->at - start);
}

static void read_comment(struct reader *r)
{
	unsigned depth = 1;
	size_t i = r->at;

	for (; i < r->s.len && !r->no_more_comments; i++) {
		char c = r->s.base[i];
		if (c == '\\')
			i++;
		else if (c == '(')
			depth++;
		else if (c == ')' && --depth == 0)
			break;
	}
	if (i >= r->s.len || r->no_more_comments) {
		r->no_more_comments = true;
		mime_note(r->w, DEFECT_BAD_ADDRESS);
		return;
	}
	buf_clear(&r->box.comment);
	for (size_t k = r->at; k < i; k++) {
		if (r->s.base[k] == '\\' && k + 1 < i)
			k++;
		buf_putc(&r->box.comment, r->s.base[k]);
	}
	r->at = i + 1;
}

/* Moves to the end of the comment that begins here, or stays when it has none. */
static bool skip_comment(struct reader *r)
{
	unsigned depth = 0;

	for (size_t i = r->at; i < r->s.len && !r->no_more_comments; i++) {
		depth += r->s.base[i] == '(';
		if (r->s.base[i] == '\\')
			i++;
		else if (r->s.base[i] == ')' && --depth == 0) {
			r->at = i;
			return true;
		}
	}
	r->no_more_comments = true;
	return false;
}

/* Up to the ">". A comma ends it too, except in a route. */
static void read_angle(struct reader *r)
{
	struct mailbox *box = &r->box;
	bool quoted = false;

	if (box->has_angle) {
		mime_note(r->w, DEFECT_BAD_ADDRESS);
		finish(r);
	}
	box->has_angle = true;
	r->angle_at = r->at - 1;
	for (; r->at < r->s.len; r->at++) {
		char c = r->s.base[r->at];
		if (c == '>' && !quoted) {
			r->at++;
			return;
		}
		if (c == ',' && !quoted && (box->angle.len == 0 || box->angle.base[0] != '@'))
			break;
		if (c == '"')
			quoted = !quoted;
		if (c == '(' && !quoted && skip_comment(r))
			continue;
		if (quoted || (c != ' ' && c != '\t' && c != '<'))
			buf_putc(&box->angle, c);
	}
	mime_note(r->w, DEFECT_BAD_ADDRESS);
}

/* "[IPv6:2001:db8::1]", whose colons are no group's. */
static void read_literal(struct reader *r)
{
	size_t i = r->at;

	while (i < r->s.len && strchr("],;<>", r->s.base[i]) == NULL)
		i++;
	if (i < r->s.len && r->s.base[i] == ']')
		i++;
	add_text(r, r->s.base + r->at - 1, i - r->at + 1);
	r->at = i;
}

static void read_one(struct reader *r)
{
	size_t word = mime_word_length((struct slice){ r->s.base + r->at, r->s.len - r->at });
	const char *p = r->s.base + r->at;

	if (word > 0) {
		add_text(r, p, word);
		r->at += word;
		return;
	}
	r->at++;
	switch (*p) {
	case '"':
		read_quoted(r);
		break;
	case '(':
		read_comment(r);
		break;
	case '<':
		read_angle(r);
		break;
	case '[':
		read_literal(r);
		break;
	case ',':
		read_comma(r);
		break;
	case ';': /* ends a group; some put it between addresses */
		finish(r);
		r->in_group = r->has_words = false;
		r->box_at = r->at;
		break;
	case ':': /* what stands before it is a group's name */
		clear(&r->box);
		r->in_group = true;
		r->has_words = false;
		break;
	case '>':
		mime_note(r->w, DEFECT_BAD_ADDRESS);
		break;
	case ' ':
	case '\t':
		if (!r->box.has_angle)
			add_text(r, " ", 1);
		break;
	default:
		add_text(r, p, 1);
	}
}

void mime_addresses_parse(struct mime_work *w, struct slice value, struct mime_addresses *out)
{
	struct buf text;
	struct reader r = { .w = w, .out = out };

	value = mime_unfold(w, value); /* lies in a scratch buffer that emit() needs */
	buf_init(&text, value.len);
	buf_add(&text, value.base, value.len);
	buf_init(&r.box.phrase, value.len);
	buf_init(&r.box.written, value.len);
	buf_init(&r.box.comment, value.len);
	buf_init(&r.box.angle, value.len);
	r.s = (struct slice){ text.base, text.len };
	while (r.at < r.s.len && !r.full)
		read_one(&r);
	if (!r.full)
		finish(&r);
	buf_deinit(&r.box.phrase);
	buf_deinit(&r.box.written);
	buf_deinit(&r.box.comment);
	buf_deinit(&r.box.angle);
	buf_deinit(&text);
}
