/* SPDX-License-Identifier: MIT */
#include "lib/config/check.h"
#include "lib/cidr.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <string.h>
#include <sys/un.h>

static bool has_error(const struct merge *m, const char *pointer)
{
	const struct config_findings *all = &m->findings->all;

	for (size_t i = 0; i < all->count; i++)
		if (all->list[i].severity == CONFIG_ERROR &&
			strcmp(all->list[i].pointer, pointer) == 0)
			return true;
	return false;
}

/* NULL when the value is not a number or is known to be wrong. */
static const struct node *number_at(const struct merge *m, const char *pointer)
{
	const struct node *value = node_at(m->root, pointer);

	return value != NULL && value->type == NODE_INT && !has_error(m, pointer) ? value : NULL;
}

static bool is_ip_address(const char *text)
{
	unsigned char address[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, text, address) == 1 || inet_pton(AF_INET6, text, address) == 1;
}

static void check_address(struct merge *m, const struct node *item, const char *pointer)
{
	static const char unix_prefix[] = "unix:";
	const size_t prefix = sizeof(unix_prefix) - 1,
		     longest = sizeof(struct sockaddr_un) - offsetof(struct sockaddr_un, sun_path) -
			       1;

	if (item->type != NODE_STRING || has_error(m, pointer))
		return;
	if (strncmp(item->text, unix_prefix, prefix) == 0) {
		if (strlen(item->text + prefix) > longest)
			findings_add(m->findings, CONFIG_ERROR, item->at, pointer,
				"the path is too long for a socket: use at most %zu bytes",
				longest);
	} else if (!is_ip_address(item->text)) {
		findings_add(m->findings, CONFIG_ERROR, item->at, pointer,
			"%s is not an address: use IPv4 as in 192.0.2.1, IPv6 as in 2001:db8::1, "
			"without brackets or port, or unix:/path",
			findings_quote(m->arena, item->text));
	}
}

static void check_listen(struct merge *m, const char *key)
{
	const struct node *listen = node_get(m->root, key);
	unsigned i = 0;

	for (const struct member *item = listen->first; item != NULL; item = item->next)
		check_address(m, item->value, arena_printf(m->arena, "/%s/%u", key, i++));
}

static void check_proxies(struct merge *m)
{
	const struct node *proxies = node_get(m->root, "trusted_proxies");
	unsigned i = 0;

	for (const struct member *item = proxies->first; item != NULL; item = item->next) {
		const char *pointer = arena_printf(m->arena, "/trusted_proxies/%u", i++);
		struct cidr ignored;
		if (item->value->type != NODE_STRING || has_error(m, pointer) ||
			cidr_parse(slice_str(item->value->text), &ignored))
			continue;
		findings_add(m->findings, CONFIG_ERROR, item->value->at, pointer,
			"%s is neither an address nor a range: use 192.0.2.1, 10.0.0.0/8, "
			"2001:db8::1 or 2001:db8::/32",
			findings_quote(m->arena, item->value->text));
	}
	if (node_get_flag(m->root, "proxy_protocol") && node_length(proxies) == 0)
		findings_add(m->findings, CONFIG_WARNING, node_get(m->root, "proxy_protocol")->at,
			"/proxy_protocol",
			"without effect, because trusted_proxies is empty: name the proxies there");
}

static void check_tls(struct merge *m)
{
	static const char *const files[2] = { "cert_file", "key_file" };
	const struct node *tls = node_get(m->root, "tls");

	for (int i = 0; i < 2; i++) {
		const struct node *set = node_get(tls, files[i]);
		const struct node *other = node_get(tls, files[1 - i]);
		if (set->type == NODE_STRING && set->text[0] != '\0' &&
			other->type == NODE_STRING && other->text[0] == '\0')
			findings_add(m->findings, CONFIG_ERROR, set->at,
				arena_printf(m->arena, "/tls/%s", files[1 - i]),
				"not set, but tls.%s is: set both, or none to speak plain HTTP",
				files[i]);
	}
}

static void compare_tenants(
	struct merge *m, const struct node *list, const struct member *later, const char *pointer)
{
	const struct node *tenant = node_get(later->value, "tenant");
	unsigned i = 0;

	for (const struct member *item = list->first; item != later; item = item->next, i++) {
		const struct node *other = node_get(item->value, "tenant");
		if (tenant == NULL || other == NULL || tenant->type != NODE_STRING ||
			other->type != NODE_STRING || tenant->text[0] == '\0' ||
			strcmp(tenant->text, other->text) != 0)
			continue;
		const char *first = arena_printf(m->arena, "/retention/tenants/%u", i);
		findings_add(m->findings, CONFIG_ERROR, tenant->at, pointer,
			"%s stands in the list already, in %s: name each tenant once",
			findings_quote(m->arena, tenant->text),
			findings_place(m->arena, first, other->at));
		return;
	}
}

static void check_retention(struct merge *m)
{
	const struct node *list = node_at(m->root, "/retention/tenants");
	unsigned i = 0;

	for (const struct member *item = list->first; item != NULL; item = item->next)
		compare_tenants(
			m, list, item, arena_printf(m->arena, "/retention/tenants/%u/tenant", i++));
}

/* Two numbers of which the first should not be above the second. */
static const struct bound {
	const char *pointer, *bound, *consequence;
} bounds[] = {
	{ "/limits/max_message_bytes", "/storage/queue_bytes",
		"a message that large would always be answered 503" },
	{ "/handler_timeout", "/write_timeout",
		"a slow answer would find its connection given up" },
};

static void check_bounds(struct merge *m)
{
	for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
		const struct node *value = number_at(m, bounds[i].pointer);
		const struct node *bound = number_at(m, bounds[i].bound);
		if (value == NULL || bound == NULL || value->integer <= bound->integer)
			continue;
		/* The one that was set is the one to look at. */
		bool is_default = strcmp(value->at.source, "default") == 0;
		findings_add(m->findings, CONFIG_WARNING, is_default ? bound->at : value->at,
			is_default ? bounds[i].bound : bounds[i].pointer,
			"%s (%" PRId64 ") is above %s (%" PRId64
			"), so that %s: lower the first or raise the second",
			bounds[i].pointer, value->integer, bounds[i].bound, bound->integer,
			bounds[i].consequence);
	}
}

static void check_ports(struct merge *m)
{
	const struct node *port = number_at(m, "/port");
	const struct node *metrics_port = number_at(m, "/metrics_port");

	if (port != NULL && metrics_port != NULL && port->integer == metrics_port->integer &&
		node_get_flag(m->root, "metrics_enabled"))
		findings_add(m->findings, CONFIG_WARNING, metrics_port->at, "/metrics_port",
			"the same as port (%" PRId64 "): give one of the two another number",
			port->integer);
}

void config_check(struct merge *m)
{
	check_listen(m, "listen");
	check_listen(m, "metrics_listen");
	check_proxies(m);
	check_retention(m);
	check_tls(m);
	check_bounds(m);
	check_ports(m);
}

static void derive(struct merge *m, const char *pointer, const char *value)
{
	const struct node *node = node_at(m->root, pointer);

	if (node->type == NODE_STRING && node->text[0] == '\0')
		merge_set(m, key_by_pointer(m->keys, pointer),
			node_string(m->arena, value, node->at));
}

void config_derive(struct merge *m)
{
	const char *data_dir = node_get_text(m->root, "data_dir");

	if (data_dir == NULL)
		return;
	derive(m, "/storage/url", arena_printf(m->arena, "sqlite://%s/mail.db", data_dir));
	derive(m, "/spool_dir", arena_printf(m->arena, "%s/spool", data_dir));
}
