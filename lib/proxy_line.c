/* SPDX-License-Identifier: MIT */
#include "lib/proxy_line.h"

#include <arpa/inet.h>
#include <netinet/in.h>

enum { FIELDS = 6, MAX_PORT = 65535 };

static const struct slice prefix = { "PROXY ", 6 };

/* Exactly `FIELDS` fields with one space between them. */
static bool split(struct slice line, struct slice fields_r[FIELDS])
{
	for (size_t i = 0; i < FIELDS; i++) {
		const char *space = memchr(line.base, ' ', line.len);
		size_t len = space != NULL ? (size_t)(space - line.base) : line.len;
		if (len == 0 || (space == NULL) != (i == FIELDS - 1))
			return false;
		fields_r[i] = (struct slice){ line.base, len };
		if (space != NULL)
			line = (struct slice){ space + 1, line.len - len - 1 };
	}
	return true;
}

static bool address_parse(int family, struct slice text, void *address_r)
{
	char terminated[INET6_ADDRSTRLEN];

	if (text.len >= sizeof(terminated))
		return false;
	memcpy(terminated, text.base, text.len);
	terminated[text.len] = '\0';
	return inet_pton(family, terminated, address_r) == 1;
}

static bool port_parse(struct slice text, in_port_t *port_r)
{
	unsigned long n = 0;

	if (text.len > 5 || (text.len > 1 && text.base[0] == '0'))
		return false;
	for (size_t i = 0; i < text.len; i++) {
		if (text.base[i] < '0' || text.base[i] > '9')
			return false;
		n = 10 * n + (unsigned long)(text.base[i] - '0');
	}
	*port_r = htons((uint16_t)n);
	return n <= MAX_PORT;
}

/* The line without its CR LF. */
static bool line_parse(struct slice line, struct proxy_line *line_r)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)&line_r->source;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&line_r->source;
	struct slice fields[FIELDS], rest = { line.base + prefix.len, line.len - prefix.len };
	struct in6_addr ignored_address;
	in_port_t ignored_port;

	if (slice_begins(rest, SLICE_LIT("UNKNOWN")))
		return rest.len == 7 || rest.base[7] == ' ';
	if (!split(line, fields) || !port_parse(fields[5], &ignored_port))
		return false;
	if (slice_eq(fields[1], SLICE_LIT("TCP4"))) {
		v4->sin_family = AF_INET;
		line_r->source_len = sizeof(*v4);
		return address_parse(AF_INET, fields[2], &v4->sin_addr) &&
		       address_parse(AF_INET, fields[3], &ignored_address) &&
		       port_parse(fields[4], &v4->sin_port);
	}
	v6->sin6_family = AF_INET6;
	line_r->source_len = sizeof(*v6);
	return slice_eq(fields[1], SLICE_LIT("TCP6")) &&
	       address_parse(AF_INET6, fields[2], &v6->sin6_addr) &&
	       address_parse(AF_INET6, fields[3], &ignored_address) &&
	       port_parse(fields[4], &v6->sin6_port);
}

enum proxy_line_verdict proxy_line_parse(struct slice input, struct proxy_line *line_r)
{
	size_t looked_at = input.len < PROXY_LINE_MAX ? input.len : PROXY_LINE_MAX;
	size_t compared = looked_at < prefix.len ? looked_at : prefix.len;
	struct proxy_line line = { .len = 0 };

	if (memcmp(input.base, prefix.base, compared) != 0)
		return PROXY_LINE_BROKEN;
	const char *end = memmem(input.base, looked_at, "\r\n", 2);
	if (end == NULL)
		return looked_at == PROXY_LINE_MAX ? PROXY_LINE_BROKEN : PROXY_LINE_PART;
	size_t len = (size_t)(end - input.base);
	if (len < prefix.len || !line_parse((struct slice){ input.base, len }, &line))
		return PROXY_LINE_BROKEN;
	line.len = len + 2;
	*line_r = line;
	return PROXY_LINE_WHOLE;
}
