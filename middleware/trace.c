/* SPDX-License-Identifier: MIT */
/* trace.c - reads traceparent, so that every log line of the request can name its trace */
#include "middleware/trace.h"
#include "middleware/chain.h"

/* version "-" trace-id "-" parent-id "-" flags */
enum { VERSION = 2, TRACE_ID = 32, PARENT_ID = 16, FLAGS = 2 };

/* Takes so many lower-case hex digits off the front. An id must not be all zeros. */
static bool take_hex(struct slice *s, size_t digits, bool is_id, struct slice *hex_r)
{
	bool is_zero = true;

	if (s->len < digits)
		return false;
	for (size_t i = 0; i < digits; i++) {
		if (strchr("0123456789abcdef", s->base[i]) == NULL || s->base[i] == '\0')
			return false;
		is_zero = is_zero && s->base[i] == '0';
	}
	*hex_r = (struct slice){ s->base, digits };
	*s = (struct slice){ s->base + digits, s->len - digits };
	return !(is_id && is_zero);
}

static bool take_dash(struct slice *s)
{
	if (s->len == 0 || s->base[0] != '-')
		return false;
	*s = (struct slice){ s->base + 1, s->len - 1 };
	return true;
}

bool traceparent_parse(
	struct slice traceparent, struct slice *trace_id_r, struct slice *parent_id_r)
{
	struct slice s = slice_trim(traceparent), version, trace_id, parent_id, flags;

	if (!take_hex(&s, VERSION, false, &version) || slice_eq(version, SLICE_LIT("ff")) ||
		!take_dash(&s) || !take_hex(&s, TRACE_ID, true, &trace_id) || !take_dash(&s) ||
		!take_hex(&s, PARENT_ID, true, &parent_id) || !take_dash(&s) ||
		!take_hex(&s, FLAGS, false, &flags))
		return false;
	/* A later version may have more behind another dash; this one must not. */
	if (s.len > 0 && (slice_eq(version, SLICE_LIT("00")) || s.base[0] != '-'))
		return false;
	*trace_id_r = trace_id;
	*parent_id_r = parent_id;
	return true;
}

static int on_req(h2o_handler_t *self, h2o_req_t *req)
{
	struct request *r = request_of(req);

	traceparent_parse(request_header(req, "traceparent"), &r->log.trace_id, &r->log.parent_id);
	return -1;
}

void mw_trace_attach(h2o_pathconf_t *path, const struct chain_settings *set)
{
	h2o_create_handler(path, sizeof(h2o_handler_t))->on_req = on_req;
}
