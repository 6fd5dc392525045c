/* SPDX-License-Identifier: MIT */
/* url.h - where a Redis server is, and how to come in
 *
 *	redis://[[user]:password@]host[:port][/db]	host: a name, IPv4, or IPv6 in brackets
 *	unix:/path
 *
 * User and password may be percent-encoded (RFC 3986, 2.1). */
#ifndef LIB_REDIS_URL_H
#define LIB_REDIS_URL_H

#include "lib/arena.h"

#include <stdbool.h>
#include <stdint.h>

struct redis_url {
	const char *path; /* of the socket; NULL: host and port */
	const char *host; /* without brackets */
	uint16_t port;
	const char *user, *password; /* NULL: none */
	uint32_t db;
};

/* False, with `*url_r` untouched, when `text` has neither form. Strings live in the arena. */
bool redis_url_parse(struct arena *arena, const char *text, struct redis_url *url_r);

#endif
