/* SPDX-License-Identifier: MIT */
#include "lib/config/token.h"
#include "lib/config/file.h"
#include "lib/config/yaml_tree.h"
#include "lib/digest.h"
#include "lib/utf8.h"

#include <string.h>

enum { MIN_CHARACTERS = 16 }; /* bearer_token's minLength */

static const char token_pointer[] = "/bearer_token", file_pointer[] = "/bearer_token_file";

static void check_mode(
	struct merge *m, const struct node *file, const char *pointer, const struct stat *status)
{
	if ((status->st_mode & (S_IRGRP | S_IROTH)) != 0)
		findings_add(m->findings, CONFIG_WARNING, file->at, pointer,
			"%s can be read by other users: chmod 600",
			findings_quote(m->arena, file->text));
}

/* What the file holds, without the end of its line; NULL, with an error, when that is no token. */
static char *read_token(struct merge *m, const struct node *file, const char *pointer)
{
	struct stat status = { 0 };
	size_t len;
	char *text = config_file_read(
		m->findings, file->at, pointer, file->text, YAML_MAX_TEXT, &len, &status);

	if (text == NULL)
		return NULL;
	check_mode(m, file, pointer, &status);
	while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
		text[--len] = '\0';
	if (len > 0 && utf8_is_clean(text, len))
		return text;
	findings_add(m->findings, CONFIG_ERROR, file->at, pointer,
		"%s holds no token: write one into it, on one line; `mailserver token` makes one",
		findings_quote(m->arena, file->text));
	return NULL;
}

static void read_bearer_token(struct merge *m)
{
	const struct node *token = node_get(m->root, "bearer_token");
	const struct node *file = node_get(m->root, "bearer_token_file");

	if (file == NULL || file->type != NODE_STRING)
		return;
	if (token != NULL) {
		findings_add(m->findings, CONFIG_WARNING, file->at, file_pointer,
			"not used, because bearer_token is set as well: keep one of the two");
		return;
	}
	const char *text = read_token(m, file, file_pointer);
	if (text != NULL)
		merge_set(m, key_by_dotted(m->keys, "bearer_token"),
			node_string(m->arena, text, (struct origin){ .source = file->text }));
}

/* The rules of bearer_token; the judge sees only a digest. */
static bool is_strong(const char *text)
{
	size_t len = strlen(text);

	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return false;
	return len >= MIN_CHARACTERS;
}

static const char *hex_digest(struct arena *arena, const char *text)
{
	char *hex = arena_alloc(arena, SHA256_HEX + 1);
	uint8_t digest[SHA256_BYTES];

	sha256(text, strlen(text), digest);
	hex_encode(digest, sizeof(digest), hex);
	return hex;
}

static void read_listed_token(struct merge *m, struct node *token, const char *pointer)
{
	const char *at_file = pointer_join(m->arena, pointer, "token_file");
	const struct node *file = node_get(token, "token_file");
	const char *text;

	if (file == NULL && node_get(token, "sha256") == NULL)
		findings_add(m->findings, CONFIG_ERROR, token->at, pointer,
			"neither sha256 nor token_file is set: set one of the two; `mailserver "
			"token` makes a token");
	if (file == NULL || file->type != NODE_STRING)
		return;
	if (node_get(token, "sha256") != NULL) {
		findings_add(m->findings, CONFIG_ERROR, file->at, at_file,
			"sha256 is set as well: keep one of the two");
		return;
	}
	text = read_token(m, file, at_file);
	if (text == NULL)
		return;
	struct origin at = { .source = file->text };
	if (is_strong(text))
		node_set(m->arena, token, "sha256", at,
			node_string(m->arena, hex_digest(m->arena, text), at));
	else
		findings_add(m->findings, CONFIG_ERROR, file->at, at_file,
			"the token in %s is not usable: use at least %d characters, none of them a "
			"control character; `mailserver token` makes one",
			findings_quote(m->arena, file->text), MIN_CHARACTERS);
}

static const struct member *listed_tokens(const struct merge *m)
{
	const struct node *tokens = node_get(m->root, "tokens");

	return tokens != NULL && tokens->type == NODE_LIST ? tokens->first : NULL;
}

void config_token_read(struct merge *m)
{
	unsigned i = 0;

	read_bearer_token(m);
	for (const struct member *t = listed_tokens(m); t != NULL; t = t->next, i++)
		if (t->value->type == NODE_MAP)
			read_listed_token(m, t->value, arena_printf(m->arena, "/tokens/%u", i));
}

/* What one token is told from another by. */
struct seen {
	const char *pointer;
	const char *name;   /* NULL: has none */
	const char *sha256; /* NULL: has none, or it is not a digest */
	struct origin name_at, sha256_at;
};

static struct seen see(struct merge *m, const struct node *token, unsigned index)
{
	const struct node *name = node_get(token, "name"), *hex = node_get(token, "sha256");
	const struct node *file = node_get(token, "token_file");
	struct seen s = { .pointer = arena_printf(m->arena, "/tokens/%u", index) };
	uint8_t ignored[SHA256_BYTES];

	if (name != NULL && name->type == NODE_STRING) {
		s.name = name->text;
		s.name_at = name->at;
	}
	if (hex != NULL && hex->type == NODE_STRING &&
		hex_decode(hex->text, ignored, sizeof(ignored))) {
		s.sha256 = hex->text;
		s.sha256_at = file != NULL ? file->at : hex->at;
	}
	return s;
}

static struct seen see_bearer_token(struct merge *m)
{
	const struct node *token = node_get(m->root, "bearer_token");

	if (token == NULL || token->type != NODE_STRING)
		return (struct seen){ .pointer = token_pointer };
	return (struct seen){
		.pointer = token_pointer,
		.name = "bearer_token",
		.name_at = token->at,
		.sha256 = hex_digest(m->arena, token->text),
		.sha256_at = token->at,
	};
}

static void compare(struct merge *m, const struct seen *first, const struct seen *second)
{
	if (first->name != NULL && second->name != NULL && strcmp(first->name, second->name) == 0)
		findings_add(m->findings, CONFIG_ERROR, second->name_at,
			pointer_join(m->arena, second->pointer, "name"),
			"%s is the name of %s already: give each token a name of its own",
			findings_quote(m->arena, second->name),
			findings_place(m->arena, first->pointer, first->name_at));
	if (first->sha256 != NULL && second->sha256 != NULL &&
		strcasecmp(first->sha256, second->sha256) == 0)
		findings_add(m->findings, CONFIG_ERROR, second->sha256_at,
			pointer_join(m->arena, second->pointer, "sha256"),
			"the same token as %s: make another one, or take one of the two out",
			findings_place(m->arena, first->pointer, first->sha256_at));
}

static void check_duplicates(struct merge *m)
{
	size_t count = 1;
	const struct member *list = listed_tokens(m);

	for (const struct member *t = list; t != NULL; t = t->next)
		count++;
	struct seen *seen = arena_alloc(m->arena, count * sizeof(*seen));
	seen[0] = see_bearer_token(m);
	for (size_t i = 1; i < count; i++, list = list->next) {
		seen[i] = see(m, list->value, (unsigned)i - 1);
		for (size_t j = 0; j < i; j++)
			compare(m, &seen[j], &seen[i]);
	}
}

void config_token_check(struct merge *m, const char *source, bool need_token)
{
	static const char cure[] = "set bearer_token_file, bearer_token or tokens; `mailserver "
				   "token` makes one";
	struct origin at = { .source = source };

	check_duplicates(m);
	if (node_get(m->root, "bearer_token") != NULL ||
		node_get(m->root, "bearer_token_file") != NULL || listed_tokens(m) != NULL)
		return;
	if (need_token)
		findings_add(m->findings, CONFIG_ERROR, at, token_pointer, "not set: %s", cure);
	else
		findings_add(m->findings, CONFIG_WARNING, at, token_pointer,
			"not set, and the server refuses to start with none: %s", cure);
}
