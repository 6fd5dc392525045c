/* SPDX-License-Identifier: MIT */
#include "lib/config/tree.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct node *node_new(struct arena *arena, enum node_type type, struct origin at)
{
	struct node *node = arena_zalloc(arena, sizeof(*node));

	node->type = type;
	node->at = at;
	return node;
}

struct node *node_string(struct arena *arena, const char *text, struct origin at)
{
	struct node *node = node_new(arena, NODE_STRING, at);

	node->text = arena_strdup(arena, text);
	return node;
}

static bool is_one_of(const char *text, const char *const words[])
{
	for (; *words != NULL; words++)
		if (strcmp(text, *words) == 0)
			return true;
	return false;
}

/* [-+]?[0-9]+ | 0o[0-7]+ | 0x[0-9a-fA-F]+ */
static bool looks_like_int(const char *text, const char **digits_r, int *base_r)
{
	const char *allowed = "0123456789";

	*digits_r = text;
	*base_r = 10;
	if (strncmp(text, "0o", 2) == 0) {
		allowed = "01234567";
		*digits_r = text += 2;
		*base_r = 8;
	} else if (strncmp(text, "0x", 2) == 0) {
		allowed = "0123456789abcdefABCDEF";
		*digits_r = text += 2;
		*base_r = 16;
	} else if (*text == '-' || *text == '+') {
		text++;
	}
	return *text != '\0' && text[strspn(text, allowed)] == '\0';
}

/* [-+]? ( \.[0-9]+ | [0-9]+(\.[0-9]*)? ) ([eE][-+]?[0-9]+)? */
static bool looks_like_float(const char *text)
{
	static const char digits[] = "0123456789";
	size_t whole, fraction = 0;

	text += *text == '-' || *text == '+';
	whole = strspn(text, digits);
	text += whole;
	if (*text == '.') {
		text++;
		fraction = strspn(text, digits);
		text += fraction;
	}
	if (whole + fraction == 0)
		return false;
	if (*text == 'e' || *text == 'E') {
		text++;
		text += *text == '-' || *text == '+';
		if (*text == '\0')
			return false;
		text += strspn(text, digits);
	}
	return *text == '\0';
}

static void resolve(struct node *node)
{
	static const char *const nulls[] = { "", "~", "null", "Null", "NULL", NULL };
	static const char *const trues[] = { "true", "True", "TRUE", NULL };
	static const char *const falses[] = { "false", "False", "FALSE", NULL };
	const char *digits;
	int base;

	if (is_one_of(node->text, nulls)) {
		node->type = NODE_NULL;
	} else if (is_one_of(node->text, trues)) {
		node->type = NODE_BOOL;
		node->boolean = true;
	} else if (is_one_of(node->text, falses)) {
		node->type = NODE_BOOL;
		node->boolean = false;
	} else if (looks_like_int(node->text, &digits, &base)) {
		node->type = NODE_INT;
		node->integer = strtoll(digits, NULL, base); /* clamped: out of any bounds */
	} else if (looks_like_float(node->text)) {
		node->type = NODE_FLOAT;
		node->number = strtod(node->text, NULL);
	}
	if (node->type == NODE_FLOAT && !isfinite(node->number))
		node->type = NODE_STRING; /* JSON has no infinity */
}

struct node *node_scalar(struct arena *arena, const char *text, struct origin at)
{
	struct node *node = node_string(arena, text, at);

	resolve(node);
	return node;
}

struct node *node_copy(struct arena *arena, const struct node *node, struct origin at)
{
	struct node *copy = arena_dup(arena, node, sizeof(*node));

	copy->at = at;
	copy->first = copy->last = NULL;
	for (const struct member *m = node->first; m != NULL; m = m->next) {
		struct node *value = node_copy(arena, m->value, at);
		if (node->type == NODE_MAP)
			node_set(arena, copy, m->key, at, value);
		else
			node_append(arena, copy, value);
	}
	return copy;
}

struct member *node_member(const struct node *map, const char *key)
{
	if (map == NULL || map->type != NODE_MAP)
		return NULL;
	for (struct member *m = map->first; m != NULL; m = m->next)
		if (strcmp(m->key, key) == 0)
			return m;
	return NULL;
}

struct node *node_get(const struct node *map, const char *key)
{
	struct member *m = node_member(map, key);

	return m != NULL ? m->value : NULL;
}

const char *node_get_text(const struct node *map, const char *key)
{
	struct node *node = node_get(map, key);

	return node != NULL ? node->text : NULL;
}

bool node_get_flag(const struct node *map, const char *key)
{
	struct node *node = node_get(map, key);

	return node != NULL && node->type == NODE_BOOL && node->boolean;
}

static void add_member(struct node *parent, struct member *m)
{
	if (parent->last != NULL)
		parent->last->next = m;
	else
		parent->first = m;
	parent->last = m;
}

void node_set(struct arena *arena, struct node *map, const char *key, struct origin key_at,
	struct node *value)
{
	struct member *m = node_member(map, key);

	if (m == NULL) {
		m = arena_zalloc(arena, sizeof(*m));
		m->key = arena_strdup(arena, key);
		add_member(map, m);
	}
	m->key_at = key_at;
	m->value = value;
}

void node_append(struct arena *arena, struct node *list, struct node *value)
{
	struct member *m = arena_zalloc(arena, sizeof(*m));

	m->key_at = value->at;
	m->value = value;
	add_member(list, m);
}

size_t node_length(const struct node *list)
{
	size_t n = 0;

	for (const struct member *m = list->first; m != NULL; m = m->next)
		n++;
	return n;
}

/* Takes one step of a pointer off its front. */
static char *next_step(struct arena *arena, const char **pointer)
{
	const char *p = *pointer + 1;
	char *step = arena_alloc(arena, strlen(p) + 1), *out = step;

	for (; *p != '\0' && *p != '/'; p++) {
		if (*p == '~' && (p[1] == '0' || p[1] == '1'))
			*out++ = *++p == '0' ? '~' : '/';
		else
			*out++ = *p;
	}
	*out = '\0';
	*pointer = p;
	return step;
}

static struct node *list_item(const struct node *list, const char *index)
{
	struct member *m = list->first;

	for (unsigned long n = strtoul(index, NULL, 10); m != NULL && n > 0; n--)
		m = m->next;
	return m != NULL ? m->value : NULL;
}

struct node *node_at(struct node *root, const char *pointer)
{
	struct arena *scratch = arena_new();

	while (root != NULL && *pointer == '/') {
		const char *step = next_step(scratch, &pointer);
		root = root->type == NODE_LIST ? list_item(root, step) : node_get(root, step);
	}
	arena_free(&scratch);
	return root;
}

const char *pointer_join(struct arena *arena, const char *parent, const char *step)
{
	size_t len = strlen(parent);
	char *joined = arena_alloc(arena, len + 2 * strlen(step) + 2), *out = joined + len;

	memcpy(joined, parent, len);
	*out++ = '/';
	for (; *step != '\0'; step++) {
		if (*step == '~' || *step == '/') {
			*out++ = '~';
			*out++ = *step == '~' ? '0' : '1';
		} else {
			*out++ = *step;
		}
	}
	*out = '\0';
	return joined;
}

static void number_json(struct buf *buf, double number)
{
	char text[40];

	snprintf(text, sizeof(text), "%.17g", number);
	buf_json_raw(buf, text);
}

void node_json(struct buf *buf, const struct node *node)
{
	switch (node->type) {
	case NODE_NULL:
		buf_json_raw(buf, NULL);
		break;
	case NODE_BOOL:
		buf_json_bool(buf, node->boolean);
		break;
	case NODE_INT:
		buf_json_int(buf, node->integer);
		break;
	case NODE_FLOAT:
		number_json(buf, node->number);
		break;
	case NODE_STRING:
		buf_json_string(buf, node->text);
		break;
	case NODE_LIST:
		buf_json_begin(buf, '[');
		for (const struct member *m = node->first; m != NULL; m = m->next)
			node_json(buf, m->value);
		buf_json_end(buf, ']');
		break;
	case NODE_MAP:
		buf_json_begin(buf, '{');
		for (const struct member *m = node->first; m != NULL; m = m->next) {
			buf_json_key(buf, m->key);
			node_json(buf, m->value);
		}
		buf_json_end(buf, '}');
		break;
	}
}
