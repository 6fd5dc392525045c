/* SPDX-License-Identifier: MIT */
#include "lib/mime/internal.h"

#include <gmime/gmime.h>
#include <string.h>

const struct mime_limits mime_limits_default = {
	.header_bytes = 1024 * 1024,
	.header_fields = 2000,
	.parts = 1000,
	.depth = 50,
	.addresses = 1000,
	.text_bytes = 2 * 1024 * 1024,
	.filename_bytes = 255,
};

static const char *const defect_words[DEFECT_COUNT] = {
	[DEFECT_LIMIT_HEADER_BYTES] = "limit_header_bytes",
	[DEFECT_LIMIT_HEADER_FIELDS] = "limit_header_fields",
	[DEFECT_LIMIT_PARTS] = "limit_parts",
	[DEFECT_LIMIT_DEPTH] = "limit_depth",
	[DEFECT_LIMIT_BOUNDARY] = "limit_boundary",
	[DEFECT_LIMIT_ADDRESSES] = "limit_addresses",
	[DEFECT_LIMIT_REFERENCES] = "limit_references",
	[DEFECT_LIMIT_TEXT] = "limit_text",
	[DEFECT_LIMIT_FILENAME] = "limit_filename",
	[DEFECT_NO_HEADER] = "no_header",
	[DEFECT_LEADING_BLANK] = "leading_lines",
	[DEFECT_BAD_HEADER] = "bad_header",
	[DEFECT_MISSING_BLANK_LINE] = "missing_blank_line",
	[DEFECT_BARE_CR] = "bare_cr",
	[DEFECT_REPEATED_HEADER] = "repeated_header",
	[DEFECT_HEADER_CONTROL] = "header_control",
	[DEFECT_HEADER_CHARSET] = "header_charset",
	[DEFECT_BAD_ENCODED_WORD] = "bad_encoded_word",
	[DEFECT_BAD_ADDRESS] = "bad_address",
	[DEFECT_BAD_DATE] = "bad_date",
	[DEFECT_BAD_CONTENT_TYPE] = "bad_content_type",
	[DEFECT_MISSING_BOUNDARY] = "missing_boundary",
	[DEFECT_EMPTY_MULTIPART] = "empty_multipart",
	[DEFECT_UNCLOSED_MULTIPART] = "unclosed_multipart",
	[DEFECT_UNKNOWN_ENCODING] = "unknown_encoding",
	[DEFECT_BAD_BASE64] = "bad_base64",
	[DEFECT_BASE64_PADDING] = "base64_padding",
	[DEFECT_BAD_CHARSET] = "bad_charset",
	[DEFECT_UNKNOWN_CHARSET] = "unknown_charset",
	[DEFECT_GUESSED_CHARSET] = "guessed_charset",
	[DEFECT_NUL_BYTE] = "nul_byte",
	[DEFECT_BAD_FILENAME] = "bad_filename",
	[DEFECT_LIMIT_INNER] = "limit_inner",
	[DEFECT_BAD_UUENCODE] = "bad_uuencode",
	[DEFECT_BAD_YENC] = "bad_yenc",
	[DEFECT_BAD_TNEF] = "bad_tnef",
	[DEFECT_BAD_QUOTED] = "bad_quoted_printable",
	[DEFECT_UNENDED_HEADER] = "unended_header",
	[DEFECT_MIXED_LINE_ENDS] = "mixed_line_ends",
};

const char *mime_status_name(enum mime_status status)
{
	switch (status) {
	case MIME_OK:
		return "ok";
	case MIME_DEGRADED:
		return "degraded";
	case MIME_FAILED:
		break;
	}
	return "failed";
}

bool mime_status_parse(struct slice name, enum mime_status *status_r)
{
	for (enum mime_status status = MIME_OK; status <= MIME_FAILED; status++)
		if (slice_eq(name, slice_str(mime_status_name(status)))) {
			*status_r = status;
			return true;
		}
	return false;
}

void mime_init(void)
{
	g_mime_init();
}

static struct mime_message *new_message(void)
{
	struct arena *arena = arena_new();
	struct mime_message *m = arena_zalloc(arena, sizeof(*m));

	m->arena = arena;
	return m;
}

static void list_defects(struct mime_work *w)
{
	struct mime_strings *defects = &w->m->defects;

	if (w->defects == 0)
		return;
	defects->list = arena_alloc(w->arena, DEFECT_COUNT * sizeof(defects->list[0]));
	for (int i = 0; i < DEFECT_COUNT; i++) {
		if ((w->defects >> i & 1) != 0)
			defects->list[defects->count++] = defect_words[i];
	}
}

static enum mime_status judge(const struct mime_work *w)
{
	const uint64_t fatal = (UINT64_C(1) << (DEFECT_LIMIT_BOUNDARY + 1)) - 1;

	if ((w->defects & fatal) != 0)
		return MIME_FAILED;
	return w->defects != 0 ? MIME_DEGRADED : MIME_OK;
}

static void parse(struct mime_work *w, const char *raw, size_t len)
{
	struct mime_scan scan;

	mime_scan(w, raw, len, &scan);
	mime_headers_fill(
		w, (struct slice){ raw + scan.header.start, scan.header.end - scan.header.start });
	if (scan.over != DEFECT_NONE) {
		mime_note(w, scan.over);
		g_free(scan.masked);
	} else {
		mime_parts_fill(w, raw, len, &scan);
	}
}

/* Old Macs ended lines with CR alone. Where not a single LF is, CR was meant; anywhere else a bare CR
 * ends no line, lest we see another message than the next reader. */
static void parse_bare_cr(struct mime_work *w, const char *raw, size_t len)
{
	char *lines = g_memdup2(raw, len);

	mime_note(w, DEFECT_BARE_CR);
	for (char *p = lines; (p = memchr(p, '\r', len - (size_t)(p - lines))) != NULL;)
		*p = '\n';
	parse(w, lines, len);
	g_free(lines);
	for (size_t i = 0; i < w->m->part_count; i++)
		mime_part_measure(raw, &w->m->parts[i]);
}

struct mime_message *mime_parse(const char *raw, size_t len, const struct mime_limits *limits)
{
	struct mime_message *m = new_message();
	struct mime_work w = { .limits = limits, .arena = m->arena, .m = m };
	size_t scratch = 3 * limits->header_bytes + 64; /* windows-1252 can grow threefold */

	buf_init(&w.line, scratch);
	buf_init(&w.word, scratch);
	buf_init(&w.text, scratch);
	if (memchr(raw, '\r', len) != NULL && memchr(raw, '\n', len) == NULL)
		parse_bare_cr(&w, raw, len);
	else
		parse(&w, raw, len);
	mime_marks_fill(&w);
	list_defects(&w);
	m->status = judge(&w);
	buf_deinit(&w.line);
	buf_deinit(&w.word);
	buf_deinit(&w.text);
	return m;
}

struct mime_message *mime_unparsed(const char *defect)
{
	struct mime_message *m = new_message();

	m->status = MIME_FAILED;
	m->defects.list = arena_alloc(m->arena, sizeof(m->defects.list[0]));
	m->defects.list[0] = arena_strdup(m->arena, defect);
	m->defects.count = 1;
	return m;
}

void mime_message_free(struct mime_message **m)
{
	if (*m == NULL)
		return;
	struct arena *arena = (*m)->arena; /* which holds the message itself */
	arena_free(&arena);
	*m = NULL;
}
