/* SPDX-License-Identifier: MIT */
#include "lib/mime/internal.h"

#include <string.h>

enum {
	MAX_REFERENCES = 1000,
	MAX_DATE = 200,   /* bytes of a Date field that are looked at */
	MAX_UNENDED = 16, /* comments in an id whose end is looked for in vain */
};

/* The id at or behind `*at`, with its brackets; false when there is none. */
static bool next_id(struct slice text, size_t *at, struct slice *id_r)
{
	const char *open, *close, *end = text.base + text.len;

	while ((open = memchr(text.base + *at, '<', text.len - *at)) != NULL &&
		(close = memchr(open, '>', (size_t)(end - open))) != NULL) {
		/* Of an id that never ended only the next one is left. */
		open = memrchr(open, '<', (size_t)(close - open));
		*id_r = (struct slice){ open, (size_t)(close + 1 - open) };
		*at = (size_t)(close + 1 - text.base);
		if (id_r->len > 2)
			return true;
	}
	return false;
}

/* The same without brackets, among blanks and commas. */
static bool next_bare_id(struct slice text, size_t *at, struct slice *id_r)
{
	while (*at < text.len) {
		size_t start = *at;
		while (*at < text.len && strchr(" \t,;", text.base[*at]) == NULL)
			++*at;
		*id_r = (struct slice){ text.base + start, *at - start };
		++*at;
		if (memchr(id_r->base, '@', id_r->len) != NULL)
			return true;
	}
	return false;
}

/* Blanks in an id come from folding in the middle of it, or are obsolete syntax, which has comments
 * too (RFC 5322, 4.5.4): neither is a part of the id. An id without blanks is taken as it stands. */
static struct slice squeeze_id(struct mime_work *w, struct slice id)
{
	unsigned unended = 0;
	bool quoted = false;

	if (memchr(id.base, ' ', id.len) == NULL && memchr(id.base, '\t', id.len) == NULL)
		return id;
	buf_clear(&w->word);
	for (size_t i = 0; i < id.len; i++) {
		char c = id.base[i];
		if (c == '"')
			quoted = !quoted;
		if (!quoted && c == '(') {
			size_t len = unended < MAX_UNENDED ? mime_comment_length((struct slice){
								     id.base + i, id.len - i })
							   : 0;
			unended += len == 0;
			i += len > 0 ? len - 1 : 0;
		} else if (quoted || (c != ' ' && c != '\t')) {
			buf_putc(&w->word, c);
		}
	}
	return mime_text_of(&w->word);
}

static const char *clean_id(struct mime_work *w, struct slice id)
{
	buf_clear(&w->text);
	mime_header_to_utf8(w, squeeze_id(w, id), &w->text);
	return mime_clean(w, mime_text_of(&w->text), w->text.len * 3, NULL);
}

const char *mime_first_id(struct mime_work *w, struct slice value)
{
	struct slice text = mime_unfold(w, value), id;
	size_t at = 0;

	if (next_id(text, &at, &id))
		return clean_id(w, id);
	if (text.len == 0 || memchr(text.base, ' ', text.len) != NULL ||
		slice_eq(text, SLICE_LIT("<>")))
		return NULL;
	return clean_id(w, text);
}

static void fill_references(struct mime_work *w, struct slice value)
{
	struct slice text = mime_unfold(w, value), id;
	struct mime_strings *refs = &w->m->references;
	bool bare = memchr(text.base, '<', text.len) == NULL;
	bool (*next)(struct slice, size_t *, struct slice *) = bare ? next_bare_id : next_id;
	size_t at = 0, count = 0;

	while (next(text, &at, &id))
		count++;
	if (count > MAX_REFERENCES) {
		mime_note(w, DEFECT_LIMIT_REFERENCES);
		count = MAX_REFERENCES;
	}
	refs->list = arena_alloc(w->arena, count * sizeof(refs->list[0]));
	for (at = 0; refs->count < count && next(text, &at, &id);)
		refs->list[refs->count++] = clean_id(w, id);
}

static void fill_date(struct mime_work *w, struct slice value)
{
	/* Some encode all fields, this one too. */
	struct slice text = memmem(value.base, value.len, "=?", 2) != NULL
				    ? slice_str(mime_header_text(w, value))
				    : mime_unfold(w, value);
	int64_t s;

	text.len = text.len < MAX_DATE ? text.len : MAX_DATE;
	if (!mime_date_parse(text, &s)) {
		mime_note(w, DEFECT_BAD_DATE);
		return;
	}
	w->m->has_date = true;
	w->m->date_us = s * 1000000;
}

enum single { SUBJECT, MESSAGE_ID, IN_REPLY_TO, REFERENCES, DATE, SINGLES };

/* Fields that count once (RFC 5322, 3.6): the first one is taken. */
static const char *const single_names[SINGLES] = {
	[SUBJECT] = "subject",
	[MESSAGE_ID] = "message-id",
	[IN_REPLY_TO] = "in-reply-to",
	[REFERENCES] = "references",
	[DATE] = "date",
};

static void fill_single(struct mime_work *w, enum single which, struct slice value,
	const struct mime_header *header)
{
	switch (which) {
	case SUBJECT:
		w->m->subject = header->value;
		break;
	case MESSAGE_ID:
		w->m->message_id = mime_first_id(w, value);
		break;
	case IN_REPLY_TO:
		w->m->in_reply_to = mime_first_id(w, value);
		break;
	case REFERENCES:
		fill_references(w, value);
		break;
	case DATE:
		fill_date(w, value);
		break;
	case SINGLES:
		break;
	}
}

/* Address fields: when they repeat, their addresses are taken together. */
static struct mime_addresses *address_field(struct mime_message *m, struct slice name)
{
	const struct {
		const char *name;
		struct mime_addresses *addresses;
	} fields[] = {
		{ "from", &m->from },
		{ "sender", &m->sender },
		{ "to", &m->to },
		{ "cc", &m->cc },
		{ "bcc", &m->bcc },
		{ "reply-to", &m->reply_to },
	};

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		if (slice_ieq(name, slice_str(fields[i].name)))
			return fields[i].addresses;
	}
	return NULL;
}

static void fill_field(struct mime_work *w, const struct mime_field *field,
	const struct mime_header *header, bool seen[SINGLES + 3])
{
	static const char *const structure[] = { "content-type", "content-transfer-encoding",
		"content-disposition" };
	struct mime_addresses *addresses = address_field(w->m, field->name);

	if (addresses != NULL) {
		if (addresses->count > 0)
			mime_note(w, DEFECT_REPEATED_HEADER);
		mime_addresses_parse(w, field->value, addresses);
		return;
	}
	for (int i = 0; i < SINGLES + 3; i++) {
		const char *name = i < SINGLES ? single_names[i] : structure[i - SINGLES];
		if (!slice_ieq(field->name, slice_str(name)))
			continue;
		if (seen[i])
			mime_note(w, DEFECT_REPEATED_HEADER);
		else if (i < SINGLES)
			fill_single(w, (enum single)i, field->value, header);
		seen[i] = true;
	}
}

void mime_headers_fill(struct mime_work *w, struct slice section)
{
	struct mime_fields fields = mime_fields_split(w, section, w->limits->header_fields);
	bool seen[SINGLES + 3] = { false };

	w->body_charset = mime_param(w, mime_fields_last(&fields, "content-type"), "charset");
	w->m->headers = arena_alloc(w->arena, fields.count * sizeof(w->m->headers[0]));
	for (size_t i = 0; i < fields.count; i++) {
		struct mime_header *header = &w->m->headers[w->m->header_count++];
		header->name = mime_header_text(w, fields.list[i].name);
		header->value = mime_header_text(w, fields.list[i].value);
		fill_field(w, &fields.list[i], header, seen);
	}
}
