/* SPDX-License-Identifier: MIT */
/* access_log.c - one line for each request, when its answer is out or its connection gone */
#include "lib/ids.h"
#include "lib/log.h"
#include "middleware/chain.h"
#include "middleware/client.h"

struct access_log {
	h2o_logger_t super;
	const struct chain_live *(*live)(const h2o_context_t *ctx);
};

static void log_access(h2o_logger_t *self, h2o_req_t *req)
{
	struct request *r = request_of(req);
	enum log_level level = req->res.status >= 500 ? LOG_WARNING : LOG_INFO;
	struct log_line line;

	if (!log_begin(&line, level, "request"))
		return;
	if (r->client == NULL) /* h2o refused it before the chain began */
		client_assign(
			r, &((struct access_log *)self)->live(req->conn->ctx)->trusted_proxies);
	log_slice(&line, "request_id", r->id);
	log_slice(&line, "trace_id", r->log.trace_id);
	log_slice(&line, "parent_id", r->log.parent_id);
	log_slice(&line, "method", (struct slice){ req->input.method.base, req->input.method.len });
	log_str(&line, "client", r->client);
	log_str(&line, "route", r->route != NULL ? r->route->pattern : "none");
	log_int(&line, "status", req->res.status);
	log_int(&line, "bytes_in", (int64_t)req->entity.len);
	log_int(&line, "bytes_out", (int64_t)req->bytes_sent);
	log_ms(&line, "ms", now_us() - r->started_us);
	if (r->who != NULL) {
		log_str(&line, "tenant", r->who->tenant);
		log_str(&line, "token", r->who->name);
	}
	if (r->log.message_id != NULL) {
		log_str(&line, "id", r->log.message_id);
		log_bool(&line, "duplicate", r->log.duplicate);
		log_str(&line, "parse_status", r->log.parse_status);
	}
	if (r->log.parse_us > 0)
		log_ms(&line, "parse_ms", r->log.parse_us);
	if (r->log.store_us > 0)
		log_ms(&line, "store_ms", r->log.store_us);
	log_str(&line, "error", r->log.error);
	log_end(&line);
}

void mw_access_log_attach(h2o_pathconf_t *path, const struct chain_settings *set)
{
	if (!set->access_log)
		return;
	struct access_log *self = (void *)h2o_create_logger(path, sizeof(*self));

	self->super.log_access = log_access;
	self->live = set->live;
}
