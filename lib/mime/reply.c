/* SPDX-License-Identifier: MIT */
/* What was newly written: `text` without quotations, what introduces them, and signatures. One pass
 * over the lines. */
#include "lib/mime/reply.h"
#include "lib/mime/internal.h"

enum {
	HEADER_LINES = 8,     /* in which a quoted header must show its fields */
	BROKEN_LINES = 3,     /* that one attribution may take */
	SIGNATURE_LINES = 10, /* behind a "--" that lacks its blank */
	LIST_RULER = 30,      /* what a mailing list program draws above its footer */
};

struct reply {
	struct slice text, kept; /* the latter within the former, while it is in one piece */
	struct buf out;          /* else it is here */
	size_t blanks;           /* lines, since the last one that was kept */
	bool removed;            /* something, since then */
	bool any;                /* a line that is not blank has been met, kept or not */
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

static bool is_quote(struct slice trimmed)
{
	return trimmed.len > 0 && trimmed.base[0] == '>';
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

/* "From: …", and two more fields in the lines below. */
static bool is_header_block(struct slice line, struct slice text, size_t next)
{
	unsigned fields = 0, lines = 0;

	if (!reply_is_from_label(line))
		return false;
	while (next < text.len && lines++ < HEADER_LINES && fields < 2) {
		if (reply_is_label(reply_trim(next_line(text, &next))))
			fields++;
	}
	return fields == 2;
}

/* What a mailing list adds below every message. */
static bool is_list_footer(struct slice line, struct slice text, size_t next)
{
	static const char words[] = "mailing list";

	if (line.len < LIST_RULER || line.base[0] != '_' || !reply_is_ruler(line))
		return false;
	struct slice below = next_text(text, next);
	size_t len = below.len < 200 ? below.len : 200;
	return memmem(below.base, len, words, sizeof(words) - 1) != NULL;
}

/* RFC 3676, 4.3: "-- ". Without the blank, which programs and people lose, few lines may follow. */
static bool is_signature(struct slice raw, struct slice line, struct slice text, size_t next)
{
	unsigned lines = 0;

	if (slice_eq(raw, SLICE_LIT("-- ")) || slice_eq(raw, SLICE_LIT("- -- ")))
		return true;
	if (!slice_eq(line, SLICE_LIT("--")))
		return false;
	while (next < text.len && lines <= SIGNATURE_LINES) {
		line = reply_trim(next_line(text, &next));
		if (is_quote(line))
			break;
		lines += line.len > 0;
		if (line.len == 0 && is_quote(next_text(text, next)))
			break;
	}
	return lines <= SIGNATURE_LINES;
}

/* An attribution at `line`, perhaps broken into several lines; `*next` is moved behind it. */
static enum reply_attribution find_attribution(struct reply *r, struct slice line, size_t *next)
{
	struct slice joined = line;
	size_t at = *next;

	if (reply_ends_with_colon(line))
		return reply_attribution(line, false);
	if (!reply_begins_attribution(line))
		return REPLY_NO_ATTRIBUTION;
	for (int i = 1; i < BROKEN_LINES && at < r->text.len; i++) {
		struct slice more = reply_trim(next_line(r->text, &at));
		if (more.len == 0 || is_quote(more))
			break;
		joined.len = (size_t)(more.base + more.len - joined.base);
		if (!reply_ends_with_colon(more))
			continue;
		enum reply_attribution found = reply_attribution(joined, true);
		if (found != REPLY_NO_ATTRIBUTION)
			*next = at;
		return found;
	}
	return REPLY_NO_ATTRIBUTION;
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
	END,   /* of what was newly written */
	WHOLE, /* all of it is quoted, and that is what the message is about: a bare forward */
};

/* At what introduces a quotation that goes to the end of the text. */
static enum step cut(struct reply *r)
{
	if (!r->any)
		return WHOLE;
	r->cut = true;
	return END;
}

/* A line that is not blank, as it stands and trimmed; `*next` is where it ends. */
static enum step read_line(struct reply *r, struct slice raw, struct slice line, size_t *next)
{
	if (is_quote(line)) {
		r->removed = true;
		return GO_ON;
	}
	if (is_signature(raw, line, r->text, *next) || is_list_footer(line, r->text, *next) ||
		slice_eq(line, SLICE_LIT("-----BEGIN PGP SIGNATURE-----")))
		return END;
	if (reply_is_divider(line) || is_header_block(line, r->text, *next))
		return cut(r);
	enum reply_attribution found = find_attribution(r, line, next);
	if (found != REPLY_NO_ATTRIBUTION && is_quote(next_text(r->text, *next))) {
		r->removed = true;
		return GO_ON;
	}
	if (found == REPLY_SURELY)
		return cut(r);
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

/* Without the lines at the end that are the mail program's, or that stand above a quoted "From:": a
 * ruler, fields that come before it. */
static struct slice trim_end(const struct reply *r, struct slice text)
{
	while (text.len > 0) {
		const char *lf = memrchr(text.base, '\n', text.len);
		size_t before = lf != NULL ? (size_t)(lf - text.base) : 0,
		       start = before + (lf != NULL);
		struct slice last = reply_trim(
			(struct slice){ text.base + start, text.len - start });
		if (last.len > 0 && !reply_is_device_signature(last) &&
			!(r->cut && (reply_is_ruler(last) || reply_is_label(last))))
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
		if (line.len == 0) {
			r.blanks++;
			continue;
		}
		step = read_line(&r, raw, line, &at);
		r.any = true;
	}
	struct slice reply = slice_trim(r.text);
	if (step != WHOLE)
		reply = trim_end(&r, r.out.len > 0 ? mime_text_of(&r.out) : r.kept);
	const char *kept = arena_strndup(w->arena, reply.base, reply.len);
	buf_deinit(&r.out);
	return kept;
}
