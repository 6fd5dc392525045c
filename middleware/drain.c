/* SPDX-License-Identifier: MIT */
/* drain.c - while the server drains, what still arrives on open connections is told to come again
 *
 * Not so a connection's first request: it was accepted when the server still took connections, and
 * its client had no answer yet that could have told it to go elsewhere. Routes that ask for no token
 * (health) go on answering: they say that it drains. */
#include "middleware/drain.h"
#include "middleware/chain.h"
#include "middleware/respond.h"

struct drain {
	h2o_handler_t super;
	const atomic_int *phase;
};

static int on_req(h2o_handler_t *self, h2o_req_t *req)
{
	int phase = atomic_load_explicit(((struct drain *)self)->phase, memory_order_relaxed);
	struct request *r = request_of(req);

	if (phase == DRAIN_SERVING)
		return -1;
	req->http1_is_persistent = 0;
	if (phase == DRAIN_LEAVING || r->route->scope == SCOPE_NONE || r->is_first)
		return -1;
	respond_unavailable(r, "The server is shutting down", 1);
	return 0;
}

void mw_drain_attach(h2o_pathconf_t *path, const struct chain_settings *set)
{
	struct drain *self = (void *)h2o_create_handler(path, sizeof(*self));

	self->super.on_req = on_req;
	self->phase = set->drain_phase;
}
