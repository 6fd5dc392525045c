/* SPDX-License-Identifier: MIT */
/* HTML as text: one pass over tags and words, with no tree and so no depth to fear. */
#include "lib/mime/html.h"
#include "lib/mime/internal.h"

#include <ctype.h>
#include <stdio.h>

enum {
	MAX_LISTS = 16,  /* inside one another; deeper ones look like the last */
	MAX_QUOTES = 20, /* the same, so that no line begins with a thousand ">" */
	MAX_LINK = 2048, /* a longer address is no help to a reader */
	BULLETS = -1,    /* in place of a list's next number */
	SHORT_CELL = 60, /* of a table: the next one goes on in its line */
};

struct renderer {
	struct html_reader in;
	struct buf *out;
	size_t start;                /* of our text in `out` */
	bool at_start;               /* nothing stands in the line yet */
	bool blank_line;             /* but a no-break space, which keeps the line from vanishing */
	unsigned newlines, spaces;   /* due before the next visible character */
	unsigned quotes, low_quotes; /* now; the fewest since the last visible character */
	unsigned quote_depth;        /* elements, of which the first 32 */
	uint32_t indents;            /* are no quotations where a bit is set, lowest first */
	unsigned preformatted, list_count;
	long lists[MAX_LISTS]; /* the next item's number, or BULLETS */
	char marker[16];       /* of an item that has just begun */
	struct slice link;     /* of the link that is open */
	size_t link_start;
	bool word_ended; /* by the address of a link or a picture: the next one needs a blank */
	size_t cell_start;
	bool in_row, cell_begins;
	bool row_joined;              /* cells with paragraphs stand in one line */
	bool tight_table;             /* they did in the row before */
	char kept[HTML_NAME_MAX + 1]; /* the element whose style keeps blanks, or "" */
	unsigned kept_depth;
	bool hides;                     /* display:none is obeyed */
	char hidden[HTML_NAME_MAX + 1]; /* the hidden element that we are in, or "" */
	unsigned hidden_depth;          /* elements of that name inside one another */
};

/* Output */

static void put_quotes(struct renderer *r, unsigned quotes)
{
	for (unsigned i = 0; i < quotes && i < MAX_QUOTES; i++)
		buf_putc(r->out, '>');
}

static void put_indent(struct renderer *r, unsigned lists)
{
	for (unsigned i = 0; i < lists && i < MAX_LISTS; i++)
		buf_add(r->out, "  ", 2);
}

static void begin_line(struct renderer *r)
{
	put_quotes(r, r->quotes);
	if (r->quotes > 0)
		buf_putc(r->out, ' ');
	if (r->marker[0] != '\0') {
		put_indent(r, r->list_count > 0 ? r->list_count - 1 : 0);
		buf_puts(r->out, r->marker);
		r->marker[0] = '\0';
	} else {
		put_indent(r, r->list_count);
	}
	if (r->preformatted == 0)
		r->spaces = 0;
	r->at_start = false;
}

/* What is due before something visible. */
static void prepare(struct renderer *r)
{
	if (r->out->len > r->start) {
		for (unsigned i = 0; i < r->newlines; i++) {
			if (i > 0)
				put_quotes(r, r->low_quotes);
			buf_putc(r->out, '\n');
		}
	}
	r->newlines = 0;
	r->low_quotes = r->quotes;
	r->blank_line = false;
	if (r->at_start)
		begin_line(r);
	for (; r->spaces > 0; r->spaces--)
		buf_putc(r->out, ' ');
}

static void put(struct renderer *r, const char *s, size_t len)
{
	if (r->hidden[0] != '\0')
		return;
	if (r->word_ended && !r->at_start && r->spaces == 0 &&
		(isalnum((unsigned char)s[0]) || (unsigned char)s[0] > 0x7f))
		r->spaces = 1;
	r->word_ended = false;
	r->cell_begins = false;
	prepare(r);
	mime_add_some(r->out, s, len);
}

/* Ends the line; with two there is a blank one behind it. */
static void break_line(struct renderer *r, unsigned newlines)
{
	if (r->blank_line && r->newlines < 2)
		r->newlines++;
	if (r->newlines < newlines)
		r->newlines = newlines;
	r->at_start = true;
	r->blank_line = false;
	r->spaces = 0;
}

static void hard_break(struct renderer *r)
{
	unsigned newlines = r->newlines + 1;

	/* An empty line is shown, a second one is not worth the room. */
	if (newlines > 2 && r->preformatted == 0)
		newlines = 2;
	r->blank_line = false;
	break_line(r, newlines);
}

static void put_no_break_space(struct renderer *r)
{
	if (r->hidden[0] != '\0')
		return;
	if (r->at_start)
		r->blank_line = true;
	else
		r->spaces++;
}

/* Takes no room on the screen, and is used to pad what mail programs show beside a subject. */
static bool is_invisible(uint32_t c)
{
	return c == 0xad || c == 0x34f || c == 0x200b || c == 0xfeff || c == 0x2060;
}

static void put_char(struct renderer *r, uint32_t c)
{
	char s[4];

	if (c == 0xa0) {
		put_no_break_space(r);
		return;
	}
	/* The joiners matter within a word only. */
	if (is_invisible(c) || ((c == 0x200c || c == 0x200d) && (r->at_start || r->spaces > 0)))
		return;
	put(r, s, html_utf8(c, s));
}

static void put_blank(struct renderer *r, char c)
{
	if (r->preformatted == 0 || r->hidden[0] != '\0') {
		if (!r->at_start && r->spaces == 0)
			r->spaces = 1;
	} else if (c == '\n') {
		hard_break(r);
	} else if (c == '\t') {
		put(r, "\t", 1);
	} else if (c == ' ') {
		r->spaces++;
	}
}

/* Text, up to a "<" or the end. */

enum byte_kind { ORDINARY, BLANK, OPEN, REFERENCE, PERHAPS };

static const uint8_t byte_kinds[256] = {
	[' '] = BLANK,
	['\t'] = BLANK,
	['\n'] = BLANK,
	['\r'] = BLANK,
	['\f'] = BLANK,
	['<'] = OPEN,
	['&'] = REFERENCE,
	/* what the invisible characters and the no-break space begin with in UTF-8 */
	[0xc2] = PERHAPS,
	[0xcd] = PERHAPS,
	[0xe2] = PERHAPS,
	[0xef] = PERHAPS,
};

/* Anything but ordinary bytes; returns how many it was. */
static size_t put_special(struct renderer *r, struct slice s, bool in_attribute)
{
	uint32_t c = 0;
	size_t n = 0;

	switch (byte_kinds[(unsigned char)s.base[0]]) {
	case BLANK:
		put_blank(r, s.base[0]);
		return 1;
	case REFERENCE:
		n = html_reference(s, in_attribute, &c);
		break;
	case PERHAPS:
		n = html_special_character(s.base, s.len, &c);
		break;
	}
	if (n == 0) {
		put(r, s.base, 1);
		return 1;
	}
	if (c == '\n' || c == '\t' || c == '\r' || c == ' ')
		put_blank(r, (char)c);
	else
		put_char(r, c);
	return n;
}

/* Words with single spaces between them, which can be copied as they stand. */
static size_t ordinary_run(struct slice s)
{
	size_t n = 0;

	for (;;) {
		while (n < s.len && byte_kinds[(unsigned char)s.base[n]] == ORDINARY)
			n++;
		if (n == 0 || n + 1 >= s.len || s.base[n] != ' ' ||
			byte_kinds[(unsigned char)s.base[n + 1]] != ORDINARY)
			return n;
		n++;
	}
}

static void put_text(struct renderer *r, struct slice s, bool in_attribute)
{
	while (s.len > 0) {
		size_t n = ordinary_run(s);
		if (n > 0)
			put(r, s.base, n);
		else
			n = put_special(r, s, in_attribute);
		s.base += n;
		s.len -= n;
	}
}

/* Tags */

static void end_link(struct renderer *r)
{
	struct slice link = slice_trim(r->link), bare = html_bare_link(link);
	unsigned newlines = r->newlines;
	bool at_start = r->at_start;

	r->link = (struct slice){ NULL, 0 };
	if (bare.len == 0 || bare.len == link.len || link.len > MAX_LINK ||
		r->out->len <= r->link_start)
		return;
	if (html_is_mailto(link)) {
		const char *query = memchr(bare.base, '?', bare.len);
		link = (struct slice){ bare.base,
			query != NULL ? (size_t)(query - bare.base) : bare.len };
	}
	struct renderer before = *r;
	size_t len = r->out->len;
	/* On the line of its text, even when that has been left. */
	r->newlines = 0;
	r->at_start = false;
	r->spaces = 1;
	put(r, "<", 1);
	size_t from = r->out->len;
	put_text(r, link, true);
	/* Only now do both stand there without references. */
	struct slice shown = { r->out->base + r->link_start, len - r->link_start },
		     address = { r->out->base + from, r->out->len - from };
	if (!r->out->truncated && html_shows_link(shown, address)) {
		r->out->len = len;
		*r = before;
		return;
	}
	put(r, ">", 1);
	r->word_ended = true;
	r->newlines = newlines;
	r->at_start = at_start;
	if (at_start)
		r->spaces = 0;
}

static void begin_link(struct renderer *r, const struct html_tag *tag)
{
	end_link(r);
	if (tag->href.base == NULL)
		return;
	r->link = tag->href;
	r->link_start = r->out->len;
}

/* Of a list or an item; `otherwise` where it says none that is worth a look. */
static long number_of(const struct html_tag *tag, long otherwise)
{
	struct slice s = slice_trim(tag->number);
	long n = 0;

	if (s.len == 0 || s.len > 6)
		return otherwise;
	for (; s.len > 0; slice_skip(&s, 1)) {
		if (!isdigit((unsigned char)s.base[0]))
			return otherwise;
		n = n * 10 + (s.base[0] - '0');
	}
	return n;
}

static void begin_list(struct renderer *r, const struct html_tag *tag, bool numbered)
{
	break_line(r, r->list_count == 0 ? 2 : 1);
	if (r->list_count < MAX_LISTS)
		r->lists[r->list_count++] = numbered ? number_of(tag, 1) : BULLETS;
}

static void end_list(struct renderer *r)
{
	if (r->list_count > 0)
		r->list_count--;
	break_line(r, r->list_count == 0 ? 2 : 1);
	r->marker[0] = '\0';
	r->in_row = false;
}

static void begin_item(struct renderer *r, const struct html_tag *tag)
{
	long *number = r->list_count > 0 ? &r->lists[r->list_count - 1] : NULL;

	break_line(r, 1);
	if (number != NULL && *number != BULLETS)
		*number = number_of(tag, *number);
	if (number != NULL && *number != BULLETS)
		snprintf(r->marker, sizeof(r->marker), "%ld. ", (*number)++ % 1000000);
	else
		snprintf(r->marker, sizeof(r->marker), "- ");
}

/* Mail programs indent what is written with the same element: without a border, and not of the type
 * "cite" that a quotation has. */
static void change_quotes(struct renderer *r, const struct html_tag *tag)
{
	enum { BITS = 32 };
	bool indent = false;

	if (!tag->closing) {
		indent = r->quote_depth < BITS && html_style_has_no_border(tag->style) &&
			 !slice_ieq(tag->type, SLICE_LIT("cite"));
		if (r->quote_depth < BITS)
			r->indents = (r->indents & ~(1u << r->quote_depth)) |
				     (uint32_t)indent << r->quote_depth;
		r->quote_depth++;
	} else if (r->quote_depth > 0) {
		r->quote_depth--;
		indent = r->quote_depth < BITS && (r->indents >> r->quote_depth & 1) != 0;
	}
	r->in_row = false;
	break_line(r, tag->closing && !indent ? 2 : 1);
	if (indent)
		return;
	if (!tag->closing)
		r->quotes++;
	else if (r->quotes > 0)
		r->quotes--;
	if (r->quotes < r->low_quotes)
		r->low_quotes = r->quotes;
}

static void change_preformatted(struct renderer *r, bool closing)
{
	break_line(r, 2);
	if (!closing) {
		r->preformatted++;
		if (r->in.p < r->in.end && *r->in.p == '\n')
			r->in.p++; /* the line end behind the tag does not count */
	} else if (r->preformatted > 0) {
		r->preformatted--;
	}
}

static bool hides(const struct html_tag *tag)
{
	return !tag->closing && (tag->hidden || html_style_hides(tag->style)) &&
	       !html_is_void(tag->name);
}

static void end_kept(struct renderer *r)
{
	r->kept[0] = '\0';
	if (r->preformatted > 0)
		r->preformatted--;
}

/* A style that keeps blanks and line ends is as good as <pre>. */
static void follow_kept(struct renderer *r, const struct html_tag *tag)
{
	/* A paragraph ends where the next one begins. */
	if (!tag->closing && strcmp(tag->name, "p") == 0 && strcmp(r->kept, "p") == 0) {
		end_kept(r);
	}
	if (r->kept[0] == '\0') {
		if (tag->closing || !html_style_keeps_blanks(tag->style) || html_is_void(tag->name))
			return;
		memcpy(r->kept, tag->name, sizeof(r->kept));
		r->kept_depth = 1;
		r->preformatted++;
	} else if (strcmp(tag->name, r->kept) == 0) {
		if (!tag->closing) {
			r->kept_depth++;
		} else if (--r->kept_depth == 0) {
			end_kept(r);
		}
	}
}

static void in_hidden(struct renderer *r, const struct html_tag *tag)
{
	if (strcmp(tag->name, r->hidden) == 0) {
		if (!tag->closing)
			r->hidden_depth++;
		else if (--r->hidden_depth == 0)
			r->hidden[0] = '\0';
	}
	if (!tag->closing && html_kind_of(tag->name) == HTML_NO_TEXT)
		html_skip_to_close(&r->in, tag->name);
}

/* Whether the cell that ends here holds a few words in one line. */
static bool was_short_cell(const struct renderer *r)
{
	struct slice cell = mime_text_of(r->out);

	slice_skip(&cell, r->cell_start);
	while (cell.len > 0 && strchr("\n> ", cell.base[0]) != NULL)
		slice_skip(&cell, 1);
	return cell.len > 0 && cell.len <= SHORT_CELL && memchr(cell.base, '\n', cell.len) == NULL;
}

/* Cells stand beside one another, those with a short paragraph in them too. */
static void change_cell(struct renderer *r, bool closing)
{
	if (!closing && r->in_row && r->at_start && r->newlines > 0 && was_short_cell(r)) {
		r->newlines = 0;
		r->at_start = r->blank_line = false;
		r->row_joined = true;
	}
	if (!r->at_start && r->spaces == 0)
		r->spaces = 1;
	r->in_row |= !closing;
	r->cell_begins = !closing;
	if (!closing)
		r->cell_start = r->out->len;
}

static void change_row(struct renderer *r, bool table)
{
	if (r->row_joined && r->newlines > 1)
		r->newlines = 1;
	if (table || r->in_row)
		r->tight_table = !table && r->row_joined;
	r->in_row = r->row_joined = r->cell_begins = false;
	break_line(r, 1);
}

static void handle_tag(struct renderer *r, const struct html_tag *tag)
{
	if (r->hidden[0] != '\0') {
		in_hidden(r, tag);
		return;
	}
	if (r->hides && hides(tag)) {
		memcpy(r->hidden, tag->name, sizeof(r->hidden));
		r->hidden_depth = 1;
		return;
	}
	follow_kept(r, tag);
	enum html_kind kind = html_kind_of(tag->name);
	switch (kind) {
	case HTML_INLINE:
		break;
	case HTML_LINE:
	case HTML_PARAGRAPH:
		/* The first paragraph of a cell begins where the cell does. */
		if (tag->closing || !r->cell_begins || (r->at_start && !r->tight_table))
			break_line(r, kind == HTML_PARAGRAPH ? 2 : 1);
		break;
	case HTML_QUOTE:
		change_quotes(r, tag);
		break;
	case HTML_LIST:
	case HTML_NUMBERED:
		if (tag->closing)
			end_list(r);
		else
			begin_list(r, tag, kind == HTML_NUMBERED);
		break;
	case HTML_ITEM:
		if (tag->closing)
			break_line(r, 1);
		else
			begin_item(r, tag);
		break;
	case HTML_CELL:
		change_cell(r, tag->closing);
		break;
	case HTML_ROW:
		change_row(r, strcmp(tag->name, "table") == 0);
		break;
	case HTML_BREAK:
		hard_break(r);
		break;
	case HTML_RULE:
		break_line(r, 1);
		put(r, "----------------------------------------", 40);
		break_line(r, 1);
		break;
	case HTML_LINK:
		if (tag->closing)
			end_link(r);
		else
			begin_link(r, tag);
		break;
	case HTML_IMAGE:
		put_text(r, tag->alt, true);
		r->word_ended = tag->alt.len > 0;
		break;
	case HTML_PREFORMATTED:
		change_preformatted(r, tag->closing);
		break;
	case HTML_NO_TEXT:
		if (!tag->closing)
			html_skip_to_close(&r->in, tag->name);
		break;
	}
}

/* False when a hidden element was never closed and hid all that followed, or nothing is left. */
static bool render(struct slice html, bool obeys_hiding, struct buf *out)
{
	struct renderer r = {
		.in = { .p = html.base, .end = html.base + html.len },
		.out = out,
		.start = out->len,
		.at_start = true,
		.hides = obeys_hiding,
	};
	struct html_tag tag;

	while (r.in.p < r.in.end && !out->truncated) {
		const char *p = r.in.p, *open = memchr(p, '<', (size_t)(r.in.end - p));
		if (open == NULL)
			open = r.in.end;
		put_text(&r, (struct slice){ p, (size_t)(open - p) }, false);
		r.in.p = open;
		if (open == r.in.end)
			break;
		if (html_read_tag(&r.in, &tag)) {
			handle_tag(&r, &tag);
		} else if (r.in.p == open) {
			put(&r, "<", 1);
			r.in.p++;
		}
	}
	end_link(&r);
	if (out->len > r.start)
		buf_putc(out, '\n');
	return r.hidden[0] == '\0' && out->len > r.start;
}

void mime_html_to_text(struct slice html, struct buf *out)
{
	size_t start = out->len;

	if (render(html, true, out) || out->truncated)
		return;
	out->len = start;
	render(html, false, out);
}
