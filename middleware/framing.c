/* SPDX-License-Identifier: MIT */
/* framing.c - refuses what could be read in two ways, before anything is done with it */
#include "middleware/framing.h"
#include "middleware/chain.h"
#include "middleware/respond.h"

/* The value of the field when `line` is one of that name, else a base of NULL. */
static struct slice field_value(struct slice line, struct slice name)
{
	if (line.len <= name.len || line.base[name.len] != ':' ||
		!slice_ieq((struct slice){ line.base, name.len }, name))
		return (struct slice){ NULL, 0 };
	return slice_trim((struct slice){ line.base + name.len + 1, line.len - name.len - 1 });
}

const char *framing_fault(struct slice head)
{
	unsigned lengths = 0, encodings = 0;
	const char *end = head.base + head.len;

	for (const char *p = head.base, *lf; p < end; p = lf + 1) {
		lf = memchr(p, '\n', (size_t)(end - p));
		if (lf == NULL)
			break;
		if (lf == p || lf[-1] != '\r')
			return "A line of the header section ends in a bare LF";
		struct slice line = { p, (size_t)(lf - p) - 1 };
		if (line.len == 0)
			break;
		if (memchr(line.base, '\r', line.len) != NULL)
			return "A line of the header section holds a bare CR";
		if (line.base[0] == ' ' || line.base[0] == '\t')
			return "A header field is folded over several lines";
		if (field_value(line, SLICE_LIT("content-length")).base != NULL)
			lengths++;
		if (field_value(line, SLICE_LIT("transfer-encoding")).base != NULL)
			encodings++;
	}
	if (lengths > 1)
		return "There is more than one Content-Length";
	if (encodings > 1)
		return "There is more than one Transfer-Encoding";
	if (lengths > 0 && encodings > 0)
		return "There is a Content-Length beside a Transfer-Encoding";
	return NULL;
}

/* h2o keeps a request's bytes in its socket's buffer until the answer is out, the head first. */
static struct slice head_of(h2o_req_t *req)
{
	const h2o_buffer_t *input = req->conn->callbacks->get_socket(req->conn)->input;
	struct slice head = { input->bytes, input->size };

	if (req->entity.base != NULL)
		head.len = (size_t)(req->entity.base - input->bytes);
	return head;
}

static int on_req(h2o_handler_t *self, h2o_req_t *req)
{
	const char *fault = framing_fault(head_of(req));

	if (fault == NULL)
		return -1;
	req->http1_is_persistent = 0;
	respond_malformed(request_of(req), fault);
	return 0;
}

void mw_framing_attach(h2o_pathconf_t *path, const struct chain_settings *set)
{
	h2o_create_handler(path, sizeof(h2o_handler_t))->on_req = on_req;
}
