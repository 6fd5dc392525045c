/* SPDX-License-Identifier: MIT */
/* TNEF, Outlook's winmail.dat ([MS-OXTNEF]): its attachments, as stretches of the decoded stream.
 *
 * libytnef reads it too, but not for a server: it leaks what an attribute held when the attribute
 * comes again (ten megabytes for a message of ten), writes to standard output, and refuses a whole
 * stream for a subject of more than 100 bytes. Nothing is copied here but names. */
#include "lib/mime/internal.h"

#include <string.h>

enum { TNEF_SIGNATURE = 0x223e9f78 };

enum { /* attributes: type and id ([MS-OXTNEF] 2.1.3.3) */
	ATT_OEM_CODEPAGE = 0x00069007,
	ATT_ATTACH_RENDDATA = 0x00069002, /* the first one of each attachment */
	ATT_ATTACH_TITLE = 0x00018010,
	ATT_ATTACH_DATA = 0x0006800f,
	ATT_ATTACHMENT = 0x00069005, /* a list of properties */
};

enum { /* properties ([MS-OXPROPS]) */
	PROP_DISPLAY_NAME = 0x3001,
	PROP_ATTACH_DATA = 0x3701,
	PROP_ATTACH_FILENAME = 0x3704,
	PROP_ATTACH_LONG_FILENAME = 0x3707,
	PROP_ATTACH_MIME_TAG = 0x370e,
	PROP_ATTACH_CONTENT_ID = 0x3712,
	FIRST_NAMED_PROP = 0x8000,
};

enum { /* their types ([MS-OXCDATA] 2.11.1) */
	TYPE_OBJECT = 0x000d,
	TYPE_STRING8 = 0x001e,
	TYPE_UNICODE = 0x001f,
	TYPE_BINARY = 0x0102,
	TYPE_MULTIPLE = 0x1000, /* a flag */
};

enum {
	INTERFACE_ID = 16, /* bytes that say what kind of object follows */
	MAX_NAME = 2048,   /* of a name's bytes these are looked at */
};

/* Little endian; false, and the whole rest gone, when there is not enough. */
static bool take(struct slice *s, size_t len, struct slice *out_r)
{
	if (len > s->len) {
		*s = (struct slice){ s->base + s->len, 0 };
		return false;
	}
	*out_r = (struct slice){ s->base, len };
	*s = (struct slice){ s->base + len, s->len - len };
	return true;
}

static bool take_number(struct slice *s, size_t bytes, uint32_t *number_r)
{
	struct slice number;

	*number_r = 0;
	if (!take(s, bytes, &number))
		return false;
	for (size_t i = bytes; i > 0; i--)
		*number_r = *number_r << 8 | (unsigned char)number.base[i - 1];
	return true;
}

/* Values are padded to four bytes; at the very end the padding may be missing. */
static bool take_padded(struct slice *s, size_t len, struct slice *out_r)
{
	struct slice padding;

	if (!take(s, len, out_r))
		return false;
	size_t more = (4 - len % 4) % 4;
	take(s, more < s->len ? more : s->len, &padding);
	return true;
}

bool mime_tnef_begin(struct mime_tnef *t, struct slice stream)
{
	uint32_t signature, key;

	*t = (struct mime_tnef){ .rest = stream, .codepage = NULL };
	return take_number(&t->rest, 4, &signature) && signature == TNEF_SIGNATURE &&
	       take_number(&t->rest, 2, &key);
}

struct property {
	uint32_t type, id;
	struct slice value; /* the first one, of several */
};

static size_t fixed_size(uint32_t type)
{
	switch (type) {
	case 0x0005: /* double */
	case 0x0006: /* currency */
	case 0x0007: /* application time */
	case 0x0014: /* 64-bit integer */
	case 0x0040: /* time */
		return 8;
	case 0x0048: /* GUID */
		return 16;
	default:
		return 4; /* smaller ones are padded */
	}
}

/* A property of the named range has its name in front of its value. */
static bool skip_name(struct slice *s)
{
	struct slice ignored;
	uint32_t kind, number;

	if (!take(s, 16, &ignored) || !take_number(s, 4, &kind) || !take_number(s, 4, &number))
		return false;
	return kind == 0 || take_padded(s, number, &ignored);
}

static bool take_values(struct slice *s, struct property *prop)
{
	uint32_t type = prop->type & ~(uint32_t)TYPE_MULTIPLE, count = 1, len;
	bool sized = type == TYPE_OBJECT || type == TYPE_STRING8 || type == TYPE_UNICODE ||
		     type == TYPE_BINARY;
	struct slice value;

	if ((sized || type != prop->type) && !take_number(s, 4, &count))
		return false;
	for (uint32_t i = 0; i < count; i++) {
		len = (uint32_t)fixed_size(type);
		if (sized && !take_number(s, 4, &len))
			return false;
		if (!take_padded(s, len, &value))
			return false;
		if (i == 0)
			prop->value = value;
	}
	return true;
}

static bool take_property(struct slice *s, struct property *prop_r)
{
	*prop_r = (struct property){ .value = { "", 0 } };
	if (!take_number(s, 2, &prop_r->type) || !take_number(s, 2, &prop_r->id))
		return false;
	if (prop_r->id >= FIRST_NAMED_PROP && !skip_name(s))
		return false;
	return take_values(s, prop_r);
}

/* What one file says of itself, still as it stands: only what is left at its end is converted. */
struct file {
	struct slice data;
	bool embedded;
	struct property full, small, given, shown; /* its name, the best one first */
	struct property type, content_id;
};

/* One line of text in UTF-8; NULL when nothing is left of it. */
static const char *text_of(
	struct mime_work *w, const struct mime_tnef *t, const struct property *prop)
{
	const char *codepage = t->codepage != NULL ? t->codepage : "windows-1252";
	bool unicode = prop->type == TYPE_UNICODE;
	struct slice value = prop->value;

	if (value.len > MAX_NAME)
		value.len = MAX_NAME;
	if (!unicode && value.len > 0) { /* the closing NUL, and what a field holds behind it */
		const char *nul = memchr(value.base, '\0', value.len);
		value.len = nul != NULL ? (size_t)(nul - value.base) : value.len;
	}
	if (value.len == 0)
		return NULL;
	buf_clear(&w->text);
	mime_to_utf8(w, unicode ? SLICE_LIT("utf-16le") : slice_str(codepage), value, &w->text);
	struct slice text = mime_text_of(&w->text);
	while (text.len > 0 && text.base[text.len - 1] == '\0')
		text.len--;
	return text.len > 0 ? mime_clean(w, text, text.len * 3, NULL) : NULL;
}

static struct mime_tnef_file finish(
	struct mime_work *w, const struct mime_tnef *t, const struct file *file)
{
	const struct property *const best[] = { &file->full, &file->small, &file->given,
		&file->shown };
	struct mime_tnef_file done = { .data = file->data,
		.embedded = file->embedded,
		.type = text_of(w, t, &file->type),
		.content_id = text_of(w, t, &file->content_id) };

	for (size_t i = 0; i < 4 && done.name == NULL; i++)
		done.name = text_of(w, t, best[i]);
	return done;
}

static void use_property(const struct property *prop, struct file *file)
{
	switch (prop->id) {
	case PROP_ATTACH_LONG_FILENAME:
		file->full = *prop;
		break;
	case PROP_ATTACH_FILENAME:
		file->small = *prop;
		break;
	case PROP_DISPLAY_NAME:
		file->shown = *prop;
		break;
	case PROP_ATTACH_MIME_TAG:
		file->type = *prop;
		break;
	case PROP_ATTACH_CONTENT_ID:
		file->content_id = *prop;
		break;
	case PROP_ATTACH_DATA:
		if (file->data.base != NULL)
			break;
		file->data = prop->value;
		if (prop->type == TYPE_OBJECT && file->data.len >= INTERFACE_ID) {
			file->data.base += INTERFACE_ID;
			file->data.len -= INTERFACE_ID;
			file->embedded = true;
		}
		break;
	}
}

static void use_properties(struct mime_work *w, struct slice list, struct file *file)
{
	struct property prop;
	uint32_t count;

	if (!take_number(&list, 4, &count)) {
		mime_note(w, DEFECT_BAD_TNEF);
		return;
	}
	for (uint32_t i = 0; i < count; i++) {
		if (!take_property(&list, &prop)) {
			mime_note(w, DEFECT_BAD_TNEF);
			return;
		}
		use_property(&prop, file);
	}
}

struct attribute {
	uint32_t id;
	struct slice value;
};

/* A stream that is cut short ends with what is there of its last attribute. */
static bool take_attribute(struct mime_work *w, struct slice *s, struct attribute *att_r)
{
	uint32_t level, len, sum;
	uint16_t actual = 0;

	if (s->len == 0)
		return false;
	if (!take_number(s, 1, &level) || !take_number(s, 4, &att_r->id) ||
		!take_number(s, 4, &len)) {
		mime_note(w, DEFECT_BAD_TNEF);
		return false;
	}
	take(s, len < s->len ? len : s->len, &att_r->value);
	for (size_t i = 0; i < att_r->value.len; i++)
		actual = (uint16_t)(actual + (unsigned char)att_r->value.base[i]);
	if (!take_number(s, 2, &sum) || sum != actual)
		mime_note(w, DEFECT_BAD_TNEF);
	return true;
}

static void use_codepage(struct mime_work *w, struct mime_tnef *t, struct slice value)
{
	uint32_t page;

	if (!take_number(&value, 4, &page))
		return;
	t->codepage = page == 65001 ? "utf-8" : arena_printf(w->arena, "cp%u", (unsigned)page);
}

bool mime_tnef_next(struct mime_work *w, struct mime_tnef *t, struct mime_tnef_file *file_r)
{
	static const struct file empty;
	struct file file = empty;
	struct attribute att;
	struct slice before = t->rest;

	while (take_attribute(w, &t->rest, &att)) {
		if (att.id == ATT_ATTACH_RENDDATA && file.data.base != NULL) {
			t->rest = before; /* the next file's, for the next call */
			break;
		}
		before = t->rest;
		if (att.id == ATT_OEM_CODEPAGE && t->codepage == NULL) {
			use_codepage(w, t, att.value);
		} else if (att.id == ATT_ATTACH_RENDDATA) {
			file = empty;
		} else if (att.id == ATT_ATTACH_TITLE) {
			file.given = (struct property){ .type = TYPE_STRING8, .value = att.value };
		} else if (att.id == ATT_ATTACH_DATA) {
			file.data = att.value;
			file.embedded = false;
		} else if (att.id == ATT_ATTACHMENT) {
			use_properties(w, att.value, &file);
		}
	}
	if (file.data.base == NULL)
		return false;
	*file_r = finish(w, t, &file);
	return true;
}
