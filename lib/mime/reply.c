/* SPDX-License-Identifier: MIT */
/* What was newly written: `text` without quotations, what introduces them, and signatures. One pass
 * over the lines. */
#include "lib/mime/reply.h"
#include "lib/mime/internal.h"

enum {
	HEADER_LINES = 8,     /* in which a quoted header must show its fields */
	BROKEN_LINES = 4,     /* that one attribution may take */
	OPEN_LINES = 5,       /* the same, while a "<" in it is not closed */
	SIGNATURE_LINES = 10, /* behind a "--" that lacks its blank */
	LIST_RULER = 30,      /* what a mailing list program draws above its footer */
	LIST_NAME = 100,      /* "name mailing list", below a shorter one */
	SHARED_LINE = 1000,   /* that ends with an attribution */
};

struct reply {
	struct slice text, kept; /* the latter within the former, while it is in one piece */
	struct buf out;          /* else it is here */
	size_t blanks;           /* lines, since the last one that was kept */
	bool removed;            /* something, since then */
	bool in_signature;       /* until a quotation comes, if one does */
	bool after_ruler;        /* the last line */
	bool after_comment;      /* the last line is one of SQL: "-- so" */
	bool at_header;          /* a quoted one */
	bool cut;                /* by what introduces a quotation */
};

/* The line at `*at`, which is moved behind it. */
static struct slice next_line(struct slice text, size_t *at)
{
	const char *start = text.base + *at, *end = memchr(start, '\n', text.len - *at);
	size_t len = end != NULL ? (size_t)(end - start) : text.len - *at;

	*at += len + (end != NULL);
	return (struct slice){ start, len };
}

/* ">>> look here <<<" is none. */
static bool is_quote(struct slice trimmed)
{
	static const char wide[] = "\uff1e"; /* in Japanese */

	if (trimmed.len > 0 && trimmed.base[0] == '>')
		return trimmed.base[trimmed.len - 1] != '<';
	return trimmed.len > sizeof(wide) - 1 && memcmp(trimmed.base, wide, sizeof(wide) - 1) == 0;
}

/* The next line that is not blank, trimmed; empty at the end. */
static struct slice next_text(struct slice text, size_t at)
{
	struct slice line = { "", 0 };
	/* Whole screens of blank lines are no way to hide what follows, but they end the search. */
	for (int i = 0; i < HEADER_LINES && at < text.len && line.len == 0; i++)
		line = reply_trim(next_line(text, &at));
	return line;
}

/* "From: …" and two more fields, of which one must be a telling one, or hold an address. Where another
 * field stands first, a blank line or a ruler must be above, and no blank line among them. */
static bool is_header_block(const struct reply *r, struct slice line, size_t next)
{
	struct slice text = r->text;
	bool from_first = reply_is_from(line), from = from_first, telling = false;
	unsigned fields = 0;

	if (!from_first && r->blanks == 0 && !r->after_ruler)
		return false;
	enum reply_label label = reply_label(line);
	if (label == REPLY_NO_LABEL || label == REPLY_FORM)
		return false;
	for (unsigned lines = 0;; lines++) {
		fields += label != REPLY_NO_LABEL;
		from |= label == REPLY_FROM;
		telling |= label == REPLY_TELLING ||
			   (label != REPLY_NO_LABEL && memchr(line.base, '@', line.len) != NULL);
		if (label == REPLY_FORM)
			return false;
		if (next >= text.len || lines == HEADER_LINES)
			break;
		line = reply_trim(next_line(text, &next));
		if (line.len == 0 && (!from_first || fields > 2))
			break;
		label = reply_label(line);
	}
	return from && telling && fields > 2;
}

/* What a mailing list adds below every message. */
static bool is_list_footer(struct slice line, struct slice text, size_t next)
{
	static const char words[] = "mailing list";

	if (line.len < 2 || line.base[0] != '_' || line.base[1] != '_')
		return false;
	if (line.len < LIST_RULER) {
		struct slice name = next < text.len ? reply_trim(next_line(text, &next)) : line;
		return line.base[line.len - 1] == '_' && name.len < LIST_NAME &&
		       reply_ends(name, words);
	}
	if (!reply_is_ruler(line))
		return false;
	struct slice below = next_text(text, next);
	size_t len = below.len < 200 ? below.len : 200;
	return memmem(below.base, len, words, sizeof(words) - 1) != NULL;
}

/* RFC 3676, 4.3: "-- ". Without the blank, which programs and people lose, few lines may follow. */
static bool is_signature(const struct reply *r, struct slice raw, struct slice line, size_t next)
{
	struct slice text = r->text;
	unsigned lines = 0;

	if (slice_eq(raw, SLICE_LIT("-- ")) || slice_eq(raw, SLICE_LIT("- -- ")))
		return true;
	if (!slice_eq(line, SLICE_LIT("--")) || r->after_comment)
		return false;
	while (next < text.len && lines <= SIGNATURE_LINES) {
		line = reply_trim(next_line(text, &next));
		if (is_quote(line))
			break;
		/* a comment of SQL, an item of a list */
		if (reply_begins(line, "- ") || reply_begins(line, "-- "))
			return false;
		lines += line.len > 0;
		if (line.len == 0 && is_quote(next_text(text, next)))
			break;
	}
	return lines <= SIGNATURE_LINES;
}

/* Whether a "<" in it waits for its ">", which may come as a line that looks like a quotation. */
static bool is_open(struct slice joined)
{
	size_t depth = 0;

	for (size_t i = 0; i < joined.len; i++) {
		if (joined.base[i] == '<')
			depth++;
		else if (joined.base[i] == '>' && depth > 0)
			depth--;
	}
	return depth > 0;
}

/* Whether `line` may be the last of one, and its colon does not stand in the next. */
static bool ends_attribution(const struct reply *r, struct slice line, size_t next)
{
	return reply_ends_attribution(line) &&
	       (next >= r->text.len ||
		       !slice_eq(reply_trim(next_line(r->text, &next)), SLICE_LIT(":")));
}

/* An attribution at `line`, perhaps broken into several lines; `*next` is moved behind it. */
static enum reply_attribution find_attribution(struct reply *r, struct slice line, size_t *next)
{
	struct slice joined = line;
	size_t at = *next;

	if (reply_ends_with_colon(line))
		return reply_attribution(line, false);
	enum reply_attribution begins = reply_begins_attribution(line);
	if (begins == REPLY_NO_ATTRIBUTION)
		return REPLY_NO_ATTRIBUTION;
	if (ends_attribution(r, line, at))
		return reply_attribution(line, false);
	/* In the middle of a paragraph it must look like one. */
	bool open = is_open(joined),
	     alone = begins == REPLY_SURELY || open || r->blanks > 0 || r->kept.len == 0;
	for (int i = 1; alone && i < (open ? OPEN_LINES : BROKEN_LINES) && at < r->text.len; i++) {
		struct slice more = reply_trim(next_line(r->text, &at));
		bool last = ends_attribution(r, more, at);
		/* One program puts a blank line and the address on three lines of its own. */
		if (more.len == 0 && i == 1 && slice_eq(next_text(r->text, at), SLICE_LIT("<"))) {
			open = true;
			continue;
		}
		if (more.len == 0 || (is_quote(more) && !(open && last)) ||
			reply_begins_attribution(more) == REPLY_SURELY)
			break;
		joined.len = (size_t)(more.base + more.len - joined.base);
		if (joined.len > SHARED_LINE)
			break;
		open = is_open(joined);
		if (!last)
			continue;
		enum reply_attribution found = reply_attribution(joined, true);
		if (found != REPLY_NO_ATTRIBUTION)
			*next = at;
		return found;
	}
	return reply_attribution(line, false);
}

/* What stands in a line in front of "On … wrote:", with which a quotation begins below; empty when the
 * line is none of these. */
static struct slice before_attribution(struct reply *r, struct slice line, size_t next)
{
	static const char on[] = " On ";
	const char *at = NULL;

	if (line.len > SHARED_LINE || !reply_ends_with_colon(line) ||
		!is_quote(next_text(r->text, next)))
		return (struct slice){ "", 0 };
	for (struct slice rest = line;;) {
		const char *found = memmem(rest.base, rest.len, on, sizeof(on) - 1);
		if (found == NULL)
			break;
		at = found;
		slice_skip(&rest, (size_t)(found + 1 - rest.base));
	}
	if (at == NULL ||
		reply_attribution((struct slice){ at + 1, (size_t)(line.base + line.len - at - 1) },
			false) != REPLY_SURELY)
		return (struct slice){ "", 0 };
	line.len = (size_t)(at - line.base);
	while (line.len > 0 && line.base[line.len - 1] == '-')
		line.len--;
	return line;
}

/* As long as nothing between kept lines is left out, they need not be copied. */
static void keep(struct reply *r, struct slice line)
{
	size_t blanks = r->removed ? 1 : r->blanks;

	if (r->kept.len == 0) {
		r->kept = line;
	} else if (r->out.len == 0 && !r->removed) {
		r->kept.len = (size_t)(line.base + line.len - r->kept.base);
	} else {
		if (r->out.len == 0)
			buf_add(&r->out, r->kept.base, r->kept.len);
		for (size_t i = 0; i <= blanks; i++)
			buf_putc(&r->out, '\n');
		buf_add(&r->out, line.base, line.len);
	}
	r->blanks = 0;
	r->removed = false;
}

enum step {
	GO_ON,
	END, /* of what was newly written */
};

/* At what introduces a quotation that goes to the end of the text. */
static enum step cut(struct reply *r)
{
	r->cut = true;
	return END;
}

/* Nothing of it is kept. */
static enum step leave_out(struct reply *r, bool in_signature)
{
	r->removed = true;
	r->in_signature = in_signature;
	return GO_ON;
}

/* A line that is not blank, as it stands and trimmed; `*next` is where it ends. */
static enum step read_line(struct reply *r, struct slice raw, struct slice line, size_t *next)
{
	if (is_quote(line))
		return leave_out(r, false);
	if (slice_eq(line, SLICE_LIT("-----BEGIN PGP SIGNATURE-----")))
		return END;
	if (is_signature(r, raw, line, *next) || is_list_footer(line, r->text, *next))
		return leave_out(r, true);
	r->at_header = is_header_block(r, line, *next);
	if (r->at_header || reply_is_divider(line))
		return cut(r);
	struct slice front = before_attribution(r, line, *next);
	if (front.len > 0) {
		if (!r->in_signature)
			keep(r, front);
		return leave_out(r, false);
	}
	enum reply_attribution found = find_attribution(r, line, next);
	if (found != REPLY_NO_ATTRIBUTION && is_quote(next_text(r->text, *next)))
		return leave_out(r, false);
	if (found == REPLY_SURELY)
		return cut(r);
	if (r->in_signature)
		return leave_out(r, true);
	if (is_quote(next_text(r->text, *next)) && reply_is_device_signature(line))
		return leave_out(r, false);
	keep(r, raw);
	return GO_ON;
}

/* Where the text begins: behind the armor header of a clear-signed one (RFC 9580, 7). */
static size_t skip_armor(struct slice text)
{
	size_t at = 0;

	if (!slice_eq(reply_trim(next_line(text, &at)),
		    SLICE_LIT("-----BEGIN PGP SIGNED MESSAGE-----")))
		return 0;
	while (at < text.len && reply_trim(next_line(text, &at)).len > 0)
		;
	return at;
}

/* Without the lines at the end that are the mail program's: what it adds itself, and what it draws
 * above a quotation. */
static struct slice trim_end(const struct reply *r, struct slice text)
{
	bool labels = r->at_header && r->blanks == 0; /* fields that stand in front of "From:" */

	while (text.len > 0) {
		const char *lf = memrchr(text.base, '\n', text.len);
		size_t before = lf != NULL ? (size_t)(lf - text.base) : 0,
		       start = before + (lf != NULL);
		struct slice last = reply_trim(
			(struct slice){ text.base + start, text.len - start });
		bool drawn = (r->cut || r->removed) && reply_is_ruler(last);
		labels = labels &&
			 (reply_label(last) == REPLY_OTHER || reply_label(last) == REPLY_TELLING);
		if (last.len > 0 && !drawn && !labels && !reply_is_device_signature(last) &&
			!(r->cut && reply_is_dashed(last)))
			break;
		text.len = before;
	}
	return text;
}

const char *mime_reply_text(struct mime_work *w, const char *text)
{
	struct reply r = { .text = slice_str(text), .kept = { "", 0 } };
	enum step step = GO_ON;

	buf_init(&r.out, r.text.len + 1);
	for (size_t at = skip_armor(r.text); at < r.text.len && step == GO_ON;) {
		struct slice raw = next_line(r.text, &at), line = reply_trim(raw);
		if (line.len == 0)
			r.blanks++;
		else
			step = read_line(&r, raw, line, &at);
		if (line.len > 0) {
			r.after_ruler = reply_is_ruler(line) || reply_is_dashed(line);
			r.after_comment = line.len > 2 && memcmp(line.base, "-- ", 3) == 0;
		}
	}
	struct slice reply = trim_end(&r, r.out.len > 0 ? mime_text_of(&r.out) : r.kept);
	/* A forward without a word of one's own is what the message is about. */
	if (reply.len == 0 && r.cut)
		reply = slice_trim(r.text);
	const char *kept = arena_strndup(w->arena, reply.base, reply.len);
	buf_deinit(&r.out);
	return kept;
}
