/* SPDX-License-Identifier: MIT */
#include "middleware/request.h"
#include "lib/ids.h"

struct request *request_of(h2o_req_t *req)
{
	/* h2o 2.2 has no per-request pointer for applications, but an environment. */
	h2o_iovec_t *slot = h2o_req_getenv(req, H2O_STRLIT("mailserver.request"), 1);

	if (slot->base == NULL) {
		struct request *r = h2o_mem_alloc_pool(&req->pool, sizeof(*r));
		*r = (struct request){ .h2o = req, .started_us = now_us() };
		slot->base = (char *)r;
	}
	return (struct request *)slot->base;
}

struct slice request_header(const h2o_req_t *req, const char *name)
{
	struct slice wanted = slice_str(name), found = { NULL, 0 };

	for (size_t i = 0; i < req->headers.size; i++) {
		const h2o_header_t *h = &req->headers.entries[i];
		if (slice_eq((struct slice){ h->name->base, h->name->len }, wanted))
			found = (struct slice){ h->value.base, h->value.len };
	}
	return found;
}
