/* SPDX-License-Identifier: MIT */
/* Puts `text` and `html` together from the parts that a mail reader shows. */
#include "lib/mime/internal.h"

#include <string.h>

void mime_bodies_begin(struct mime_work *w, struct mime_bodies *bodies, const struct mime_node *top)
{
	size_t max = w->limits->text_bytes + 1; /* the one is how an excess shows */

	*bodies = (struct mime_bodies){ .wants_html = mime_has_body(top, BODY_HTML) };
	buf_init(&bodies->text, max);
	buf_init(&bodies->html, max);
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

static bool param_is(
	struct mime_work *w, const struct mime_node *leaf, const char *name, const char *value)
{
	const char *got = mime_param(w, leaf->content_type, name);

	return got != NULL && strcasecmp(got, value) == 0;
}

/* As UTF-8 with LF line ends, without a byte order mark. */
static void convert(
	struct mime_work *w, const struct mime_node *leaf, struct slice decoded, struct buf *out)
{
	static const struct slice bom = { "\xef\xbb\xbf", 3 };
	struct buf converted;

	buf_init(&converted, 2 * out->max_bytes); /* the line ends will shrink */
	mime_body_to_utf8(
		w, slice_str(leaf->part->charset), decoded, leaf->body == BODY_HTML, &converted);
	struct slice text = mime_text_of(&converted);
	if (slice_begins(text, bom))
		slice_skip(&text, bom.len);
	if (memchr(text.base, '\0', text.len) != NULL)
		mime_note(w, DEFECT_NUL_BYTE);
	add_with_lf(out, text);
	if (converted.truncated)
		out->truncated = true;
	buf_deinit(&converted);
}

/* The leaf as plain text in `out`, and true; or false when `text` is that already. */
static bool render(
	struct mime_work *w, const struct mime_node *leaf, struct slice text, struct buf *out)
{
	switch (leaf->body) {
	case BODY_HTML:
		mime_html_to_text(text, out);
		break;
	case BODY_ENRICHED:
		mime_enriched_to_text(text, strcmp(leaf->type, "text/richtext") == 0, out);
		break;
	case BODY_CALENDAR:
		mime_calendar_to_text(text, out);
		break;
	case BODY_TEXT:
		if (!param_is(w, leaf, "format", "flowed"))
			return false;
		mime_unflow(text, param_is(w, leaf, "delsp", "yes"), out);
		return true;
	case BODY_NONE:
		return false;
	}
	w->m->text_is_derived = w->m->text_is_derived || leaf->in_text;
	return true;
}

/* Appends the piece on a line of its own. The first one is not copied, but changes hands. */
static void add_piece(struct buf *body, struct buf *piece)
{
	if (body->len == 0) {
		struct buf empty = *body;
		*body = *piece;
		*piece = empty;
	} else {
		if (body->base[body->len - 1] != '\n')
			mime_add_some(body, "\n", 1);
		mime_add_some(body, piece->base, piece->len);
	}
	if (piece->truncated)
		body->truncated = true;
}

static void add_as_html(struct buf *body, const struct buf *text)
{
	struct buf html;

	if (slice_trim(mime_text_of(text)).len == 0)
		return;
	buf_init(&html, body->max_bytes);
	mime_text_to_html(mime_text_of(text), &html);
	html.truncated = html.truncated || text->truncated;
	add_piece(body, &html);
	buf_deinit(&html);
}

void mime_bodies_add(struct mime_work *w, struct mime_bodies *bodies, const struct mime_node *leaf,
	struct slice decoded)
{
	bool is_html = leaf->body == BODY_HTML, in_html = leaf->in_html && bodies->wants_html;
	struct buf text, rendered, *plain = &text;

	buf_init(&text, bodies->text.max_bytes);
	buf_init(&rendered, bodies->text.max_bytes);
	convert(w, leaf, decoded, &text);
	if ((leaf->in_text || !is_html) && render(w, leaf, mime_text_of(&text), &rendered)) {
		rendered.truncated = rendered.truncated || text.truncated;
		plain = &rendered;
	}
	if (in_html && is_html)
		add_piece(&bodies->html, &text);
	else if (in_html)
		add_as_html(&bodies->html, plain);
	if (leaf->in_text)
		add_piece(&bodies->text, plain);
	bodies->has_html = bodies->has_html || in_html;
	bodies->has_text = bodies->has_text || leaf->in_text;
	buf_deinit(&text);
	buf_deinit(&rendered);
}

static const char *finish(struct mime_work *w, struct buf *body, bool found)
{
	size_t max = w->limits->text_bytes;
	const char *text = NULL;
	bool changed = false;

	if (found) {
		text = mime_clean(w, mime_text_of(body), max, &changed);
		if (body->truncated || (changed && body->len > max))
			mime_note(w, DEFECT_LIMIT_TEXT);
	}
	buf_deinit(body);
	return text;
}

void mime_bodies_end(struct mime_work *w, struct mime_bodies *bodies)
{
	struct mime_message *m = w->m;

	m->html = finish(w, &bodies->html, bodies->has_html);
	m->text = finish(w, &bodies->text, bodies->has_text);
	if (m->text != NULL)
		m->reply_text = mime_reply_text(w, m->text);
}
