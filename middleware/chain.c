/* SPDX-License-Identifier: MIT */
#include "middleware/chain.h"

static middleware_attach_fn *const chain[] = {
	/* outermost first */
	mw_request_id_attach, /* first: every log line and every error carries the id */
	mw_trace_attach,      /* and the trace it belongs to */
	mw_client_attach,     /* who is on the other end, behind how many proxies */
	mw_access_log_attach, /* sees every request's end, however it ended */
	mw_metrics_attach,    /* likewise */
	mw_errors_attach,     /* what h2o refuses by itself is answered in our shape */
	mw_framing_attach,    /* nothing is done with what could be read in two ways */
	mw_router_attach,     /* which route: the links below ask it what they must do */
	mw_drain_attach,      /* before anything that costs */
	mw_auth_limit_attach, /* before a token is looked at: who guesses is not told any more */
	mw_auth_attach,       /* who is asking */
	mw_rate_limit_attach, /* by token, so only for those we know */
	mw_dispatch_attach,   /* the handler */
};

void chain_attach(h2o_pathconf_t *path, const struct chain_settings *set)
{
	for (size_t i = 0; i < sizeof(chain) / sizeof(chain[0]); i++)
		chain[i](path, set);
}
