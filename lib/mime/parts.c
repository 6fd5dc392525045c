/* SPDX-License-Identifier: MIT */
#include "lib/mime/decode.h"
#include "lib/mime/internal.h"

#include <ctype.h>
#include <gmime/gmime.h>
#include <string.h>

enum {
	CHUNK = 16 * 1024,
	MAX_INNER = 64 * 1024 * 1024, /* decoded bytes of a part that is looked into */
};

/* One look at the structure. */
struct walk {
	struct mime_work *w;
	const struct mime_scan *scan;
	const char *raw;
	size_t len;
	size_t messages; /* met so far: the next one's index in the scan's list */
	size_t depth;
	struct mime_bodies bodies;
	struct mime_inner inner;
};

static const char *type_of(struct walk *walk, GMimeObject *object)
{
	GMimeContentType *type = g_mime_object_get_content_type(object);
	char *s = arena_printf(walk->w->arena, "%.120s/%.120s",
		g_mime_content_type_get_media_type(type),
		g_mime_content_type_get_media_subtype(type));

	/* ASCII only, since the bytes of a type can be anything and may have been cut above. */
	for (char *p = s; *p != '\0'; p++)
		*p = (unsigned char)*p > ' ' && (unsigned char)*p < 0x7f
			     ? (char)tolower((unsigned char)*p)
			     : '_';
	return s;
}

/* "image/ jpeg": blanks around the slash, which GMime reads too. */
static bool is_spaced_type(struct slice value)
{
	const char *end = memchr(value.base, ';', value.len);

	value = slice_trim(
		(struct slice){ value.base, end != NULL ? (size_t)(end - value.base) : value.len });
	const char *slash = memchr(value.base, '/', value.len);
	return slash != NULL && slash > value.base && slash + 1 < value.base + value.len;
}

/* A type that is none means text (RFC 2045, 5.2). */
static const char *leaf_type_of(
	struct walk *walk, GMimeObject *object, const struct mime_fields *fields)
{
	struct slice value = mime_fields_last(fields, "content-type");
	const char *token = mime_token(walk->w, value);
	const char *slash = token != NULL ? strchr(token, '/') : NULL;

	if (slice_trim(value).len == 0 || is_spaced_type(value) ||
		(slash != NULL && slash > token && slash[1] != '\0'))
		return type_of(walk, object);
	mime_note(walk->w, DEFECT_BAD_CONTENT_TYPE);
	return "text/plain";
}

/* Widens `*section` to hold the fields that GMime has in this list. */
static void cover(struct walk *walk, GMimeHeaderList *list, struct mime_range *section)
{
	int count = g_mime_header_list_get_count(list);

	if (count == 0)
		return;
	GMimeHeader *first = g_mime_header_list_get_header_at(list, 0);
	GMimeHeader *last = g_mime_header_list_get_header_at(list, count - 1);
	size_t start = (size_t)g_mime_header_get_offset(first);
	size_t end = (size_t)g_mime_header_get_offset(last) + strlen(g_mime_header_get_name(last)) +
		     strlen(g_mime_header_get_raw_value(last)) + 1;
	if (start < section->start)
		section->start = start;
	if (end > section->end)
		section->end = end < walk->len ? end : walk->len;
}

/* The fields of a part from the message itself: GMime saw only a few, and those masked. */
static struct mime_fields fields_of(struct walk *walk, GMimeObject *object, GMimeMessage *message)
{
	struct mime_range section = { walk->len, 0 };

	cover(walk, g_mime_object_get_header_list(object), &section);
	if (message != NULL)
		cover(walk, g_mime_object_get_header_list(GMIME_OBJECT(message)), &section);
	if (section.start >= section.end)
		return (struct mime_fields){ NULL, 0 };
	return mime_fields_split(walk->w,
		(struct slice){ walk->raw + section.start, section.end - section.start },
		walk->w->limits->header_fields);
}

static const char *strip_brackets(struct mime_work *w, struct slice value)
{
	value = slice_trim(value);
	if (value.len >= 2 && value.base[0] == '<' && value.base[value.len - 1] == '>')
		value = (struct slice){ value.base + 1, value.len - 2 };
	return value.len > 0 ? mime_header_text(w, value) : NULL;
}

/* The next part, with what its fields say. */
static struct mime_part *add_part(struct walk *walk, const struct mime_fields *fields,
	const char *path, const char *type, struct mime_range range)
{
	struct mime_work *w = walk->w;
	struct slice content_type = mime_fields_last(fields, "content-type");
	struct slice disposition = mime_fields_last(fields, "content-disposition");
	struct mime_part *part = &w->m->parts[w->m->part_count++];
	struct mime_decoder decoder;
	const char *name = mime_safe_filename(w, mime_param(w, disposition, "filename"));

	if (name == NULL)
		name = mime_safe_filename(w, mime_param(w, content_type, "name"));
	const char *charset = mime_param(w, content_type, "charset");
	const char *encoding = mime_token(w, mime_fields_last(fields, "content-transfer-encoding"));
	*part = (struct mime_part){
		.n = (unsigned)w->m->part_count,
		.path = path,
		.content_type = type,
		.filename = name,
		.disposition = mime_token(w, disposition),
		.content_id = strip_brackets(w, mime_fields_last(fields, "content-id")),
		.charset = charset != NULL ? mime_token(w, slice_str(charset)) : NULL,
		.encoding = encoding != NULL ? encoding : "7bit",
		.raw_offset = range.start,
		.raw_length = range.end - range.start,
	};
	if (!mime_decoder_init(&decoder, part->encoding))
		mime_note(w, DEFECT_UNKNOWN_ENCODING);
	if (decoder.encoding == MIME_ENCODING_BASE64 && strncmp(type, "text/", 5) == 0 &&
		!mime_is_base64(walk->raw + part->raw_offset, part->raw_length)) {
		mime_note(w, DEFECT_BAD_BASE64);
		part->encoding = "8bit"; /* the label was wrong */
	}
	return part;
}

static struct mime_node *new_node(struct walk *walk, enum mime_node_kind kind, const char *type)
{
	struct mime_node *node = arena_zalloc(walk->w->arena, sizeof(*node));

	node->kind = kind;
	node->type = type;
	return node;
}

static bool begins_as_html(struct slice s)
{
	static const struct slice marks[] = { { "<!doctype html", 14 }, { "<html", 5 } };

	s = slice_trim(s);
	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
		if (s.len > marks[i].len && strncasecmp(s.base, marks[i].base, marks[i].len) == 0)
			return true;
	}
	return false;
}

/* The path of what is no multipart in the message at `path`, the empty one being that at the top. */
static const char *only_path(struct walk *walk, const char *path)
{
	return *path != '\0' ? arena_printf(walk->w->arena, "%s.1", path) : "1";
}

/* A text leaf for what has no structure that could be followed. */
static struct mime_node *plain_node(struct walk *walk, const char *path, struct mime_range range)
{
	const struct mime_fields none = { NULL, 0 };
	struct mime_node *node = new_node(walk, NODE_LEAF, "text/plain");

	/* A page that a program sent off as it was. */
	if (range.start == 0 && begins_as_html((struct slice){ walk->raw, walk->len }))
		node->type = "text/html";
	node->part = add_part(walk, &none, only_path(walk, path), node->type, range);
	return node;
}

static struct mime_node *build(
	struct walk *walk, GMimeObject *object, GMimeMessage *message, const char *path);

/* RFC 1740: a file of two forks. The name may stand at the first one, the resources, alone. */
static void name_data_fork(struct mime_node *node)
{
	struct mime_node *resources = node->first;
	struct mime_node *data = resources != NULL ? resources->next : NULL;

	if (data != NULL && data->part != NULL && resources->part != NULL &&
		data->part->filename == NULL)
		data->part->filename = resources->part->filename;
}

/* The content id of a multipart/related's root (RFC 2387, 3.2), or NULL. */
static const char *start_of(struct walk *walk, GMimeObject *object)
{
	struct mime_fields fields = fields_of(walk, object, NULL);
	const char *start = mime_param(walk->w, mime_fields_last(&fields, "content-type"), "start");

	return start != NULL ? strip_brackets(walk->w, slice_str(start)) : NULL;
}

/* What stands in a multipart in which no part was found, as a text; NULL when that is nothing. The
 * message's own multipart is seen to by build_top(). */
static struct mime_node *unparted(struct walk *walk, GMimeObject *object, const char *path)
{
	const struct mime_ranges *multiparts = &walk->scan->multiparts;
	struct mime_range section = { walk->len, 0 };
	size_t i = 0;

	cover(walk, g_mime_object_get_header_list(object), &section);
	while (i < multiparts->count && multiparts->list[i].start < section.end)
		i++;
	if (i == multiparts->count)
		return NULL;
	struct mime_range range = multiparts->list[i];
	struct slice content = { walk->raw + range.start, range.end - range.start };
	return slice_trim(content).len > 0 ? plain_node(walk, path, range) : NULL;
}

static struct mime_node *build_multipart(struct walk *walk, GMimeObject *object, const char *path)
{
	GMimeMultipart *multipart = GMIME_MULTIPART(object);
	struct mime_node *node = new_node(walk, NODE_MULTIPART, type_of(walk, object));
	struct mime_node **link = &node->first;
	int count = g_mime_multipart_get_count(multipart);

	if (g_mime_object_get_content_type_parameter(object, "boundary") == NULL)
		mime_note(walk->w, DEFECT_MISSING_BOUNDARY);
	else if (count == 0)
		mime_note(walk->w, DEFECT_EMPTY_MULTIPART);
	if (strcmp(node->type, "multipart/related") == 0)
		node->root = start_of(walk, object);
	for (int i = 0; i < count; i++) {
		const char *child = arena_printf(
			walk->w->arena, "%s%s%d", path, *path != '\0' ? "." : "", i + 1);
		*link = build(walk, g_mime_multipart_get_part(multipart, i), NULL, child);
		if (*link == NULL)
			break;
		link = &(*link)->next;
	}
	if (strcmp(node->type, "multipart/appledouble") == 0)
		name_data_fork(node);
	if (node->first == NULL && *path != '\0' && walk->w->m->part_count < walk->scan->parts)
		node->first = unparted(walk, object, path);
	return node;
}

static struct mime_node *build_message(
	struct walk *walk, GMimeObject *object, const struct mime_fields *fields, const char *path)
{
	struct mime_node *node = new_node(walk, NODE_MESSAGE, type_of(walk, object));
	struct mime_range range = { 0, 0 };

	if (walk->messages < walk->scan->messages.count)
		range = walk->scan->messages.list[walk->messages++];
	node->part = add_part(walk, fields, path, node->type, range);
	GMimeMessage *message = g_mime_message_part_get_message(GMIME_MESSAGE_PART(object));
	GMimeObject *inner = message != NULL ? g_mime_message_get_mime_part(message) : NULL;
	if (inner == NULL)
		return node;
	node->first = build(
		walk, inner, message, GMIME_IS_MULTIPART(inner) ? path : only_path(walk, path));
	return node;
}

/* The line end in front of a boundary is the boundary's (RFC 2046, 5.1.1). GMime takes it to be as
 * long as the message's others: of mixed ones it leaves a CR, or takes a byte of the content. */
static size_t content_end(const struct walk *walk, size_t start, size_t end)
{
	const char *raw = walk->raw;

	if (end > start && end < walk->len && raw[end - 1] == '\r' && raw[end] == '\n')
		return end - 1;
	if (end + 1 < walk->len && raw[end] != '\r' && raw[end] != '\n' && raw[end + 1] == '\n')
		return end + 1;
	return end;
}

static struct mime_range content_range(struct walk *walk, GMimePart *leaf)
{
	GMimeDataWrapper *content = g_mime_part_get_content(leaf);
	GMimeStream *stream = content != NULL ? g_mime_data_wrapper_get_stream(content) : NULL;

	if (stream == NULL || stream->bound_start < 0 || stream->bound_end < stream->bound_start ||
		(size_t)stream->bound_end > walk->len)
		return (struct mime_range){ 0, 0 };
	size_t start = mime_content_start(walk->scan, walk->raw, (size_t)stream->bound_start);
	return (struct mime_range){ start, content_end(walk, start, (size_t)stream->bound_end) };
}

/* NULL when a limit was passed, which mime_scan() is there to prevent. */
static struct mime_node *build(
	struct walk *walk, GMimeObject *object, GMimeMessage *message, const char *path)
{
	struct mime_node *node;

	if (walk->depth > walk->w->limits->depth) {
		mime_note(walk->w, DEFECT_LIMIT_DEPTH);
		return NULL;
	}
	walk->depth++;
	if (GMIME_IS_MULTIPART(object)) {
		node = build_multipart(walk, object, path);
	} else if (walk->w->m->part_count >= walk->scan->parts) {
		mime_note(walk->w, DEFECT_LIMIT_PARTS);
		node = NULL;
	} else {
		struct mime_fields fields = fields_of(walk, object, message);
		if (GMIME_IS_MESSAGE_PART(object)) {
			node = build_message(walk, object, &fields, path);
		} else {
			node = new_node(walk, NODE_LEAF, leaf_type_of(walk, object, &fields));
			node->content_type = mime_fields_last(&fields, "content-type");
			node->part = add_part(walk, &fields, path, node->type,
				content_range(walk, GMIME_PART(object)));
		}
	}
	walk->depth--;
	return node;
}

/* GMime's view of the message at `path`, as nodes of ours. */
static struct mime_node *build_top(struct walk *walk, const char *path)
{
	const struct mime_scan *scan = walk->scan;
	struct mime_node *top = NULL;

	if (scan->masked == NULL)
		return plain_node(walk, path, (struct mime_range){ 0, walk->len });
	GByteArray *bytes = g_byte_array_new_take((guint8 *)scan->masked, walk->len);
	GMimeStream *stream = g_mime_stream_mem_new_with_byte_array(bytes);
	g_mime_stream_set_bounds(stream, (gint64)scan->header.start, (gint64)walk->len);
	/* As a part, not as a message: GMime then leaves the top section's fields alone. */
	GMimeParser *parser = g_mime_parser_new_with_stream(stream);
	GMimeObject *object = g_mime_parser_construct_part(parser, NULL);
	g_object_unref(parser);
	if (object != NULL) {
		top = build(walk, object, NULL,
			GMIME_IS_MULTIPART(object) ? path : only_path(walk, path));
		g_object_unref(object);
	}
	g_object_unref(stream);
	if (top == NULL || (top->kind == NODE_MULTIPART && top->first == NULL))
		return plain_node(walk, path, (struct mime_range){ scan->body_start, walk->len });
	return top;
}

static void note_damage(struct mime_work *w, const struct mime_decoder *d)
{
	if (d->bad_base64)
		mime_note(w, DEFECT_BAD_BASE64);
	if (d->inside_padding)
		mime_note(w, DEFECT_BASE64_PADDING);
	if (d->bad_quoted)
		mime_note(w, DEFECT_BAD_QUOTED);
	if (d->bad_block)
		mime_note(
			w, d->encoding == MIME_ENCODING_UU ? DEFECT_BAD_UUENCODE : DEFECT_BAD_YENC);
}

void mime_decode(struct mime_work *w, const char *encoding, struct slice raw,
	struct mime_part *part, struct buf *keep)
{
	char chunk[CHUNK + MIME_DECODE_SLACK];
	struct sha256 *digest = sha256_begin();
	struct mime_decoder decoder;
	bool last = false;

	mime_decoder_init(&decoder, encoding);
	while (!last) {
		size_t take = raw.len < CHUNK ? raw.len : CHUNK;
		last = take == 0;
		size_t n = last ? mime_decoder_end(&decoder, chunk)
				: mime_decoder_step(&decoder, raw.base, take, chunk);
		sha256_add(digest, chunk, n);
		part->size += n;
		if (keep != NULL)
			mime_add_some(keep, chunk, n);
		raw.base += take;
		raw.len -= take;
	}
	sha256_end(&digest, part->sha256);
	note_damage(w, &decoder);
}

void mime_part_measure(const char *raw, struct mime_part *part)
{
	char chunk[CHUNK + 2 * MIME_DECODE_SLACK];
	struct sha256 *digest = sha256_begin();
	struct mime_content content;
	struct slice left = { raw + part->raw_offset, part->raw_length };
	size_t n;

	mime_content_begin(&content, part->encoding, part->inside);
	for (part->size = 0; left.len > 0; left.base += n, left.len -= n) {
		n = left.len < CHUNK ? left.len : CHUNK;
		size_t out = mime_content_step(&content, left.base, n, chunk);
		sha256_add(digest, chunk, out);
		part->size += out;
	}
	n = mime_content_end(&content, chunk);
	sha256_add(digest, chunk, n);
	part->size += n;
	sha256_end(&digest, part->sha256);
}

/* A text's content, without the files that stand in it. */
static void take_text(struct walk *walk, struct mime_part *part, struct slice raw, struct buf *text)
{
	struct mime_decoder decoder;
	struct buf decoded;

	mime_decoder_init(&decoder, part->encoding);
	if (decoder.encoding == MIME_ENCODING_IDENTITY) {
		mime_decode(walk->w, part->encoding, raw, part, NULL);
		mime_inner_blocks(walk->w, &walk->inner, part, raw, text);
		return;
	}
	buf_init(&decoded, text->max_bytes);
	mime_decode(walk->w, part->encoding, raw, part, &decoded);
	mime_inner_blocks(walk->w, &walk->inner, part, mime_text_of(&decoded), text);
	text->truncated = text->truncated || decoded.truncated;
	buf_deinit(&decoded);
}

static void fill_tnef(struct walk *walk, struct mime_part *part, struct slice raw)
{
	struct buf stream;

	buf_init(&stream, MAX_INNER);
	mime_decode(walk->w, part->encoding, raw, part, &stream);
	if (stream.truncated)
		mime_note(walk->w, DEFECT_LIMIT_INNER);
	mime_inner_tnef(walk->w, &walk->inner, part, mime_text_of(&stream));
	buf_deinit(&stream);
}

/* Whether a leaf is an attached message that is encoded, which RFC 2046, 5.2.1 forbids. */
static bool is_encoded_message(const struct mime_node *node)
{
	struct mime_decoder decoder;

	return node->kind == NODE_LEAF && strncmp(node->type, "message/", 8) == 0 &&
	       mime_is_message(node->type + 8) &&
	       mime_decoder_init(&decoder, node->part->encoding) &&
	       decoder.encoding != MIME_ENCODING_IDENTITY;
}

/* The parts of a message that is the content of another part. They are found as those of the message
 * itself are, in a list of their own. */
static void list_within(struct walk *walk, const struct mime_part *part, struct slice message)
{
	struct mime_work *w = walk->w;
	struct mime_message *m = w->m;
	struct mime_part *parts = m->parts;
	const struct mime_limits *limits = w->limits;
	struct mime_limits left = *limits;
	size_t count = m->part_count;
	uint64_t defects = w->defects;
	struct mime_scan scan;

	left.parts -= count + walk->inner.count < left.parts ? count + walk->inner.count
							     : left.parts;
	w->limits = &left;
	mime_scan(w, message.base, message.len, &scan);
	if (scan.masked == NULL || scan.over != DEFECT_NONE) {
		g_free(scan.masked);
		w->defects = defects;
		if (scan.over != DEFECT_NONE)
			mime_note(w, DEFECT_LIMIT_INNER);
		w->limits = limits;
		return;
	}
	struct walk within = { .w = w, .scan = &scan, .raw = message.base, .len = message.len };
	struct mime_part *found = g_new(struct mime_part, scan.parts + 1);
	m->parts = found;
	m->part_count = 0;
	build_top(&within, part->path);
	size_t found_count = m->part_count;
	m->parts = parts;
	m->part_count = count;
	w->limits = limits;
	for (size_t i = 0; i < found_count; i++) {
		if (!mime_inner_part(w, &walk->inner, part, &found[i], message))
			break;
	}
	g_free(found);
}

static void fill_message(struct walk *walk, struct mime_part *part, struct slice raw)
{
	struct buf message;

	buf_init(&message, MAX_INNER);
	mime_decode(walk->w, part->encoding, raw, part, &message);
	if (message.truncated)
		mime_note(walk->w, DEFECT_LIMIT_INNER);
	list_within(walk, part, mime_text_of(&message));
	buf_deinit(&message);
}

static void fill_leaf(struct walk *walk, struct mime_node *node)
{
	struct mime_part *part = node->part;
	struct slice raw = { walk->raw + part->raw_offset, part->raw_length };
	struct buf decoded;

	part->is_attachment = !node->in_text && !node->in_html && !node->left_out;
	if (node->kind == NODE_LEAF && part->is_attachment && mime_is_tnef(part)) {
		fill_tnef(walk, part, raw);
		return;
	}
	if (is_encoded_message(node)) {
		fill_message(walk, part, raw);
		return;
	}
	if (part->is_attachment || node->left_out) {
		mime_decode(walk->w, part->encoding, raw, part, NULL);
		return;
	}
	/* A character of UTF-8 takes at most four bytes of another charset for each of its own. */
	buf_init(&decoded, 4 * walk->w->limits->text_bytes + 16);
	if (strcmp(node->type, "text/plain") == 0)
		take_text(walk, part, raw, &decoded);
	else
		mime_decode(walk->w, part->encoding, raw, part, &decoded);
	if (decoded.truncated)
		mime_note(walk->w, DEFECT_LIMIT_TEXT);
	mime_bodies_add(walk->w, &walk->bodies, node, mime_text_of(&decoded));
	buf_deinit(&decoded);
}

static void fill(struct walk *walk, struct mime_node *node)
{
	if (node->part != NULL)
		fill_leaf(walk, node);
	for (struct mime_node *c = node->first; c != NULL; c = c->next)
		fill(walk, c);
}

void mime_parts_fill(struct mime_work *w, const char *raw, size_t len, const struct mime_scan *scan)
{
	struct walk walk = { .w = w, .scan = scan, .raw = raw, .len = len };

	w->m->parts = arena_alloc(w->arena, (scan->parts + 1) * sizeof(w->m->parts[0]));
	struct mime_node *top = build_top(&walk, "");
	mime_bodies_mark((struct slice){ raw, len }, top);
	w->m->security = mime_security(w, (struct slice){ raw, len }, top);
	mime_bodies_begin(w, &walk.bodies, top);
	fill(&walk, top);
	mime_report_fill(w, raw, top);
	mime_inner_finish(w, &walk.inner);
	mime_bodies_end(w, &walk.bodies);
}
