/* SPDX-License-Identifier: MIT */
/* cidr.h - IP addresses, and ranges of them (RFC 4632, RFC 4291 2.3)
 *
 * IPv4 is kept as IPv6 keeps it (::ffff:192.0.2.1, RFC 4291 2.5.5.2), so that an address that a
 * dual-stack socket reports is the same address. A range of IPv6 holds none of IPv4: ::/0 is not
 * everybody.
 *
 * Threads    Values; any. */
#ifndef LIB_CIDR_H
#define LIB_CIDR_H

#include "lib/slice.h"

#include <netinet/in.h>
#include <stdint.h>

enum { IP_TEXT = INET6_ADDRSTRLEN }; /* with the NUL */

struct ip {
	uint8_t bytes[16];
};

struct cidr {
	struct ip first;
	unsigned bits; /* of the 128 that an address must share with `first` */
};

struct cidr_list {
	struct cidr *list;
	size_t count;
};

/* "192.0.2.1", "2001:db8::1"; no zone, port or brackets. False when it is something else. */
bool ip_parse(struct slice text, struct ip *ip_r);
/* False for a socket that is not of IP. */
bool ip_of_sockaddr(const struct sockaddr *sa, struct ip *ip_r);
/* IPv4 with dots, the rest as RFC 5952 has it. */
void ip_format(const struct ip *ip, char text_r[IP_TEXT]);

/* An address, or "10.0.0.0/8", "2001:db8::/32". Bits behind the length are ignored. */
bool cidr_parse(struct slice text, struct cidr *cidr_r);
bool cidr_contains(const struct cidr *cidr, const struct ip *ip);
bool cidr_list_contains(const struct cidr_list *list, const struct ip *ip);

#endif
