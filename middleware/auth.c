/* SPDX-License-Identifier: MIT */
/* auth.c - who is asking */
#include "middleware/auth.h"
#include "lib/arena.h"
#include "middleware/chain.h"
#include "middleware/rate_limit.h"
#include "middleware/respond.h"

#include <assert.h>
#include <openssl/evp.h>

enum { MAX_BASIC_BYTES = 8192 }; /* base64 of the longest token that a configuration can hold */

static const char basic_user[] = "actionmailbox:";

struct auth_token {
	uint8_t sha256[SHA256_BYTES];
	struct principal principal;
};

struct auth {
	struct arena *arena; /* of all it points at */
	struct auth_token *tokens;
	size_t count;
};

static unsigned scopes_of(const struct config_token *token)
{
	unsigned scopes = SCOPE_NONE;

	for (unsigned i = 0; i < token->scopes_count; i++) {
		if (strcmp(token->scopes[i], "ingest") == 0)
			scopes |= SCOPE_INGEST;
		else if (strcmp(token->scopes[i], "read") == 0)
			scopes |= SCOPE_READ;
		else if (strcmp(token->scopes[i], "admin") == 0)
			scopes |= SCOPE_ADMIN;
	}
	return scopes;
}

static void add_bearer_token(struct auth *auth, const struct config *config)
{
	const char *text = config->bearer_token;
	struct auth_token *t = &auth->tokens[auth->count++];

	sha256(text, strlen(text), t->sha256);
	t->principal = (struct principal){
		.name = "bearer_token",
		.tenant = "default",
		.scopes = SCOPE_ALL,
		.per_minute = config->rate_limit_per_minute,
		.burst = config->rate_limit_burst,
	};
}

static void add_token(
	struct auth *auth, const struct config *config, const struct config_token *token)
{
	struct auth_token *t = &auth->tokens[auth->count++];
	bool is_digest = hex_decode(token->sha256, t->sha256, sizeof(t->sha256));

	assert(is_digest);
	(void)is_digest;
	t->principal = (struct principal){
		.name = arena_strdup(auth->arena, token->name),
		.tenant = arena_strdup(auth->arena, token->tenant),
		.scopes = scopes_of(token),
		.per_minute = token->rate_limit_per_minute != 0 ? token->rate_limit_per_minute
								: config->rate_limit_per_minute,
		.burst = token->rate_limit_burst != 0 ? token->rate_limit_burst
						      : config->rate_limit_burst,
	};
}

static void auth_dispose(void *p)
{
	arena_free(&((struct auth *)p)->arena);
}

struct auth *auth_new(const struct config *config)
{
	struct auth *auth = h2o_mem_alloc_shared(NULL, sizeof(*auth), auth_dispose);

	*auth = (struct auth){ .arena = arena_new() };
	auth->tokens = arena_alloc(
		auth->arena, ((size_t)config->tokens_count + 1) * sizeof(*auth->tokens));
	if (config->bearer_token[0] != '\0')
		add_bearer_token(auth, config);
	for (unsigned i = 0; i < config->tokens_count; i++)
		add_token(auth, config, &config->tokens[i]);
	return auth;
}

void auth_release(struct auth **auth)
{
	if (*auth != NULL)
		h2o_mem_release_shared(*auth);
	*auth = NULL;
}

/* Takes "scheme" and the space behind it off; false when the value does not begin so. */
static bool take_scheme(struct slice *value, struct slice scheme)
{
	if (value->len < scheme.len ||
		!slice_ieq((struct slice){ value->base, scheme.len }, scheme) ||
		(value->len > scheme.len && value->base[scheme.len] != ' '))
		return false;
	*value = slice_trim((struct slice){ value->base + scheme.len, value->len - scheme.len });
	return true;
}

/* The digest of the token in "user:token"; false when it is for another user or is not base64. */
static bool digest_basic(struct slice base64, uint8_t digest_r[SHA256_BYTES])
{
	const size_t user_len = sizeof(basic_user) - 1;
	unsigned char text[MAX_BASIC_BYTES / 4 * 3];

	if (base64.len > MAX_BASIC_BYTES)
		return false;
	int decoded = EVP_DecodeBlock(text, (const unsigned char *)base64.base, (int)base64.len);
	for (size_t i = base64.len; decoded > 0 && i > 0 && base64.base[i - 1] == '='; i--)
		decoded--; /* padding counts as bytes */
	if (decoded < (int)user_len || memcmp(text, basic_user, user_len) != 0)
		return false;
	sha256(text + user_len, (size_t)decoded - user_len, digest_r);
	return true;
}

static bool digest_of(struct slice value, bool by_basic, uint8_t digest_r[SHA256_BYTES])
{
	if (by_basic && take_scheme(&value, SLICE_LIT("Basic")))
		return digest_basic(value, digest_r);
	take_scheme(&value, SLICE_LIT("Bearer"));
	sha256(value.base, value.len, digest_r);
	return true;
}

enum auth_verdict auth_check(const struct auth *auth, struct slice authorization, bool by_basic,
	enum scope needed, const struct principal **who_r)
{
	const struct principal *who = NULL;
	uint8_t digest[SHA256_BYTES];

	authorization = slice_trim(authorization);
	if (authorization.len == 0)
		return AUTH_MISSING;
	if (!digest_of(authorization, by_basic, digest))
		return AUTH_INVALID;
	/* All of them, always: the time taken says nothing about which one it was. */
	for (size_t i = 0; i < auth->count; i++)
		if (digest_equal(digest, auth->tokens[i].sha256))
			who = &auth->tokens[i].principal;
	if (who == NULL)
		return AUTH_INVALID;
	*who_r = who;
	return (who->scopes & needed) == (unsigned)needed ? AUTH_OK : AUTH_SCOPE;
}

struct mw_auth {
	h2o_handler_t super;
	const struct chain_live *(*live)(const h2o_context_t *ctx);
	const struct rate_limits *limits;
};

static bool takes_basic(const struct request *r)
{
	return (r->route->scope & SCOPE_BY_BASIC) != 0;
}

static void respond_unauthorized(struct request *r, const char *message)
{
	respond_header(r, "www-authenticate",
		takes_basic(r) ? "Bearer, Basic realm=\"Action Mailbox\"" : "Bearer");
	respond_error(r, 401, message, NULL);
}

static int on_req(h2o_handler_t *self, h2o_req_t *req)
{
	struct request *r = request_of(req);

	if (r->route->scope == SCOPE_NONE)
		return -1;
	struct auth *auth = ((struct mw_auth *)self)->live(req->conn->ctx)->auth;
	enum auth_verdict verdict = auth_check(auth, request_header(req, "authorization"),
		takes_basic(r), r->route->scope & SCOPE_ALL, &r->who);
	if (r->who != NULL)
		h2o_mem_link_shared(&req->pool, auth); /* a reload may come before the answer */
	switch (verdict) {
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
	self->live = set->live;
	self->limits = set->limits;
}
