/* SPDX-License-Identifier: MIT */
/* router.h - from method and path to a route */
#ifndef MIDDLEWARE_ROUTER_H
#define MIDDLEWARE_ROUTER_H

#include "middleware/request.h"

/* True when `path` has the pattern's shape; `args_r` then holds what its {…} stand for. */
bool route_matches(const char *pattern, struct slice path, struct slice args_r[ROUTE_MAX_ARGS]);

bool route_has_method(const struct route *route, struct slice method);

#endif
