/* SPDX-License-Identifier: MIT */
#include "lib/config/config.h"
#include "lib/config/bind.h"
#include "lib/config/check.h"
#include "lib/config/file.h"
#include "lib/config/findings.h"
#include "lib/config/judge.h"
#include "lib/config/merge.h"
#include "lib/config/show.h"
#include "lib/config/token.h"
#include "lib/config/yaml_tree.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct config_result {
	struct arena *arena;
	const char *file;
	struct config_keys keys;
	struct findings findings;
	struct node *root;
	struct config *config;
};

static const char *choose_file(struct arena *arena, const char *named)
{
	const char *variable = getenv("MAIL_CONFIG");

	if (named != NULL)
		return arena_strdup(arena, named);
	if (variable != NULL && variable[0] != '\0')
		return arena_strdup(arena, variable);
	return config_file_find(arena);
}

/* False when there is a file and nothing can be said about what is in it. */
static bool read_file(struct config_result *r, struct merge *m)
{
	const struct node *document;
	size_t len;
	char *text;

	if (r->file == NULL)
		return true;
	text = config_file_read(&r->findings, (struct origin){ .source = r->file }, "", r->file,
		YAML_MAX_BYTES, &len, NULL);
	if (text == NULL)
		return false;
	document = yaml_read(&r->findings, r->file, text, len);
	if (document == NULL)
		return false;
	merge_file(m, document);
	return true;
}

static void bind(struct config_result *r)
{
	const char *error = NULL;

	r->config = config_bind(r->root, &error);
	if (r->config == NULL)
		findings_add(&r->findings, CONFIG_ERROR,
			(struct origin){ .source = "configuration" }, "",
			"the schema allows what the program cannot hold (%s): report this", error);
}

struct config_result *config_load(const struct config_request *request)
{
	struct arena *arena = arena_new();
	struct config_result *r = arena_zalloc(arena, sizeof(*r));
	struct merge m = { arena, &r->findings, &r->keys, NULL, request->strict };
	bool is_known;

	r->arena = arena;
	r->findings.arena = arena;
	r->keys = config_keys_read(arena);
	r->file = choose_file(arena, request->file);
	r->root = m.root = node_new(arena, NODE_MAP, (struct origin){ .source = "default" });

	is_known = read_file(r, &m);
	merge_environment(&m, environ);
	merge_overrides(&m, request->overrides, request->override_count);
	config_token_read(&m);
	if (is_known)
		config_token_check(
			&m, r->file != NULL ? r->file : "configuration", request->need_token);
	config_judge(&r->findings, &r->keys, r->root);
	merge_defaults(&m);
	config_check(&m);
	config_derive(&m);
	if (r->findings.all.errors == 0)
		bind(r);
	findings_sort(&r->findings);
	return r;
}

void config_result_free(struct config_result **r)
{
	struct arena *arena;

	if (*r == NULL)
		return;
	arena = (*r)->arena;
	config_bind_free(&(*r)->config);
	arena_free(&arena);
	*r = NULL;
}

const struct config_findings *config_result_findings(const struct config_result *r)
{
	return &r->findings.all;
}

const struct config *config_result_config(const struct config_result *r)
{
	return r->config;
}

const char *config_result_file(const struct config_result *r)
{
	return r->file;
}

static bool is_same(const struct node *a, const struct node *b)
{
	struct buf left, right;

	buf_init(&left, SIZE_MAX);
	buf_init(&right, SIZE_MAX);
	node_json(&left, a);
	node_json(&right, b);
	bool same = left.len == right.len && memcmp(left.base, right.base, left.len) == 0;
	buf_deinit(&left);
	buf_deinit(&right);
	return same;
}

void config_result_compare(const struct config_result *a, const struct config_result *b,
	void (*changed)(void *data, const char *key), void *data)
{
	for (size_t i = 0; i < a->keys.count; i++) {
		const struct config_key *key = &a->keys.list[i];
		if ((key->kind == KEY_VALUE || key->kind == KEY_LIST) &&
			!is_same(node_at(a->root, key->pointer), node_at(b->root, key->pointer)))
			changed(data, key->dotted);
	}
}

char *config_result_show(const struct config_result *r)
{
	return config_show(&r->keys, r->root);
}
