/* SPDX-License-Identifier: MIT */
/* Which parts a mail reader shows. The rules are those of JMAP (RFC 8621, 4.1.4), with what real mail
 * needs beside them: blank alternatives, containers of the wrong kind. */
#include "lib/mime/internal.h"

#include <string.h>

enum { BLANK_BYTES = 256 };

/* Where a part stands: what begins the message, and what is one of several forms, is shown even if it
 * has a file name. */
enum place { EARLY, LATER };

static const struct {
	const char *type;
	enum mime_body_kind kind;
} kinds[] = {
	{ "text/plain", BODY_TEXT },
	{ "text/html", BODY_HTML },
	{ "text/enriched", BODY_ENRICHED },
	{ "text/richtext", BODY_ENRICHED },
};

static enum mime_body_kind kind_of(const char *type)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(type, kinds[i].type) == 0)
			return kinds[i].kind;
	}
	return BODY_NONE;
}

static bool is_attached(const struct mime_part *part)
{
	return part->disposition != NULL && strcmp(part->disposition, "attachment") == 0;
}

/* A text with a name is a file to be saved, unless the message begins with it. */
static void mark_leaf(struct mime_node *leaf, enum place place)
{
	if (is_attached(leaf->part) || (leaf->part->filename != NULL && place == LATER))
		return;
	leaf->body = kind_of(leaf->type);
	leaf->in_text = leaf->in_html = leaf->body != BODY_NONE;
}

bool mime_has_body(const struct mime_node *node, enum mime_body_kind kind)
{
	if (node->kind == NODE_LEAF)
		return node->body == kind && (node->in_text || node->in_html);
	if (node->kind == NODE_MULTIPART) {
		for (const struct mime_node *c = node->first; c != NULL; c = c->next) {
			if (mime_has_body(c, kind))
				return true;
		}
	}
	return false;
}

static bool has_any(const struct mime_node *node)
{
	return mime_has_body(node, BODY_TEXT) || mime_has_body(node, BODY_HTML) ||
	       mime_has_body(node, BODY_ENRICHED);
}

static void unmark(struct mime_node *node, bool text, bool html)
{
	node->in_text = node->in_text && !text;
	node->in_html = node->in_html && !html;
	if (node->kind == NODE_MULTIPART) {
		for (struct mime_node *c = node->first; c != NULL; c = c->next)
			unmark(c, text, html);
	}
}

/* Nothing but white space, plain or in quoted-printable: some senders add such a text to their HTML,
 * or such an HTML to their text, and a reader that prefers it would show an empty message. */
static bool is_blank(struct slice raw, const struct mime_node *node)
{
	if (node->kind != NODE_LEAF || node->part->raw_length > BLANK_BYTES)
		return false;
	struct slice s = { raw.base + node->part->raw_offset, node->part->raw_length };
	for (size_t i = 0; i < s.len; i++) {
		if (strchr(" \t\r\n", s.base[i]) != NULL && s.base[i] != '\0')
			continue;
		if (s.base[i] != '=' || s.len - i < 3)
			return false;
		if (memcmp(s.base + i, "=20", 3) == 0 || memcmp(s.base + i, "=A0", 3) == 0)
			i += 2;
		else if (s.base[i + 1] != '\r' && s.base[i + 1] != '\n')
			return false;
	}
	return true;
}

/* RFC 2046, 5.1.4: the same content in several forms, the richest last. `text` shows the plainest,
 * `html` the richest. */
static void choose_alternative(struct slice raw, struct mime_node *node)
{
	struct mime_node *plain = NULL, *enriched = NULL, *html = NULL, *blank = NULL;

	for (struct mime_node *c = node->first; c != NULL; c = c->next) {
		if (has_any(c) && is_blank(raw, c)) {
			blank = blank == NULL || c->body == BODY_TEXT ? c : blank;
			continue;
		}
		if (mime_has_body(c, BODY_HTML))
			html = c;
		if (mime_has_body(c, BODY_TEXT)) {
			if (plain == NULL)
				plain = c;
		} else if (enriched == NULL && mime_has_body(c, BODY_ENRICHED)) {
			enriched = c;
		}
	}
	if (plain == NULL)
		plain = enriched != NULL ? enriched : html != NULL ? html : blank;
	if (html == NULL)
		html = plain;
	for (struct mime_node *c = node->first; c != NULL; c = c->next) {
		c->left_out = c != plain && c->body != BODY_NONE && c->part->filename == NULL &&
			      is_blank(raw, c);
		unmark(c, c != plain, c != html);
	}
}

static void mark(struct slice raw, struct mime_node *node, enum place place);

/* The first child that shows anything, from `c` on. */
static bool mark_one(struct slice raw, struct mime_node *c, enum place place)
{
	for (; c != NULL; c = c->next) {
		mark(raw, c, place);
		if (has_any(c))
			return true;
		place = LATER;
	}
	return false;
}

/* RFC 2387: the root is shown, the rest belongs to it. */
static void mark_related(struct slice raw, struct mime_node *node, enum place place)
{
	for (struct mime_node *c = node->first; c != NULL && node->root != NULL; c = c->next) {
		if (c->part == NULL || c->part->content_id == NULL ||
			strcmp(c->part->content_id, node->root) != 0)
			continue;
		mark(raw, c, place);
		if (has_any(c))
			return;
	}
	mark_one(raw, node->first, place);
}

static void mark(struct slice raw, struct mime_node *node, enum place place)
{
	if (node->kind == NODE_MESSAGE || strcmp(node->type, "multipart/appledouble") == 0)
		return; /* attached, whatever it holds */
	if (node->kind == NODE_LEAF) {
		mark_leaf(node, place);
	} else if (strcmp(node->type, "multipart/related") == 0) {
		mark_related(raw, node, place);
	} else if (strcmp(node->type, "multipart/signed") == 0) {
		if (node->first != NULL) /* the other one is the signature (RFC 1847) */
			mark(raw, node->first, place);
	} else if (strcmp(node->type, "multipart/report") == 0) {
		/* What a human shall read comes first, then data (RFC 6522, 3). */
		mark_one(raw, node->first, place);
	} else {
		bool alternative = strcmp(node->type, "multipart/alternative") == 0;
		for (struct mime_node *c = node->first; c != NULL; c = c->next)
			mark(raw, c, alternative ? EARLY : c == node->first ? place : LATER);
		if (alternative)
			choose_alternative(raw, node);
	}
}

void mime_bodies_mark(struct slice raw, struct mime_node *top)
{
	mark(raw, top, EARLY);
	/* Text that is the whole message is its body in whatever format it is. */
	if (top->kind != NODE_LEAF || top->body != BODY_NONE ||
		strncmp(top->type, "text/", 5) != 0 || is_attached(top->part))
		return;
	top->body = strcmp(top->type, "text/calendar") == 0 ? BODY_CALENDAR : BODY_TEXT;
	top->in_text = top->in_html = true;
}
