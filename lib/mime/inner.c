/* SPDX-License-Identifier: MIT */
/* Files that lie within the content of a part: attachments of a TNEF stream, and blocks of uuencode
 * or yEnc in a text, which is how files were sent before MIME. */
#include "lib/mime/decode.h"
#include "lib/mime/internal.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

/* Room for one more; NULL, and noted, when the message has as many parts as it may. */
static struct mime_part *add(struct mime_work *w, struct mime_inner *inner,
	const struct mime_part *outer, const char *name)
{
	if (w->m->part_count + inner->count >= w->limits->parts) {
		mime_note(w, DEFECT_LIMIT_INNER);
		return NULL;
	}
	if (inner->count == inner->capacity) {
		size_t capacity = inner->capacity > 0 ? 2 * inner->capacity : 4;
		struct mime_part *more = arena_alloc(w->arena, capacity * sizeof(more[0]));
		if (inner->count > 0)
			memcpy(more, inner->list, inner->count * sizeof(more[0]));
		inner->list = more;
		inner->capacity = capacity;
	}
	inner->in_same = inner->of == outer->n ? inner->in_same + 1 : 1;
	inner->of = outer->n;
	struct mime_part *part = &inner->list[inner->count++];
	*part = (struct mime_part){
		.n = outer->n,
		.path = arena_printf(w->arena, "%s.%u", outer->path, inner->in_same),
		.filename = mime_safe_filename(w, name),
		.encoding = outer->encoding,
		.raw_offset = outer->raw_offset,
		.raw_length = outer->raw_length,
		.is_attachment = true,
	};
	return part;
}

static const char *inside(struct mime_work *w, const char *kind, size_t offset, size_t length)
{
	return arena_printf(w->arena, "%s:%zu+%zu", kind, offset, length);
}

bool mime_is_tnef(const struct mime_part *part)
{
	return strcmp(part->content_type, "application/ms-tnef") == 0 ||
	       strcmp(part->content_type, "application/vnd.ms-tnef") == 0 ||
	       (part->filename != NULL && strcasecmp(part->filename, "winmail.dat") == 0);
}

static const char *tnef_type(struct mime_work *w, const struct mime_tnef_file *file)
{
	const char *type = file->type != NULL ? mime_token(w, slice_str(file->type)) : NULL;

	if (type != NULL && strchr(type, '/') != NULL)
		return type;
	return file->embedded ? "application/ms-tnef" : mime_type_of_name(file->name);
}

void mime_inner_tnef(struct mime_work *w, struct mime_inner *inner, const struct mime_part *outer,
	struct slice stream)
{
	struct mime_tnef tnef;
	struct mime_tnef_file file;

	if (!mime_tnef_begin(&tnef, stream)) {
		mime_note(w, DEFECT_BAD_TNEF);
		return;
	}
	while (mime_tnef_next(w, &tnef, &file)) {
		struct mime_part *part = add(w, inner, outer, file.name);
		if (part == NULL)
			return;
		part->content_type = tnef_type(w, &file);
		part->content_id = file.content_id;
		part->inside = inside(
			w, "tnef", (size_t)(file.data.base - stream.base), file.data.len);
		mime_decode(w, "binary", file.data, part, NULL);
	}
}

bool mime_inner_part(struct mime_work *w, struct mime_inner *inner, const struct mime_part *outer,
	const struct mime_part *found, struct slice message)
{
	static const char *const words[] = {
		[MIME_ENCODING_IDENTITY] = "8bit",
		[MIME_ENCODING_BASE64] = "base64",
		[MIME_ENCODING_QUOTED] = "quoted-printable",
		[MIME_ENCODING_UU] = "uu",
		[MIME_ENCODING_YENC] = "yenc",
	};
	struct mime_decoder decoder;
	struct mime_part *part = add(w, inner, outer, NULL), holding;

	if (part == NULL)
		return false;
	holding = *part;
	*part = *found;
	part->n = holding.n;
	part->encoding = holding.encoding;
	part->raw_offset = holding.raw_offset;
	part->raw_length = holding.raw_length;
	part->is_attachment = true;
	mime_decoder_init(&decoder, found->encoding);
	part->inside = inside(w, words[decoder.encoding], found->raw_offset, found->raw_length);
	mime_decode(w, found->encoding,
		(struct slice){ message.base + found->raw_offset, found->raw_length }, part, NULL);
	return true;
}

/* The line at `at`; its end goes with it, and is told apart. */
struct line {
	struct slice text;
	size_t next;
};

static struct line line_at(struct slice s, size_t at)
{
	const char *end = memchr(s.base + at, '\n', s.len - at);
	size_t stop = end != NULL ? (size_t)(end - s.base) : s.len;
	struct line line = { { s.base + at, stop - at }, end != NULL ? stop + 1 : s.len };

	if (line.text.len > 0 && line.text.base[line.text.len - 1] == '\r')
		line.text.len--;
	return line;
}

struct block {
	size_t start, end;
	const char *kind, *encoding;
	struct slice name;
	struct slice last; /* its last line */
};

/* "begin 644 NAME" */
static bool uu_begin(struct slice line, struct slice *name_r)
{
	size_t i = 6;

	if (!slice_begins(line, SLICE_LIT("begin ")))
		return false;
	while (i < line.len && line.base[i] >= '0' && line.base[i] <= '7')
		i++;
	if (i < 9 || i > 10 || i == line.len || line.base[i] != ' ')
		return false;
	*name_r = slice_trim((struct slice){ line.base + i, line.len - i });
	return name_r->len > 0;
}

/* Whether a line can be one of data. It says how long it is; half of it will do behind the first
 * line, for blanks at its end may have been lost. Some writers add a check digit. */
static bool is_uu_data(struct slice line, bool first)
{
	if (line.len == 0)
		return false;
	for (size_t i = 0; i < line.len; i++) {
		if (line.base[i] < ' ' || line.base[i] > '`')
			return false;
	}
	size_t bytes = (size_t)(line.base[0] - ' ') & 63, have = line.len - 1;
	size_t need = (bytes * 4 + 2) / 3;
	return have <= need + 4 && have >= (first ? need : need / 2);
}

/* A block goes up to its "end", or as far as its lines look like data. */
static bool uu_block(struct slice s, size_t at, struct block *block_r)
{
	struct line line = line_at(s, at);
	bool first = true;

	*block_r = (struct block){ .start = at, .kind = "uu", .encoding = "x-uuencode" };
	if (!uu_begin(line.text, &block_r->name))
		return false;
	for (at = line.next; at < s.len; at = line.next) {
		line = line_at(s, at);
		bool end = slice_eq(slice_trim(line.text), SLICE_LIT("end"));
		bool blank = line.text.len == 0 && line.next < s.len &&
			     slice_begins(line_at(s, line.next).text, SLICE_LIT("end"));
		if (!end && !blank && !is_uu_data(line.text, first))
			break;
		block_r->end = line.next;
		if (end)
			break;
		first = false;
	}
	return block_r->end > 0;
}

/* Only with both of its ends: people write about "=ybegin" lines too. */
static bool yenc_block(struct slice s, size_t at, struct block *block_r)
{
	struct line line = line_at(s, at);

	*block_r = (struct block){ .start = at, .kind = "yenc", .encoding = "x-yenc" };
	const char *name = memmem(line.text.base, line.text.len, " name=", 6);
	if (name == NULL)
		return false;
	block_r->name = slice_trim(
		(struct slice){ name + 6, line.text.len - (size_t)(name + 6 - line.text.base) });
	for (at = line.next; at < s.len; at = line.next) {
		line = line_at(s, at);
		if (slice_begins(line.text, SLICE_LIT("=ybegin ")))
			return false;
		if (slice_begins(line.text, SLICE_LIT("=yend "))) {
			block_r->last = line.text;
			block_r->end = line.next;
			return true;
		}
	}
	return false;
}

/* Each line is looked at twice at most: a block that is none ends where the next could begin. */
static bool find_block(struct slice s, size_t at, struct block *block_r)
{
	while (at < s.len) {
		struct line line = line_at(s, at);
		if (slice_begins(line.text, SLICE_LIT("begin ")) && uu_block(s, at, block_r))
			return true;
		if (slice_begins(line.text, SLICE_LIT("=ybegin ")) && yenc_block(s, at, block_r))
			return true;
		at = line.next;
	}
	return false;
}

/* The trailer's size, which is the one of the block itself when it is one of several. */
static void check_yenc_size(
	struct mime_work *w, const struct block *block, const struct mime_part *part)
{
	const char *size = memmem(block->last.base, block->last.len, " size=", 6);
	const char *end = block->last.base + block->last.len;
	uint64_t number = 0;

	for (size = size != NULL ? size + 6 : end; size < end && isdigit((unsigned char)*size);
		size++)
		number = number * 10 + (uint64_t)(*size - '0');
	if (number != part->size)
		mime_note(w, DEFECT_BAD_YENC);
}

static bool add_block(struct mime_work *w, struct mime_inner *inner, const struct mime_part *outer,
	struct slice content, const struct block *block)
{
	struct mime_decoder decoder;
	struct slice bytes = { content.base + block->start, block->end - block->start };

	buf_clear(&w->text);
	mime_header_to_utf8(w, block->name, &w->text);
	struct mime_part *part = add(
		w, inner, outer, mime_clean(w, mime_text_of(&w->text), w->text.len * 3, NULL));
	if (part == NULL)
		return false;
	part->content_type = mime_type_of_name(part->filename);
	mime_decoder_init(&decoder, outer->encoding);
	if (decoder.encoding == MIME_ENCODING_IDENTITY) {
		part->encoding = block->encoding;
		part->raw_offset += block->start;
		part->raw_length = bytes.len;
	} else {
		part->inside = inside(w, block->kind, block->start, bytes.len);
	}
	mime_decode(w, block->encoding, bytes, part, NULL);
	if (block->last.len > 0)
		check_yenc_size(w, block, part);
	return true;
}

void mime_inner_blocks(struct mime_work *w, struct mime_inner *inner, const struct mime_part *outer,
	struct slice content, struct buf *rest)
{
	struct block block;
	size_t at = 0;

	while (find_block(content, at, &block)) {
		if (!add_block(w, inner, outer, content, &block))
			break;
		mime_add_some(rest, content.base + at, block.start - at);
		at = block.end;
	}
	mime_add_some(rest, content.base + at, content.len - at);
}

void mime_inner_finish(struct mime_work *w, struct mime_inner *inner)
{
	struct mime_message *m = w->m;

	if (inner->count > 0) {
		struct mime_part *all = arena_alloc(
			w->arena, (m->part_count + inner->count) * sizeof(all[0]));
		size_t taken = 0, count = 0;
		for (size_t i = 0; i < m->part_count; i++) {
			all[count++] = m->parts[i];
			while (taken < inner->count && inner->list[taken].n == m->parts[i].n)
				all[count++] = inner->list[taken++];
		}
		m->parts = all;
		m->part_count = count;
	}
	for (size_t i = 0; i < m->part_count; i++) {
		m->parts[i].n = (unsigned)i + 1;
		if (m->parts[i].is_attachment && m->parts[i].filename == NULL)
			m->parts[i].filename = mime_make_name(w, &m->parts[i]);
	}
}
