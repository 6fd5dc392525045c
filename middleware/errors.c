/* SPDX-License-Identifier: MIT */
/* errors.c - what h2o refuses before any handler runs (a body that is too large, a broken length or
 * chunk, an expectation it does not know) is answered in our shape, not as plain text
 *
 * Only a request line or header that does not parse escapes it: h2o answers that with a plain 400
 * and closes the connection, and there is no request yet. */
#include "middleware/chain.h"
#include "middleware/request_id.h"
#include "middleware/respond.h"

struct body_swap {
	h2o_ostream_t super;
	h2o_iovec_t body;
};

static void send_ours(h2o_ostream_t *self, h2o_req_t *req, h2o_iovec_t *bufs, size_t count,
	h2o_send_state_t state)
{
	struct body_swap *swap = (struct body_swap *)self;

	/* h2o sends its own errors in one piece. */
	h2o_ostream_send_next(self, req, &swap->body, req->res.content_length > 0 ? 1 : 0, state);
}

static const char *explain(int status)
{
	switch (status) {
	case 413:
		return "The message is larger than limits.max_message_bytes";
	case 417:
		return "Only \"Expect: 100-continue\" is understood";
	case 400:
		return "The request's Content-Length or Transfer-Encoding is broken";
	default:
		return "The request could not be handled";
	}
}

static void on_setup_ostream(h2o_filter_t *self, h2o_req_t *req, h2o_ostream_t **slot)
{
	struct request *r = request_of(req);

	if (!r->answered) {
		struct body_swap *swap = (void *)h2o_add_ostream(req, sizeof(*swap), slot);
		struct buf body;

		if (r->id.base == NULL)
			request_id_assign(r);
		buf_init(&body, 4096);
		r->log.error = explain(req->res.status);
		respond_header(r, "x-mail-status",
			respond_error_body_of_h2o(&body, r, req->res.status, r->log.error));
		respond_header(r, "content-type", "application/json");
		swap->super.do_send = send_ours;
		swap->body = h2o_strdup(&req->pool, body.base, body.len);
		req->res.content_length = body.len;
		buf_deinit(&body);
		slot = &swap->super.next;
	}
	h2o_setup_next_ostream(req, slot);
}

void mw_errors_attach(h2o_pathconf_t *path, const struct chain_settings *set)
{
	h2o_create_filter(path, sizeof(h2o_filter_t))->on_setup_ostream = on_setup_ostream;
}
