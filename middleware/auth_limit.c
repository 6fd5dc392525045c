/* SPDX-License-Identifier: MIT */
/* auth_limit.c - wrong tokens of one address: after a few, its requests are refused unseen */
#include "lib/cidr.h"
#include "middleware/chain.h"
#include "middleware/rate_limit.h"
#include "middleware/respond.h"

#include <netinet/in.h>

struct mw_auth_limit {
	h2o_handler_t super;
	const struct rate_limits *limits;
};

struct slice auth_limit_name(const char *client, char name[AUTH_LIMIT_MAX_NAME])
{
	struct ip ip;

	if (!ip_parse(slice_str(client), &ip))
		return (struct slice){ name, 0 };
	bool is_v4 = IN6_IS_ADDR_V4MAPPED((struct in6_addr *)ip.bytes);
	size_t len = is_v4 ? 4 : 8;
	memcpy(name, ip.bytes + (is_v4 ? 12 : 0), len);
	return (struct slice){ name, len };
}

void auth_limit_note(const struct rate_limits *limits, struct request *r)
{
	char bytes[AUTH_LIMIT_MAX_NAME];
	struct slice name = auth_limit_name(r->client, bytes);
	struct bucket_state ignored;

	if (name.len > 0)
		limiter_take(limits->failures, name, limits->failure_rate, limiter_now_ns(), 1,
			&ignored);
}

static int on_req(h2o_handler_t *self, h2o_req_t *req)
{
	const struct rate_limits *limits = ((struct mw_auth_limit *)self)->limits;
	struct request *r = request_of(req);
	char bytes[AUTH_LIMIT_MAX_NAME];

	if (r->route->scope == SCOPE_NONE)
		return -1;
	struct slice name = auth_limit_name(r->client, bytes);
	if (name.len == 0)
		return -1;
	struct bucket_state state = limiter_look(
		limits->failures, name, limits->failure_rate, limiter_now_ns());
	if (state.tokens > 0)
		return -1;
	r->auth_failure = AUTH_FAILURE_LIMITED;
	r->rate = RATE_DENIED;
	respond_limited(r, state.per_minute, state.retry_ns);
	return 0;
}

void mw_auth_limit_attach(h2o_pathconf_t *path, const struct chain_settings *set)
{
	struct mw_auth_limit *self = (void *)h2o_create_handler(path, sizeof(*self));

	self->super.on_req = on_req;
	self->limits = set->limits;
}
