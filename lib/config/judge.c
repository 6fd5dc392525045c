/* SPDX-License-Identifier: MIT */
#include "lib/config/judge.h"
#include "lib/config/schema.h"
#include "lib/utf8.h"

#include <assert.h>
#include <math.h>
#include <string.h>

enum { JSON_BYTES = 16 * 1024 * 1024 };

struct judge {
	struct findings *findings;
	const struct config_keys *keys;
	struct node *root;
	size_t found_before; /* findings that others made */
};

/* The rules for a value: its key's, or, within a list, those for the list's items. */
static const struct node *rules_for(
	const struct judge *j, const char *pointer, const struct config_key **key_r)
{
	const char *last = strrchr(pointer, '/');
	const char *list;

	*key_r = key_by_pointer(j->keys, pointer);
	if (*key_r != NULL || last == NULL)
		return *key_r != NULL ? (*key_r)->rules : NULL;
	list = arena_strndup(j->findings->arena, pointer, (size_t)(last - pointer));
	*key_r = key_by_pointer(j->keys, list);
	return *key_r != NULL ? node_get((*key_r)->rules, "items") : NULL;
}

static const char *type_fault(const char *type, const struct node *value)
{
	if (strcmp(type, "integer") == 0 && value->type != NODE_INT)
		return value->type == NODE_FLOAT && value->number == trunc(value->number)
			       ? "is out of range"
			       : "is not a whole number";
	if (strcmp(type, "boolean") == 0 && value->type != NODE_BOOL)
		return "is neither true nor false";
	if (strcmp(type, "string") == 0 && value->type != NODE_STRING)
		return "is not a text";
	if (strcmp(type, "array") == 0 && value->type != NODE_LIST)
		return "is not a list";
	if (strcmp(type, "object") == 0 && value->type != NODE_MAP)
		return "is not a section of keys";
	return NULL;
}

static size_t characters(const char *text)
{
	size_t n = 0;

	for (; *text != '\0'; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

static bool is_shorter(const struct node *value, const struct node *least)
{
	return least != NULL && (int64_t)characters(value->text) < least->integer;
}

static const char *missing_key(
	struct arena *arena, const struct node *rules, const struct node *value)
{
	const struct node *required = node_get(rules, "required");

	for (const struct member *m = required->first; m != NULL; m = m->next)
		if (node_get(value, m->value->text) == NULL)
			return arena_printf(arena, "has no %s", m->value->text);
	return "does not have the right form";
}

/* What is wrong with the value, given that something is. */
static const char *fault_of(struct arena *arena, const struct node *rules, const struct node *value)
{
	const char *fault = type_fault(node_get_text(rules, "type"), value);

	if (fault != NULL)
		return fault;
	if (value->type == NODE_INT)
		return "is out of range";
	if (value->type == NODE_MAP)
		return missing_key(arena, rules, value);
	if (value->type == NODE_LIST)
		return value->first == NULL ? "is empty" : "names the same thing twice";
	if (is_shorter(value, node_get(rules, "minLength")))
		return "is too short";
	if (node_get(rules, "enum") != NULL)
		return "is not known";
	return "does not have the right form";
}

/* How the value is called in a message. */
static const char *name_of(
	struct arena *arena, const struct config_key *key, const struct node *value)
{
	if (key->is_secret)
		return "the value";
	if (value->type == NODE_MAP)
		return "a section of keys";
	if (value->type == NODE_LIST)
		return "the list";
	if (value->type == NODE_NULL)
		return "null";
	if (value->type == NODE_STRING)
		return findings_quote(arena, value->text);
	return utf8_clean(arena, value->text, strlen(value->text), 40, NULL);
}

static bool is_known_already(const struct judge *j, const char *pointer)
{
	for (size_t i = j->found_before; i < j->findings->all.count; i++)
		if (strcmp(j->findings->all.list[i].pointer, pointer) == 0)
			return true;
	return false;
}

static void report(void *data, const char *pointer, const char *rule)
{
	struct judge *j = data;
	struct arena *arena = j->findings->arena;
	const struct config_key *key;
	const struct node *rules = rules_for(j, pointer, &key);
	const struct node *value = node_at(j->root, pointer);

	if (is_known_already(j, pointer))
		return;
	if (rules == NULL || value == NULL || key->kind == KEY_SECTION)
		findings_add(j->findings, CONFIG_ERROR,
			(struct origin){ .source = "configuration" }, pointer, "%s", rule);
	else
		findings_add(j->findings, CONFIG_ERROR, value->at, pointer, "%s %s: %s",
			name_of(arena, key, value), fault_of(arena, rules, value),
			node_get_text(rules, "x-hint"));
}

void config_judge(struct findings *findings, const struct config_keys *keys, struct node *root)
{
	struct judge j = { findings, keys, root, findings->all.count };
	struct schema *schema = schema_new(config_schema_json, NULL);
	struct buf json;

	assert(schema != NULL);
	buf_init(&json, JSON_BYTES);
	node_json(&json, root);
	schema_check(schema, json.base, report, &j);
	buf_deinit(&json);
	schema_free(&schema);
}
