/* SPDX-License-Identifier: MIT */
#include "lib/mime/internal.h"

#include <string.h>

/* An attachment is what says so, or has a name to be saved under. */
static enum mime_body_kind leaf_kind(const struct mime_node *leaf)
{
	const struct mime_part *part = leaf->part;

	if (part->filename != NULL ||
		(part->disposition != NULL && strcmp(part->disposition, "attachment") == 0))
		return BODY_NONE;
	if (strcmp(leaf->type, "text/plain") == 0)
		return BODY_TEXT;
	if (strcmp(leaf->type, "text/html") == 0)
		return BODY_HTML;
	return BODY_NONE;
}

static bool has_body(const struct mime_node *node, enum mime_body_kind kind)
{
	if (node->kind == NODE_LEAF)
		return node->body == kind;
	if (node->kind == NODE_MULTIPART) {
		for (const struct mime_node *c = node->first; c != NULL; c = c->next) {
			if (has_body(c, kind))
				return true;
		}
	}
	return false;
}

static void unmark(struct mime_node *node, enum mime_body_kind kind)
{
	if (node->kind == NODE_LEAF && node->body == kind)
		node->body = BODY_NONE;
	if (node->kind == NODE_MULTIPART) {
		for (struct mime_node *c = node->first; c != NULL; c = c->next)
			unmark(c, kind);
	}
}

/* RFC 2046, 5.1.4: the same content in several forms, the richest last. Of each kind one form is
 * taken: the plainest text, the richest HTML. */
static void choose_alternative(struct mime_node *node)
{
	struct mime_node *html = NULL;
	bool text = false;

	for (struct mime_node *c = node->first; c != NULL; c = c->next) {
		if (text)
			unmark(c, BODY_TEXT);
		text = text || has_body(c, BODY_TEXT);
		if (!has_body(c, BODY_HTML))
			continue;
		if (html != NULL)
			unmark(html, BODY_HTML);
		html = c;
	}
}

/* RFC 2387: the root is shown, the rest belongs to it. */
static const struct mime_node *related_root(const struct mime_node *node)
{
	for (const struct mime_node *c = node->first; c != NULL && node->root != NULL;
		c = c->next) {
		if (c->part != NULL && c->part->content_id != NULL &&
			strcmp(c->part->content_id, node->root) == 0)
			return c;
	}
	return node->first;
}

static void mark(struct mime_node *node)
{
	if (node->kind == NODE_MESSAGE || strcmp(node->type, "multipart/appledouble") == 0)
		return; /* attached, whatever it holds */
	if (node->kind == NODE_LEAF) {
		node->body = leaf_kind(node);
		return;
	}
	const struct mime_node *root = strcmp(node->type, "multipart/related") == 0
					       ? related_root(node)
					       : NULL;
	for (struct mime_node *c = node->first; c != NULL; c = c->next) {
		if (root == NULL || c == root)
			mark(c);
	}
	if (strcmp(node->type, "multipart/alternative") == 0)
		choose_alternative(node);
}

void mime_bodies_mark(struct mime_node *top)
{
	const struct mime_part *part = top->part;
	bool attachment = part != NULL && part->disposition != NULL &&
			  strcmp(part->disposition, "attachment") == 0;

	mark(top);
	/* Text that is the whole message is its body, even with a name or in a format of its own. */
	if (top->kind == NODE_LEAF && strncmp(top->type, "text/", 5) == 0 && !attachment)
		top->body = strcmp(top->type, "text/html") == 0 ? BODY_HTML : BODY_TEXT;
}

void mime_body_init(struct mime_work *w, struct mime_body *body)
{
	*body = (struct mime_body){ .found = false };
	buf_init(&body->text, w->limits->text_bytes + 1); /* the one is how an excess shows */
}

static void add_with_lf(struct buf *out, struct slice s)
{
	while (s.len > 0) {
		const char *cr = memchr(s.base, '\r', s.len);
		size_t n = cr != NULL ? (size_t)(cr - s.base) : s.len;
		mime_add_some(out, s.base, n);
		if (cr == NULL)
			break;
		if (n + 1 == s.len || s.base[n + 1] != '\n')
			mime_add_some(out, "\r", 1);
		s.base += n + 1;
		s.len -= n + 1;
	}
}

void mime_body_add(
	struct mime_work *w, struct mime_body *body, struct slice charset, struct slice decoded)
{
	static const char bom[] = "\xef\xbb\xbf";
	struct buf converted;

	if (body->text.len > 0 && body->text.base[body->text.len - 1] != '\n')
		mime_add_some(&body->text, "\n", 1);
	body->found = true;
	buf_init(&converted, 2 * body->text.max_bytes); /* the line ends will shrink */
	mime_to_utf8(w, charset, decoded, &converted);
	struct slice text = mime_text_of(&converted);
	if (text.len >= 3 && memcmp(text.base, bom, 3) == 0) {
		text.base += 3;
		text.len -= 3;
	}
	if (memchr(text.base, '\0', text.len) != NULL)
		mime_note(w, DEFECT_NUL_BYTE);
	add_with_lf(&body->text, text);
	if (converted.truncated)
		body->text.truncated = true;
	buf_deinit(&converted);
}

const char *mime_body_finish(struct mime_work *w, struct mime_body *body)
{
	size_t max = w->limits->text_bytes;
	const char *text = NULL;
	bool changed = false;

	if (body->found) {
		text = mime_clean(w, mime_text_of(&body->text), max, &changed);
		if (body->text.truncated || (changed && body->text.len > max))
			mime_note(w, DEFECT_LIMIT_TEXT);
	}
	buf_deinit(&body->text);
	return text;
}
