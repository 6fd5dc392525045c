/* SPDX-License-Identifier: MIT */
#include "lib/config/merge.h"
#include "lib/config/yaml_tree.h"
#include "lib/slice.h"
#include "lib/utf8.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool rules_type_is(const struct node *rules, const char *type)
{
	const char *text = node_get_text(rules, "type");

	return text != NULL && strcmp(text, type) == 0;
}

static struct node *to_integer(struct arena *arena, struct node *node)
{
	if (node->type == NODE_STRING) {
		struct slice digits = slice_trim(slice_str(node->text));
		struct node *number = node_scalar(
			arena, arena_strndup(arena, digits.base, digits.len), node->at);
		if (number->type != NODE_INT && number->type != NODE_FLOAT)
			return node;
		node = number;
	}
	if (node->type == NODE_FLOAT && fabs(node->number) < 9e15 &&
		node->number == trunc(node->number)) {
		struct node *whole = node_new(arena, NODE_INT, node->at);
		whole->text = node->text;
		whole->integer = (int64_t)node->number;
		return whole;
	}
	return node;
}

static struct node *to_boolean(struct arena *arena, struct node *node)
{
	static const char *const trues[] = { "true", "yes", "on", "1" };
	static const char *const falses[] = { "false", "no", "off", "0" };

	if (node->type != NODE_STRING && node->type != NODE_INT)
		return node;
	for (size_t i = 0; i < sizeof(trues) / sizeof(trues[0]); i++) {
		bool is_true = strcasecmp(node->text, trues[i]) == 0;
		if (is_true || strcasecmp(node->text, falses[i]) == 0) {
			struct node *boolean = node_new(arena, NODE_BOOL, node->at);
			boolean->text = node->text;
			boolean->boolean = is_true;
			return boolean;
		}
	}
	return node;
}

static struct node *split(struct arena *arena, const struct node *node)
{
	struct node *list = node_new(arena, NODE_LIST, node->at);
	const char *p = node->text;

	for (;;) {
		size_t len = strcspn(p, ",");
		struct slice item = slice_trim((struct slice){ p, len });
		if (item.len > 0)
			node_append(arena, list,
				node_string(arena, arena_strndup(arena, item.base, item.len),
					node->at));
		if (p[len] == '\0')
			return list;
		p += len + 1;
	}
}

static struct node *to_type(struct arena *arena, const struct node *rules, struct node *node)
{
	bool is_scalar = node->text != NULL;

	if (rules_type_is(rules, "array")) {
		const struct node *items = node_get(rules, "items");
		if (is_scalar)
			return split(arena, node);
		for (struct member *m = node->first; m != NULL; m = m->next)
			m->value = to_type(arena, items, m->value);
		return node;
	}
	if (!is_scalar)
		return node;
	if (rules_type_is(rules, "integer"))
		return to_integer(arena, node);
	if (rules_type_is(rules, "boolean"))
		return to_boolean(arena, node);
	if (node->type != NODE_NULL)
		return node_string(arena, node->text, node->at);
	return node;
}

static bool is_not_set(const struct config_key *key, const struct node *node)
{
	if (node->type == NODE_NULL)
		return true;
	if (node->type == NODE_STRING)
		return node->text[0] == '\0';
	return key->zero_is_default && node->type == NODE_INT && node->integer == 0;
}

void merge_set(struct merge *m, const struct config_key *key, struct node *value)
{
	struct node *section = m->root;
	const char *step = key->dotted, *dot;

	while ((dot = strchr(step, '.')) != NULL) {
		const char *name = arena_strndup(m->arena, step, (size_t)(dot - step));
		struct node *inner = node_get(section, name);
		if (inner == NULL) {
			inner = node_new(m->arena, NODE_MAP, value->at);
			node_set(m->arena, section, name, value->at, inner);
		}
		section = inner;
		step = dot + 1;
	}
	node_set(m->arena, section, step, value->at, value);
}

/* The value in its type; NULL when it stands for none. */
static struct node *value_of(struct merge *m, const struct config_key *key, struct node *value)
{
	if (is_not_set(key, value))
		return NULL;
	value = to_type(m->arena, key->rules, value);
	return is_not_set(key, value) ? NULL : value;
}

static void lay(struct merge *m, const struct config_key *key, struct node *value)
{
	value = value_of(m, key, value);
	if (value != NULL)
		merge_set(m, key, value);
}

static void note_unused(struct merge *m, const struct config_key *key, struct origin at)
{
	findings_add(m->findings, CONFIG_WARNING, at, key->pointer,
		"GoMail's key, without a use in this server: it may be taken out");
}

static void note_unknown(
	struct merge *m, const struct member *member, const char *pointer, const char *dotted)
{
	const struct config_key *meant = key_like_dotted(m->keys, dotted);
	enum config_severity severity = m->strict ? CONFIG_ERROR : CONFIG_WARNING;

	if (meant != NULL)
		findings_add(m->findings, severity, member->key_at, pointer,
			"unknown key: did you mean %s?", meant->dotted);
	else
		findings_add(m->findings, severity, member->key_at, pointer,
			"unknown key, not used: take it out, or look for its name with "
			"`mailserver validate --show-schema`");
}

static struct node *item_of(struct merge *m, const struct config_key *list,
	const struct node *written, const char *pointer)
{
	struct node *item = node_new(m->arena, NODE_MAP, written->at);

	for (const struct member *member = written->first; member != NULL; member = member->next) {
		const char *inner = pointer_join(m->arena, pointer, member->key);
		const struct config_key *key = key_by_pointer(m->keys, inner);
		if (key == NULL) {
			note_unknown(m, member, inner,
				arena_printf(m->arena, "%s.%s", list->dotted, member->key));
			continue;
		}
		struct node *value = value_of(m, key, member->value);
		if (value != NULL)
			node_set(m->arena, item, member->key, member->key_at, value);
	}
	return item;
}

/* What is no list, or no object within it, stays as it is, for the judge. */
static void lay_list(struct merge *m, const struct config_key *key, struct node *written)
{
	struct node *list = node_new(m->arena, NODE_LIST, written->at);
	size_t i = 0;

	if (written->type != NODE_LIST) {
		if (!is_not_set(key, written))
			merge_set(m, key, written);
		return;
	}
	for (const struct member *member = written->first; member != NULL; member = member->next) {
		const char *pointer = arena_printf(m->arena, "%s/%zu", key->pointer, i++);
		struct node *item = member->value;
		if (item->type == NODE_MAP)
			item = item_of(m, key, item, pointer);
		node_append(m->arena, list, item);
	}
	merge_set(m, key, list);
}

static void merge_map(
	struct merge *m, const struct node *map, const char *pointer, const char *prefix);

static void merge_member(
	struct merge *m, const struct member *member, const char *parent, const char *prefix)
{
	const char *pointer = pointer_join(m->arena, parent, member->key);
	const char *dotted = arena_printf(m->arena, "%s%s", prefix, member->key);
	const struct config_key *key = key_by_pointer(m->keys, pointer);

	if (key == NULL)
		note_unknown(m, member, pointer, dotted);
	else if (key->kind == KEY_UNUSED)
		note_unused(m, key, member->key_at);
	else if (key->kind == KEY_VALUE)
		lay(m, key, member->value);
	else if (key->kind == KEY_LIST)
		lay_list(m, key, member->value);
	else if (member->value->type == NODE_MAP)
		merge_map(m, member->value, pointer, arena_printf(m->arena, "%s.", dotted));
	else if (member->value->type != NODE_NULL)
		findings_add(m->findings, CONFIG_ERROR, member->value->at, pointer,
			"is a section: write its keys below it, indented, each as `key: value`");
}

static void merge_map(
	struct merge *m, const struct node *map, const char *pointer, const char *prefix)
{
	for (const struct member *member = map->first; member != NULL; member = member->next)
		merge_member(m, member, pointer, prefix);
}

void merge_file(struct merge *m, const struct node *document)
{
	if (document->type == NODE_MAP)
		merge_map(m, document, "", "");
	else if (document->type != NODE_NULL)
		findings_add(m->findings, CONFIG_ERROR, document->at, "",
			"not a configuration: write one `key: value` on each line");
}

/* The rules that the file's reader has for its texts. */
static bool text_is_usable(
	struct merge *m, const struct config_key *key, const char *text, struct origin at)
{
	size_t len = strlen(text);

	if (len > YAML_MAX_TEXT)
		findings_add(m->findings, CONFIG_ERROR, at, key->pointer,
			"too long: use at most %d bytes", YAML_MAX_TEXT);
	else if (!utf8_is_clean(text, len))
		findings_add(m->findings, CONFIG_ERROR, at, key->pointer, "not text in UTF-8");
	else
		return true;
	return false;
}

static void merge_variable(struct merge *m, const struct config_key *key, const char *variable)
{
	const char *value = getenv(variable);
	struct origin at = { .source = arena_printf(m->arena, "environment %s", variable) };

	if (value == NULL || value[0] == '\0')
		return;
	if (key->kind == KEY_UNUSED)
		note_unused(m, key, at);
	else if (key->kind == KEY_LIST)
		findings_add(m->findings, CONFIG_WARNING, at, key->pointer,
			"not used: a list of objects is taken from the file only");
	else if (text_is_usable(m, key, value, at))
		lay(m, key, node_string(m->arena, value, at));
}

static void note_unknown_variable(struct merge *m, const char *variable)
{
	const struct config_key *meant;
	struct origin at;

	if (strcmp(variable, "MAIL_CONFIG") == 0 || key_by_variable(m->keys, variable) != NULL)
		return;
	at = (struct origin){ .source = arena_printf(m->arena, "environment %s", variable) };
	meant = key_like_variable(m->keys, variable);
	if (meant != NULL)
		findings_add(m->findings, CONFIG_WARNING, at, "",
			"unknown variable, not used: did you mean %s?", meant->variable);
	else
		findings_add(m->findings, CONFIG_WARNING, at, "", "unknown variable, not used");
}

void merge_environment(struct merge *m, char *const *environment)
{
	/* GoMail's old name: below MAIL_BEARER_TOKEN, so before it. */
	merge_variable(m, key_by_dotted(m->keys, "bearer_token"), "API_BEARER_TOKEN");
	for (size_t i = 0; i < m->keys->count; i++)
		if (m->keys->list[i].variable != NULL)
			merge_variable(m, &m->keys->list[i], m->keys->list[i].variable);
	for (; *environment != NULL; environment++) {
		const char *equals = strchr(*environment, '=');
		if (strncmp(*environment, "MAIL_", 5) == 0 && equals != NULL && equals[1] != '\0')
			note_unknown_variable(m, arena_strndup(m->arena, *environment,
							 (size_t)(equals - *environment)));
	}
}

void merge_overrides(struct merge *m, const struct config_override *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct config_key *key = key_by_dotted(m->keys, list[i].key);
		struct origin at = {
			.source = arena_printf(m->arena, "option %s", list[i].option),
		};
		assert(key != NULL && key->kind == KEY_VALUE);
		if (list[i].value[0] == '\0')
			findings_add(m->findings, CONFIG_ERROR, at, key->pointer,
				"empty: give a value, or leave the option out");
		else if (text_is_usable(m, key, list[i].value, at))
			lay(m, key, node_string(m->arena, list[i].value, at));
	}
}

static struct node *default_of(struct arena *arena, const struct config_key *key)
{
	static const struct origin at = { .source = "default" };
	const struct node *value = node_get(key->rules, "default");

	return value != NULL ? node_copy(arena, value, at) : node_string(arena, "", at);
}

static void item_defaults(struct merge *m, const struct config_key *list, struct node *item)
{
	for (const struct config_key *key = NULL;
		(key = key_next_item(m->keys, list, key)) != NULL;) {
		struct node *value = default_of(m->arena, key);
		if (node_get(item, key->name) == NULL)
			node_set(m->arena, item, key->name, value->at, value);
	}
}

void merge_defaults(struct merge *m)
{
	for (size_t i = 0; i < m->keys->count; i++) {
		const struct config_key *key = &m->keys->list[i];
		if (key->kind != KEY_VALUE && key->kind != KEY_LIST)
			continue;
		const struct node *value = node_at(m->root, key->pointer);
		if (value == NULL)
			merge_set(m, key, default_of(m->arena, key));
		else if (key->kind == KEY_LIST)
			for (struct member *item = value->first; item != NULL; item = item->next)
				if (item->value->type == NODE_MAP)
					item_defaults(m, key, item->value);
	}
}
