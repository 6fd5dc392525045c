/* SPDX-License-Identifier: MIT */
/* format=flowed (RFC 3676): lines that end with a space go on in the next one. */
#include "lib/mime/internal.h"

struct flowed_line {
	size_t quotes;
	struct slice text; /* without quote marks and stuffing (4.4, 4.5) */
	bool flows;        /* on in the next line */
};

/* The line at `*at`, which is moved behind it. */
static struct flowed_line read_line(struct slice s, size_t *at)
{
	const char *p = s.base + *at, *end = memchr(p, '\n', s.len - *at);
	struct flowed_line line = { .quotes = 0 };

	if (end == NULL)
		end = s.base + s.len;
	*at = (size_t)(end - s.base) + 1;
	for (; p < end && *p == '>'; p++)
		line.quotes++;
	if (p < end && *p == ' ')
		p++;
	line.text = (struct slice){ p, (size_t)(end - p) };
	/* The line in front of a signature is fixed (4.3). */
	line.flows = line.text.len > 0 && end[-1] == ' ' && !slice_eq(line.text, SLICE_LIT("-- "));
	return line;
}

static void begin_line(const struct flowed_line *line, struct buf *out)
{
	for (size_t i = 0; i < line->quotes; i++)
		buf_putc(out, '>');
	if (line->quotes > 0 && line->text.len > 0)
		buf_putc(out, ' ');
}

void mime_unflow(struct slice text, bool delsp, struct buf *out)
{
	struct flowed_line last = { .flows = false };
	bool open = false; /* a line is, with no line end yet */

	for (size_t at = 0; at < text.len && !out->truncated;) {
		struct flowed_line line = read_line(text, &at);
		/* An empty line would end the paragraph (4.1), but whoever sent it means one. */
		bool joins = open && last.flows && last.quotes == line.quotes &&
			     line.text.len > 0 && !slice_eq(line.text, SLICE_LIT("-- "));
		if (!joins) {
			if (open)
				buf_putc(out, '\n');
			begin_line(&line, out);
		}
		struct slice shown = line.text;
		if (line.flows && delsp)
			shown.len--;
		mime_add_some(out, shown.base, shown.len);
		last = line;
		open = true;
	}
	if (open && text.base[text.len - 1] == '\n')
		buf_putc(out, '\n');
}
