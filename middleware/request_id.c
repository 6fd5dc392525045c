/* SPDX-License-Identifier: MIT */
/* request_id.c - X-Request-ID: the caller's, when it sent a sane one, else a fresh one */
#include "lib/digest.h"
#include "lib/ids.h"
#include "middleware/chain.h"
#include "middleware/request_id.h"

enum { MAX_LENGTH = 128 };

bool request_id_is_sane(struct slice id)
{
	if (id.len == 0 || id.len > MAX_LENGTH)
		return false;
	for (size_t i = 0; i < id.len; i++) {
		char c = id.base[i];
		if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
			    c == '.' || c == '_' || c == ':' || c == '-'))
			return false;
	}
	return true;
}

void request_id_assign(struct request *r)
{
	static const char prefix[] = "req_";
	h2o_req_t *req = r->h2o;
	struct slice id = request_header(req, "x-request-id");

	if (!request_id_is_sane(id)) {
		uint8_t random[8];
		char *text = h2o_mem_alloc_pool(&req->pool, sizeof(prefix) + 2 * sizeof(random));
		memcpy(text, prefix, sizeof(prefix));
		random_bytes(random, sizeof(random));
		hex_encode(random, sizeof(random), text + sizeof(prefix) - 1);
		id = slice_str(text);
	}
	r->id = id;
	h2o_add_header_by_str(&req->pool, &req->res.headers, H2O_STRLIT("x-request-id"), 0,
		"X-Request-ID", id.base, id.len);
}

static int on_req(h2o_handler_t *self, h2o_req_t *req)
{
	request_id_assign(request_of(req));
	return -1;
}

void mw_request_id_attach(h2o_pathconf_t *path, const struct chain_settings *set)
{
	h2o_create_handler(path, sizeof(h2o_handler_t))->on_req = on_req;
}
