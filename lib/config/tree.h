/* SPDX-License-Identifier: MIT */
/* tree.h - values with the place they were written at
 *
 * What YAML and JSON describe: scalars, lists and maps. Each node knows where it came from, so that
 * whoever judges it later can say where to look. A tree lives in one arena and is never freed in
 * parts. Text is UTF-8 without NUL. */
#ifndef LIB_CONFIG_TREE_H
#define LIB_CONFIG_TREE_H

#include "lib/arena.h"
#include "lib/buf.h"

#include <stdbool.h>
#include <stdint.h>

struct origin {
	const char *source;    /* file name, "environment MAIL_PORT", "option --port", "default" */
	unsigned line, column; /* from 1; 0 where there is none */
};

enum node_type {
	NODE_NULL,
	NODE_BOOL,
	NODE_INT,
	NODE_FLOAT, /* finite */
	NODE_STRING,
	NODE_LIST,
	NODE_MAP,
};

struct node {
	enum node_type type;
	struct origin at;
	const char *text; /* a scalar as it was written; else NULL */
	union {
		bool boolean;
		int64_t integer;
		double number;
	};
	struct member *first, *last; /* of a list or a map, in their order */
};

struct member {
	const char *key; /* NULL in a list */
	struct origin key_at;
	struct node *value;
	struct member *next;
};

struct node *node_new(struct arena *arena, enum node_type type, struct origin at);
struct node *node_string(struct arena *arena, const char *text, struct origin at);
/* A plain scalar by the rules of YAML 1.2's core schema (10.3.2); .inf and .nan are strings. */
struct node *node_scalar(struct arena *arena, const char *text, struct origin at);
/* A copy of all of it that claims to come from `at`. */
struct node *node_copy(struct arena *arena, const struct node *node, struct origin at);

/* NULL unless `map` is a map that has the key. */
struct member *node_member(const struct node *map, const char *key);
struct node *node_get(const struct node *map, const char *key);
/* The scalar's text; NULL when there is no such member. */
const char *node_get_text(const struct node *map, const char *key);
/* True when the member is there and is `true`. */
bool node_get_flag(const struct node *map, const char *key);
/* Replaces the value of a key that is there. */
void node_set(struct arena *arena, struct node *map, const char *key, struct origin key_at,
	struct node *value);
void node_append(struct arena *arena, struct node *list, struct node *value);
size_t node_length(const struct node *list);

/* The node that a JSON pointer (RFC 6901) names, or NULL. */
struct node *node_at(struct node *root, const char *pointer);
/* `parent` and one more step, escaped. */
const char *pointer_join(struct arena *arena, const char *parent, const char *step);

void node_json(struct buf *buf, const struct node *node);

#endif
