/* SPDX-License-Identifier: MIT */
/* parse_pool_internal.h - for the pool's own tests: a pool that parses with something else */
#ifndef LIB_PARSE_POOL_INTERNAL_H
#define LIB_PARSE_POOL_INTERNAL_H

#include "lib/parse_pool.h"

typedef struct mime_message *parse_fn(
	const char *raw, size_t len, const struct mime_limits *limits);

struct parse_pool *parse_pool_new_with(const struct parse_pool_settings *set, parse_fn *parse);

#endif
