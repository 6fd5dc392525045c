/* SPDX-License-Identifier: MIT */
#include "lib/config/token.h"
#include "lib/config/file.h"
#include "lib/config/yaml_tree.h"
#include "lib/utf8.h"

#include <string.h>

static const char token_pointer[] = "/bearer_token", file_pointer[] = "/bearer_token_file";

static void check_mode(struct merge *m, const struct node *file, const struct stat *status)
{
	if ((status->st_mode & (S_IRGRP | S_IROTH)) != 0)
		findings_add(m->findings, CONFIG_WARNING, file->at, file_pointer,
			"%s can be read by other users: chmod 600",
			findings_quote(m->arena, file->text));
}

void config_token_read(struct merge *m)
{
	const struct node *token = node_get(m->root, "bearer_token");
	const struct node *file = node_get(m->root, "bearer_token_file");
	struct stat status = { 0 };
	size_t len;
	char *text;

	if (file == NULL || file->type != NODE_STRING)
		return;
	if (token != NULL) {
		findings_add(m->findings, CONFIG_WARNING, file->at, file_pointer,
			"not used, because bearer_token is set as well: keep one of the two");
		return;
	}
	text = config_file_read(
		m->findings, file->at, file_pointer, file->text, YAML_MAX_TEXT, &len, &status);
	if (text == NULL)
		return;
	check_mode(m, file, &status);
	while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
		text[--len] = '\0';
	if (len == 0 || !utf8_is_clean(text, len))
		findings_add(m->findings, CONFIG_ERROR, file->at, file_pointer,
			"%s holds no token: write one into it, on one line; `mailserver token` "
			"makes one",
			findings_quote(m->arena, file->text));
	else
		merge_set(m, key_by_dotted(m->keys, "bearer_token"),
			node_string(m->arena, text, (struct origin){ .source = file->text }));
}

void config_token_check(struct merge *m, const char *source, bool need_token)
{
	static const char cure[] =
		"set bearer_token_file or bearer_token; `mailserver token` makes one";
	struct origin at = { .source = source };

	if (node_get(m->root, "bearer_token") != NULL ||
		node_get(m->root, "bearer_token_file") != NULL)
		return;
	if (need_token)
		findings_add(m->findings, CONFIG_ERROR, at, token_pointer, "not set: %s", cure);
	else
		findings_add(m->findings, CONFIG_WARNING, at, token_pointer,
			"not set, and the server refuses to start with none: %s", cure);
}
