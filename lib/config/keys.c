/* SPDX-License-Identifier: MIT */
#include "lib/config/keys.h"
#include "lib/config/config.h"
#include "lib/config/yaml_tree.h"

#include <assert.h>
#include <ctype.h>
#include <string.h>

enum {
	MAX_WORD = 64, /* no key is longer, nor is what may be taken for one */
	PREFIX = sizeof("MAIL_") - 1,
};

static const char *variable_of(struct arena *arena, const struct node *rules, const char *dotted)
{
	const char *own = node_get_text(rules, "x-variable");
	char *name;

	if (own != NULL)
		return own;
	name = arena_printf(arena, "MAIL_%s", dotted);
	for (char *p = name; *p != '\0'; p++)
		*p = *p == '.' ? '_' : (char)toupper((unsigned char)*p);
	return name;
}

static const struct node *item_properties(const struct node *rules)
{
	return node_get(node_get(rules, "items"), "properties");
}

static enum key_kind kind_of(const struct node *rules)
{
	if (node_get(rules, "properties") != NULL)
		return KEY_SECTION;
	if (item_properties(rules) != NULL)
		return KEY_LIST;
	return node_get_flag(rules, "x-unused") ? KEY_UNUSED : KEY_VALUE;
}

static bool is_gomail_number(const struct node *rules)
{
	const char *type = node_get_text(rules, "type");

	return node_get_flag(rules, "x-gomail") && strcmp(type, "integer") == 0;
}

static size_t count_keys(const struct node *rules)
{
	const struct node *properties = node_get(rules, "properties");
	size_t n = 0;

	if (properties == NULL)
		properties = item_properties(rules);
	if (properties == NULL)
		return 0;
	for (const struct member *m = properties->first; m != NULL; m = m->next)
		n += 1 + count_keys(m->value);
	return n;
}

static void add_keys(struct arena *arena, struct config_keys *keys, const struct node *properties,
	const char *pointer, const char *prefix, bool in_list)
{
	for (const struct member *m = properties->first; m != NULL; m = m->next) {
		struct config_key *key = &keys->list[keys->count++];
		*key = (struct config_key){
			.kind = in_list ? KEY_ITEM : kind_of(m->value),
			.pointer = pointer_join(arena, pointer, m->key),
			.dotted = arena_printf(arena, "%s%s", prefix, m->key),
			.name = m->key,
			.rules = m->value,
			.zero_is_default = is_gomail_number(m->value),
			.is_secret = node_get(m->value, "x-secret") != NULL,
		};
		const char *inner = arena_printf(arena, "%s.", key->dotted);
		if (key->kind != KEY_SECTION && key->kind != KEY_ITEM)
			key->variable = variable_of(arena, m->value, key->dotted);
		if (key->kind == KEY_SECTION)
			add_keys(arena, keys, node_get(m->value, "properties"), key->pointer, inner,
				false);
		else if (key->kind == KEY_LIST)
			add_keys(arena, keys, item_properties(m->value),
				pointer_join(arena, key->pointer, "*"), inner, true);
	}
}

struct config_keys config_keys_read(struct arena *arena)
{
	struct findings findings = { .arena = arena };
	struct config_keys keys = { 0 };
	const struct node *schema;

	schema = yaml_read(&findings, "schema", config_schema_json, strlen(config_schema_json));
	assert(schema != NULL && findings.all.count == 0);
	keys.list = arena_alloc(arena, count_keys(schema) * sizeof(*keys.list));
	add_keys(arena, &keys, node_get(schema, "properties"), "", "", false);
	return keys;
}

/* A star in the key's pointer stands for any index. */
static bool pointer_fits(const char *own, const char *pointer)
{
	for (; *own != '\0'; own++) {
		if (*own == '*') {
			size_t digits = strspn(pointer, "0123456789");
			if (digits == 0)
				return false;
			pointer += digits;
		} else if (*pointer++ != *own) {
			return false;
		}
	}
	return *pointer == '\0';
}

const struct config_key *key_by_pointer(const struct config_keys *keys, const char *pointer)
{
	for (size_t i = 0; i < keys->count; i++)
		if (pointer_fits(keys->list[i].pointer, pointer))
			return &keys->list[i];
	return NULL;
}

const struct config_key *key_by_dotted(const struct config_keys *keys, const char *dotted)
{
	for (size_t i = 0; i < keys->count; i++)
		if (strcmp(keys->list[i].dotted, dotted) == 0)
			return &keys->list[i];
	return NULL;
}

const struct config_key *key_by_variable(const struct config_keys *keys, const char *variable)
{
	for (size_t i = 0; i < keys->count; i++)
		if (keys->list[i].variable != NULL && strcmp(keys->list[i].variable, variable) == 0)
			return &keys->list[i];
	return NULL;
}

const struct config_key *key_next_item(const struct config_keys *keys,
	const struct config_key *list, const struct config_key *item)
{
	const struct config_key *next = item != NULL ? item + 1 : list + 1;

	return next < keys->list + keys->count && next->kind == KEY_ITEM ? next : NULL;
}

static size_t min3(size_t a, size_t b, size_t c)
{
	size_t ab = a < b ? a : b;

	return ab < c ? ab : c;
}

/* Letters to insert, delete, change or swap with their neighbour (optimal string alignment). */
static size_t edit_distance(const char *a, const char *b)
{
	size_t rows[3][MAX_WORD + 1], len_a = strlen(a), len_b = strlen(b);
	size_t *before = rows[0], *above = rows[1], *row = rows[2];

	for (size_t j = 0; j <= len_b; j++)
		above[j] = j;
	for (size_t i = 1; i <= len_a; i++) {
		row[0] = i;
		for (size_t j = 1; j <= len_b; j++) {
			row[j] = min3(above[j] + 1, row[j - 1] + 1,
				above[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
				before[j - 2] + 1 < row[j])
				row[j] = before[j - 2] + 1;
		}
		size_t *free_row = before;
		before = above;
		above = row;
		row = free_row;
	}
	return above[len_b];
}

/* The distance when `word` may pass for a slip of the pen; else SIZE_MAX. */
static size_t likeness(const char *word, const char *meant)
{
	size_t len = strlen(word), meant_len = strlen(meant), allowed, distance;

	allowed = meant_len < 4 ? 1 : meant_len < 8 ? 2 : 3;
	if (len > MAX_WORD || meant_len > MAX_WORD || len > meant_len + allowed ||
		meant_len > len + allowed)
		return SIZE_MAX;
	distance = edit_distance(word, meant);
	return distance <= allowed ? distance : SIZE_MAX;
}

const struct config_key *key_like_dotted(const struct config_keys *keys, const char *dotted)
{
	const char *dot = strrchr(dotted, '.'), *name = dot != NULL ? dot + 1 : dotted;
	const struct config_key *best = NULL;
	size_t nearest = SIZE_MAX;

	for (size_t i = 0; i < keys->count; i++) {
		const struct config_key *key = &keys->list[i];
		/* The right word in the wrong section is a slip of one. */
		size_t distance = strcmp(key->name, name) == 0 ? 1 : likeness(dotted, key->dotted);
		if (key->kind != KEY_UNUSED && distance < nearest) {
			nearest = distance;
			best = key;
		}
	}
	return best;
}

const struct config_key *key_like_variable(const struct config_keys *keys, const char *variable)
{
	const struct config_key *best = NULL;
	size_t nearest = SIZE_MAX;

	for (size_t i = 0; i < keys->count; i++) {
		const struct config_key *key = &keys->list[i];
		size_t distance = SIZE_MAX;
		if (key->kind == KEY_VALUE)
			distance = likeness(variable + PREFIX, key->variable + PREFIX);
		if (distance < nearest) {
			nearest = distance;
			best = key;
		}
	}
	return best;
}
