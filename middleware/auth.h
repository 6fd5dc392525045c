/* SPDX-License-Identifier: MIT */
/* auth.h - which tokens there are, and whose they are
 *
 * Only digests are kept, and compared in constant time.
 *
 * Threads    Read-only once made; any. */
#ifndef MIDDLEWARE_AUTH_H
#define MIDDLEWARE_AUTH_H

#include "lib/digest.h"
#include "middleware/request.h"

struct auth_token {
	uint8_t sha256[SHA256_BYTES];
	struct principal principal;
};

struct auth {
	struct auth_token *tokens;
	size_t count;
};

enum auth_verdict { AUTH_OK, AUTH_MISSING, AUTH_INVALID, AUTH_SCOPE };

/* `authorization` is the header's value: "Bearer TOKEN" or a bare TOKEN. `*who_r` is set with OK and
 * SCOPE (a known token that may not do this). */
enum auth_verdict auth_check(const struct auth *auth, struct slice authorization, enum scope needed,
	const struct principal **who_r);

#endif
