/* SPDX-License-Identifier: MIT */
/* rate_limit.c - by token, then all tokens together; X-RateLimit-* on every answer behind it
 *
 * When Redis must be asked the request is held, and goes on from here with the answer. h2o does not
 * read from a connection whose request is held, so the request is still there, whatever its client
 * did meanwhile. */
#include "middleware/rate_limit.h"
#include "middleware/chain.h"
#include "middleware/respond.h"

#include <inttypes.h>
#include <stdio.h>

#define NS_PER_S UINT64_C(1000000000)

struct mw_rate_limit {
	h2o_handler_t super;
	const struct chain_live *(*live)(const h2o_context_t *ctx);
	const struct rate_limits *limits;
};

struct limited {
	struct quota_ask ask;
	struct request *r;
	struct mw_rate_limit *self;
};

static void add_number(struct request *r, const char *name, uint64_t number)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, number);
	respond_header(r, name, text);
}

static void add_headers(struct request *r, const struct bucket_state *state)
{
	add_number(r, "x-ratelimit-limit", state->per_minute);
	add_number(r, "x-ratelimit-remaining", state->tokens);
	add_number(r, "x-ratelimit-reset",
		state->full_ns / NS_PER_S + (state->full_ns % NS_PER_S != 0));
}

static bool take_global(const struct limited *l, struct bucket_state *state_r)
{
	struct bucket_rate rate = l->self->live(l->r->h2o->conn->ctx)->global_rate;

	return rate.per_minute == 0 || limiter_take(l->self->limits->global, SLICE_LIT("all"), rate,
					       limiter_now_ns(), 1, state_r) == BUCKET_TAKEN;
}

/* True when the request may go on; otherwise it is answered. */
static bool settle(struct limited *l, enum quota_verdict verdict)
{
	struct bucket_state state = l->ask.state;
	bool goes_on = verdict == QUOTA_OK && take_global(l, &state);

	l->r->rate = goes_on ? RATE_ALLOWED : RATE_DENIED;
	add_headers(l->r, &state);
	if (!goes_on)
		respond_limited(l->r, state.per_minute, state.retry_ns);
	return goes_on;
}

static void on_answer(struct quota_ask *ask, enum quota_verdict verdict)
{
	struct limited *l = H2O_STRUCT_FROM_MEMBER(struct limited, ask, ask);

	if (settle(l, verdict))
		h2o_delegate_request(l->r->h2o, &l->self->super);
}

static int on_req(h2o_handler_t *self, h2o_req_t *req)
{
	struct mw_rate_limit *mw = (struct mw_rate_limit *)self;
	struct request *r = request_of(req);

	if (r->who == NULL)
		return -1;
	struct limited *l = h2o_mem_alloc_pool(&req->pool, sizeof(*l));
	*l = (struct limited){
		.r = r,
		.self = mw,
		.ask = {
			.name = slice_str(r->who->name),
			.rate = { r->who->per_minute, r->who->burst },
			.done = on_answer,
		},
	};
	enum quota_verdict verdict = quota_take(mw->limits->quota_of(r), &l->ask);
	if (verdict == QUOTA_WAITING)
		return 0;
	return settle(l, verdict) ? -1 : 0;
}

void mw_rate_limit_attach(h2o_pathconf_t *path, const struct chain_settings *set)
{
	struct mw_rate_limit *self = (void *)h2o_create_handler(path, sizeof(*self));

	self->super.on_req = on_req;
	self->live = set->live;
	self->limits = set->limits;
}
