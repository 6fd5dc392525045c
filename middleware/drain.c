/* SPDX-License-Identifier: MIT */
/* drain.c - while the server drains, what still arrives on open connections is told to come again
 *
 * Routes that ask for no token (health) go on answering: they say that it drains. */
#include "middleware/chain.h"
#include "middleware/respond.h"

struct drain {
	h2o_handler_t super;
	const atomic_bool *draining;
};

static int on_req(h2o_handler_t *self, h2o_req_t *req)
{
	if (!atomic_load_explicit(((struct drain *)self)->draining, memory_order_relaxed))
		return -1;
	req->http1_is_persistent = 0;
	struct request *r = request_of(req);
	if (r->route->scope == SCOPE_NONE)
		return -1;
	respond_unavailable(r, "The server is shutting down", 1);
	return 0;
}

void mw_drain_attach(h2o_pathconf_t *path, const struct chain_settings *set)
{
	struct drain *self = (void *)h2o_create_handler(path, sizeof(*self));

	self->super.on_req = on_req;
	self->draining = set->draining;
}
