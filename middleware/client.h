/* SPDX-License-Identifier: MIT */
/* client.h - whose request it is, as far as that can be known
 *
 * The peer of the connection, or, when that is a trusted proxy, whom the proxies name. Anybody can
 * write X-Forwarded-For; only what trusted proxies added to its right end counts. The address is
 * for log lines and limits. It has nothing to do with the envelope's client address, which is the
 * MTA's to tell. */
#ifndef MIDDLEWARE_CLIENT_H
#define MIDDLEWARE_CLIENT_H

#include "lib/cidr.h"
#include "middleware/request.h"

/* `forwarded` are the values of the request's X-Forwarded-For fields in their order, `real_ip` that
 * of X-Real-IP; either may be missing. Reads from the right until an address that is not trusted; an
 * element that is no address ends the search: who sent it is then the last known. */
struct ip client_find(const struct cidr_list *trusted, struct ip peer,
	const struct slice *forwarded, size_t count, struct slice real_ip);

/* Sets r->client: an address, "unix" for a peer on a socket in the file system, or "unknown". */
void client_assign(struct request *r, const struct cidr_list *trusted);

#endif
