/* SPDX-License-Identifier: MIT */
#include "middleware/client.h"
#include "middleware/chain.h"

enum { MAX_FIELDS = 100 }; /* h2o takes no more header fields than that */

/* "192.0.2.1", and the forms with a port that some proxies write: "192.0.2.1:80", "[::1]:80". */
static bool element_parse(struct slice text, struct ip *ip_r)
{
	text = slice_trim(text);
	if (text.len == 0)
		return false;
	if (text.base[0] == '[') {
		const char *end = memchr(text.base, ']', text.len);
		return end != NULL &&
		       ip_parse((struct slice){ text.base + 1, (size_t)(end - text.base - 1) },
			       ip_r);
	}
	const char *colon = memchr(text.base, ':', text.len);
	if (colon != NULL && memchr(text.base, '.', (size_t)(colon - text.base)) != NULL)
		text.len = (size_t)(colon - text.base);
	return ip_parse(text, ip_r);
}

/* Takes the last element off a list with commas. */
static struct slice take_last(struct slice *list)
{
	size_t start = list->len;

	while (start > 0 && list->base[start - 1] != ',')
		start--;
	struct slice last = { list->base + start, list->len - start };
	list->len = start > 0 ? start - 1 : 0;
	return last;
}

struct ip client_find(const struct cidr_list *trusted, struct ip peer,
	const struct slice *forwarded, size_t count, struct slice real_ip)
{
	struct ip client = peer, next;

	if (!cidr_list_contains(trusted, &peer))
		return peer;
	if (count == 0)
		return element_parse(real_ip, &next) ? next : peer;
	while (count > 0) {
		struct slice list = forwarded[--count];
		while (list.len > 0) {
			if (!element_parse(take_last(&list), &next))
				return client;
			client = next;
			if (!cidr_list_contains(trusted, &client))
				return client;
		}
	}
	return client;
}

void client_assign(struct request *r, const struct cidr_list *trusted)
{
	h2o_req_t *req = r->h2o;
	struct slice forwarded[MAX_FIELDS];
	struct sockaddr_storage peer;
	struct ip ip;
	size_t count = 0;

	if (req->conn->callbacks->get_peername(req->conn, (struct sockaddr *)&peer) == 0) {
		r->client = "unknown"; /* gone before it could be asked */
		return;
	}
	if (!ip_of_sockaddr((struct sockaddr *)&peer, &ip)) {
		r->client = "unix";
		return;
	}
	for (size_t i = 0; i < req->headers.size && count < MAX_FIELDS; i++) {
		const h2o_header_t *h = &req->headers.entries[i];
		if (slice_eq((struct slice){ h->name->base, h->name->len },
			    SLICE_LIT("x-forwarded-for")))
			forwarded[count++] = (struct slice){ h->value.base, h->value.len };
	}
	ip = client_find(trusted, ip, forwarded, count, request_header(req, "x-real-ip"));
	char *text = h2o_mem_alloc_pool(&req->pool, IP_TEXT);
	ip_format(&ip, text);
	r->client = text;
}

struct client {
	h2o_handler_t super;
	const struct chain_live *(*live)(const h2o_context_t *ctx);
};

static int on_req(h2o_handler_t *self, h2o_req_t *req)
{
	client_assign(
		request_of(req), &((struct client *)self)->live(req->conn->ctx)->trusted_proxies);
	return -1;
}

void mw_client_attach(h2o_pathconf_t *path, const struct chain_settings *set)
{
	struct client *self = (void *)h2o_create_handler(path, sizeof(*self));

	self->super.on_req = on_req;
	self->live = set->live;
}
