/* SPDX-License-Identifier: MIT */
#include "lib/config/yaml_tree.h"

#include <string.h>
#include <yaml.h>

struct reader {
	struct findings *findings;
	struct arena *arena;
	const char *source;
	const char *text;
	size_t len;
	yaml_parser_t parser;
	unsigned nodes;
};

static struct origin origin_of(const struct reader *r, yaml_mark_t mark)
{
	return (struct origin){ r->source, (unsigned)mark.line + 1, (unsigned)mark.column + 1 };
}

static void refuse(struct reader *r, yaml_mark_t mark, const char *pointer, const char *message)
{
	findings_add(r->findings, CONFIG_ERROR, origin_of(r, mark), pointer, "%s", message);
}

/* libyaml gives no mark, only an offset, for bytes that are not text. */
static yaml_mark_t mark_at_offset(const struct reader *r, size_t offset)
{
	yaml_mark_t mark = { .index = offset };

	for (size_t i = 0; i < offset && i < r->len; i++) {
		if (r->text[i] == '\n') {
			mark.line++;
			mark.column = 0;
		} else if (((unsigned char)r->text[i] & 0xc0) != 0x80) {
			mark.column++;
		}
	}
	return mark;
}

static bool begins_with_tab(const struct reader *r, yaml_mark_t mark)
{
	const char *line = r->text;

	for (size_t n = mark.line; n > 0 && line != NULL; n--) {
		line = strchr(line, '\n');
		line = line != NULL ? line + 1 : NULL;
	}
	return line != NULL && line[strspn(line, " ")] == '\t';
}

static void add_encoding_error(struct reader *r)
{
	const yaml_parser_t *p = &r->parser;

	findings_add(r->findings, CONFIG_ERROR, origin_of(r, mark_at_offset(r, p->problem_offset)),
		"", "not text in UTF-8 (%s): save the file as plain text in UTF-8", p->problem);
}

static void add_syntax_error(struct reader *r)
{
	const yaml_parser_t *p = &r->parser;
	struct origin at = origin_of(r, p->problem_mark);

	if (begins_with_tab(r, p->problem_mark))
		refuse(r, p->problem_mark, "", "indented with a tab: YAML takes spaces only");
	else if (p->context != NULL && p->context_mark.line != p->problem_mark.line)
		findings_add(r->findings, CONFIG_ERROR, at, "",
			"not valid YAML: %s, %s that begins on line %zu: write `key: value`, "
			"indented with spaces",
			p->problem, p->context, p->context_mark.line + 1);
	else
		findings_add(r->findings, CONFIG_ERROR, at, "",
			"not valid YAML: %s: write `key: value`, indented with spaces", p->problem);
}

static bool next_event(struct reader *r, yaml_event_t *event_r)
{
	if (yaml_parser_parse(&r->parser, event_r))
		return true;
	if (r->parser.error == YAML_MEMORY_ERROR)
		abort();
	if (r->parser.error == YAML_READER_ERROR)
		add_encoding_error(r);
	else
		add_syntax_error(r);
	return false;
}

/* What every node must satisfy, before anything is allocated for it. */
static bool admit(struct reader *r, const yaml_event_t *event, const char *pointer, unsigned depth)
{
	bool has_anchor = event->type == YAML_ALIAS_EVENT ||
			  (event->type == YAML_SCALAR_EVENT && event->data.scalar.anchor != NULL) ||
			  (event->type == YAML_SEQUENCE_START_EVENT &&
				  event->data.sequence_start.anchor != NULL) ||
			  (event->type == YAML_MAPPING_START_EVENT &&
				  event->data.mapping_start.anchor != NULL);

	if (has_anchor)
		refuse(r, event->start_mark, pointer,
			"anchors (&name) and aliases (*name) are not used here: write the value "
			"out, "
			"or put it in quotes when it is meant to begin with that sign");
	else if (depth > YAML_MAX_DEPTH)
		refuse(r, event->start_mark, pointer,
			"nested too deeply: a configuration has keys, sections and lists, no more");
	else if (r->nodes++ >= YAML_MAX_NODES)
		refuse(r, event->start_mark, pointer,
			"too many values for a configuration: is this the right file?");
	else
		return true;
	return false;
}

static struct node *read_scalar(struct reader *r, const yaml_event_t *event, const char *pointer)
{
	const char *text = (const char *)event->data.scalar.value;
	const char *tag = (const char *)event->data.scalar.tag;
	size_t len = event->data.scalar.length;
	struct origin at = origin_of(r, event->start_mark);

	if (memchr(text, '\0', len) != NULL) {
		refuse(r, event->start_mark, pointer, "holds a NUL character: leave it out");
		return NULL;
	}
	if (len > YAML_MAX_TEXT) {
		findings_add(r->findings, CONFIG_ERROR, at, pointer,
			"too long: use at most %d bytes", YAML_MAX_TEXT);
		return NULL;
	}
	if (tag == NULL)
		return event->data.scalar.plain_implicit ? node_scalar(r->arena, text, at)
							 : node_string(r->arena, text, at);
	if (strcmp(tag, YAML_STR_TAG) == 0 || strcmp(tag, "!") == 0)
		return node_string(r->arena, text, at);
	if (strncmp(tag, "tag:yaml.org,2002:", 18) == 0)
		return node_scalar(r->arena, text, at);
	refuse(r, event->start_mark, pointer,
		"tags (!name) are not used here: leave it out, or put the value in quotes when it "
		"is "
		"meant to begin with that sign");
	return NULL;
}

static struct node *read_node(
	struct reader *r, const yaml_event_t *event, const char *pointer, unsigned depth);

static struct node *read_list(
	struct reader *r, const yaml_event_t *start, const char *pointer, unsigned depth)
{
	struct node *list = node_new(r->arena, NODE_LIST, origin_of(r, start->start_mark));

	for (size_t i = 0;; i++) {
		yaml_event_t event;
		if (!next_event(r, &event))
			return NULL;
		if (event.type == YAML_SEQUENCE_END_EVENT) {
			yaml_event_delete(&event);
			return list;
		}
		const char *step = arena_printf(r->arena, "%zu", i);
		struct node *item = read_node(
			r, &event, pointer_join(r->arena, pointer, step), depth + 1);
		yaml_event_delete(&event);
		if (item == NULL)
			return NULL;
		node_append(r->arena, list, item);
	}
}

static void add_entry(struct reader *r, struct node *map, const char *pointer, const char *key,
	struct origin at, struct node *value)
{
	const struct member *first = node_member(map, key);

	if (first == NULL)
		node_set(r->arena, map, key, at, value);
	else
		findings_add(r->findings, CONFIG_ERROR, at, pointer,
			"is set twice, first at line %u, column %u: keep one of the two",
			first->key_at.line, first->key_at.column);
}

/* One `key: value`, whose key has been read. */
static bool read_entry(struct reader *r, struct node *map, const yaml_event_t *key,
	const char *parent, unsigned depth)
{
	yaml_event_t event;
	const struct node *name;
	struct node *value;
	const char *pointer;

	if (key->type != YAML_SCALAR_EVENT) {
		refuse(r, key->start_mark, parent, "a key must be a word");
		return false;
	}
	if (!admit(r, key, parent, depth))
		return false;
	name = read_scalar(r, key, parent);
	if (name == NULL || !next_event(r, &event))
		return false;
	pointer = pointer_join(r->arena, parent, name->text);
	value = read_node(r, &event, pointer, depth + 1);
	yaml_event_delete(&event);
	if (value == NULL)
		return false;
	add_entry(r, map, pointer, name->text, name->at, value);
	return true;
}

static struct node *read_map(
	struct reader *r, const yaml_event_t *start, const char *pointer, unsigned depth)
{
	struct node *map = node_new(r->arena, NODE_MAP, origin_of(r, start->start_mark));

	for (;;) {
		yaml_event_t event;
		if (!next_event(r, &event))
			return NULL;
		if (event.type == YAML_MAPPING_END_EVENT) {
			yaml_event_delete(&event);
			return map;
		}
		bool ok = read_entry(r, map, &event, pointer, depth);
		yaml_event_delete(&event);
		if (!ok)
			return NULL;
	}
}

/* The node that `event` begins; NULL when the text cannot be read further. */
static struct node *read_node(
	struct reader *r, const yaml_event_t *event, const char *pointer, unsigned depth)
{
	if (!admit(r, event, pointer, depth))
		return NULL;
	switch (event->type) {
	case YAML_SCALAR_EVENT:
		return read_scalar(r, event, pointer);
	case YAML_SEQUENCE_START_EVENT:
		return read_list(r, event, pointer, depth);
	default:
		return read_map(r, event, pointer, depth);
	}
}

/* The next event that is not one of those that frame the stream. */
static bool next_content(struct reader *r, yaml_event_t *event_r)
{
	for (;;) {
		if (!next_event(r, event_r))
			return false;
		if (event_r->type != YAML_STREAM_START_EVENT &&
			event_r->type != YAML_DOCUMENT_START_EVENT &&
			event_r->type != YAML_DOCUMENT_END_EVENT)
			return true;
		yaml_event_delete(event_r);
	}
}

static struct node *read_document(struct reader *r)
{
	yaml_event_t event;
	struct node *root;

	if (!next_content(r, &event))
		return NULL;
	if (event.type == YAML_STREAM_END_EVENT)
		root = node_new(r->arena, NODE_NULL, origin_of(r, event.start_mark));
	else
		root = read_node(r, &event, "", 0);
	bool is_end = event.type == YAML_STREAM_END_EVENT;
	yaml_event_delete(&event);
	if (root == NULL || is_end)
		return root;
	if (!next_content(r, &event))
		return NULL;
	if (event.type != YAML_STREAM_END_EVENT) {
		refuse(r, event.start_mark, "",
			"a second document begins here: keep one, and take the line --- out");
		root = NULL;
	}
	yaml_event_delete(&event);
	return root;
}

struct node *yaml_read(struct findings *findings, const char *source, const char *text, size_t len)
{
	struct reader r = {
		.findings = findings,
		.arena = findings->arena,
		.source = source,
		.text = text,
		.len = len,
	};
	struct node *root;

	if (!yaml_parser_initialize(&r.parser))
		abort();
	yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, len);
	root = read_document(&r);
	yaml_parser_delete(&r.parser);
	return root;
}
