/* SPDX-License-Identifier: MIT */
/* chain.h - what every request passes on its way to its handler
 *
 * h2o's own handler list is the chain: a link's on_req answers -1 for "next" and 0 for "mine".
 * The order, with its reasons, stands in chain.c and nowhere else. */
#ifndef MIDDLEWARE_CHAIN_H
#define MIDDLEWARE_CHAIN_H

#include "lib/cidr.h"
#include "middleware/auth.h"
#include "middleware/rate_limit.h"
#include "middleware/metrics.h"
#include "middleware/request.h"

/* The shard of the thread that a context belongs to. */
typedef struct metrics_shard *chain_shard_fn(h2o_context_t *context);

/* What a reload replaces. Each context (a worker's) has its own, so that no lock guards it; the
 * links ask for it anew at each request. */
struct chain_live {
	struct auth *auth;
	struct cidr_list trusted_proxies;
	struct bucket_rate global_rate; /* of all tokens together; 0 a minute: no limit */
};

struct chain_settings {
	const struct route *routes; /* ends with a route whose pattern is NULL */
	const struct chain_live *(*live)(const h2o_context_t *ctx);
	const atomic_int *drain_phase; /* enum drain_phase */
	const struct rate_limits *limits;
	bool access_log;
	const struct http_metrics *metrics; /* NULL: nothing is counted */
	chain_shard_fn *shard_of;
};

/* All of it is borrowed for the life of the server. */
void chain_attach(h2o_pathconf_t *path, const struct chain_settings *set);

typedef void middleware_attach_fn(h2o_pathconf_t *path, const struct chain_settings *set);

middleware_attach_fn mw_request_id_attach, mw_trace_attach, mw_client_attach, mw_access_log_attach,
	mw_metrics_attach, mw_errors_attach, mw_framing_attach, mw_router_attach, mw_drain_attach,
	mw_auth_limit_attach, mw_auth_attach, mw_rate_limit_attach, mw_dispatch_attach;

#endif
