/* SPDX-License-Identifier: MIT */
/* Addresses of links beside the text that they have, and plain text as HTML. */
#include "lib/mime/html.h"
#include "lib/mime/internal.h"

bool html_is_mailto(struct slice link)
{
	return slice_ibegins(link, SLICE_LIT("mailto:"));
}

struct slice html_bare_link(struct slice link)
{
	static const char *const schemes[] = { "https://", "http://", "mailto:" };

	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		if (slice_ibegins(link, slice_str(schemes[i]))) {
			slice_skip(&link, strlen(schemes[i]));
			break;
		}
	}
	if (slice_ibegins(link, SLICE_LIT("www.")))
		slice_skip(&link, 4);
	if (link.len > 0 && link.base[link.len - 1] == '/')
		link.len--;
	return link;
}

bool html_shows_link(struct slice shown, struct slice link)
{
	struct slice bare = html_bare_link(link);

	return memmem(shown.base, shown.len, bare.base, bare.len) != NULL ||
	       slice_ieq(html_bare_link(slice_trim(shown)), bare);
}

void mime_text_to_html(struct slice text, struct buf *out)
{
	buf_puts(out, "<pre style=\"white-space: pre-wrap\">");
	for (size_t i = 0; i < text.len && !out->truncated; i++) {
		switch (text.base[i]) {
		case '&':
			buf_puts(out, "&amp;");
			break;
		case '<':
			buf_puts(out, "&lt;");
			break;
		case '>':
			buf_puts(out, "&gt;");
			break;
		default:
			buf_putc(out, text.base[i]);
		}
	}
	buf_puts(out, "</pre>\n");
}
