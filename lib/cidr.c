/* SPDX-License-Identifier: MIT */
#include "lib/cidr.h"

#include <arpa/inet.h>

enum { IP_BITS = 128, V4_BITS = 32, V4_AT = 12 };

static const uint8_t v4_prefix[V4_AT] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

static bool is_v4(const struct ip *ip)
{
	return memcmp(ip->bytes, v4_prefix, V4_AT) == 0;
}

static void set_v4(struct ip *ip, const void *address)
{
	memcpy(ip->bytes, v4_prefix, V4_AT);
	memcpy(ip->bytes + V4_AT, address, sizeof(struct in_addr));
}

/* inet_pton wants a NUL, and would take one within the text for the end. */
static bool terminate(struct slice text, char out[IP_TEXT])
{
	if (text.len == 0 || text.len >= IP_TEXT || memchr(text.base, '\0', text.len) != NULL)
		return false;
	memcpy(out, text.base, text.len);
	out[text.len] = '\0';
	return true;
}

bool ip_parse(struct slice text, struct ip *ip_r)
{
	char terminated[IP_TEXT];
	struct in6_addr v6;
	struct in_addr v4;

	if (!terminate(text, terminated))
		return false;
	if (inet_pton(AF_INET, terminated, &v4) == 1) {
		set_v4(ip_r, &v4);
		return true;
	}
	if (inet_pton(AF_INET6, terminated, &v6) != 1)
		return false;
	memcpy(ip_r->bytes, &v6, sizeof(v6));
	return true;
}

bool ip_of_sockaddr(const struct sockaddr *sa, struct ip *ip_r)
{
	if (sa->sa_family == AF_INET)
		set_v4(ip_r, &((const struct sockaddr_in *)(const void *)sa)->sin_addr);
	else if (sa->sa_family == AF_INET6)
		memcpy(ip_r->bytes, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr,
			sizeof(ip_r->bytes));
	else
		return false;
	return true;
}

void ip_format(const struct ip *ip, char text_r[IP_TEXT])
{
	if (is_v4(ip))
		inet_ntop(AF_INET, ip->bytes + V4_AT, text_r, IP_TEXT);
	else
		inet_ntop(AF_INET6, ip->bytes, text_r, IP_TEXT);
}

/* Decimal without a sign, at most three digits. */
static bool length_parse(struct slice text, unsigned most, unsigned *length_r)
{
	unsigned n = 0;

	if (text.len == 0 || text.len > 3)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		if (text.base[i] < '0' || text.base[i] > '9')
			return false;
		n = 10 * n + (unsigned)(text.base[i] - '0');
	}
	*length_r = n;
	return n <= most;
}

bool cidr_parse(struct slice text, struct cidr *cidr_r)
{
	const char *slash = memchr(text.base, '/', text.len);
	struct slice address = text;
	struct ip first;

	if (slash != NULL)
		address.len = (size_t)(slash - text.base);
	if (!ip_parse(address, &first))
		return false;
	/* What was written with colons is counted by IPv6's length, mapped addresses too. */
	bool has_dots_only = memchr(address.base, ':', address.len) == NULL;
	unsigned most = has_dots_only ? V4_BITS : IP_BITS, length = most;

	if (slash != NULL && !length_parse((struct slice){ slash + 1, text.len - address.len - 1 },
				     most, &length))
		return false;
	*cidr_r = (struct cidr){ first, length + (IP_BITS - most) };
	return true;
}

bool cidr_contains(const struct cidr *cidr, const struct ip *ip)
{
	unsigned whole = cidr->bits / 8, rest = cidr->bits % 8;

	if (cidr->bits < V4_AT * 8 && is_v4(ip))
		return false;
	if (memcmp(cidr->first.bytes, ip->bytes, whole) != 0)
		return false;
	return rest == 0 || (cidr->first.bytes[whole] ^ ip->bytes[whole]) >> (8 - rest) == 0;
}

bool cidr_list_contains(const struct cidr_list *list, const struct ip *ip)
{
	for (size_t i = 0; i < list->count; i++)
		if (cidr_contains(&list->list[i], ip))
			return true;
	return false;
}
