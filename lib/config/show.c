/* SPDX-License-Identifier: MIT */
#include "lib/config/show.h"

#include <ctype.h>
#include <string.h>

enum { SHOWN_BYTES = 1024 * 1024 };

static const char hidden[] = "(hidden)";

/* Whether the text, written without quotes, is read as the same text again. */
static bool is_plain(const char *text)
{
	struct arena *scratch = arena_new();
	bool is_string = node_scalar(scratch, text, (struct origin){ 0 })->type == NODE_STRING;

	arena_free(&scratch);
	if (!is_string || !(isalpha((unsigned char)text[0]) || text[0] == '/'))
		return false;
	for (; *text != '\0'; text++)
		if (!isalnum((unsigned char)*text) && strchr("_/.-", *text) == NULL)
			return false;
	return true;
}

static void add_text(struct buf *out, const char *text)
{
	struct buf json;

	if (is_plain(text)) {
		buf_puts(out, text);
		return;
	}
	buf_init(&json, SHOWN_BYTES);
	buf_json_string(&json, text);
	buf_puts(out, json.base);
	buf_deinit(&json);
}

/* A database's URL without its passwords. The last "@" ends the one of its user, so that a password
 * that should have been encoded, and was not, stays hidden as well; of a parameter or keyword that
 * is called password, all that follows is hidden. */
static void add_url(struct arena *scratch, struct buf *out, const char *url)
{
	const char *scheme = strstr(url, "://"), *at = strrchr(url, '@'), *colon = NULL;
	const char *password, *shown = url;

	if (scheme != NULL && at != NULL)
		colon = memchr(scheme + 3, ':', (size_t)(at - scheme - 3));
	if (colon != NULL)
		shown = arena_printf(scratch, "%.*s:%s%s", (int)(colon - url), url, hidden, at);
	password = strcasestr(shown, "password");
	if (password != NULL)
		shown = arena_printf(
			scratch, "%.*spassword=%s", (int)(password - shown), shown, hidden);
	add_text(out, shown);
}

static void add_value(struct arena *scratch, struct buf *out, const struct config_key *key,
	const struct node *value)
{
	const char *secret = node_get_text(key->rules, "x-secret");

	if (value->text == NULL)
		add_text(out, "(not valid)");
	else if (value->type != NODE_STRING)
		buf_puts(out, value->text);
	else if (secret == NULL || value->text[0] == '\0')
		add_text(out, value->text);
	else if (strcmp(secret, "password") == 0)
		add_url(scratch, out, value->text);
	else
		add_text(out, hidden);
}

static void add_origin(struct buf *out, const struct origin *at)
{
	buf_puts(out, "  # ");
	for (const char *p = at->source; *p != '\0'; p++)
		buf_putc(out, iscntrl((unsigned char)*p) ? '?' : *p);
	if (at->line > 0)
		buf_printf(out, ":%u:%u", at->line, at->column);
	buf_putc(out, '\n');
}

/* Sections hold no sections. */
static const char *indent_of(const struct config_key *key)
{
	return strchr(key->dotted, '.') != NULL ? "  " : "";
}

static void add_key(struct arena *scratch, struct buf *out, const struct config_key *key,
	const struct node *value)
{
	const char *indent = indent_of(key);

	buf_printf(out, "%s%s:", indent, key->name);
	if (key->kind == KEY_SECTION) {
		buf_putc(out, '\n');
		return;
	}
	if (value->type == NODE_LIST && value->first == NULL) {
		buf_puts(out, " []");
		add_origin(out, &value->at);
		return;
	}
	if (value->type == NODE_LIST && node_get(key->rules, "items") != NULL) {
		add_origin(out, &value->at);
		for (const struct member *m = value->first; m != NULL; m = m->next) {
			buf_printf(out, "%s  - ", indent);
			add_value(scratch, out, key, m->value);
			buf_putc(out, '\n');
		}
		return;
	}
	buf_putc(out, ' ');
	add_value(scratch, out, key, value);
	add_origin(out, &value->at);
}

/* On one line: `["a", "b"]`. */
static void add_short_list(struct buf *out, const struct node *list)
{
	struct buf json;

	buf_init(&json, SHOWN_BYTES);
	node_json(&json, list);
	buf_puts(out, json.base);
	buf_deinit(&json);
}

/* A token that was read from a file is shown as the file's name. */
static bool is_kept_in_file(const char *file, const struct node *value)
{
	return file != NULL && strcmp(value->at.source, file) == 0;
}

static void add_object(struct arena *scratch, struct buf *out, const struct config_keys *keys,
	const struct config_key *list, const struct node *object)
{
	const char *file = node_get_text(object, "token_file"), *bullet = "  - ";
	const char *indent = indent_of(list);

	for (const struct config_key *key = NULL; (key = key_next_item(keys, list, key)) != NULL;) {
		const struct node *value = node_get(object, key->name);
		if (value == NULL || is_kept_in_file(file, value))
			continue;
		buf_printf(out, "%s%s%s: ", indent, bullet, key->name);
		bullet = "    ";
		if (value->type == NODE_LIST)
			add_short_list(out, value);
		else
			add_value(scratch, out, key, value);
		add_origin(out, &value->at);
	}
}

static void add_objects(struct arena *scratch, struct buf *out, const struct config_keys *keys,
	const struct config_key *key, const struct node *list)
{
	if (list->type != NODE_LIST || list->first == NULL) {
		add_key(scratch, out, key, list);
		return;
	}
	buf_printf(out, "%s%s:", indent_of(key), key->name);
	add_origin(out, &list->at);
	for (const struct member *m = list->first; m != NULL; m = m->next)
		add_object(scratch, out, keys, key, m->value);
}

char *config_show(const struct config_keys *keys, struct node *root)
{
	const char *token_file = node_get_text(root, "bearer_token_file");
	struct arena *scratch = arena_new();
	struct buf out;

	buf_init(&out, SHOWN_BYTES);
	buf_puts(&out, "");
	for (size_t i = 0; i < keys->count; i++) {
		const struct config_key *key = &keys->list[i];
		if (key->kind == KEY_ITEM)
			continue;
		const struct node *value = node_at(root, key->pointer);
		if (value == NULL || (strcmp(key->dotted, "bearer_token") == 0 &&
					     is_kept_in_file(token_file, value)))
			continue;
		if (key->kind == KEY_LIST)
			add_objects(scratch, &out, keys, key, value);
		else
			add_key(scratch, &out, key, value);
	}
	arena_free(&scratch);
	return out.base;
}
