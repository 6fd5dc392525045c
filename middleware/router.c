/* SPDX-License-Identifier: MIT */
/* router.c - finds the request's route; 404 when no route has the path, 405 when none the method */
#include "middleware/router.h"
#include "lib/buf.h"
#include "middleware/chain.h"
#include "middleware/respond.h"

#include <assert.h>

struct router {
	h2o_handler_t super;
	const struct route *routes;
};

bool route_matches(const char *pattern, struct slice path, struct slice args_r[ROUTE_MAX_ARGS])
{
	struct slice args[ROUTE_MAX_ARGS] = { { NULL, 0 } };
	size_t i = 0, arg = 0;

	for (; *pattern != '\0'; pattern++) {
		if (*pattern != '{') {
			if (i == path.len || path.base[i] != *pattern)
				return false;
			i++;
			continue;
		}
		size_t start = i;
		while (i < path.len && path.base[i] != '/')
			i++;
		if (i == start)
			return false;
		assert(arg < ROUTE_MAX_ARGS);
		args[arg++] = (struct slice){ path.base + start, i - start };
		while (*pattern != '}')
			pattern++;
	}
	if (i != path.len)
		return false;
	memcpy(args_r, args, sizeof(args));
	return true;
}

bool route_has_method(const struct route *route, struct slice method)
{
	return slice_eq(method, slice_str(route->method)) ||
	       (slice_eq(method, SLICE_LIT("HEAD")) && strcmp(route->method, "GET") == 0);
}

/* The methods that a path has, for Allow (RFC 9110, 10.2.1). */
static void respond_not_allowed(struct request *r, const struct route *routes, struct slice path)
{
	struct slice ignored[ROUTE_MAX_ARGS];
	struct buf allow;

	buf_init(&allow, 256);
	for (const struct route *route = routes; route->pattern != NULL; route++) {
		if (!route_matches(route->pattern, path, ignored))
			continue;
		buf_printf(&allow, "%s%s%s", allow.len > 0 ? ", " : "", route->method,
			strcmp(route->method, "GET") == 0 ? ", HEAD" : "");
	}
	respond_header(r, "allow", allow.base);
	buf_deinit(&allow);
	respond_error(r, 405, "Method not allowed", NULL);
}

static int on_req(h2o_handler_t *self, h2o_req_t *req)
{
	const struct route *routes = ((struct router *)self)->routes;
	struct request *r = request_of(req);
	struct slice path = { req->path_normalized.base, req->path_normalized.len };
	struct slice method = { req->method.base, req->method.len };
	bool path_known = false;

	for (const struct route *route = routes; route->pattern != NULL; route++) {
		struct slice args[ROUTE_MAX_ARGS];
		if (!route_matches(route->pattern, path, args))
			continue;
		path_known = true;
		if (route_has_method(route, method)) {
			r->route = route;
			memcpy(r->args, args, sizeof(args));
			return -1;
		}
	}
	if (path_known)
		respond_not_allowed(r, routes, path);
	else
		respond_error(r, 404, "There is nothing at this path", NULL);
	return 0;
}

void mw_router_attach(h2o_pathconf_t *path, const struct chain_settings *set)
{
	struct router *self = (void *)h2o_create_handler(path, sizeof(*self));

	self->super.on_req = on_req;
	self->routes = set->routes;
}

static int dispatch(h2o_handler_t *self, h2o_req_t *req)
{
	struct request *r = request_of(req);

	r->route->handle(r);
	return 0;
}

void mw_dispatch_attach(h2o_pathconf_t *path, const struct chain_settings *set)
{
	h2o_create_handler(path, sizeof(h2o_handler_t))->on_req = dispatch;
}
