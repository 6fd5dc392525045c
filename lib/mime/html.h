/* SPDX-License-Identifier: MIT */
/* html.h - HTML as a stream of tags and text (HTML Living Standard, 13.2.5), for html.c alone
 *
 * No tree is built: each call looks at what comes next, and all of them together read the input a
 * fixed number of times, whatever it is. */
#ifndef LIB_MIME_HTML_H
#define LIB_MIME_HTML_H

#include "lib/slice.h"

#include <stdint.h>

enum { HTML_NAME_MAX = 15 };

struct html_tag {
	char name[HTML_NAME_MAX + 1]; /* lower case; empty when it is longer */
	bool closing;
	/* Values as they stand, references still in; NULL base when not there. */
	struct slice href, alt, style, type, number; /* the last one: `start` or `value` */
	bool hidden;
};

/* What an element does to text. */
enum html_kind {
	HTML_INLINE, /* all that is not in the table */
	HTML_LINE,   /* on lines of its own */
	HTML_PARAGRAPH,
	HTML_QUOTE,
	HTML_LIST,
	HTML_NUMBERED,
	HTML_ITEM,
	HTML_CELL,
	HTML_ROW,
	HTML_BREAK,
	HTML_RULE,
	HTML_LINK,
	HTML_IMAGE,
	HTML_PREFORMATTED,
	HTML_NO_TEXT, /* what is in it is not text, or not part of the page */
};

enum html_kind html_kind_of(const char *name);
/* Of an element without an end, or a name that is too long. */
bool html_is_void(const char *name);

/* What of an address its text would show, if that shows it. */
struct slice html_bare_link(struct slice link);
/* Whether a reader of `shown` knows the address anyhow. */
bool html_shows_link(struct slice shown, struct slice link);
bool html_is_mailto(struct slice link);

struct html_reader {
	const char *p, *end;
	/* Searches that have failed once will fail again. */
	bool no_comment_end, no_quote, no_apostrophe, no_title_end;
};

/* `p` points at a "<". True when it is a tag's, which has been read then; a comment or the like is
 * read too, and is no tag. When it is just a "<", `p` has not moved. */
bool html_read_tag(struct html_reader *reader, struct html_tag *tag_r);
/* Moves to the tag that closes `name`, or to the end: for what is not text (script, style). A title
 * without an end is none, and nothing is skipped. */
void html_skip_to_close(struct html_reader *reader, const char *name);

/* The length of the character reference that `s` begins with, 0 when it begins with none. */
size_t html_reference(struct slice s, bool in_attribute, uint32_t *c_r);
/* The same for a character of two or three bytes among which are those that take no room. */
size_t html_special_character(const char *s, size_t len, uint32_t *c_r);
/* Writes it; returns its length. */
size_t html_utf8(uint32_t c, char s[4]);

/* What the value of a `style` says. */
bool html_style_hides(struct slice style);
bool html_style_keeps_blanks(struct slice style);
bool html_style_has_no_border(struct slice style);

#endif
