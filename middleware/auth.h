/* SPDX-License-Identifier: MIT */
/* auth.h - which tokens there are, and whose they are
 *
 * Only digests are kept, and compared in constant time. A table is made whole from a configuration
 * and never changed: a reload makes another one. Requests that were let in by a table hold it until
 * they end, since who they belong to is read from it.
 *
 * Threads    auth_new() on any; from then on a table, its references too, belongs to one. */
#ifndef MIDDLEWARE_AUTH_H
#define MIDDLEWARE_AUTH_H

#include "lib/config/config.h"
#include "lib/digest.h"
#include "middleware/request.h"

struct auth; /* memory that is shared as h2o shares it: h2o_mem_link_shared() */

/* Borrows nothing. The configuration is a valid one: bearer_token, if set, has every scope and the
 * tenant "default"; tokens' digests are digests. */
struct auth *auth_new(const struct config *config);
/* Lets go of the maker's reference. Accepts a pointer to NULL. */
void auth_release(struct auth **auth);

enum auth_verdict { AUTH_OK, AUTH_MISSING, AUTH_INVALID, AUTH_SCOPE };

/* `authorization` is the header's value: "Bearer TOKEN" (RFC 6750, 2.1) or a bare TOKEN; with
 * `by_basic` also "Basic" and base64 of "actionmailbox:TOKEN" (RFC 7617). `*who_r` is set with
 * OK and SCOPE (a known token that may not do this); it lives as long as the table. */
enum auth_verdict auth_check(const struct auth *auth, struct slice authorization, bool by_basic,
	enum scope needed, const struct principal **who_r);

#endif
