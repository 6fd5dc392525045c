/* SPDX-License-Identifier: MIT */
#include "middleware/content.h"

static bool is_alnum(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* RFC 9110, 5.6.2. How many such characters `s` begins with. */
static size_t token_length(const char *s)
{
	size_t n = 0;

	while (is_alnum(s[n]) || (s[n] != '\0' && strchr("!#$%&'*+-.^_`|~", s[n]) != NULL))
		n++;
	return n;
}

static bool is_token(const char *s)
{
	return s[0] != '\0' && s[token_length(s)] == '\0';
}

static bool is_media_type(const char *s)
{
	size_t n = token_length(s);

	return n > 0 && s[n] == '/' && is_token(s + n + 1);
}

void content_type_value(struct buf *out, const char *type, const char *charset)
{
	if (!is_media_type(type))
		type = "application/octet-stream";
	buf_puts(out, type);
	if (strncmp(type, "text/", strlen("text/")) == 0 && charset != NULL && is_token(charset))
		buf_printf(out, "; charset=%s", charset);
}

/* No name for a file, or a danger to whoever makes one of it. */
static bool is_harmful(char c)
{
	return (unsigned char)c < ' ' || c == 0x7f || c == '/' || c == '\\';
}

/* What a quoted string carries so that all clients read the same: some take %41 for an A, and some
 * stop at the first quote, backslash or not. */
static bool is_plain(char c)
{
	return (unsigned char)c < 0x80 && !is_harmful(c) && c != '"' && c != '%';
}

static bool is_attr_char(char c) /* RFC 8187, 3.2.1 */
{
	return is_alnum(c) || (c != '\0' && strchr("!#$&+-.^_`|~", c) != NULL);
}

static bool is_continuation(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

void content_disposition_value(struct buf *out, const char *filename)
{
	bool is_whole = true;

	buf_puts(out, "attachment");
	if (filename == NULL || filename[0] == '\0')
		return;
	buf_puts(out, "; filename=\"");
	for (const char *p = filename; *p != '\0'; p++) {
		is_whole = is_whole && (is_plain(*p) || is_harmful(*p));
		if (!is_continuation(*p)) /* one for each character */
			buf_putc(out, is_plain(*p) ? *p : '_');
	}
	buf_putc(out, '"');
	if (is_whole)
		return;
	buf_puts(out, "; filename*=UTF-8''");
	for (const char *p = filename; *p != '\0'; p++) {
		if (is_harmful(*p))
			buf_putc(out, '_');
		else if (is_attr_char(*p))
			buf_putc(out, *p);
		else
			buf_printf(out, "%%%02X", (unsigned char)*p);
	}
}
