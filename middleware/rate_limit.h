/* SPDX-License-Identifier: MIT */
/* rate_limit.h - how much one token may ask for, all together, and one address that guesses tokens
 *
 * Routes that ask for no token (health, metrics) are not limited. */
#ifndef MIDDLEWARE_RATE_LIMIT_H
#define MIDDLEWARE_RATE_LIMIT_H

#include "lib/quota.h"
#include "middleware/request.h"

/* Shared by all workers, and borrowed for the life of the server. */
struct rate_limits {
	/* The worker's quota, where its requests ask and are counted. */
	struct quota *(*quota_of)(const struct request *r);
	struct limiter *global; /* of all tokens together, in this process */
	/* Wrong tokens by address. An address that has none left is answered 429 before its token is
	 * looked at, be it right or wrong: else a guesser would learn which one is right. */
	struct limiter *failures;
	struct bucket_rate failure_rate;
};

/* The request carried a wrong token. */
void auth_limit_note(const struct rate_limits *limits, struct request *r);

enum { AUTH_LIMIT_MAX_NAME = 8 };
/* Whose wrong tokens are counted together, of a request's `client`: an IPv4 address, also one mapped
 * into IPv6, or the /64 that an IPv6 address is in. Empty for a Unix socket, whose callers have no
 * address: they are not limited, the file's permissions say who may call. */
struct slice auth_limit_name(const char *client, char name[AUTH_LIMIT_MAX_NAME]);

#endif
