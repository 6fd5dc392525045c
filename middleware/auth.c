/* SPDX-License-Identifier: MIT */
/* auth.c - who is asking: a bearer token (RFC 6750, 2.1), or the token alone */
#include "middleware/auth.h"
#include "middleware/chain.h"
#include "middleware/rate_limit.h"
#include "middleware/respond.h"

struct mw_auth {
	h2o_handler_t super;
	const struct auth *auth;
	const struct rate_limits *limits;
};

static struct slice token_of(struct slice authorization)
{
	static const struct slice scheme = { "Bearer", 6 };
	struct slice s = slice_trim(authorization);

	if (s.len >= scheme.len && slice_ieq((struct slice){ s.base, scheme.len }, scheme) &&
		(s.len == scheme.len || s.base[scheme.len] == ' '))
		s = slice_trim((struct slice){ s.base + scheme.len, s.len - scheme.len });
	return s;
}

enum auth_verdict auth_check(const struct auth *auth, struct slice authorization, enum scope needed,
	const struct principal **who_r)
{
	const struct principal *who = NULL;
	uint8_t digest[SHA256_BYTES];

	if (slice_trim(authorization).len == 0)
		return AUTH_MISSING;
	struct slice token = token_of(authorization);
	sha256(token.base, token.len, digest);
	/* All of them, always: the time taken says nothing about which one it was. */
	for (size_t i = 0; i < auth->count; i++)
		if (digest_equal(digest, auth->tokens[i].sha256))
			who = &auth->tokens[i].principal;
	if (who == NULL)
		return AUTH_INVALID;
	*who_r = who;
	return (who->scopes & needed) == (unsigned)needed ? AUTH_OK : AUTH_SCOPE;
}

static void respond_unauthorized(struct request *r, const char *message)
{
	respond_header(r, "www-authenticate", "Bearer");
	respond_error(r, 401, message, NULL);
}

static int on_req(h2o_handler_t *self, h2o_req_t *req)
{
	struct request *r = request_of(req);

	if (r->route->scope == SCOPE_NONE)
		return -1;
	switch (auth_check(((struct mw_auth *)self)->auth, request_header(req, "authorization"),
		r->route->scope, &r->who)) {
	case AUTH_OK:
		return -1;
	case AUTH_MISSING:
		r->auth_failure = AUTH_FAILURE_MISSING;
		respond_unauthorized(r, "Missing authorization header");
		break;
	case AUTH_INVALID:
		auth_limit_note(((struct mw_auth *)self)->limits, r);
		r->auth_failure = AUTH_FAILURE_INVALID;
		respond_unauthorized(r, "Invalid authorization token");
		break;
	case AUTH_SCOPE:
		r->auth_failure = AUTH_FAILURE_SCOPE;
		respond_error(r, 403, "This token may not do that", NULL);
		break;
	}
	return 0;
}

void mw_auth_attach(h2o_pathconf_t *path, const struct chain_settings *set)
{
	struct mw_auth *self = (void *)h2o_create_handler(path, sizeof(*self));

	self->super.on_req = on_req;
	self->auth = set->auth;
	self->limits = set->limits;
}
