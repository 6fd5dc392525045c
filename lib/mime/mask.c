/* SPDX-License-Identifier: MIT */
/* What of a Content-Type GMime must not see. scan.c says why it sees a copy at all. */
#include "lib/mime/internal.h"

#include <string.h>

enum { MAX_TYPE = 4096 }; /* bytes of a Content-Type that GMime gets to see */

static bool may_be_word(struct slice line, size_t i)
{
	if (i + 2 > line.len || line.base[i] != '=' || line.base[i + 1] != '?')
		return false;
	const char *mark = memchr(line.base + i + 2, '?', line.len - i - 2);
	size_t left = mark != NULL ? line.len - (size_t)(mark - line.base) : 0;
	return left < 3 || (strchr("bBqQ", mark[1]) != NULL && mark[2] == '?');
}

/* In a line that GMime reads, puts out of sight what would make it convert charsets (RFC 2231 and
 * 2047), and control characters, which it takes in ways of its own. What stands at such a place in
 * a boundary is masked for both of us, and then does not match the body any more. */
void mime_mask_line(char *masked, struct slice line)
{
	if (line.len > 0 && line.base[line.len - 1] == '\r')
		line.len--;
	for (size_t i = 0; i < line.len; i++) {
		unsigned char c = (unsigned char)line.base[i];
		char next = i + 1 < line.len ? line.base[i + 1] : ' ';
		if ((c < 0x20 && c != '\t') || c == 0x7f)
			masked[i] = ' ';
		else if (c == '*' && strchr("0123456789=*( \t\r", next) != NULL)
			masked[i] = '_';
		else if (may_be_word(line, i))
			masked[i + 1] = '_';
	}
}

/* A Content-Type whose end has been met: takes out of GMime's sight what makes it slow. It looks for a
 * comment's end from each "(" that may begin one, and reads all of the value each time. */
void mime_mask_type(char *masked, struct slice value)
{
	bool quoted = false, no_end = false;

	if (value.len > MAX_TYPE)
		memset(masked + MAX_TYPE, ' ', value.len - MAX_TYPE);
	value.len = value.len < MAX_TYPE ? value.len : MAX_TYPE;
	for (size_t i = 0; i < value.len; i++) {
		char c = value.base[i], before = i > 0 ? value.base[i - 1] : ' ';
		if (c == '\\' && quoted)
			i++;
		else if (c == '"')
			quoted = !quoted;
		if (c != '(' || quoted || strchr(" \t\n;=", before) == NULL)
			continue;
		size_t len = no_end ? 0
				    : mime_comment_length(
					      (struct slice){ value.base + i, value.len - i });
		no_end = len == 0;
		memset(masked + i, len > 0 ? ' ' : '_', len > 0 ? len : 1);
		i += len > 0 ? len - 1 : 0;
	}
}
